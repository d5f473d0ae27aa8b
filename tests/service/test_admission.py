"""How many are let in: as many as are answered in time, whatever the encoder can do."""

from collections import deque
from contextlib import ExitStack, suppress
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.errors import Overloaded
from moderation.core.identity import Tenant, TenantLimits
from moderation.service.admission import AdaptiveLimit, Admission, Limits
from moderation.service.lanes import Priority
from moderation.service.outcomes import ShedReason
from moderation.service.tenants import Tenants
from tests.fakes import RecordingTelemetry

INTERACTIVE, BULK = Priority
TARGET_S = 0.25


def limits(**changes: Any) -> Limits:  # noqa: ANN401 - the fields of Limits
    usual: dict[str, Any] = {
        "max_in_flight": 64,
        "max_in_flight_bytes": 1000,
        "max_request_s": 10.0,
        "target_wait_s": TARGET_S,
        "min_in_flight": 4,
    }
    return Limits(**usual | changes)


def a_limit(least: int = 16, most: int = 256) -> AdaptiveLimit:
    return AdaptiveLimit(least=least, most=most, target_wait_s=TARGET_S)


def answer_rounds(limit: AdaptiveLimit, rounds: int, waited_s: float) -> None:
    for _ in range(rounds):
        for _ in range(limit.current + 1):
            limit.reached()
            limit.answered(waited_s)


def test_it_starts_low_and_grows_while_nobody_waits_and_more_want_in() -> None:
    limit = a_limit()
    assert limit.current == 64

    answer_rounds(limit, 30, waited_s=0.01)

    assert limit.current == 256


def test_it_does_not_grow_while_nobody_more_wants_in() -> None:
    limit = a_limit()

    for _ in range(1000):
        limit.answered(0.01)

    assert limit.current == 64


def test_a_standing_queue_shrinks_it_down_to_what_keeps_the_encoder_busy() -> None:
    limit = a_limit()

    answer_rounds(limit, 5, waited_s=2.0)

    assert limit.current == 16


def test_a_burst_or_one_slow_batch_is_no_standing_queue() -> None:
    limit = a_limit()

    for _ in range(10):
        limit.answered(0.01)
        for _ in range(limit.current - 1):
            limit.answered(5.0)

    assert limit.current == 64


def test_who_has_little_time_has_waited_too_long_after_half_of_it() -> None:
    limit = a_limit()

    for _ in range(64):
        limit.answered(0.1, allowed_s=0.16)

    assert limit.current == 51


def test_who_has_much_time_need_not_wait_for_half_of_it() -> None:
    limit = a_limit()

    for _ in range(64):
        limit.answered(2 * TARGET_S, allowed_s=10.0)

    assert limit.current == 32


def test_where_many_expire_as_few_are_let_in_as_do_not_though_one_was_lucky() -> None:
    limit = a_limit()

    for number in range(64):
        limit.reached()
        if number % 4 == 0:
            limit.expired()
        else:
            limit.answered(0.01)

    assert limit.current == 48


def test_a_few_who_had_too_little_time_for_any_server_hold_nobody_up() -> None:
    limit = a_limit()

    for number in range(64):
        limit.reached()
        if number < 6:
            limit.expired()
        else:
            limit.answered(0.01)

    assert limit.current == 70


@given(
    per_s=st.floats(20, 2000),
    target_s=st.floats(0.05, 1.0),
    most=st.integers(64, 1024),
)
def test_under_overload_the_wait_settles_near_the_target_and_places_stay_filled(
    per_s: float, target_s: float, most: int
) -> None:
    limit = AdaptiveLimit(least=16, most=most, target_wait_s=target_s)
    admitted_at: deque[float] = deque()
    waits: list[float] = []

    for step in range(12_000):  # a server that answers one after the other, always asked for more
        now = step / per_s
        while len(admitted_at) < limit.current:
            admitted_at.append(now)
        limit.reached()
        waits.append(now - admitted_at.popleft())
        limit.answered(waits[-1])

    settled = waits[-1000:]
    unavoidable_s = 16 / per_s
    assert max(settled) <= max(1.35 * target_s, unavoidable_s)
    assert max(settled) >= min(0.4 * target_s, most / per_s * 0.9)


