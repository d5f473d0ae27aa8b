"""Holds the active policy set, and replaces it without anyone noticing a gap.

A reload reads, embeds, compiles, and only then swaps one reference. Whatever
goes wrong before that leaves the last good set in place and is remembered; at a
start it is the set that was kept on disk. A pin puts an older set in place of
what the source means, until the source means something else.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime

from moderation.core.encoder import EncoderInfo
from moderation.core.errors import NotReady, PolicySetRejected, Problem
from moderation.core.policy import PolicySet
from moderation.core.scoring import CompiledPolicies, compile_policies, texts_to_embed
from moderation.service.activation import Activation, Pin, SetOrigin, activation_of, source_version
from moderation.service.keeping import NO_KEEPER
from moderation.service.phrases import NO_MEMORY, PhraseEmbeddings
from moderation.service.policy_tests import accept
from moderation.service.ports import (
    ChangeFeed,
    EmbeddedTexts,
    PolicyKeeper,
    PolicySource,
    Telemetry,
    TextEncoder,
    TextMemory,
)


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """The active set and how the last reload went; `problems` is empty if it went well."""

    active: CompiledPolicies | None = None
    loaded_at: datetime | None = None
    reloaded_at: datetime | None = None
    confirmed_at: datetime | None = None
    """When the source was last found to mean this set, or what a pin puts it in place of."""
    problems: tuple[Problem, ...] = ()
    origin: SetOrigin = SetOrigin.SOURCE
    pin: Pin | None = None


@dataclass(frozen=True, slots=True)
class _Built:
    """A set that may become the active one."""

    compiled: CompiledPolicies
    embedded: EmbeddedTexts
    origin: SetOrigin
    pin: Pin | None = None
    overruled: Pin | None = None
    """A pin that was in place of something else than what the source means now, or of itself."""
    texts: frozenset[str] = frozenset()
    """What had to be embedded, if it was compiled anew."""


class PolicyStore:
    """The one place that knows which policies are active."""

    def __init__(  # noqa: PLR0913 - its collaborators, each by name, and four that may be missing
        self,
        *,
        source: PolicySource,
        text_encoder: TextEncoder,
        text_memory: TextMemory = NO_MEMORY,
        encoder: EncoderInfo,
        telemetry: Telemetry,
        clock: Callable[[], datetime],
        executor: Executor,
        keeper: PolicyKeeper = NO_KEEPER,
        max_age_s: float | None = None,
        check: Callable[[CompiledPolicies], None] = accept,
    ) -> None:
        self._source = source
        self._phrases = PhraseEmbeddings(text_encoder, text_memory)
        self._texts_in_use: frozenset[str] = frozenset()
        """Of the active set."""
        self._encoder = encoder
        self._telemetry = telemetry
        self._clock = clock
        self._executor = executor
        self._keeper = keeper
        self._max_age_s = max_age_s
        self._check = check
        self._status = PolicyStatus()
        self._history: tuple[Activation, ...] | None = None
        self._one_at_a_time = asyncio.Lock()
        self.activated = asyncio.Event()
        """Set once there is a valid policy set; there will be one from then on."""

    @property
    def status(self) -> PolicyStatus:
        """Active set and last reload, as one consistent value."""
        return self._status

    @property
    def history(self) -> tuple[Activation, ...]:
        """Activations, the newest first; those before the start as far as they were kept."""
        return self._history or ()

    @property
    def current(self) -> CompiledPolicies:
        """The active set; read it once a request. Raises NotReady while there is none."""
        active = self._status.active
        if active is None:
            raise NotReady("there is no valid policy set; see GetStatus for the problems")
        return active

    def age_s(self) -> float:
        """How long the active set has been active, in seconds; 0 while there is none."""
        return self._seconds_since(self._status.loaded_at)

    def is_ready(self) -> bool:
        """Whether there is an active set, and one that the source has confirmed lately enough."""
        is_fresh = (
            self._max_age_s is None
            or self._seconds_since(self._status.confirmed_at) <= self._max_age_s
        )
        return self._status.active is not None and is_fresh

    def is_stale(self) -> bool:
        """Whether the active set may not be what the source says now."""
        status = self._status
        is_doubtful = bool(status.problems) or status.origin is SetOrigin.KEPT
        return status.active is not None and (is_doubtful or not self.is_ready())

    def review_budgets(self) -> Mapping[str, float]:
        """The shares of contents that people have time for, by profile that states one."""
        active = self._status.active
        profiles = active.policy_set.profiles.values() if active else ()
        return {one.id: one.review_budget for one in profiles if one.review_budget is not None}

    async def reload(self) -> bool:
        """Read the source anew; whether what it holds is active, or pinned away, afterwards."""
        async with self._one_at_a_time:
            started = asyncio.get_running_loop().time()
            built = await self._tried(self._from_source)
            problems: tuple[Problem, ...] = ()
            if not isinstance(built, _Built):
                problems = built
                built = await self._tried(self._without_source)
            if isinstance(built, _Built):
                seconds = asyncio.get_running_loop().time() - started
                await self._activate(built, problems, seconds)
            else:
                problems = (*problems, *built)
                self._status = replace(self._status, reloaded_at=self._clock(), problems=problems)
            if problems:
                self._telemetry.policies_rejected(problems)
            return not problems

    async def follow(self, feed: ChangeFeed) -> None:
        """Reload after every burst of changes, until the feed is closed."""
        async for _ in feed.changes():
            await self.reload()

    def _seconds_since(self, moment: datetime | None) -> float:
        # The wall clock may have been set back since.
        return 0.0 if moment is None else max(0.0, (self._clock() - moment).total_seconds())

    async def _tried(self, build: Callable[[], _Built]) -> _Built | tuple[Problem, ...]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._built_or_not, build)

    def _built_or_not(self, build: Callable[[], _Built]) -> _Built | tuple[Problem, ...]:
        try:
            return build()
        except PolicySetRejected as rejected:
            return rejected.problems
        except Exception as error:  # a bug or a dying disk must not end the reload loop
            message = f"cannot be loaded ({type(error).__name__}: {error})"
            return (Problem("policies", 0, 0, message),)

    def _from_source(self) -> _Built:
        policy_set = self._source.load()
        version, pin = policy_set.version, self._keeper.pin()
        if pin is not None and pin.instead_of == version != pin.version:
            return self._built(self._keeper.kept(pin.version), SetOrigin.ROLLBACK, pin)
        built = self._built(policy_set, SetOrigin.SOURCE)
        self._check(built.compiled)
        return replace(built, overruled=pin)

    def _without_source(self) -> _Built:
        """The pinned set, the active one as of today, or the one that was kept.

        Raises PolicySetRejected, with no problem to add, if there is none of them.
        """
        pin, active, history = self._keeper.pin(), self._status.active, self._known_history()
        if active is None and not history:
            raise PolicySetRejected(())
        # A pin that a later edit has overruled must not come back with the edit after it.
        if pin is not None and pin.instead_of == source_version(history):
            return self._built(self._keeper.kept(pin.version), SetOrigin.ROLLBACK, pin)
        if active is not None:
            return self._built(active.policy_set, self._status.origin)
        return self._built(self._keeper.kept(history[0].version), SetOrigin.KEPT)

    def _built(self, policy_set: PolicySet, origin: SetOrigin, pin: Pin | None = None) -> _Built:
        """The active set itself if that means the same and has the same policies on today."""
        active, today = self._status.active, self._clock().date()
        if active is not None and active.policy_set.version == policy_set.version:
            on = {policy.id for policy in policy_set.policies if policy.is_on(today)}
            if on == active.positions.keys():
                return _Built(active, EmbeddedTexts(), origin, pin)
        wanted = texts_to_embed(policy_set)
        embedded = self._phrases.embed(wanted, active=self._texts_in_use)
        compiled = compile_policies(
            policy_set,
            encoder_id=self._encoder.encoder_id,
            scale=self._encoder.scale,
            embedding_by_text=self._phrases.by_text,
            day=today,
            is_starter=self._encoder.is_starter,
            former=active,
        )
        return _Built(compiled, embedded, origin, pin, texts=wanted)

    async def _activate(self, built: _Built, problems: tuple[Problem, ...], seconds: float) -> None:
        last, now = self._status, self._clock()
        version = built.compiled.policy_set.version
        is_same = built.compiled is last.active
        self._status = PolicyStatus(
            active=built.compiled,
            loaded_at=last.loaded_at if is_same else now,
            reloaded_at=now,
            confirmed_at=self._confirmed_at(built, now) if problems else now,
            problems=problems,
            origin=built.origin,
            pin=built.pin,
        )
        self.activated.set()
        if not is_same:
            self._texts_in_use = built.texts
            self._telemetry.policies_loaded(
                version=version,
                policies=len(built.compiled.policies),
                embedded=built.embedded,
                seconds=seconds,
                origin=built.origin,
            )
        elif not problems:
            self._telemetry.policies_unchanged(version=version)
        loop = asyncio.get_running_loop()
        before = last.active.policy_set if last.active else None
        await loop.run_in_executor(self._executor, self._remember, built, before, now)

    def _confirmed_at(self, built: _Built, now: datetime) -> datetime:
        """Of a set that the source does not confirm now: when it last did, as far as is known."""
        kept = (one.activated_at for one in self.history if one.version == _version(built))
        return self._status.confirmed_at or next(kept, now)

    def _known_history(self) -> tuple[Activation, ...]:
        if self._history is None:
            self._history = self._keeper.history()
        return self._history

    def _remember(self, built: _Built, before: PolicySet | None, now: datetime) -> None:
        """Keep what was activated; a full disk must not keep it from being active."""
        try:
            history = self._known_history()
            newest = history[0] if history else None
            known = (newest.version, newest.origin) if newest else None
            # Also where only the origin is new: the next pin is in place of what the source means.
            if built.origin is not SetOrigin.KEPT and known != (_version(built), built.origin):
                former = before or self._former(newest)
                policy_set = built.compiled.policy_set
                activation = activation_of(policy_set, former, origin=built.origin, now=now)
                self._history = (activation, *history)
                self._keeper.keep(policy_set, activation)
            # Not one that was put there meanwhile.
            if built.overruled is not None and built.overruled == self._keeper.pin():
                self._keeper.unpin()
        except OSError as error:
            self._telemetry.activation_not_kept(error.strerror or type(error).__name__)

    def _former(self, newest: Activation | None) -> PolicySet | None:
        """What was active before the start, if it was kept and can be read."""
        try:
            return self._keeper.kept(newest.version) if newest else None
        except PolicySetRejected:
            return None


def _version(built: _Built) -> str:
    return built.compiled.policy_set.version
