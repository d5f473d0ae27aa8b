"""Keeps each tenant to its part, so that one that floods the service harms nobody but itself."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf

from moderation.core.identity import Tenant
from moderation.core.rate import TokenBucket
from moderation.service.lanes import Priority
from moderation.service.outcomes import ShedReason

RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Room:
    """What there is for all tenants together now, for requests of one priority."""

    requests: int
    n_bytes: int
    fetches: int | None = None
    """How many images may be fetched at once; None: this request brings its own."""


@dataclass(frozen=True, slots=True)
class Excess:
    """Why a tenant has to wait."""

    reason: ShedReason
    message: str
    retry_after_s: float = RETRY_AFTER_S


@dataclass(frozen=True, slots=True)
class TenantUsage:
    """What a tenant has asked so far, for whoever watches."""

    tenant: str
    in_flight: int
    admitted: int
    shed: int


@dataclass(slots=True)
class _Account:
    in_flight: dict[Priority, int] = field(default_factory=lambda: dict.fromkeys(Priority, 0))
    n_bytes: int = 0
    fetching: int = 0
    admitted: int = 0
    shed: int = 0
    bucket: TokenBucket | None = None


class Counted:
    """A request that counts for a tenant, which may turn out smaller than it was let in for."""

    def __init__(self, account: _Account, n_bytes: int, *, is_fetching: bool) -> None:
        self._account = account
        self._n_bytes = 0
        self._is_fetching = is_fetching
        account.fetching += is_fetching
        self.resize(n_bytes)

    def resize(self, n_bytes: int) -> None:
        """So many bytes are under way for it from now on."""
        self._account.n_bytes += n_bytes - self._n_bytes
        self._n_bytes = n_bytes

    def fetched(self) -> None:
        """Its image is there, or will never be."""
        self._account.fetching -= self._is_fetching
        self._is_fetching = False


class Tenants:
    """Counts what each tenant has under way, and says when it is too much.

    Where there are several, each may have `max_share` of the whole at most, unless its own
    limits say otherwise. Who is no tenant is not counted.
    """

    def __init__(
        self,
        tenants: Callable[[], Mapping[str, Tenant]],
        *,
        max_share: float,
        clock: Callable[[], float],
        processes: int = 1,
    ) -> None:
        """Limits hold for so many `processes` together, so this one keeps its part of them."""
        self._tenants = tenants
        self._max_share = max_share
        self._clock = clock
        self._processes = processes
        self._accounts: dict[str, _Account] = {}

    def excess(self, name: str, n_bytes: int, priority: Priority, room: Room) -> Excess | None:
        """What speaks against letting a request of so many bytes in, if anything does."""
        tenant = self._tenants().get(name)
        if tenant is None:
            return None
        account = self._account(name)
        return (
            self._over_places(tenant, account, priority, room)
            or self._over_fetches(tenant, account, room)
            or self._over_bytes(tenant, account, n_bytes, room)
            or self._over_rate(tenant, account)
        )

    def excess_of_bytes(self, name: str, n_bytes: int, room: Room) -> Excess | None:
        """What speaks against so many more bytes, if anything does; room for them is all."""
        tenant = self._tenants().get(name)
        if tenant is None:
            return None
        return self._over_bytes(tenant, self._account(name), n_bytes, room)

    def turned_away(self, name: str) -> None:
        """Count a request that got no place because of its tenant's limits."""
        self._account(name).shed += 1

    @contextmanager
    def counted(
        self, name: str, n_bytes: int, priority: Priority, *, is_fetching: bool = False
    ) -> Iterator[Counted]:
        """Count a request that was let in while in the context; of no tenant, for nobody."""
        account = self._account(name) if name in self._tenants() else _Account()
        if account.bucket is not None:
            account.bucket.take(self._clock())
        account.in_flight[priority] += 1
        account.admitted += 1
        counted = Counted(account, n_bytes, is_fetching=is_fetching)
        try:
            yield counted
        finally:
            account.in_flight[priority] -= 1
            counted.resize(0)
            counted.fetched()

    def usage(self) -> tuple[TenantUsage, ...]:
        """Of every tenant that there is now."""
        accounts = {name: self._accounts.get(name) or _Account() for name in self._tenants()}
        return tuple(
            TenantUsage(name, sum(one.in_flight.values()), one.admitted, one.shed)
            for name, one in accounts.items()
        )

    def _account(self, name: str) -> _Account:
        """Those of tenants that are no more are dropped: names are few, but come and go."""
        if name not in self._accounts:
            known = self._tenants()
            self._accounts = {
                one: account for one, account in self._accounts.items() if one in known
            }
        return self._accounts.setdefault(name, _Account())

    def _over_places(
        self, tenant: Tenant, account: _Account, priority: Priority, room: Room
    ) -> Excess | None:
        most = min(self._share_of(tenant) * room.requests, self._part(tenant.limits.max_in_flight))
        own = account.in_flight[priority]
        if own < max(1.0, most):
            return None
        return Excess(ShedReason.TENANT_IN_FLIGHT, f"this tenant has {own} requests under way")

    def _over_fetches(self, tenant: Tenant, account: _Account, room: Room) -> Excess | None:
        own = account.fetching
        if room.fetches is None or own < max(1.0, self._share_of(tenant) * room.fetches):
            return None
        told = f"this tenant has {own} images being fetched"
        return Excess(ShedReason.TENANT_IN_FLIGHT, told)

    def _over_bytes(
        self, tenant: Tenant, account: _Account, n_bytes: int, room: Room
    ) -> Excess | None:
        share = self._share_of(tenant) * room.n_bytes
        most = min(share, self._part(tenant.limits.max_in_flight_bytes))
        # An image alone is always let in; its own size is the decoder's limit to keep.
        if not account.n_bytes or account.n_bytes + n_bytes <= most:
            return None
        return Excess(ShedReason.TENANT_BYTES, f"this tenant has {account.n_bytes} bytes under way")

    def _over_rate(self, tenant: Tenant, account: _Account) -> Excess | None:
        """Asked last, of a request that everything else lets in: only that one takes its turn."""
        rate_per_s = tenant.limits.requests_per_s
        if rate_per_s is None:
            account.bucket = None
            return None
        wait_s = self._bucket(rate_per_s, tenant.limits.burst, account).wait_s(self._clock())
        if not wait_s:
            return None
        told = f"this tenant may ask {rate_per_s:g} times a second"
        return Excess(ShedReason.TENANT_RATE, told, wait_s)

    def _part(self, limit: float | None) -> float:
        return limit / self._processes if limit else inf

    def _share_of(self, tenant: Tenant) -> float:
        if tenant.limits.share is not None:
            return tenant.limits.share
        return self._max_share if len(self._tenants()) > 1 else 1.0

    def _bucket(self, rate_per_s: float, burst: float | None, account: _Account) -> TokenBucket:
        """Where the tenant's turns are; a changed limit starts anew."""
        rate_per_s /= self._processes
        size = max(1.0, rate_per_s if burst is None else burst / self._processes)
        bucket = account.bucket
        if bucket is None or (bucket.rate_per_s, bucket.burst) != (rate_per_s, size):
            bucket = TokenBucket(rate_per_s=rate_per_s, burst=size, now=self._clock())
            account.bucket = bucket
        return bucket


NO_TENANTS = Tenants(dict, max_share=1.0, clock=lambda: 0.0)
"""Where callers are not told apart."""
