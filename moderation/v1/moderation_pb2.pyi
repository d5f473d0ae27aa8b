import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTION_UNSPECIFIED: _ClassVar[Action]
    ACTION_ALLOW: _ClassVar[Action]
    ACTION_REVIEW: _ClassVar[Action]
    ACTION_BLOCK: _ClassVar[Action]

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODE_UNSPECIFIED: _ClassVar[Mode]
    MODE_ENFORCE: _ClassVar[Mode]
    MODE_SHADOW: _ClassVar[Mode]
    MODE_OFF: _ClassVar[Mode]

class CalibrationState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CALIBRATION_STATE_UNSPECIFIED: _ClassVar[CalibrationState]
    CALIBRATION_STATE_NONE: _ClassVar[CalibrationState]
    CALIBRATION_STATE_FITTED: _ClassVar[CalibrationState]
    CALIBRATION_STATE_STALE: _ClassVar[CalibrationState]

class PolicySetOrigin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLICY_SET_ORIGIN_UNSPECIFIED: _ClassVar[PolicySetOrigin]
    POLICY_SET_ORIGIN_SOURCE: _ClassVar[PolicySetOrigin]
    POLICY_SET_ORIGIN_KEPT: _ClassVar[PolicySetOrigin]
    POLICY_SET_ORIGIN_ROLLBACK: _ClassVar[PolicySetOrigin]

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_LOW: _ClassVar[Severity]
    SEVERITY_MEDIUM: _ClassVar[Severity]
    SEVERITY_HIGH: _ClassVar[Severity]
    SEVERITY_CRITICAL: _ClassVar[Severity]

class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_UNSPECIFIED: _ClassVar[Priority]
    PRIORITY_INTERACTIVE: _ClassVar[Priority]
    PRIORITY_BULK: _ClassVar[Priority]

class FailureCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_CODE_UNSPECIFIED: _ClassVar[FailureCode]
    FAILURE_CODE_NOT_AN_IMAGE: _ClassVar[FailureCode]
    FAILURE_CODE_FORMAT_NOT_ALLOWED: _ClassVar[FailureCode]
    FAILURE_CODE_TRUNCATED: _ClassVar[FailureCode]
    FAILURE_CODE_CORRUPT: _ClassVar[FailureCode]
    FAILURE_CODE_TOO_MANY_BYTES: _ClassVar[FailureCode]
    FAILURE_CODE_TOO_MANY_PIXELS: _ClassVar[FailureCode]
    FAILURE_CODE_TOO_MANY_FRAMES: _ClassVar[FailureCode]
    FAILURE_CODE_BAD_DIMENSIONS: _ClassVar[FailureCode]
    FAILURE_CODE_TOO_COSTLY: _ClassVar[FailureCode]
    FAILURE_CODE_ENCODER_FAILED: _ClassVar[FailureCode]
    FAILURE_CODE_SERVICE_UNAVAILABLE: _ClassVar[FailureCode]
    FAILURE_CODE_TOO_LARGE: _ClassVar[FailureCode]
    FAILURE_CODE_DECODER_TIMEOUT: _ClassVar[FailureCode]
    FAILURE_CODE_DECODER_CRASHED: _ClassVar[FailureCode]
ACTION_UNSPECIFIED: Action
ACTION_ALLOW: Action
ACTION_REVIEW: Action
ACTION_BLOCK: Action
MODE_UNSPECIFIED: Mode
MODE_ENFORCE: Mode
MODE_SHADOW: Mode
MODE_OFF: Mode
CALIBRATION_STATE_UNSPECIFIED: CalibrationState
CALIBRATION_STATE_NONE: CalibrationState
CALIBRATION_STATE_FITTED: CalibrationState
CALIBRATION_STATE_STALE: CalibrationState
POLICY_SET_ORIGIN_UNSPECIFIED: PolicySetOrigin
POLICY_SET_ORIGIN_SOURCE: PolicySetOrigin
POLICY_SET_ORIGIN_KEPT: PolicySetOrigin
POLICY_SET_ORIGIN_ROLLBACK: PolicySetOrigin
SEVERITY_UNSPECIFIED: Severity
SEVERITY_LOW: Severity
SEVERITY_MEDIUM: Severity
SEVERITY_HIGH: Severity
SEVERITY_CRITICAL: Severity
PRIORITY_UNSPECIFIED: Priority
PRIORITY_INTERACTIVE: Priority
PRIORITY_BULK: Priority
FAILURE_CODE_UNSPECIFIED: FailureCode
FAILURE_CODE_NOT_AN_IMAGE: FailureCode
FAILURE_CODE_FORMAT_NOT_ALLOWED: FailureCode
FAILURE_CODE_TRUNCATED: FailureCode
FAILURE_CODE_CORRUPT: FailureCode
FAILURE_CODE_TOO_MANY_BYTES: FailureCode
FAILURE_CODE_TOO_MANY_PIXELS: FailureCode
FAILURE_CODE_TOO_MANY_FRAMES: FailureCode
FAILURE_CODE_BAD_DIMENSIONS: FailureCode
FAILURE_CODE_TOO_COSTLY: FailureCode
FAILURE_CODE_ENCODER_FAILED: FailureCode
FAILURE_CODE_SERVICE_UNAVAILABLE: FailureCode
FAILURE_CODE_TOO_LARGE: FailureCode
FAILURE_CODE_DECODER_TIMEOUT: FailureCode
FAILURE_CODE_DECODER_CRASHED: FailureCode

