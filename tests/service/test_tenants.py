"""One tenant that floods the service harms nobody but itself."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

from moderation.core.decision import Options
from moderation.core.errors import Overloaded
from moderation.core.identity import Tenant, TenantLimits
from moderation.service.admission import Admission, Limits, Reservation
from moderation.service.lanes import Priority
from moderation.service.outcomes import ShedReason
from moderation.service.tenants import NO_TENANTS, Tenants, TenantUsage
from tests.builders import a_content
from tests.fakes import RecordingTelemetry
from tests.service.engine import running_engine

INTERACTIVE, BULK = Priority
SHOP, BANK = Tenant("shop"), Tenant("bank")


class Clock:
    """Stands still until it is told to move."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Door:
    """An admission, the tenants at it, and what was told."""

    def __init__(self, *tenants: Tenant, max_share: float = 0.5, processes: int = 1) -> None:
        self.known: Mapping[str, Tenant] = {tenant.name: tenant for tenant in tenants}
        self.clock, self.telemetry = Clock(), RecordingTelemetry()
        self.tenants = Tenants(
            lambda: self.known, max_share=max_share, clock=self.clock, processes=processes
        )
        limits = Limits(
            max_in_flight=16, max_in_flight_bytes=1000, max_request_s=10.0, max_fetches=4
        )
        self.admission = Admission(limits, self.telemetry)
        self.admission.share_among(self.tenants)
        self._inside = ExitStack()

    def enter(self, tenant: Tenant, n_bytes: int = 1, priority: Priority = INTERACTIVE) -> None:
        """Let one in, which stays."""
        self._inside.enter_context(self.admission.admitted(n_bytes, priority, tenant.name))

    def refused(
        self, tenant: Tenant, n_bytes: int = 1, priority: Priority = INTERACTIVE
    ) -> ShedReason:
        """Why one is not let in."""
        with pytest.raises(Overloaded):
            self.enter(tenant, n_bytes, priority)
        return self.telemetry.sheds[-1]

    def reserve(self, tenant: Tenant, n_bytes: int = 100) -> Reservation:
        """Let one in whose image is yet to come."""
        room = self.admission.reserved(n_bytes, INTERACTIVE, tenant.name)
        return self._inside.enter_context(room)

    def unreserved(self, tenant: Tenant, n_bytes: int = 100) -> ShedReason:
        """Why nothing is fetched for one."""
        with pytest.raises(Overloaded):
            self.reserve(tenant, n_bytes)
        return self.telemetry.sheds[-1]

    def leave(self) -> None:
        """Let all who are in out."""
        self._inside.close()


@pytest.fixture
def door() -> Iterator[Door]:
    opened = Door(SHOP, BANK)
    yield opened
    opened.leave()


@pytest.mark.parametrize("priority", Priority)
def test_one_of_several_has_its_share_and_the_others_the_rest(
    door: Door, priority: Priority
) -> None:
    most = 8 if priority is INTERACTIVE else 6  # some places are kept from bulk
    for _ in range(most):
        door.enter(SHOP, priority=priority)

    assert door.refused(SHOP, priority=priority) is ShedReason.TENANT_IN_FLIGHT
    for _ in range(most):
        door.enter(BANK, priority=priority)


def test_the_only_tenant_may_have_everything() -> None:
    door = Door(SHOP)
    for _ in range(16):
        door.enter(SHOP)

    assert door.refused(SHOP) is ShedReason.IN_FLIGHT
    door.leave()


def test_a_share_of_its_own_counts_instead() -> None:
    door = Door(Tenant("shop", limits=TenantLimits(share=0.25)), BANK, max_share=1.0)
    for _ in range(4):
        door.enter(SHOP)

    assert door.refused(SHOP) is ShedReason.TENANT_IN_FLIGHT
    door.leave()


def test_a_tenant_is_never_kept_out_altogether() -> None:
    door = Door(Tenant("shop", limits=TenantLimits(share=0.001)), BANK)

    door.enter(SHOP, n_bytes=900)

    assert door.refused(SHOP) is ShedReason.TENANT_IN_FLIGHT
    door.leave()


