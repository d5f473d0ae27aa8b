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
from moderation.core.identity import (
    ANYONE,
    KEY_PREFIX,
    Caller,
    CertificateName,
    KeyRing,
    NameKind,
    Role,
    Tenant,
)
from moderation.core.policy import DEFAULT_PROFILE
from moderation.service.last_good import LastGood, Source
from moderation.service.ports import ChangeFeed

MAX_SHOWN_CHARACTERS = 200


class AccessTelemetry(Protocol):
    """What operators get to see of callers; must not raise and must not block."""

    def access_refused(self, refusal: AccessRefused, method: str) -> None:
        """A caller was refused what it asked; `method` is one of the server's own."""
        ...

    def keys_loaded(self, *, tenants: int, keys: int, certificates: int, is_exposed: bool) -> None:
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

    def keys_loaded(self, *, tenants: int, keys: int, certificates: int, is_exposed: bool) -> None:
        """See AccessTelemetry."""
        for audience in self._audiences:
            audience.keys_loaded(
                tenants=tenants, keys=keys, certificates=certificates, is_exposed=is_exposed
            )

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


class CertificateAuthenticator(Protocol):
    """Knows certificates that are credentials themselves."""

    @property
    def takes_certificates(self) -> bool:
        """Whether there is any."""
        ...

    def caller_named(self, names: frozenset[CertificateName], now: datetime) -> Caller | None:
        """Whose certificate has these names, if anybody's; raises Unauthenticated."""
        ...


@dataclass(frozen=True, slots=True)
class Presented:
    """What came with a call: credentials, and which tenant the caller says that it is."""

    credentials: tuple[str, ...] = field(default=(), repr=False)
    claimed_tenants: tuple[str, ...] = ()
    certificate: frozenset[CertificateName] = frozenset()
    """The names of the certificate that the connection was made with; empty without one."""


NO_KEYS = LoadedKeys(KeyRing({}, {}))


class KeyStore:
    """An Authenticator by the keys in force, and for certificates by their names.

    An edit that cannot be used keeps the last good.
    """

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

    @property
    def takes_certificates(self) -> bool:
        """See CertificateAuthenticator."""
        return bool(self._keys.value.ring.certificates)

    def caller_named(self, names: frozenset[CertificateName], now: datetime) -> Caller | None:
        """See CertificateAuthenticator."""
        return self._keys.value.ring.caller_named(names, now)

    def _loaded(self, loaded: LoadedKeys) -> None:
        ring = loaded.ring
        self._telemetry.keys_loaded(
            tenants=len(ring.tenants),
            keys=len(ring.keys),
            certificates=len(ring.certificates),
            is_exposed=loaded.is_exposed,
        )


class Access:
    """Who may call what.

    A certificate is a credential for calls that send none. Beside one that is sent it gives
    nothing, and is no hole either: it must count, and must be of the same tenant.
    """

    def __init__(
        self,
        authenticators: Sequence[Authenticator],
        telemetry: AccessTelemetry,
        clock: Callable[[], datetime],
        certificates: CertificateAuthenticator | None = None,
    ) -> None:
        self._authenticators = tuple(authenticators)
        self._telemetry = telemetry
        self._clock = clock
        self._certificates = certificates

    @property
    def takes_certificates(self) -> bool:
        """Whether it matters now which certificate a call's connection was made with."""
        return self._certificates is not None and self._certificates.takes_certificates

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
        certified = self._certified(presented.certificate)
        if presented.credentials:
            caller = self._sender(presented.credentials)
            if certified is not None:
                caller.require_tenant(certified.tenant.name)
            return caller
        if certified is not None:
            return certified
        if presented.certificate:
            raise Unauthenticated(AccessReason.UNKNOWN, _shown(presented.certificate))
        raise Unauthenticated(AccessReason.NO_CREDENTIAL)

    def _certified(self, names: frozenset[CertificateName]) -> Caller | None:
        if self._certificates is None or not names:
            return None
        return self._certificates.caller_named(names, self._clock())

    def _sender(self, credentials: tuple[str, ...]) -> Caller:
        if len(credentials) > 1:
            raise Unauthenticated(AccessReason.AMBIGUOUS)
        (token,) = credentials
        for authenticator in self._authenticators:
            if authenticator.recognises(token):
                return authenticator.caller_with(token, self._clock())
        raise Unauthenticated(AccessReason.MALFORMED)


def _shown(names: frozenset[CertificateName]) -> str:
    """How the log calls a certificate that nobody mapped: not by what may name a person."""
    machines = (name for name in names if name.kind is not NameKind.COMMON_NAME)
    shown = min(map(str, machines), default="certificate")
    return shown[:MAX_SHOWN_CHARACTERS]


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