class Content(_message.Message):
    __slots__ = ("image", "content_id", "uri")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    content_id: str
    uri: str
    def __init__(self, image: _Optional[bytes] = ..., content_id: _Optional[str] = ..., uri: _Optional[str] = ...) -> None: ...

class ModerateOptions(_message.Message):
    __slots__ = ("profile", "policy_ids", "include_all_verdicts", "priority")
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    POLICY_IDS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_ALL_VERDICTS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    profile: str
    policy_ids: _containers.RepeatedScalarFieldContainer[str]
    include_all_verdicts: bool
    priority: Priority
    def __init__(self, profile: _Optional[str] = ..., policy_ids: _Optional[_Iterable[str]] = ..., include_all_verdicts: _Optional[bool] = ..., priority: _Optional[_Union[Priority, str]] = ...) -> None: ...

class ModerateRequest(_message.Message):
    __slots__ = ("content", "options")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    content: Content
    options: ModerateOptions
    def __init__(self, content: _Optional[_Union[Content, _Mapping]] = ..., options: _Optional[_Union[ModerateOptions, _Mapping]] = ...) -> None: ...

class ModerateResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    def __init__(self, decision: _Optional[_Union[Decision, _Mapping]] = ...) -> None: ...

class ModerateBatchRequest(_message.Message):
    __slots__ = ("contents", "options")
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    contents: _containers.RepeatedCompositeFieldContainer[Content]
    options: ModerateOptions
    def __init__(self, contents: _Optional[_Iterable[_Union[Content, _Mapping]]] = ..., options: _Optional[_Union[ModerateOptions, _Mapping]] = ...) -> None: ...

class ModerateBatchResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ItemResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ItemResult, _Mapping]]] = ...) -> None: ...

class ModerateStreamRequest(_message.Message):
    __slots__ = ("content", "options")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    content: Content
    options: ModerateOptions
    def __init__(self, content: _Optional[_Union[Content, _Mapping]] = ..., options: _Optional[_Union[ModerateOptions, _Mapping]] = ...) -> None: ...

class ModerateStreamResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: ItemResult
    def __init__(self, result: _Optional[_Union[ItemResult, _Mapping]] = ...) -> None: ...

class ItemResult(_message.Message):
    __slots__ = ("content_id", "decision", "error")
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    content_id: str
    decision: Decision
    error: ItemError
    def __init__(self, content_id: _Optional[str] = ..., decision: _Optional[_Union[Decision, _Mapping]] = ..., error: _Optional[_Union[ItemError, _Mapping]] = ...) -> None: ...

