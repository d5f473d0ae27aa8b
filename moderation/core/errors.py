"""Everything that can go wrong, as one tree that knows nothing of gRPC.

ModerationError
├── InvalidRequest         the caller asked for something wrong; names the field
│   └── UnknownName        a profile or policy that the active set does not have
├── UnjudgeableContent     the content cannot be judged; becomes a Decision with a failure
├── AccessRefused          the caller may not ask that; the log knows why
│   ├── Unauthenticated    it did not show who it is
│   └── PermissionDenied   it is known, and may not do this
├── Overloaded             no room now; says when to try again
├── DeadlineExceeded       the caller's time was up before there was an answer
├── NotReady               warming up, draining, or no valid policy set
├── EncodingFailed         the encoder gave no usable answer
├── PolicySetRejected      policy files that cannot be used; every problem with its place
├── KeysRejected           a file of keys that cannot be used; every problem with its place
├── LabelsRejected         labels that cannot be used; every problem with its place
└── BundleRejected         encoder files that cannot be used
"""

from dataclasses import dataclass
from enum import StrEnum


class ModerationError(Exception):
    """Root of every error that this project raises on purpose."""


class InvalidRequest(ModerationError):
    """The request is wrong in a way that only its sender can mend."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class UnknownName(InvalidRequest):
    """The request names a profile or a policy that the active policy set does not have."""


class FailureCode(StrEnum):
    """Why content could not be judged; a small closed set, safe as a metric label."""

    NOT_AN_IMAGE = "not_an_image"
    FORMAT_NOT_ALLOWED = "format_not_allowed"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    BAD_DIMENSIONS = "bad_dimensions"
    TOO_COSTLY = "too_costly"
    TOO_LARGE = "too_large"
    """Decoding took more memory than it may have, though the file promised less."""
    DECODER_TIMEOUT = "decoder_timeout"
    DECODER_CRASHED = "decoder_crashed"
    ENCODER_FAILED = "encoder_failed"


class UnjudgeableContent(ModerationError):
    """The content cannot be judged: a fact about the upload, not about the request."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class AccessReason(StrEnum):
    """Why a caller was refused; a small closed set, safe as a metric label."""

    NO_CREDENTIAL = "no_credential"
    AMBIGUOUS = "ambiguous"
    """More than one credential was sent, or a certificate has the names of several."""
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED = "revoked"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_AUDIENCE = "wrong_audience"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_ALGORITHM = "wrong_algorithm"
    WRONG_SIGNATURE = "wrong_signature"
    MISSING_CLAIM = "missing_claim"
    WRONG_ROLE = "wrong_role"
    WRONG_TENANT = "wrong_tenant"
    WRONG_PROFILE = "wrong_profile"


class AccessRefused(ModerationError):
    """What the caller is told is the same for every reason; the log has the reason."""

    def __init__(self, message: str, reason: AccessReason, credential: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.credential = credential
        """How the log calls the credential; empty if it has no name."""


class Unauthenticated(AccessRefused):
    """The caller did not show who it is."""

    def __init__(self, reason: AccessReason, credential: str = "") -> None:
        message = "no valid credential; send one as the metadata `authorization: Bearer ...`"
        super().__init__(message, reason, credential)


class PermissionDenied(AccessRefused):
    """The caller is known, and may not do this."""

    def __init__(self, reason: AccessReason, credential: str) -> None:
        super().__init__("this credential does not allow that", reason, credential)


class Overloaded(ModerationError):
    """There is no room for the request now."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(ModerationError):
    """The caller's deadline passed before the answer was ready."""


class NotReady(ModerationError):
    """The service cannot answer yet, or no longer."""


class EncodingFailed(ModerationError):
    """The encoder failed on this input, or answered with something that is no embedding."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file; line and column count from 1, 0 means the whole file."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        """The form that editors and terminals can jump to."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class PolicySetRejected(ModerationError):
    """The policy files cannot be used; carries every problem found, not only the first."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class KeysRejected(ModerationError):
    """A file of keys cannot be used; carries every problem found, not only the first."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class LabelsRejected(ModerationError):
    """Labels cannot be used; carries every problem found, not only the first."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class BundleRejected(ModerationError):
    """The encoder's files are missing, altered or inconsistent."""
