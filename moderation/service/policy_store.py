"""Holds the active policy set, and replaces it without anyone noticing a gap.

A reload reads, embeds, compiles, and only then swaps one reference. Whatever
goes wrong before that leaves the last good set in place and is remembered.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime

from moderation.core.content import Embedding
from moderation.core.encoder import EncoderInfo, require_unit_rows
from moderation.core.errors import NotReady, PolicySetRejected, Problem
from moderation.core.policy import PolicySet
from moderation.core.scoring import CompiledPolicies, compile_policies, texts_to_embed
from moderation.service.ports import ChangeFeed, PolicySource, Telemetry, TextEncoder

TEXTS_PER_BATCH = 16
"""Texts of ViT-B/32 took 10.9 s of CPU time in batches of 16 and 14.5 s in batches of 64: longer
batches pad more, and the text graph keeps no memory between them."""


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """The active set and how the last reload went; `problems` is empty if it went well."""

    active: CompiledPolicies | None = None
    loaded_at: datetime | None = None
    reloaded_at: datetime | None = None
    problems: tuple[Problem, ...] = ()


class PolicyStore:
    """The one place that knows which policies are active."""

    def __init__(
        self,
        *,
        source: PolicySource,
        text_encoder: TextEncoder,
        encoder: EncoderInfo,
        telemetry: Telemetry,
        clock: Callable[[], datetime],
        executor: Executor,
    ) -> None:
        self._source = source
        self._text_encoder = text_encoder
        self._encoder = encoder
        self._telemetry = telemetry
        self._clock = clock
        self._executor = executor
        self._status = PolicyStatus()
        self._embedding_by_text: dict[str, Embedding] = {}
        self._one_at_a_time = asyncio.Lock()
        self.activated = asyncio.Event()
        """Set once there is a valid policy set; there will be one from then on."""

    @property
    def status(self) -> PolicyStatus:
        """Active set and last reload, as one consistent value."""
        return self._status

    @property
    def current(self) -> CompiledPolicies:
        """The active set; read it once a request. Raises NotReady while there is none."""
        active = self._status.active
        if active is None:
            raise NotReady("there is no valid policy set; see GetStatus for the problems")
        return active

    def age_s(self) -> float:
        """How long the active set has been active, in seconds; 0 while there is none."""
        loaded_at = self._status.loaded_at
        if loaded_at is None:
            return 0.0
        # The wall clock may have been set back since.
        return max(0.0, (self._clock() - loaded_at).total_seconds())

    async def reload(self) -> bool:
        """Read the source anew; whether the set that it holds is active afterwards."""
        async with self._one_at_a_time:
            loop = asyncio.get_running_loop()
            started = loop.time()
            try:
                compiled, embedded = await loop.run_in_executor(self._executor, self._build)
            except PolicySetRejected as rejected:
                self._keep_last_good(rejected.problems)
                return False
            except Exception as error:  # a bug or a dying disk must not end the reload loop
                message = f"cannot be loaded ({type(error).__name__}: {error})"
                self._keep_last_good((Problem("policies", 0, 0, message),))
                return False
            self._activate(compiled, embedded, loop.time() - started)
            return True

    async def follow(self, feed: ChangeFeed) -> None:
        """Reload after every burst of changes, until the feed is closed."""
        async for _ in feed.changes():
            await self.reload()

    def _build(self) -> tuple[CompiledPolicies, int]:
        """The active set itself if the source still means the same, and the texts embedded."""
        policy_set = self._source.load()
        active = self._status.active
        if active is not None and active.policy_set.version == policy_set.version:
            return active, 0
        embedded = self._embed(texts_to_embed(policy_set))
        return self._compile(policy_set), embedded

    def _embed(self, wanted: frozenset[str]) -> int:
        self._forget_all_but(wanted)
        missing = wanted - self._embedding_by_text.keys()
        # Texts of like length together: a batch is padded to its longest.
        ordered = sorted(missing, key=lambda text: (len(text), text))
        for batch in _batches(ordered, TEXTS_PER_BATCH):
            rows = require_unit_rows(self._text_encoder.encode_texts(batch), rows=len(batch))
            self._embedding_by_text.update(zip(batch, rows, strict=True))
        return len(missing)

    def _forget_all_but(self, wanted: frozenset[str]) -> None:
        """Drop texts of former sets, for endless edits must not fill the memory.

        Those of the active set stay, for this reload may yet fail and be taken back.
        """
        active = self._status.active
        kept = wanted if active is None else wanted | texts_to_embed(active.policy_set)
        for text in self._embedding_by_text.keys() - kept:
            del self._embedding_by_text[text]

    def _compile(self, policy_set: PolicySet) -> CompiledPolicies:
        return compile_policies(
            policy_set,
            encoder_id=self._encoder.encoder_id,
            scale=self._encoder.scale,
            embedding_by_text=self._embedding_by_text,
        )

    def _activate(self, compiled: CompiledPolicies, embedded: int, seconds: float) -> None:
        now = self._clock()
        version = compiled.policy_set.version
        if compiled is self._status.active:
            self._status = PolicyStatus(compiled, self._status.loaded_at, now)
            self._telemetry.policies_unchanged(version=version)
            return
        self._status = PolicyStatus(compiled, now, now)
        self.activated.set()
        self._telemetry.policies_loaded(
            version=version,
            policies=len(compiled.policies),
            embedded=embedded,
            seconds=seconds,
        )

    def _keep_last_good(self, problems: tuple[Problem, ...]) -> None:
        last = self._status
        self._status = PolicyStatus(last.active, last.loaded_at, self._clock(), problems)
        self._telemetry.policies_rejected(problems)


def _batches(texts: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (texts[start : start + size] for start in range(0, len(texts), size))
