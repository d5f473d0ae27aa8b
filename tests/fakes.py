"""Stand-ins for the outside world; `contracts.py` keeps them as true as the real adapters.

A fake picture is the text of what it shows, such as b"a gun"; `|` separates
the frames of an animation. The fake encoder embeds a picture as it embeds
that text, so what a picture is similar to can be read off the test.
"""

import asyncio
import errno
import hashlib
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from moderation.core.calibration import PolicyCalibration
from moderation.core.content import Embedding, Embeddings, Pixels
from moderation.core.decision import Decision
from moderation.core.errors import FailureCode, PolicySetRejected, Problem, UnjudgeableContent
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
from moderation.service.ports import EmbeddedTexts

FAKE_DIM = 64
FAKE_SIZE_PX = 8
PATIENCE_S = 10.0
BROKEN = b"broken"


def embedding_of(text: str) -> Embedding:
    """A unit vector that depends on the text alone; those of two texts are nearly orthogonal."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    vector = np.random.default_rng(seed).normal(size=FAKE_DIM)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


class Gate:
    """Holds worker threads up until the test lets them go on."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self._reached = threading.Event()

    def close(self) -> None:
        self._reached.clear()
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    async def reached(self) -> None:
        """Return once a thread has come to the closed gate."""
        assert await asyncio.to_thread(self._reached.wait, PATIENCE_S), "nobody came"

    def pass_through(self) -> None:
        if not self._open.is_set():
            self._reached.set()
            assert self._open.wait(PATIENCE_S), "the test never opened the gate"


class FakeImageDecoder:
    """Writes the text of each frame into its pixels; refuses what starts with b"broken"."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.decoded: list[bytes] = []

    def decode(self, image: bytes) -> Pixels:
        self.decoded.append(image)
        self.gate.pass_through()
        if image.startswith(BROKEN):
            raise UnjudgeableContent(FailureCode.NOT_AN_IMAGE, "these bytes are no image")
        return np.stack([_frame(text) for text in image.split(b"|")])


def _frame(text: bytes) -> Pixels:
    size = FAKE_SIZE_PX * FAKE_SIZE_PX * 3
    padded = np.frombuffer(text.ljust(size, b"\0"), dtype=np.uint8)
    return padded.reshape(FAKE_SIZE_PX, FAKE_SIZE_PX, 3)


class FakeEncoder:
    """Sees in a frame the text that the fake decoder wrote there.

    Fails on texts and pictures of `fails_on`, and answers those of `spoiled`
    with a vector that is no embedding, for it holds that number throughout.
    """

    def __init__(
        self,
        *,
        fails_on: Sequence[str] = (),
        spoiled: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.gate = Gate()
        self.fails_on = set(fails_on)
        self.spoiled = dict(spoiled)
        self.batches: list[list[str]] = []
        self.texts: list[str] = []

    def encode_images(self, pixels: Pixels) -> Embeddings:
        shown = [bytes(frame.tobytes()).rstrip(b"\0").decode() for frame in pixels]
        self.batches.append(shown)
        return self._embed(shown)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        self.texts += texts
        return self._embed(texts)

    def _embed(self, texts: Sequence[str]) -> Embeddings:
        self.gate.pass_through()
        if failing := self.fails_on.intersection(texts):
            raise RuntimeError(f"cannot encode {sorted(failing)}")
        return np.stack([self._embedding_of(text) for text in texts])

    def _embedding_of(self, text: str) -> Embedding:
        if text in self.spoiled:
            return np.full(FAKE_DIM, self.spoiled[text], dtype=np.float32)
        return embedding_of(text)


class FakePolicySource:
    """Holds a policy set, or the error that reading it raises."""

    def __init__(self, holds: PolicySet | Exception) -> None:
        self.holds = holds
        self.loads = 0

    def fingerprint(self) -> object:
        return self.holds

    def load(self) -> PolicySet:
        self.loads += 1
        if isinstance(self.holds, Exception):
            raise self.holds
        return self.holds


class FakeKeeper:
    """Remembers in memory; `full` makes it fail as a full disk would."""

    def __init__(self) -> None:
        self.full = False
        self.sets: dict[str, PolicySet] = {}
        self.activations: list[Activation] = []
        self.pinned: Pin | None = None

    def keep(self, policy_set: PolicySet, activation: Activation) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.sets[activation.version] = policy_set
        self.activations.insert(0, activation)

    def kept(self, version: str) -> PolicySet:
        if version not in self.sets:
            raise PolicySetRejected((Problem("kept policy set", 0, 0, "was not kept"),))
        return self.sets[version]

    def history(self) -> tuple[Activation, ...]:
        return tuple(self.activations)

    def pin(self) -> Pin | None:
        return self.pinned

    def unpin(self) -> None:
        self.pinned = None

    def put_pin(self, pin: Pin) -> None:
        self.pinned = pin


class FakeCalibrations:
    """Holds calibrations of one encoder."""

    def __init__(self, *calibrations: PolicyCalibration) -> None:
        self.by_id = {one.policy_id: one for one in calibrations}
        self.asked_for: list[str] = []

    def fingerprint(self, encoder_id: str) -> object:
        return encoder_id, frozenset(self.by_id)

    def load(self, encoder_id: str) -> Mapping[str, PolicyCalibration]:
        self.asked_for.append(encoder_id)
        return self.by_id


class FakeChangeFeed:
    """Tells of changes when the test says so."""

    def __init__(self) -> None:
        self._news: asyncio.Queue[bool] = asyncio.Queue()

    def tell(self) -> None:
        self._news.put_nowait(True)

    def close(self) -> None:
        self._news.put_nowait(False)

    async def handled(self) -> None:
        """Return once whoever follows has dealt with all that was told."""
        await self._news.join()

    async def changes(self) -> AsyncIterator[None]:
        while await self._news.get():
            yield
            self._news.task_done()


class FakeRecordStore:
    """Remembers records in memory; `full` makes it fail as a full disk would."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.full = False
        self.tending = Gate()
        self.fails_to_tend = False
        self.batches: list[list[Judgement]] = []
        self.lost: list[int] = []

    def append(self, judgements: Sequence[Judgement], *, lost: int = 0) -> int:
        self.gate.pass_through()
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.batches.append(list(judgements))
        self.lost.append(lost)
        return len(judgements)

    def tend(self) -> None:
        self.tending.pass_through()
        if self.fails_to_tend:
            raise OSError(errno.EIO, "Input/output error")