def test_beyond_the_adaptive_limit_interactive_is_turned_away_and_bulk_is_not() -> None:
    telemetry = RecordingTelemetry()
    admission = Admission(limits(), telemetry)

    with ExitStack() as under_way:
        for _ in range(16):
            under_way.enter_context(admission.admitted(1, INTERACTIVE))
        with pytest.raises(Overloaded, match="16 requests are under way, more would wait") as shed:
            under_way.enter_context(admission.admitted(1, INTERACTIVE))
        under_way.enter_context(admission.admitted(1, BULK))

    assert shed.value.retry_after_s > 0
    assert telemetry.sheds == [ShedReason.LATENCY]
    with admission.admitted(1, INTERACTIVE):
        assert telemetry.limits == [16]


def test_what_was_waited_moves_the_limit_and_the_limit_is_told() -> None:
    telemetry = RecordingTelemetry()
    admission = Admission(limits(), telemetry)

    for _ in range(16):
        admission.waited(1.0, INTERACTIVE)

    assert telemetry.limits == [16, 8]


def test_who_leaves_late_has_expired_and_who_leaves_early_says_nothing() -> None:
    telemetry = RecordingTelemetry()
    admission = Admission(limits(), telemetry)

    for _ in range(100):
        admission.abandoned(0.04, INTERACTIVE, allowed_s=0.1)
    assert telemetry.limits == [16]
    for _ in range(16):
        admission.abandoned(0.09, INTERACTIVE, allowed_s=0.1)

    assert telemetry.limits == [16, 8]


def test_how_long_bulk_waits_says_nothing() -> None:
    telemetry = RecordingTelemetry()
    admission = Admission(limits(), telemetry)

    for _ in range(100):
        admission.waited(9.0, BULK)
        admission.expired(BULK)

    assert telemetry.limits == [16]


def test_bulk_leaves_places_to_interactive() -> None:
    telemetry = RecordingTelemetry()
    admission = Admission(limits(), telemetry)

    with ExitStack() as under_way:
        for _ in range(60):
            under_way.enter_context(admission.admitted(1, BULK))
        with pytest.raises(Overloaded, match="60 requests are under way"):
            under_way.enter_context(admission.admitted(1, BULK))
        for _ in range(4):
            under_way.enter_context(admission.admitted(1, INTERACTIVE))
        with pytest.raises(Overloaded, match="64 requests are under way"):
            under_way.enter_context(admission.admitted(1, INTERACTIVE))

    assert telemetry.sheds == [ShedReason.IN_FLIGHT] * 2


@pytest.mark.parametrize("priority", Priority)
def test_bytes_are_bounded_whatever_the_priority_but_one_alone_is_let_in(
    priority: Priority,
) -> None:
    telemetry = RecordingTelemetry()
    admission = Admission(limits(max_in_flight_bytes=10), telemetry)

    with (
        admission.admitted(50, priority),
        pytest.raises(Overloaded, match="50 bytes are under way"),
        admission.admitted(1, priority),
    ):
        pytest.fail("there was no room")

    assert telemetry.sheds == [ShedReason.IN_FLIGHT_BYTES]


def test_without_a_target_only_the_fixed_limits_hold() -> None:
    admission = Admission(Limits(64, 1000, 10.0), RecordingTelemetry())

    with ExitStack() as under_way:
        for _ in range(64):
            under_way.enter_context(admission.admitted(1, INTERACTIVE))
        for _ in range(200):
            admission.waited(inf, INTERACTIVE)
        with pytest.raises(Overloaded, match="64 requests are under way"):
            under_way.enter_context(admission.admitted(1, INTERACTIVE))


def test_nothing_is_let_in_while_memory_is_nearly_full() -> None:
    telemetry = RecordingTelemetry()
    shares = iter((0.94, 0.96, 0.94))
    admission = Admission(limits(max_memory_share=0.95), telemetry, lambda: next(shares))

    with admission.admitted(1, INTERACTIVE):
        with pytest.raises(Overloaded, match="memory is nearly full"), admission.admitted(1, BULK):
            pass
        with admission.admitted(1, BULK):
            assert admission.in_flight == 2

    assert telemetry.sheds == [ShedReason.MEMORY]