class ItemError(_message.Message):
    __slots__ = ("code", "message", "field", "retry_after")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    field: str
    retry_after: _duration_pb2.Duration
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., field: _Optional[str] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("decision_id", "content_id", "action", "deciding_policy_id", "verdicts", "profile", "policy_set_version", "encoder_id", "decided_at", "timings", "failure", "frames_judged", "audited", "request_id")
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DECIDING_POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    POLICY_SET_VERSION_FIELD_NUMBER: _ClassVar[int]
    ENCODER_ID_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_JUDGED_FIELD_NUMBER: _ClassVar[int]
    AUDITED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    content_id: str
    action: Action
    deciding_policy_id: str
    verdicts: _containers.RepeatedCompositeFieldContainer[Verdict]
    profile: str
    policy_set_version: str
    encoder_id: str
    decided_at: _timestamp_pb2.Timestamp
    timings: Timings
    failure: Failure
    frames_judged: int
    audited: bool
    request_id: str
    def __init__(self, decision_id: _Optional[str] = ..., content_id: _Optional[str] = ..., action: _Optional[_Union[Action, str]] = ..., deciding_policy_id: _Optional[str] = ..., verdicts: _Optional[_Iterable[_Union[Verdict, _Mapping]]] = ..., profile: _Optional[str] = ..., policy_set_version: _Optional[str] = ..., encoder_id: _Optional[str] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., frames_judged: _Optional[int] = ..., audited: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("policy_id", "action", "score", "review_threshold", "block_threshold", "margin", "raw_score", "calibrated", "mode", "phrases", "contrast_phrases", "frame", "category", "severity", "category_path", "legal_ground", "clause_url")
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    REVIEW_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    BLOCK_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    RAW_SCORE_FIELD_NUMBER: _ClassVar[int]
    CALIBRATED_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    PHRASES_FIELD_NUMBER: _ClassVar[int]
    CONTRAST_PHRASES_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_PATH_FIELD_NUMBER: _ClassVar[int]
    LEGAL_GROUND_FIELD_NUMBER: _ClassVar[int]
    CLAUSE_URL_FIELD_NUMBER: _ClassVar[int]
    policy_id: str
    action: Action
    score: float
    review_threshold: float
    block_threshold: float
    margin: float
    raw_score: float
    calibrated: bool
    mode: Mode
    phrases: _containers.RepeatedCompositeFieldContainer[PhraseMatch]
    contrast_phrases: _containers.RepeatedCompositeFieldContainer[PhraseMatch]
    frame: int
    category: str
    severity: Severity
    category_path: _containers.RepeatedScalarFieldContainer[str]
    legal_ground: str
    clause_url: str
    def __init__(self, policy_id: _Optional[str] = ..., action: _Optional[_Union[Action, str]] = ..., score: _Optional[float] = ..., review_threshold: _Optional[float] = ..., block_threshold: _Optional[float] = ..., margin: _Optional[float] = ..., raw_score: _Optional[float] = ..., calibrated: _Optional[bool] = ..., mode: _Optional[_Union[Mode, str]] = ..., phrases: _Optional[_Iterable[_Union[PhraseMatch, _Mapping]]] = ..., contrast_phrases: _Optional[_Iterable[_Union[PhraseMatch, _Mapping]]] = ..., frame: _Optional[int] = ..., category: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., category_path: _Optional[_Iterable[str]] = ..., legal_ground: _Optional[str] = ..., clause_url: _Optional[str] = ...) -> None: ...

class PhraseMatch(_message.Message):
    __slots__ = ("text", "similarity")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    text: str
    similarity: float
    def __init__(self, text: _Optional[str] = ..., similarity: _Optional[float] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: FailureCode
    message: str
    def __init__(self, code: _Optional[_Union[FailureCode, str]] = ..., message: _Optional[str] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("decode", "queue", "encode", "score", "total", "cached")
    DECODE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    ENCODE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    decode: _duration_pb2.Duration
    queue: _duration_pb2.Duration
    encode: _duration_pb2.Duration
    score: _duration_pb2.Duration
    total: _duration_pb2.Duration
    cached: bool
    def __init__(self, decode: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., queue: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., encode: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., score: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., total: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cached: _Optional[bool] = ...) -> None: ...

class ListPoliciesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPoliciesResponse(_message.Message):
    __slots__ = ("policy_set_version", "policies", "profiles", "categories")
    POLICY_SET_VERSION_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    policy_set_version: str
    policies: _containers.RepeatedCompositeFieldContainer[Policy]
    profiles: _containers.RepeatedCompositeFieldContainer[Profile]
    categories: _containers.RepeatedCompositeFieldContainer[Category]
    def __init__(self, policy_set_version: _Optional[str] = ..., policies: _Optional[_Iterable[_Union[Policy, _Mapping]]] = ..., profiles: _Optional[_Iterable[_Union[Profile, _Mapping]]] = ..., categories: _Optional[_Iterable[_Union[Category, _Mapping]]] = ...) -> None: ...

class Category(_message.Message):
    __slots__ = ("category", "title", "parent")
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    category: str
    title: str
    parent: str
    def __init__(self, category: _Optional[str] = ..., title: _Optional[str] = ..., parent: _Optional[str] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("policy_id", "title", "description", "category", "severity", "mode", "phrases", "contrast_phrases", "templates", "aggregation", "review_threshold", "block_threshold", "needs_clip", "owner", "legal_ground", "clause_url", "effective", "expires", "on", "canary_share", "review_target", "block_target", "calibration")
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    PHRASES_FIELD_NUMBER: _ClassVar[int]
    CONTRAST_PHRASES_FIELD_NUMBER: _ClassVar[int]
    TEMPLATES_FIELD_NUMBER: _ClassVar[int]
    AGGREGATION_FIELD_NUMBER: _ClassVar[int]
    REVIEW_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    BLOCK_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    NEEDS_CLIP_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    LEGAL_GROUND_FIELD_NUMBER: _ClassVar[int]
    CLAUSE_URL_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    ON_FIELD_NUMBER: _ClassVar[int]
    CANARY_SHARE_FIELD_NUMBER: _ClassVar[int]
    REVIEW_TARGET_FIELD_NUMBER: _ClassVar[int]
    BLOCK_TARGET_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    policy_id: str
    title: str
    description: str
    category: str
    severity: Severity
    mode: Mode
    phrases: _containers.RepeatedCompositeFieldContainer[Phrase]
    contrast_phrases: _containers.RepeatedCompositeFieldContainer[Phrase]
    templates: _containers.RepeatedScalarFieldContainer[str]
    aggregation: str
    review_threshold: float
    block_threshold: float
    needs_clip: bool
    owner: str
    legal_ground: str
    clause_url: str
    effective: str
    expires: str
    on: bool
    canary_share: float
    review_target: str
    block_target: str
    calibration: CalibrationState
    def __init__(self, policy_id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., category: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., mode: _Optional[_Union[Mode, str]] = ..., phrases: _Optional[_Iterable[_Union[Phrase, _Mapping]]] = ..., contrast_phrases: _Optional[_Iterable[_Union[Phrase, _Mapping]]] = ..., templates: _Optional[_Iterable[str]] = ..., aggregation: _Optional[str] = ..., review_threshold: _Optional[float] = ..., block_threshold: _Optional[float] = ..., needs_clip: _Optional[bool] = ..., owner: _Optional[str] = ..., legal_ground: _Optional[str] = ..., clause_url: _Optional[str] = ..., effective: _Optional[str] = ..., expires: _Optional[str] = ..., on: _Optional[bool] = ..., canary_share: _Optional[float] = ..., review_target: _Optional[str] = ..., block_target: _Optional[str] = ..., calibration: _Optional[_Union[CalibrationState, str]] = ...) -> None: ...

class Phrase(_message.Message):
    __slots__ = ("text", "weight")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    text: str
    weight: float
    def __init__(self, text: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class Profile(_message.Message):
    __slots__ = ("profile", "policy_ids", "on_unjudgeable", "review_budget", "audit_share")
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    POLICY_IDS_FIELD_NUMBER: _ClassVar[int]
    ON_UNJUDGEABLE_FIELD_NUMBER: _ClassVar[int]
    REVIEW_BUDGET_FIELD_NUMBER: _ClassVar[int]
    AUDIT_SHARE_FIELD_NUMBER: _ClassVar[int]
    profile: str
    policy_ids: _containers.RepeatedScalarFieldContainer[str]
    on_unjudgeable: Action
    review_budget: float
    audit_share: float
    def __init__(self, profile: _Optional[str] = ..., policy_ids: _Optional[_Iterable[str]] = ..., on_unjudgeable: _Optional[_Union[Action, str]] = ..., review_budget: _Optional[float] = ..., audit_share: _Optional[float] = ...) -> None: ...

class ListPolicySetsRequest(_message.Message):
    __slots__ = ("max_results",)
    MAX_RESULTS_FIELD_NUMBER: _ClassVar[int]
    max_results: int
    def __init__(self, max_results: _Optional[int] = ...) -> None: ...

class ListPolicySetsResponse(_message.Message):
    __slots__ = ("activations",)
    ACTIVATIONS_FIELD_NUMBER: _ClassVar[int]
    activations: _containers.RepeatedCompositeFieldContainer[PolicySetActivation]
    def __init__(self, activations: _Optional[_Iterable[_Union[PolicySetActivation, _Mapping]]] = ...) -> None: ...

class PolicySetActivation(_message.Message):
    __slots__ = ("version", "activated_at", "origin", "policies", "owners", "summary")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ACTIVATED_AT_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    OWNERS_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    version: str
    activated_at: _timestamp_pb2.Timestamp
    origin: PolicySetOrigin
    policies: int
    owners: _containers.RepeatedScalarFieldContainer[str]
    summary: str
    def __init__(self, version: _Optional[str] = ..., activated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., origin: _Optional[_Union[PolicySetOrigin, str]] = ..., policies: _Optional[int] = ..., owners: _Optional[_Iterable[str]] = ..., summary: _Optional[str] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("serving", "policy_set", "encoder", "build", "started_at", "decision_log", "worker")
    SERVING_FIELD_NUMBER: _ClassVar[int]
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    DECISION_LOG_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    serving: bool
    policy_set: PolicySetStatus
    encoder: EncoderStatus
    build: BuildInfo
    started_at: _timestamp_pb2.Timestamp
    decision_log: DecisionLogStatus
    worker: WorkerPlace
    def __init__(self, serving: _Optional[bool] = ..., policy_set: _Optional[_Union[PolicySetStatus, _Mapping]] = ..., encoder: _Optional[_Union[EncoderStatus, _Mapping]] = ..., build: _Optional[_Union[BuildInfo, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., decision_log: _Optional[_Union[DecisionLogStatus, _Mapping]] = ..., worker: _Optional[_Union[WorkerPlace, _Mapping]] = ...) -> None: ...

class WorkerPlace(_message.Message):
    __slots__ = ("index", "count")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    index: int
    count: int
    def __init__(self, index: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class DecisionLogStatus(_message.Message):
    __slots__ = ("records", "lost", "problem", "failing_since", "mandatory")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    FAILING_SINCE_FIELD_NUMBER: _ClassVar[int]
    MANDATORY_FIELD_NUMBER: _ClassVar[int]
    records: int
    lost: int
    problem: str
    failing_since: _timestamp_pb2.Timestamp
    mandatory: bool
    def __init__(self, records: _Optional[int] = ..., lost: _Optional[int] = ..., problem: _Optional[str] = ..., failing_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., mandatory: _Optional[bool] = ...) -> None: ...

class PolicySetStatus(_message.Message):
    __slots__ = ("version", "policies", "loaded_at", "age", "last_reload_errors", "last_reload_at", "origin", "confirmed_at", "stale", "instead_of", "stale_calibrations", "package")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    LOADED_AT_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    LAST_RELOAD_ERRORS_FIELD_NUMBER: _ClassVar[int]
    LAST_RELOAD_AT_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_AT_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    INSTEAD_OF_FIELD_NUMBER: _ClassVar[int]
    STALE_CALIBRATIONS_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    version: str
    policies: int
    loaded_at: _timestamp_pb2.Timestamp
    age: _duration_pb2.Duration
    last_reload_errors: _containers.RepeatedScalarFieldContainer[str]
    last_reload_at: _timestamp_pb2.Timestamp
    origin: PolicySetOrigin
    confirmed_at: _timestamp_pb2.Timestamp
    stale: bool
    instead_of: str
    stale_calibrations: _containers.RepeatedScalarFieldContainer[str]
    package: str
    def __init__(self, version: _Optional[str] = ..., policies: _Optional[int] = ..., loaded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., last_reload_errors: _Optional[_Iterable[str]] = ..., last_reload_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., origin: _Optional[_Union[PolicySetOrigin, str]] = ..., confirmed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., stale: _Optional[bool] = ..., instead_of: _Optional[str] = ..., stale_calibrations: _Optional[_Iterable[str]] = ..., package: _Optional[str] = ...) -> None: ...

class EncoderStatus(_message.Message):
    __slots__ = ("encoder_id", "name", "family", "dimensions", "device", "notice")
    ENCODER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    encoder_id: str
    name: str
    family: str
    dimensions: int
    device: str
    notice: str
    def __init__(self, encoder_id: _Optional[str] = ..., name: _Optional[str] = ..., family: _Optional[str] = ..., dimensions: _Optional[int] = ..., device: _Optional[str] = ..., notice: _Optional[str] = ...) -> None: ...

class BuildInfo(_message.Message):
    __slots__ = ("version", "python_version", "onnxruntime_version")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PYTHON_VERSION_FIELD_NUMBER: _ClassVar[int]
    ONNXRUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    version: str
    python_version: str
    onnxruntime_version: str
    def __init__(self, version: _Optional[str] = ..., python_version: _Optional[str] = ..., onnxruntime_version: _Optional[str] = ...) -> None: ...
