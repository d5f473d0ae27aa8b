"""Lets in what can be answered in time, and turns the rest away before it costs anything.

Beyond what the encoder can do, more requests under way add nothing but waiting.
How many are enough is not known beforehand, so it is measured: while even the
luckiest request of a round waits longer than the target, a queue stands, and fewer
are let in; while none does, and there were more to let in, more are. Who has little
time cannot wait for the target: half of that time is theirs. Where many are answered
in vain, as few are let in as are not.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf

from moderation.core.errors import Overloaded
from moderation.service.lanes import Priority
from moderation.service.outcomes import OF_TENANT, ShedReason
from moderation.service.ports import Telemetry
from moderation.service.tenants import NO_TENANTS, Counted, Excess, Room, Tenants

FIRST_LIMIT = 4
"""In times the least limit."""
GROWTH = 1.1
MOST_SHRINKAGE = 0.5
WAITING_SHARE = 0.5
"""Of the time that a request has: after more waiting, too little is left for its encoding."""
TOLERATED_EXPIRED = 0.1
"""Share of a round. So many may have had too little time for any server."""
KEPT_FROM_BULK = 4
"""One part in so many of all places, at most."""
LEAST_BYTES = 1
"""Of an image. What leaves no room for these has room for none."""
FOR_WANT_OF_PLACES = frozenset(
    {ShedReason.LATENCY, ShedReason.TENANT_IN_FLIGHT, ShedReason.TENANT_BYTES}
)
"""Reasons that say of an interactive request that a higher limit would be of use."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be under way at once, and for how long.

    Interactive requests are kept to as many as leave the wait near `target_wait_s`,
    but never to less than `min_in_flight`: the encoder needs those to be busy. Bulk leaves
    some of the places to them. Nothing is let in while the process takes more than
    `max_memory_share` of its memory.
    """

    max_in_flight: int
    max_in_flight_bytes: int
    max_request_s: float
    target_wait_s: float = inf
    min_in_flight: int = sys.maxsize
    max_memory_share: float = 1.0
    max_fetches: int = 0
    """How many images that requests name may be fetched at once."""


def no_memory_limit() -> float:
    """For a process that nobody gave one: never full."""
    return 0.0


class AdaptiveLimit:
    """How many may be under way; a round is as many answers as that.

    Judging a round by its least wait is CoDel's idea (RFC 8289): a burst is no standing queue.
    """

    def __init__(self, *, least: int, most: int, target_wait_s: float) -> None:
        self._least = min(least, most)
        self._most = most
        self._target_wait_s = target_wait_s
        self._limit = float(min(FIRST_LIMIT * self._least, most))
        self._answers = 0
        self._least_wait = inf
        """In times what each could wait."""
        self._expired = 0
        self._was_reached = False

    @property
    def current(self) -> int:
        """The limit now."""
        return int(self._limit)

    def reached(self) -> None:
        """There were more that wanted in."""
        self._was_reached = True

    def answered(self, waited_s: float, allowed_s: float = inf) -> None:
        """One left after it had waited so long, of the time that it had in all."""
        target_s = min(self._target_wait_s, WAITING_SHARE * allowed_s)
        self._least_wait = min(self._least_wait, waited_s / target_s)
        self._count()

    def expired(self) -> None:
        """One left without an answer, since its time was over."""
        self._expired += 1
        self._count()

    def _count(self) -> None:
        self._answers += 1
        if self._answers >= self._limit:
            self._end_round()

    def _end_round(self) -> None:
        expired = self._expired / self._answers
        fits = 1.0 / max(1.0, self._least_wait)
        if expired > TOLERATED_EXPIRED:  # the encoder takes fresh ones too, which waited for little
            fits = min(fits, 1.0 - expired)
        if fits < 1.0:
            self._limit = max(self._least, self._limit * max(MOST_SHRINKAGE, fits))
        elif self._was_reached:
            self._limit = min(self._most, max(self._limit + 1, self._limit * GROWTH))
        self._answers, self._expired, self._least_wait, self._was_reached = 0, 0, inf, False


class Reservation:
    """Room for an image that is yet to come, and whose size is known only then."""

    def __init__(self, admission: "Admission", counted: Counted, n_bytes: int) -> None:
        self._admission = admission
        self._counted = counted
        self._n_bytes = 0
        self._is_fetching = True
        self._resize(n_bytes)

    def expect(self, n_bytes: int) -> None:
        """So many bytes will come at most; more than there is room for counts as that."""
        self._resize(min(n_bytes, self._n_bytes))

    def fetched(self, n_bytes: int) -> None:
        """All has come, or nothing will: so many bytes are under way."""
        self._counted.fetched()
        self._admission.fetching -= self._is_fetching
        self._is_fetching = False
        self._resize(n_bytes)

    def _resize(self, n_bytes: int) -> None:
        self._counted.resize(n_bytes)
        self._admission.n_bytes += n_bytes - self._n_bytes
        self._n_bytes = n_bytes


class Admission:
    """Counts what is under way. Bulk, whose sender waits anyway, is held to the fixed limits."""

    def __init__(
        self,
        limits: Limits,
        telemetry: Telemetry,
        memory_share: Callable[[], float] = no_memory_limit,
    ) -> None:
        self._limits = limits
        self._memory_share = memory_share
        self._telemetry = telemetry
        self._in_flight = dict.fromkeys(Priority, 0)
        self.n_bytes = 0
        """Of the images of all requests that are under way, those to be fetched included."""
        self.fetching = 0
        """How many images are being fetched."""
        self._tenants = NO_TENANTS
        self._adaptive = AdaptiveLimit(
            least=limits.min_in_flight,
            most=limits.max_in_flight,
            target_wait_s=limits.target_wait_s,
        )
        kept = min(limits.min_in_flight, limits.max_in_flight // KEPT_FROM_BULK)
        self._most_by_priority = {
            Priority.INTERACTIVE: limits.max_in_flight,
            Priority.BULK: limits.max_in_flight - kept,
        }
        self._told = 0
        self._tell_limit()

    @property
    def in_flight(self) -> int:
        """Requests that were let in and are not answered yet, of every priority."""
        return sum(self._in_flight.values()) + self.fetching

    def share_among(self, tenants: Tenants) -> None:
        """Keep each tenant to its part from now on."""
        self._tenants = tenants

    def excess(
        self,
        priority: Priority,
        tenant: str = "",
        n_bytes: int = LEAST_BYTES,
        *,
        max_fetches: int | None = None,
    ) -> Excess | None:
        """What speaks against letting in a request of so many bytes now, if anything does.

        `max_fetches` is for one whose image is yet to be fetched. Nothing is taken and nobody is
        told. Whatever speaks against one of `LEAST_BYTES` speaks against all.
        """
        return (
            self._over_memory()
            or self._over_places(priority)
            or self._over_fetches(max_fetches)
            or self._over_bytes(n_bytes)
            or self._over_part(n_bytes, priority, tenant, max_fetches)
        )

    def excess_of_bytes(self, tenant: str = "") -> Excess | None:
        """As `excess`, what speaks against any image now, however many places there are."""
        room = Room(self._limits.max_in_flight, self._limits.max_in_flight_bytes)
        return (
            self._over_memory()
            or self._over_bytes(LEAST_BYTES)
            or self._tenants.excess_of_bytes(tenant, LEAST_BYTES, room)
        )

    def turn_away(self, excess: Excess, priority: Priority, tenant: str = "") -> Overloaded:
        """Count a request that is not let in, and tell operators; what to tell its caller."""
        if priority is Priority.INTERACTIVE and excess.reason in FOR_WANT_OF_PLACES:
            self._adaptive.reached()
        if excess.reason in OF_TENANT:
            self._tenants.turned_away(tenant)
        self._telemetry.shed(excess.reason)
        return Overloaded(excess.message, retry_after_s=excess.retry_after_s)

    @contextmanager
    def admitted(self, n_bytes: int, priority: Priority, tenant: str = "") -> Iterator[None]:
        """Take a place for so many bytes while in the context; raises Overloaded."""
        if excess := self.excess(priority, tenant, n_bytes):
            raise self.turn_away(excess, priority, tenant)
        self.n_bytes += n_bytes
        try:
            with self._tenants.counted(tenant, n_bytes, priority), self.placed(priority):
                yield
        finally:
            self.n_bytes -= n_bytes

    @contextmanager
    def reserved(self, n_bytes: int, priority: Priority, tenant: str = "") -> Iterator[Reservation]:
        """Let in a request whose image of at most so many bytes is yet to be fetched.

        It has no place: it waits for another host, which must not keep others from the encoder.
        But there must be one now, or fetching would be in vain. Raises Overloaded.
        """
        most = self._limits.max_fetches
        if excess := self.excess(priority, tenant, n_bytes, max_fetches=most):
            raise self.turn_away(excess, priority, tenant)
        self.fetching += 1
        with self._tenants.counted(tenant, n_bytes, priority, is_fetching=True) as counted:
            reservation = Reservation(self, counted, n_bytes)
            try:
                yield reservation
            finally:
                reservation.fetched(0)

    @contextmanager
    def placed(self, priority: Priority) -> Iterator[None]:
        """Take a place while in the context; raises Overloaded. All else was looked at before."""
        if excess := self._over_places(priority):
            raise self.turn_away(excess, priority)
        self._in_flight[priority] += 1
        try:
            yield
        finally:
            self._in_flight[priority] -= 1

    def waited(self, seconds: float, priority: Priority, allowed_s: float = inf) -> None:
        """Learn from a request that was under way how long it had to wait, of the time it had."""
        if priority is Priority.INTERACTIVE:
            self._adaptive.answered(seconds, allowed_s)
            self._tell_limit()

    def expired(self, priority: Priority) -> None:
        """Learn from one whose time was over: whatever it was, it waited for too long."""
        if priority is Priority.INTERACTIVE:
            self._adaptive.expired()
            self._tell_limit()

    def abandoned(self, waited_s: float, priority: Priority, allowed_s: float) -> None:
        """Learn from one whose caller left before the answer, because of its deadline if late.

        The caller's clock began before ours: the message had to come and be read, which takes long
        where too much is asked. Who leaves early says nothing of how long others wait.
        """
        if waited_s > WAITING_SHARE * allowed_s:
            self.expired(priority)

    def _over_memory(self) -> Excess | None:
        if self._memory_share() > self._limits.max_memory_share:
            return Excess(ShedReason.MEMORY, "memory is nearly full")
        return None

    def _over_places(self, priority: Priority) -> Excess | None:
        under_way = self.in_flight
        if under_way >= self._most_by_priority[priority]:
            return Excess(ShedReason.IN_FLIGHT, f"{under_way} requests are under way")
        interactive = self._in_flight[Priority.INTERACTIVE]
        if priority is Priority.INTERACTIVE and interactive >= self._adaptive.current:
            told = f"{interactive} requests are under way, more would wait"
            return Excess(ShedReason.LATENCY, told)
        return None

    def _over_fetches(self, most: int | None) -> Excess | None:
        if most is None or self.fetching < max(1, most):
            return None
        return Excess(ShedReason.FETCHES, f"{self.fetching} images are being fetched")

    def _over_bytes(self, n_bytes: int) -> Excess | None:
        # An image alone is always let in; its own size is the decoder's limit to keep.
        if not self.n_bytes or self.n_bytes + n_bytes <= self._limits.max_in_flight_bytes:
            return None
        return Excess(ShedReason.IN_FLIGHT_BYTES, f"{self.n_bytes} bytes are under way")

    def _over_part(
        self, n_bytes: int, priority: Priority, tenant: str, max_fetches: int | None
    ) -> Excess | None:
        is_interactive = priority is Priority.INTERACTIVE
        most = self._adaptive.current if is_interactive else self._most_by_priority[priority]
        room = Room(most, self._limits.max_in_flight_bytes, max_fetches)
        return self._tenants.excess(tenant, n_bytes, priority, room)

    def _tell_limit(self) -> None:
        if self._adaptive.current != self._told:
            self._told = self._adaptive.current
            self._telemetry.limit_changed(self._told)