Way = tuple[Priority, int, bool]
WAYS_IN = st.tuples(st.sampled_from(Priority), st.integers(1, 300), st.booleans())


@given(inside=st.lists(WAYS_IN, max_size=30), asks=WAYS_IN, memory=st.sampled_from([0.0, 1.0]))
def test_what_is_turned_away_unread_would_have_been_turned_away_after_reading(
    inside: list[Way], asks: Way, memory: float
) -> None:
    tenant = Tenant("shop", limits=TenantLimits(max_in_flight=6, requests_per_s=1.0, burst=8.0))
    tenants = Tenants(lambda: {"shop": tenant}, max_share=1.0, clock=lambda: 0.0)
    shares = iter([*[0.0] * len(inside), *[memory] * 3])
    admission = Admission(
        limits(max_memory_share=0.5), RecordingTelemetry(), memory_share=lambda: next(shares)
    )
    admission.share_among(tenants)

    with ExitStack() as under_way:
        for priority, n_bytes, is_of_shop in inside:
            with suppress(Overloaded):
                way = admission.admitted(n_bytes, priority, "shop" if is_of_shop else "")
                under_way.enter_context(way)
        priority, n_bytes, is_of_shop = asks
        name = "shop" if is_of_shop else ""
        excess, of_bytes = admission.excess(priority, name), admission.excess_of_bytes(name)
        try:
            with admission.admitted(n_bytes, priority, name):
                is_let_in = True
        except Overloaded as refusal:
            is_let_in = False
            told = str(refusal)

    assert not ((excess or of_bytes) and is_let_in)
    if excess:
        assert told == excess.message


def test_bytes_under_way_are_known_apart_from_places() -> None:
    tenant = Tenant("shop", limits=TenantLimits(max_in_flight=1, max_in_flight_bytes=10))
    admission = Admission(limits(max_in_flight=2), RecordingTelemetry())
    admission.share_among(Tenants(lambda: {"shop": tenant}, max_share=1.0, clock=lambda: 0.0))

    with admission.admitted(9, BULK, "shop"):
        assert admission.excess_of_bytes("shop") is None
    with admission.admitted(10, BULK, "shop"):
        of_shop = admission.excess_of_bytes("shop")
        assert admission.excess_of_bytes() is None
        with admission.admitted(990, INTERACTIVE):
            of_all = admission.excess_of_bytes()

    assert of_shop
    assert of_all
    assert (of_shop.reason, of_all.reason) == (ShedReason.TENANT_BYTES, ShedReason.IN_FLIGHT_BYTES)


def test_to_ask_whether_there_is_room_takes_none_and_tells_nobody() -> None:
    telemetry = RecordingTelemetry()
    tenant = Tenant("shop", limits=TenantLimits(requests_per_s=1.0, burst=1.0))
    admission = Admission(limits(), telemetry)
    admission.share_among(Tenants(lambda: {"shop": tenant}, max_share=1.0, clock=lambda: 0.0))

    assert [admission.excess(INTERACTIVE, "shop") for _ in range(3)] == [None] * 3
    with admission.admitted(1, INTERACTIVE, "shop"):
        excess = admission.excess(INTERACTIVE, "shop")

    assert excess is not None
    assert excess.reason is ShedReason.TENANT_RATE
    assert not telemetry.sheds


def test_a_higher_limit_is_of_use_to_those_who_are_turned_away_unread() -> None:
    telemetry = RecordingTelemetry()
    admission = Admission(limits(), telemetry)
    with ExitStack() as under_way:
        for _ in range(16):
            under_way.enter_context(admission.admitted(1, INTERACTIVE))
        excess = admission.excess(INTERACTIVE)
        assert excess is not None

        refusal = admission.turn_away(excess, INTERACTIVE)
    for _ in range(16):
        admission.waited(0.0, INTERACTIVE)

    assert refusal.retry_after_s > 0
    assert telemetry.sheds == [ShedReason.LATENCY]
    assert telemetry.limits == [16, 17]
