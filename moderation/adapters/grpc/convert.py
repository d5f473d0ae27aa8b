"""Between protobuf messages and the values of the core, a pair of functions a message."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from moderation.adapters.grpc.status import duration_from_s
from moderation.core.content import Content, NamedContent
from moderation.core.decision import Decision, Failure, Options, PhraseMatch, Timings, Verdict
from moderation.core.encoder import EncoderInfo
from moderation.core.errors import InvalidRequest
from moderation.core.image_uri import FIELD
from moderation.core.policy import Action, Mode, Severity
from moderation.service.decision_log import LogStatus
from moderation.service.lanes import Priority
from moderation.v1 import moderation_pb2 as pb

ACTION: Mapping[Action, pb.Action] = {
    Action.ALLOW: pb.ACTION_ALLOW,
    Action.REVIEW: pb.ACTION_REVIEW,
    Action.BLOCK: pb.ACTION_BLOCK,
}
MODE: Mapping[Mode, pb.Mode] = {
    Mode.ENFORCE: pb.MODE_ENFORCE,
    Mode.SHADOW: pb.MODE_SHADOW,
    Mode.OFF: pb.MODE_OFF,
}
SEVERITY: Mapping[Severity, pb.Severity] = {
    Severity.LOW: pb.SEVERITY_LOW,
    Severity.MEDIUM: pb.SEVERITY_MEDIUM,
    Severity.HIGH: pb.SEVERITY_HIGH,
    Severity.CRITICAL: pb.SEVERITY_CRITICAL,
}
PRIORITY: Mapping[pb.Priority, Priority] = {
    pb.PRIORITY_INTERACTIVE: Priority.INTERACTIVE,
    pb.PRIORITY_BULK: Priority.BULK,
}
MAX_POLICY_IDS = 256


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """What is running."""

    version: str
    python_version: str
    onnxruntime_version: str


def content_from_proto(content: pb.Content, new_id: Callable[[], str]) -> Content | NamedContent:
    """Raises InvalidRequest; a content without an id gets a new one."""
    if not content.uri:
        return Content(content.image, content.content_id or new_id())
    if content.image:
        raise InvalidRequest(FIELD, "stands beside content.image; send one of them")
    return NamedContent(content.uri, content.content_id or new_id())


def options_from_proto(options: pb.ModerateOptions) -> Options:
    """Raises InvalidRequest; whether the names exist is for the active policy set to say."""
    count = len(options.policy_ids)
    if count > MAX_POLICY_IDS:
        problem = f"names {count} policies; name up to {MAX_POLICY_IDS}, or none for all"
        raise InvalidRequest("options.policy_ids", problem)
    return Options(
        profile=options.profile,
        policy_ids=frozenset(options.policy_ids),
        include_all_verdicts=options.include_all_verdicts,
    )


def priority_from_proto(options: pb.ModerateOptions, default: Priority) -> Priority:
    """The RPC's own priority unless the request states one that is known."""
    return PRIORITY.get(options.priority, default)


def decision_to_proto(decision: Decision) -> pb.Decision:
    """The whole decision, with its reasons."""
    return pb.Decision(
        decision_id=decision.decision_id,
        content_id=decision.content_id,
        action=ACTION[decision.action],
        deciding_policy_id=decision.deciding_policy_id,
        verdicts=[_verdict_to_proto(verdict) for verdict in decision.verdicts],
        profile=decision.profile,
        policy_set_version=decision.policy_set_version,
        encoder_id=decision.encoder_id,
        decided_at=timestamp(decision.decided_at),
        timings=_timings_to_proto(decision.timings),
        failure=_failure_to_proto(decision.failure) if decision.failure else None,
        frames_judged=decision.frames_judged,
        audited=decision.audited,
    )


def encoder_to_proto(encoder: EncoderInfo) -> pb.EncoderStatus:
    """What the encoder says of itself."""
    return pb.EncoderStatus(
        encoder_id=encoder.encoder_id,
        name=encoder.name,
        family=encoder.family,
        dimensions=encoder.dim,
        device=encoder.device,
        notice=encoder.notice,
    )


def build_to_proto(build: BuildInfo) -> pb.BuildInfo:
    """What is running."""
    return pb.BuildInfo(
        version=build.version,
        python_version=build.python_version,
        onnxruntime_version=build.onnxruntime_version,
    )


def log_status_to_proto(status: LogStatus) -> pb.DecisionLogStatus:
    """How recording goes."""
    return pb.DecisionLogStatus(
        records=status.records,
        lost=status.lost,
        problem=status.problem,
        failing_since=timestamp(status.failing_since) if status.failing_since else None,
        mandatory=status.mandatory,
    )


def _verdict_to_proto(verdict: Verdict) -> pb.Verdict:
    return pb.Verdict(
        policy_id=verdict.policy.id,
        action=ACTION[verdict.action],
        score=verdict.score,
        review_threshold=verdict.thresholds.review,
        block_threshold=verdict.thresholds.block,
        margin=verdict.margin,
        raw_score=verdict.raw_score,
        calibrated=verdict.calibrated,
        mode=MODE[verdict.mode],
        phrases=[_match_to_proto(match) for match in verdict.phrases],
        contrast_phrases=[_match_to_proto(match) for match in verdict.contrast],
        frame=verdict.frame,
        category=verdict.policy.category,
        severity=SEVERITY[verdict.policy.severity],
        category_path=verdict.category_path,
        legal_ground=verdict.policy.legal_ground,
        clause_url=verdict.policy.clause_url,
    )


def _match_to_proto(match: PhraseMatch) -> pb.PhraseMatch:
    return pb.PhraseMatch(text=match.text, similarity=match.similarity)


def _failure_to_proto(failure: Failure) -> pb.Failure:
    return pb.Failure(code=f"FAILURE_CODE_{failure.code.name}", message=failure.message)


def _timings_to_proto(timings: Timings) -> pb.Timings:
    return pb.Timings(
        decode=duration_from_s(timings.decode_s),
        queue=duration_from_s(timings.queue_s),
        encode=duration_from_s(timings.encode_s),
        score=duration_from_s(timings.score_s),
        total=duration_from_s(timings.total_s),
        cached=timings.cached,
    )


def timestamp(moment: datetime) -> Timestamp:
    """A moment that knows its time zone, as protobuf wants it."""
    answer = Timestamp()
    answer.FromDatetime(moment)
    return answer
