"""What the use cases need from the outside world, as protocols; adapters fulfil them."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from moderation.core.calibration import PolicyCalibration
from moderation.core.comparison import Pair
from moderation.core.content import Embedding, Embeddings, Pixels
from moderation.core.decision import Decision
from moderation.core.errors import Problem
from moderation.core.policy import BoundEncoder, PolicySet
from moderation.core.record import Judgement
from moderation.service.activation import Activation, Pin, SetOrigin
from moderation.service.outcomes import (
    DecoderLoss,
    FetchOutcome,
    Lookup,
    ShadowOutcome,
    ShedReason,
    SpanLoss,
)


class ImageDecoder(Protocol):
    """Turns hostile bytes into pixels. Called from worker threads, several at a time."""

    def decode(self, image: bytes) -> Pixels:
        """RGB frames, uint8[frames, size, size, 3]; raises UnjudgeableContent."""
        ...


class ImageEncoder(Protocol):
    """Turns pixels into embeddings. Called from one inference thread a batch in flight."""

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """One unit row for each frame, float32[n, dim]; may raise anything."""
        ...


class InterruptibleEncoder(Protocol):
    """An encoder that can be looked at from outside while it computes."""

    def longest_run_s(self) -> float:
        """For how many seconds the oldest batch has been under way; 0 if there is none."""
        ...

    def break_off(self, after_s: float) -> None:
        """Make every batch fail that has been under way for longer."""
        ...


class TextEncoder(Protocol):
    """Turns texts into embeddings in the same space as the images'."""

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """One unit row for each text, float32[n, dim]."""
        ...


class TextMemory(Protocol):
    """Embeddings of texts that were computed before, by this process or another."""

    def recall(self, texts: Sequence[str]) -> Mapping[str, Embedding]:
        """Those that are known, by text; none is computed."""
        ...


@dataclass(frozen=True, slots=True)
class EmbeddedTexts:
    """How a policy set's new texts got their embeddings."""

    computed: int = 0
    recalled: int = 0
    """That had been computed before, and were kept."""


class PolicySource(Protocol):
    """Where policies come from."""

    def load(self) -> PolicySet:
        """Read everything anew; raises PolicySetRejected with every problem found."""
        ...


class PolicyFiles(PolicySource, Protocol):
    """Policies that may be replaced while they are read."""

    def fingerprint(self) -> object:
        """What tells one state of them from another, without reading them; must not raise."""
        ...


class CalibrationSource(Protocol):
    """Where calibrations come from; they may be replaced while they are read."""

    def fingerprint(self, encoder_id: str) -> object:
        """What tells one state of an encoder's from another, without reading; must not raise."""
        ...

    def load(self, encoder_id: str) -> Mapping[str, PolicyCalibration]:
        """Those for an encoder, by policy id, none if there are none; raises PolicySetRejected."""
        ...


class PolicyKeeper(Protocol):
    """Remembers activated policy sets beyond the life of the process."""

    def keep(self, policy_set: PolicySet, activation: Activation) -> None:
        """Keep a set that was activated, and that it was; raises OSError."""
        ...

    def kept(self, version: str) -> PolicySet:
        """A set that was kept; raises PolicySetRejected if it was not, or was altered since."""
        ...

    def history(self) -> tuple[Activation, ...]:
        """Activations, the newest first, as far as they can be read."""
        ...

    def pin(self) -> Pin | None:
        """Which older set somebody wants back, if anybody does."""
        ...

    def unpin(self) -> None:
        """Forget that wish; raises OSError."""
        ...


class ChangeFeed(Protocol):
    """Tells that the policies' source may have changed."""

    def changes(self) -> AsyncIterator[None]:
        """One item for each burst of changes; ends when it is closed."""
        ...


class DecisionLog(Protocol):
    """Where every decision is recorded before it is answered."""

    async def append(self, judgement: Judgement) -> None:
        """Return once the record is written; raises NotReady if there is no answer without."""
        ...


