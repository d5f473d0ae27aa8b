"""What a decision log keeps of one decision: enough to check it, to appeal it, and to replay it."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from moderation.core.content import Embeddings
from moderation.core.decision import Decision, Failure, Options, PhraseMatch, Timings, Verdict
from moderation.core.policy import Action

MAX_VERDICTS = 100
MAX_MESSAGE_LENGTH = 500
FLOAT32 = np.dtype("<f4")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision, and what led to it that is no part of the answer."""

    decision: Decision
    options: Options
    content_digest: bytes
    """sha256 of the content's bytes."""
    embeddings: Embeddings | None = field(default=None, repr=False)
    """None if the content could not be judged."""
    tenant: str = ""
    """Whose request it was; empty where callers are not told apart."""
    request_id: str = ""
    """By which the request is found in the log."""
    trace_id: str = ""
    """Of the trace that the request was a part of; empty if there was none."""


@dataclass(frozen=True, slots=True)
class RecordedVerdict:
    """One policy's outcome. A `mode` of shadow never acted, be it for a canary's share alone."""

    policy_id: str
    action: str
    mode: str
    score: float
    raw_score: float
    review: float
    block: float | None
    margin: float
    calibrated: bool
    frame: int
    phrases: tuple[tuple[str, float], ...] = ()
    """The nearest ones with their cosine similarities, -1..1."""
    contrast: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision as it is kept. Older records lack later fields, which have defaults for that.

    Nothing of the picture but, where a setting asks for it, its embedding.
    """

    decision_id: str
    decided_at: str
    """ISO 8601 in UTC; of clocks, which may be set back. The order is that of the log."""
    content_id: str
    content_digest: str
    """`sha256:` or `hmac-sha256:`, and hexadecimal digits."""
    profile: str
    policy_set_version: str
    encoder_id: str
    action: str
    deciding_policy_id: str = ""
    verdicts: tuple[RecordedVerdict, ...] = ()
    """Those above ALLOW, the strictest first, or the one that came nearest to acting."""
    verdicts_left_out: int = 0
    failure_code: str = ""
    failure_message: str = ""
    audited: bool = False
    frames_judged: int = 0
    policy_ids: tuple[str, ...] = ()
    """What the request asked to be judged by; empty: all of the profile."""
    tenant: str = ""
    timings: Timings = field(default_factory=Timings)
    embeddings: str = ""
    """Base64 of little-endian float32[frames, dim]; empty if they are not kept."""
    request_id: str = ""
    trace_id: str = ""


def record_of(
    judgement: Judgement, digest: Callable[[bytes], str], *, keep_embeddings: bool = False
) -> DecisionRecord:
    """The record of a judgement; `digest` names a content by the sha256 of its bytes."""
    decision = judgement.decision
    failure = decision.failure
    verdicts = _that_matter(decision)
    embeddings = judgement.embeddings if keep_embeddings else None
    return DecisionRecord(
        decision_id=decision.decision_id,
        decided_at=decision.decided_at.isoformat(),
        content_id=decision.content_id,
        content_digest=digest(judgement.content_digest),
        profile=decision.profile,
        policy_set_version=decision.policy_set_version,
        encoder_id=decision.encoder_id,
        action=decision.action.name,
        deciding_policy_id=decision.deciding_policy_id,
        verdicts=tuple(recorded_verdict(one) for one in verdicts[:MAX_VERDICTS]),
        verdicts_left_out=max(0, len(verdicts) - MAX_VERDICTS),
        failure_code=failure.code.value if failure else "",
        failure_message=_message(failure),
        audited=decision.audited,
        frames_judged=decision.frames_judged,
        policy_ids=tuple(sorted(judgement.options.policy_ids)),
        tenant=judgement.tenant,
        timings=decision.timings,
        embeddings="" if embeddings is None else embeddings_to_text(embeddings),
        request_id=judgement.request_id,
        trace_id=judgement.trace_id,
    )


def recorded_verdict(verdict: Verdict) -> RecordedVerdict:
    """A verdict as it is kept."""
    return RecordedVerdict(
        policy_id=verdict.policy.id,
        action=verdict.action.name,
        mode=verdict.mode.value,
        score=verdict.score,
        raw_score=verdict.raw_score,
        review=verdict.thresholds.review,
        block=verdict.thresholds.block,
        margin=verdict.margin,
        calibrated=verdict.calibrated,
        frame=verdict.frame,
        phrases=_matches(verdict.phrases),
        contrast=_matches(verdict.contrast),
    )


def embeddings_to_text(embeddings: Embeddings) -> str:
    """Base64 of float32[frames, dim]; `embeddings_from_text` reads it."""
    return base64.b64encode(embeddings.astype(FLOAT32).tobytes()).decode()


def embeddings_from_text(text: str, *, frames: int) -> Embeddings:
    """Unit rows float32[frames, dim]; raises ValueError if that is not what the text holds."""
    numbers = np.frombuffer(base64.b64decode(text, validate=True), dtype=FLOAT32)
    return np.asarray(numbers.reshape(frames, -1), dtype=np.float32)


def _that_matter(decision: Decision) -> tuple[Verdict, ...]:
    """Whatever a request wanted to be shown, the same verdicts are kept."""
    above = tuple(one for one in decision.verdicts if one.action > Action.ALLOW)
    return above or _nearest(decision.verdicts)


def _nearest(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """Of those that act, if any do: verdicts of one action are in the order of their margins."""
    acting = [one for one in verdicts if one.acts]
    return tuple((acting or list(verdicts))[:1])


def _message(failure: Failure | None) -> str:
    return failure.message[:MAX_MESSAGE_LENGTH] if failure else ""


def _matches(matches: tuple[PhraseMatch, ...]) -> tuple[tuple[str, float], ...]:
    return tuple((one.text, one.similarity) for one in matches)