def test_a_limit_of_its_own_counts_below_the_share() -> None:
    limits = TenantLimits(max_in_flight=2, max_in_flight_bytes=100)
    door = Door(Tenant("shop", limits=limits), BANK)
    door.enter(SHOP, n_bytes=60)

    assert door.refused(SHOP, n_bytes=60) is ShedReason.TENANT_BYTES
    door.enter(SHOP, n_bytes=40)
    assert door.refused(SHOP) is ShedReason.TENANT_IN_FLIGHT
    door.leave()
    door.enter(SHOP, n_bytes=60)
    door.leave()


def test_bytes_are_shared_too(door: Door) -> None:
    door.enter(SHOP, n_bytes=400)

    assert door.refused(SHOP, n_bytes=101) is ShedReason.TENANT_BYTES
    door.enter(BANK, n_bytes=500)


def test_a_rate_is_the_tenant_s_own_and_says_when_to_come_back() -> None:
    door = Door(Tenant("shop", limits=TenantLimits(requests_per_s=4.0, burst=1.0)), BANK)
    door.enter(SHOP)

    with pytest.raises(Overloaded) as caught:
        door.enter(SHOP)
    for _ in range(8):
        door.enter(BANK)
    door.clock.now += 0.25
    door.enter(SHOP)

    assert caught.value.retry_after_s == 0.25
    assert "this tenant may ask 4 times a second" in str(caught.value)
    assert door.telemetry.sheds == [ShedReason.TENANT_RATE]
    door.leave()


def test_without_a_burst_a_second_s_worth_may_come_at_once() -> None:
    door = Door(Tenant("shop", limits=TenantLimits(requests_per_s=3.0)), BANK)
    for _ in range(3):
        door.enter(SHOP)

    assert door.refused(SHOP) is ShedReason.TENANT_RATE
    door.leave()


def test_a_limit_that_changes_counts_at_once() -> None:
    door = Door(Tenant("shop", limits=TenantLimits(requests_per_s=1.0)), BANK)
    door.enter(SHOP)
    assert door.refused(SHOP) is ShedReason.TENANT_RATE

    door.known = {"shop": Tenant("shop", limits=TenantLimits(requests_per_s=2.0)), "bank": BANK}

    door.enter(SHOP)
    door.leave()


def test_one_of_several_processes_keeps_its_part_of_a_limit() -> None:
    limits = TenantLimits(max_in_flight=4, max_in_flight_bytes=200, requests_per_s=4.0, burst=4.0)
    few = Door(Tenant("shop", limits=limits), BANK, processes=2)
    few.enter(SHOP, n_bytes=60)

    assert few.refused(SHOP, n_bytes=60) is ShedReason.TENANT_BYTES
    few.enter(SHOP)
    assert few.refused(SHOP) is ShedReason.TENANT_IN_FLIGHT
    few.leave()
    assert few.refused(SHOP) is ShedReason.TENANT_RATE


def test_who_is_not_let_in_for_another_reason_pays_nothing() -> None:
    door = Door(Tenant("shop", limits=TenantLimits(requests_per_s=2.0, max_in_flight=1)), BANK)
    with door.admission.admitted(1, INTERACTIVE, "shop"):
        for _ in range(5):
            assert door.refused(SHOP) is ShedReason.TENANT_IN_FLIGHT

    door.enter(SHOP)
    door.leave()


def test_what_each_asked_is_shown_and_vanishes_with_the_tenant(door: Door) -> None:
    for _ in range(8):
        door.enter(SHOP)
    door.refused(SHOP)

    shown = {one.tenant: one for one in door.tenants.usage()}
    door.known = {"bank": BANK, "zoo": Tenant("zoo")}
    door.leave()
    door.enter(Tenant("zoo"))
    later = {one.tenant: one for one in door.tenants.usage()}

    assert shown["shop"] == TenantUsage("shop", in_flight=8, admitted=8, shed=1)
    assert shown["bank"] == TenantUsage("bank", in_flight=0, admitted=0, shed=0)
    assert later.keys() == {"bank", "zoo"}


def test_what_is_to_be_fetched_counts_before_it_is_there_and_shrinks_as_its_size_is_known() -> None:
    door = Door(SHOP, BANK, max_share=1.0)
    first = door.reserve(SHOP, 900)
    assert door.unreserved(SHOP, 200) is ShedReason.IN_FLIGHT_BYTES
    first.expect(2000)  # of no use to a host that says too much
    assert door.admission.n_bytes == 900
    first.expect(300)
    second = door.reserve(SHOP, 700)
    second.fetched(10)
    first.expect(700)  # what was given back is gone
    during = door.admission.n_bytes, door.admission.fetching, door.admission.in_flight
    door.leave()

    assert during == (310, 1, 1)
    assert (door.admission.n_bytes, door.admission.fetching, door.admission.in_flight) == (0, 0, 0)
    assert all(one.in_flight == 0 for one in door.tenants.usage())