Expect = Callable[[int], object]
"""Is told how many bytes of an image will come, once that is known."""


class ImageFetcher(Protocol):
    """Where images come from that a request names instead of carrying them."""

    @property
    def max_bytes(self) -> int:
        """The most bytes that an image may have."""
        ...

    async def fetch(self, uri: str, within_s: float | None, expect: Expect) -> bytes:
        """The image's bytes, cut off after one byte more than an image may have.

        Raises InvalidRequest, NotReady or DeadlineExceeded.
        """
        ...


class PairSink(Protocol):
    """Where scores by two encoders are kept. Called from one worker thread."""

    def record(self, pair: Pair) -> None:
        """Keep one pair, within a bound; may raise OSError."""
        ...


class Telemetry(Protocol):
    """What operators get to see; must not raise and must not block."""

    def decided(self, decision: Decision) -> None:
        """A request was answered with a decision."""
        ...

    def rpc_finished(self, method: str, code: str, seconds: float) -> None:
        """A call was answered with this status code; both are of small closed sets."""
        ...

    def shed(self, reason: ShedReason) -> None:
        """A request was turned away."""
        ...

    def image_fetched(self, outcome: FetchOutcome, seconds: float) -> None:
        """An image was fetched that a request named, or was not."""
        ...

    def queue_changed(self, depth: int) -> None:
        """So many frames wait for the encoder now."""
        ...

    def batch_encoded(self, size: int, seconds: float) -> None:
        """A batch of so many frames went through the encoder."""
        ...

    def embedding_looked_up(self, lookup: Lookup) -> None:
        """Somebody wanted the embeddings of a content."""
        ...

    def decoder_lost(self, loss: DecoderLoss) -> None:
        """A decoding process was replaced; called from worker threads."""
        ...

    def cache_changed(self, n_bytes: int) -> None:
        """The cache of embeddings takes so much memory now."""
        ...

    def limit_changed(self, max_in_flight: int) -> None:
        """Admission lets so many interactive requests be under way now."""
        ...

    def policies_loaded(
        self,
        *,
        version: str,
        policies: int,
        embedded: EmbeddedTexts,
        seconds: float,
        origin: SetOrigin,
    ) -> None:
        """A policy set became the active one; `embedded` are its texts that were new."""
        ...

    def activation_not_kept(self, reason: str) -> None:
        """An activated set could not be kept on disk; a restart could not fall back on it."""
        ...

    def texts_not_kept(self, reason: str) -> None:
        """Embeddings of the policies' texts cannot be kept; the next start takes longer."""
        ...

    def embeddings_not_kept(self, reason: str) -> None:
        """Embeddings of contents cannot be kept on disk, or not read; they are computed again."""
        ...

    def policies_unchanged(self, *, version: str) -> None:
        """The source was read again and means the same."""
        ...

    def binding_checked(self, bound: BoundEncoder | None, *, suits: bool) -> None:
        """The encoder that the thresholds were set for has changed; whether it is the one here."""
        ...

    def encoder_shadowed(self, outcome: ShadowOutcome) -> None:
        """A second encoder saw content that was answered already, or could not."""
        ...

    def encoder_stuck(self, seconds: float) -> None:
        """A batch has been computing for so long, and is broken off."""
        ...

    def policies_rejected(self, problems: Sequence[Problem]) -> None:
        """The source cannot be used; the last good set stays."""
        ...

    def decisions_recorded(self, count: int, n_bytes: int) -> None:
        """So many decisions were written to the decision log together."""
        ...

    def decision_not_recorded(self, reason: str) -> None:
        """A decision is answered though it could not be recorded."""
        ...

    def recording_failed(self, reason: str) -> None:
        """The decision log could not be written or tended; it is tried again."""
        ...

    def spans_sent(self, count: int) -> None:
        """So many spans of traces were taken by the collector; from a thread of its own."""
        ...

    def spans_lost(self, count: int, loss: SpanLoss) -> None:
        """So many were dropped; from any thread."""
        ...
