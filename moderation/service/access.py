"""Lets in whoever shows a credential that allows what is asked, and tells of everybody else."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from moderation.core.errors import (
    AccessReason,
    AccessRefused,
    Problem,
    Unauthenticated,
)
from moderation.core.identity import ANYONE, KEY_PREFIX, Caller, KeyRing, Role, Tenant
from moderation.core.policy import DEFAULT_PROFILE
from moderation.service.last_good import LastGood, Source
from moderation.service.ports import ChangeFeed


class AccessTelemetry(Protocol):
    """What operators get to see of callers; must not raise and must not block."""

    def access_refused(self, refusal: AccessRefused, method: str) -> None:
        """A caller was refused what it asked; `method` is one of the server's own."""
        ...

    def keys_loaded(self, *, tenants: int, keys: int, is_exposed: bool) -> None:
        """Keys came into force; `is_exposed` if every user of the machine can read their file."""
        ...

    def keys_rejected(self, problems: Sequence[Problem]) -> None:
        """The keys cannot be used; the last good ones stay."""
        ...

    def signers_loaded(self, keys: int) -> None:
        """So many keys that sign tokens came into force."""
        ...

    def signers_rejected(self, problems: Sequence[Problem]) -> None:
        """The keys that sign tokens cannot be had; the last good ones stay."""
        ...


class AccessAudiences:
    """An AccessTelemetry that passes every event on to each audience, in order."""

    def __init__(self, *audiences: AccessTelemetry) -> None:
        self._audiences = audiences

    def access_refused(self, refusal: AccessRefused, method: str) -> None:
        """See AccessTelemetry."""
        for audience in self._audiences:
            audience.access_refused(refusal, method)

    def keys_loaded(self, *, tenants: int, keys: int, is_exposed: bool) -> None:
        """See AccessTelemetry."""
        for audience in self._audiences:
            audience.keys_loaded(tenants=tenants, keys=keys, is_exposed=is_exposed)

    def keys_rejected(self, problems: Sequence[Problem]) -> None:
        """See AccessTelemetry."""
        for audience in self._audiences:
            audience.keys_rejected(problems)

    def signers_loaded(self, keys: int) -> None:
        """See AccessTelemetry."""
        for audience in self._audiences:
            audience.signers_loaded(keys)

    def signers_rejected(self, problems: Sequence[Problem]) -> None:
        """See AccessTelemetry."""
        for audience in self._audiences:
            audience.signers_rejected(problems)


@dataclass(frozen=True, slots=True)
class LoadedKeys:
    """What a source of keys holds."""

    ring: KeyRing
    is_exposed: bool = False
    """Whether every user of the machine can read the file."""


class Authenticator(Protocol):
    """Knows one kind of credential."""

    def recognises(self, token: str) -> bool:
        """Whether it is of this kind, right or wrong."""
        ...

    def caller_with(self, token: str, now: datetime) -> Caller:
        """Who shows it; raises Unauthenticated."""
        ...


@dataclass(frozen=True, slots=True)
class Presented:
    """What came with a call: credentials, and which tenant the caller says that it is."""

    credentials: tuple[str, ...] = field(default=(), repr=False)
    claimed_tenants: tuple[str, ...] = ()


NO_KEYS = LoadedKeys(KeyRing({}, {}))


class KeyStore:
    """An Authenticator by the keys in force. An edit that cannot be used keeps the last good."""

    def __init__(self, source: Source[LoadedKeys], telemetry: AccessTelemetry) -> None:
        self._telemetry = telemetry
        self._keys = LastGood(
            source, empty=NO_KEYS, loaded=self._loaded, rejected=telemetry.keys_rejected
        )

    @property
    def tenants(self) -> Mapping[str, Tenant]:
        """Those that there are now, by name."""
        return self._keys.value.ring.tenants

    async def load(self) -> None:
        """Take over what the source says now; raises KeysRejected if it cannot be used."""
        await self._keys.load()

    async def follow(self, feed: ChangeFeed) -> None:
        """Load again after every burst of changes, until the feed is closed."""
        await self._keys.follow(feed)

    def recognises(self, token: str) -> bool:
        """See Authenticator."""
        return token.startswith(KEY_PREFIX)

    def caller_with(self, token: str, now: datetime) -> Caller:
        """See Authenticator."""
        return self._keys.value.ring.caller_with(token, now)

    def _loaded(self, loaded: LoadedKeys) -> None:
        ring = loaded.ring
        self._telemetry.keys_loaded(
            tenants=len(ring.tenants), keys=len(ring.keys), is_exposed=loaded.is_exposed
        )


class Access:
    """Who may call what."""

    def __init__(
        self,
        authenticators: Sequence[Authenticator],
        telemetry: AccessTelemetry,
        clock: Callable[[], datetime],
    ) -> None:
        self._authenticators = tuple(authenticators)
        self._telemetry = telemetry
        self._clock = clock

    def admit(self, presented: Presented, role: Role, method: str) -> "Visit":
        """Let a call in; raises Unauthenticated or PermissionDenied, which is yet to be told."""
        return Visit(
            self._allowed(presented, role),
            lambda: self._allowed(presented, role),
            lambda refusal: self.refused(refusal, method),
        )

    def refused(self, refusal: AccessRefused, method: str) -> None:
        """Tell operators of a call that was refused."""
        self._telemetry.access_refused(refusal, method)

    def _allowed(self, presented: Presented, role: Role) -> Caller:
        caller = self._identified(presented)
        for name in presented.claimed_tenants:
            caller.require_tenant(name)
        caller.require_role(role)
        return caller

    def _identified(self, presented: Presented) -> Caller:
        if not presented.credentials:
            raise Unauthenticated(AccessReason.NO_CREDENTIAL)
        if len(presented.credentials) > 1:
            raise Unauthenticated(AccessReason.AMBIGUOUS)
        (token,) = presented.credentials
        for authenticator in self._authenticators:
            if authenticator.recognises(token):
                return authenticator.caller_with(token, self._clock())
        raise Unauthenticated(AccessReason.MALFORMED)


@dataclass(frozen=True, slots=True)
class Visit:
    """One call that was let in."""

    caller: Caller
    identify: Callable[[], Caller] = field(repr=False)
    """Looks at the credential again; raises as it was looked at first."""
    refused: Callable[[AccessRefused], None] = field(repr=False)

    def recheck(self) -> None:
        """Raise if what the call came with was withdrawn since: a stream may outlive its key."""
        with self._telling():
            self.identify()

    def require_profile(self, profile: str) -> None:
        """Raise PermissionDenied unless the caller may be judged by it; empty: the default."""
        with self._telling():
            self.caller.require_profile(profile or DEFAULT_PROFILE)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except AccessRefused as refusal:
            self.refused(refusal)
            raise


OPEN = Visit(ANYONE, lambda: ANYONE, lambda _: None)
"""A call where callers are not told apart."""