def test_a_tenant_has_its_share_of_bytes_and_of_fetches(door: Door) -> None:
    held = door.reserve(SHOP, 450)
    assert door.unreserved(SHOP) is ShedReason.TENANT_BYTES
    held.expect(10)
    door.reserve(SHOP)
    assert door.unreserved(SHOP) is ShedReason.TENANT_IN_FLIGHT  # two of four fetches
    door.reserve(BANK)
    door.enter(SHOP)  # what brings its image needs no fetch
    held.fetched(10)
    door.reserve(SHOP)


def test_all_tenants_together_have_so_many_fetches(door: Door) -> None:
    for tenant in (SHOP, BANK, SHOP, BANK):
        door.reserve(tenant)

    assert door.unreserved(Tenant("stranger")) is ShedReason.FETCHES
    shown = {one.tenant: one.in_flight for one in door.tenants.usage()}
    assert shown == {"shop": 2, "bank": 2}


def test_a_tenant_over_its_rate_gets_nothing_fetched_and_pays_once_for_what_it_gets() -> None:
    slow = Tenant("slow", limits=TenantLimits(requests_per_s=1.0, burst=2.0))
    door = Door(slow)

    reservation = door.reserve(slow)
    reservation.fetched(10)
    with door.admission.placed(INTERACTIVE):
        door.reserve(slow)

    assert door.unreserved(slow) is ShedReason.TENANT_RATE
    (usage,) = door.tenants.usage()
    assert (usage.admitted, usage.shed) == (2, 1)
    door.leave()


def test_a_place_must_be_free_before_a_fetch_and_after_it() -> None:
    limits = Limits(16, 1000, 10.0, target_wait_s=1.0, min_in_flight=1, max_fetches=4)
    telemetry = RecordingTelemetry()
    admission = Admission(limits, telemetry)
    with ExitStack() as inside:
        reservation = inside.enter_context(admission.reserved(100, INTERACTIVE))
        for _ in range(4):
            inside.enter_context(admission.admitted(1, INTERACTIVE))
        reservation.fetched(10)

        with pytest.raises(Overloaded), admission.placed(INTERACTIVE):
            pytest.fail("there was no place")
        with pytest.raises(Overloaded), admission.reserved(100, INTERACTIVE):
            pytest.fail("there was no place")

    assert telemetry.sheds == [ShedReason.LATENCY] * 2
    assert admission.in_flight == admission.n_bytes == 0


def test_what_is_being_fetched_keeps_its_place_among_all(door: Door) -> None:
    reservation = door.reserve(Tenant("stranger"))
    for number in range(15):
        door.enter(SHOP if number % 2 else BANK)

    assert door.refused(Tenant("stranger")) is ShedReason.IN_FLIGHT
    reservation.fetched(10)
    with door.admission.placed(INTERACTIVE):
        assert door.unreserved(Tenant("stranger")) is ShedReason.IN_FLIGHT


def test_who_is_no_tenant_is_neither_counted_nor_limited() -> None:
    telemetry = RecordingTelemetry()
    admission = Admission(Limits(4, 1000, 10.0), telemetry)
    with ExitStack() as inside:
        for _ in range(4):
            inside.enter_context(admission.admitted(1, INTERACTIVE, "stranger"))

    assert NO_TENANTS.usage() == ()


async def test_a_request_counts_for_the_tenant_that_it_comes_from() -> None:
    slow = Tenant("slow", limits=TenantLimits(requests_per_s=1.0))
    async with running_engine() as engine:
        engine.moderator.share_among(
            Tenants(lambda: {"slow": slow}, max_share=1.0, clock=lambda: 0.0)
        )
        await engine.moderator.moderate(a_content(b"a gun"), Options(), tenant="slow")
        with pytest.raises(Overloaded):
            await engine.moderator.moderate(a_content(b"a gun"), Options(), tenant="slow")
        other = await engine.moderator.moderate(a_content(b"a gun"), Options(), tenant="shop")

    assert other.decision_id
