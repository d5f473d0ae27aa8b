"""Settings that can each be right and make no sense together, as a table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from moderation.cli.examination.findings import Finding, broken, doubtful, good
from moderation.cli.exits import CommandError
from moderation.cli.serve import refuse_what_cannot_serve
from moderation.settings import Settings

BYTES_PER_PIXEL = 4
"""Of a decoded frame, where it has an alpha channel."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two settings that do not go together."""

    where: str
    is_there: Callable[[Settings], bool]
    what: str
    cure: str


CONTRADICTIONS = (
    Contradiction(
        "server.max_message_bytes",
        lambda s: s.server.max_message_bytes < s.decode.max_image_bytes,
        "the largest picture that decode.max_image_bytes allows does not fit into a message",
        "raise it above decode.max_image_bytes",
    ),
    Contradiction(
        "limits.max_in_flight_bytes",
        lambda s: s.limits.max_in_flight_bytes < s.decode.max_image_bytes,
        "the largest picture that decode.max_image_bytes allows is always turned away",
        "raise it to a multiple of decode.max_image_bytes",
    ),
    Contradiction(
        "limits.max_request_s",
        lambda s: s.limits.max_request_s <= s.decode.timeout_s,
        "a request ends before decode.timeout_s does: a hung decoder keeps its place unnoticed",
        "raise it above decode.timeout_s, or lower that",
    ),
    Contradiction(
        "limits.max_in_flight",
        lambda s: s.limits.max_in_flight < s.batching.max_batch_size,
        "fewer requests than a batch holds may be under way: no batch of single images gets full",
        "raise it above batching.max_batch_size",
    ),
    Contradiction(
        "batching.max_queue_size",
        lambda s: s.batching.max_queue_size < s.decode.max_frames_judged,
        "an animation has more frames than may wait, and is always turned away",
        "raise it above decode.max_frames_judged",
    ),
    Contradiction(
        "decode.max_memory_bytes",
        lambda s: s.decode.max_memory_bytes < s.decode.max_pixels * BYTES_PER_PIXEL,
        "a picture of decode.max_pixels does not fit into the memory of a decoding process",
        "raise it, or lower decode.max_pixels",
    ),
    Contradiction(
        "policies.max_age_s",
        lambda s: 0 < s.policies.max_age_s <= s.policies.recheck_s,
        "the server says NOT_SERVING before it looks at the policy files again",
        "raise it to a multiple of policies.recheck_s",
    ),
    Contradiction(
        "package.poll_s",
        lambda s: s.package.is_remote and 0 < s.policies.max_age_s <= s.package.poll_s,
        "the server says NOT_SERVING before it looks at the URL again",
        "lower it to a fraction of policies.max_age_s",
    ),
    Contradiction(
        "shadow_encoder.bundle",
        lambda s: bool(s.shadow_encoder.bundle) and s.shadow_encoder.bundle == s.encoder.bundle,
        "the second encoder is the first one: nothing is compared",
        "name another bundle, or none",
    ),
    Contradiction(
        "decision_log.mandatory",
        lambda s: s.decision_log.mandatory and not s.decision_log.directory,
        "records are mandatory, and there is no decision log: nothing is recorded",
        "set decision_log.directory",
    ),
    Contradiction(
        "decision_log.directory",
        lambda s: bool(s.decision_log.encryption_key_file) and not s.decision_log.directory,
        "a key for the decision log is set, and there is no decision log",
        "set decision_log.directory, or take the key away",
    ),
    Contradiction(
        "encoder.allow_unverified",
        lambda s: s.encoder.allow_unverified,
        "encoders are loaded that nobody has compared with their original",
        "run `moderation bundle verify`, and take the setting away",
    ),
)


def look(settings: Settings) -> Iterator[Finding]:
    """See Check."""
    found = [*_refusals(settings), *_contradictions(settings)]
    yield from found or [good("they are known, valid, and do not contradict each other")]


def _refusals(settings: Settings) -> Iterator[Finding]:
    try:
        refuse_what_cannot_serve(settings)
    except CommandError as error:
        yield broken(str(error), "server", "`moderation serve` refuses to start until then")


def _contradictions(settings: Settings) -> Iterator[Finding]:
    for one in CONTRADICTIONS:
        if one.is_there(settings):
            yield doubtful(one.what, one.where, one.cure)