class RecordingTelemetry:
    """Remembers every event."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.sheds: list[ShedReason] = []
        self.fetches: list[FetchOutcome] = []
        self.stuck: list[float] = []
        self.depths: list[int] = []
        self.batch_sizes: list[int] = []
        self.lookups: list[Lookup] = []
        self.decoders_lost: list[DecoderLoss] = []
        self.cache_sizes: list[int] = []
        self.limits: list[int] = []
        self.loaded: list[tuple[str, int, int]] = []
        """Version, policies, texts embedded."""
        self.origins: list[SetOrigin] = []
        """Of the sets loaded."""
        self.not_kept: list[str] = []
        self.texts_lost: list[str] = []
        self.embeddings_lost: list[str] = []
        self.unchanged: list[str] = []
        self.bindings: list[tuple[BoundEncoder | None, bool]] = []
        self.shadowed: list[ShadowOutcome] = []
        self.rejected: list[tuple[Problem, ...]] = []
        self.recorded: list[int] = []
        """Decisions written to the decision log together."""
        self.unrecorded: list[str] = []
        self.recording_failures: list[str] = []
        self.spans: list[int] = []
        """Sent together."""
        self.lost_spans: list[tuple[int, SpanLoss]] = []
        self.rpcs: list[tuple[str, str]] = []
        self.rpc_s: list[float] = []
        """Method, status code."""
        self.rpc_told = asyncio.Event()

    def decided(self, decision: Decision) -> None:
        self.decisions.append(decision)

    def shed(self, reason: ShedReason) -> None:
        self.sheds.append(reason)

    def image_fetched(self, outcome: FetchOutcome, seconds: float) -> None:
        self.fetches.append(outcome)

    def queue_changed(self, depth: int) -> None:
        self.depths.append(depth)

    def batch_encoded(self, size: int, seconds: float) -> None:
        self.batch_sizes.append(size)

    def embedding_looked_up(self, lookup: Lookup) -> None:
        self.lookups.append(lookup)

    def decoder_lost(self, loss: DecoderLoss) -> None:
        self.decoders_lost.append(loss)

    def cache_changed(self, n_bytes: int) -> None:
        self.cache_sizes.append(n_bytes)

    def limit_changed(self, max_in_flight: int) -> None:
        self.limits.append(max_in_flight)

    def policies_loaded(
        self,
        *,
        version: str,
        policies: int,
        embedded: EmbeddedTexts,
        seconds: float,
        origin: SetOrigin,
    ) -> None:
        self.loaded.append((version, policies, embedded.computed))
        self.origins.append(origin)

    def activation_not_kept(self, reason: str) -> None:
        self.not_kept.append(reason)

    def decisions_recorded(self, count: int, n_bytes: int) -> None:
        self.recorded.append(count)

    def decision_not_recorded(self, reason: str) -> None:
        self.unrecorded.append(reason)

    def recording_failed(self, reason: str) -> None:
        self.recording_failures.append(reason)

    def texts_not_kept(self, reason: str) -> None:
        self.texts_lost.append(reason)

    def embeddings_not_kept(self, reason: str) -> None:
        self.embeddings_lost.append(reason)

    def policies_unchanged(self, *, version: str) -> None:
        self.unchanged.append(version)

    def policies_rejected(self, problems: Sequence[Problem]) -> None:
        self.rejected.append(tuple(problems))

    def binding_checked(self, bound: BoundEncoder | None, *, suits: bool) -> None:
        self.bindings.append((bound, suits))

    def encoder_shadowed(self, outcome: ShadowOutcome) -> None:
        self.shadowed.append(outcome)

    def encoder_stuck(self, seconds: float) -> None:
        self.stuck.append(seconds)

    def rpc_finished(self, method: str, code: str, seconds: float) -> None:
        self.rpcs.append((method, code))
        self.rpc_s.append(seconds)
        self.rpc_told.set()

    def spans_sent(self, count: int) -> None:
        self.spans.append(count)

    def spans_lost(self, count: int, loss: SpanLoss) -> None:
        self.lost_spans.append((count, loss))
