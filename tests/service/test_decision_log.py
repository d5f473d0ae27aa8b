"""Every decision is recorded before it is answered, and a disk that fails is told."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from moderation.core.content import content_digest
from moderation.core.decision import Options
from moderation.core.errors import DeadlineExceeded, FailureCode, NotReady
from moderation.service.decision_log import DecisionRecorder
from moderation.service.request_context import RequestContext, work_for
from tests.builders import NOON, a_content, a_judgement
from tests.fakes import FakeRecordStore, RecordingTelemetry, embedding_of
from tests.service.engine import running_engine

OFTEN_S = 0.001
SELDOM_S = 3600.0


@asynccontextmanager
async def recording(
    store: FakeRecordStore,
    telemetry: RecordingTelemetry | None = None,
    *,
    mandatory: bool = False,
    tend_every_s: float = SELDOM_S,
    max_waiting: int = 8,
) -> AsyncIterator[DecisionRecorder]:
    with ThreadPoolExecutor(1) as executor:
        async with DecisionRecorder(
            store,
            telemetry=telemetry or RecordingTelemetry(),
            executor=executor,
            clock=lambda: NOON,
            mandatory=mandatory,
            tend_every_s=tend_every_s,
            max_waiting=max_waiting,
        ) as recorder:
            yield recorder


async def test_what_waits_is_written_in_one_go() -> None:
    store, telemetry = FakeRecordStore(), RecordingTelemetry()
    judgements = [a_judgement(f"upload-{number}") for number in range(5)]

    async with recording(store, telemetry) as recorder:
        store.gate.close()
        first = asyncio.create_task(recorder.append(judgements[0]))
        await store.gate.reached()
        others = [asyncio.create_task(recorder.append(one)) for one in judgements[1:]]
        await asyncio.sleep(0)
        assert recorder.waiting == 4
        assert not first.done()
        store.gate.open()
        await asyncio.gather(first, *others)

    assert store.batches == [judgements[:1], judgements[1:]]
    assert telemetry.recorded == [1, 4]
    assert (recorder.status.records, recorder.waiting) == (5, 0)


async def test_whoever_went_away_costs_the_others_nothing() -> None:
    store = FakeRecordStore()

    async with recording(store) as recorder:
        store.gate.close()
        gone = asyncio.create_task(recorder.append(a_judgement("gone")))
        await store.gate.reached()
        gone.cancel()
        stays = asyncio.create_task(recorder.append(a_judgement("stays")))
        store.gate.open()
        await stays

    assert [one.decision.content_id for batch in store.batches for one in batch] == [
        "gone",
        "stays",
    ]


async def test_a_full_disk_costs_no_answer_and_is_told_in_the_log_when_it_has_room() -> None:
    store, telemetry = FakeRecordStore(), RecordingTelemetry()
    store.full = True

    async with recording(store, telemetry) as recorder:
        await recorder.append(a_judgement())
        await recorder.append(a_judgement())
        failing = recorder.status
        store.full = False
        await recorder.append(a_judgement())
        await recorder.append(a_judgement())

    assert (failing.lost, failing.failing_since) == (2, NOON)
    assert "No space left on device" in failing.problem
    assert len(telemetry.recording_failures) == len(telemetry.unrecorded) == 2
    assert store.lost == [2, 0]
    assert (recorder.status.problem, recorder.status.failing_since) == ("", None)
    assert (recorder.status.records, recorder.status.lost) == (2, 2)


async def test_without_a_record_there_is_no_answer_where_records_are_mandatory() -> None:
    store, telemetry = FakeRecordStore(), RecordingTelemetry()
    store.full = True

    async with recording(store, telemetry, mandatory=True) as recorder:
        with pytest.raises(NotReady, match="cannot be recorded"):
            await recorder.append(a_judgement())
        store.full = False
        await recorder.append(a_judgement())

    assert recorder.status.mandatory
    assert (recorder.status.lost, store.lost, telemetry.unrecorded) == (0, [0], [])


@pytest.mark.case(96)
async def test_no_more_wait_than_there_is_room_for() -> None:
    store, telemetry = FakeRecordStore(), RecordingTelemetry()

    async with recording(store, telemetry, max_waiting=1) as recorder:
        store.gate.close()
        first = asyncio.create_task(recorder.append(a_judgement()))
        await store.gate.reached()
        second = asyncio.create_task(recorder.append(a_judgement()))
        await asyncio.sleep(0)
        await recorder.append(a_judgement("too many"))
        store.gate.open()
        await asyncio.gather(first, second)

    assert telemetry.unrecorded == ["1 records wait to be written"]
    assert store.lost == [0, 1]


async def test_the_store_is_tended_while_nothing_is_written_and_may_fail_at_it() -> None:
    store, telemetry = FakeRecordStore(), RecordingTelemetry()
    store.fails_to_tend = True

    async with recording(store, telemetry, tend_every_s=OFTEN_S) as recorder:
        store.tending.close()
        await store.tending.reached()
        store.tending.open()
        await recorder.append(a_judgement())

    assert "OSError: [Errno 5] Input/output error" in telemetry.recording_failures
    assert len(store.batches) == 1


async def test_a_recorder_that_never_started_ends() -> None:
    with ThreadPoolExecutor(1) as executor:
        recorder = DecisionRecorder(
            FakeRecordStore(),
            telemetry=RecordingTelemetry(),
            executor=executor,
            clock=lambda: NOON,
            mandatory=False,
        )
        await recorder.__aexit__(None, None, None)

    assert recorder.status.records == 0


async def test_the_moderator_records_decisions_of_every_kind_before_it_answers() -> None:
    store = FakeRecordStore()

    work_for(RequestContext("request-7", "0af7651916cd43dd8448eb211c80319c"))
    async with recording(store) as recorder, running_engine(decision_log=recorder) as engine:
        judged = await engine.moderator.moderate(a_content(b"a gun"), Options(), tenant="shop")
        refused = await engine.moderator.moderate(a_content(b"broken"), Options())

    first, second = (one for batch in store.batches for one in batch)
    assert (first.decision, first.tenant) == (judged, "shop")
    assert (first.request_id, second.request_id) == ("request-7", "request-7")
    assert first.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert first.content_digest == content_digest(b"a gun")
    assert first.embeddings is not None
    assert first.embeddings[0] == pytest.approx(embedding_of("a gun"))
    assert second.decision == refused
    assert second.decision.failure is not None
    assert second.decision.failure.code is FailureCode.NOT_AN_IMAGE
    assert second.embeddings is None


@pytest.mark.case(96)
async def test_a_disk_that_hangs_ends_in_the_deadline() -> None:
    store = FakeRecordStore()

    async with recording(store) as recorder, running_engine(decision_log=recorder) as engine:
        store.gate.close()
        with pytest.raises(DeadlineExceeded):
            await engine.moderator.moderate(a_content(), Options(), within_s=0.1)
        assert engine.telemetry.decisions == []
        store.gate.open()


async def test_an_end_waits_for_what_is_being_written() -> None:
    store = FakeRecordStore()
    store.gate.close()

    async with recording(store) as recorder:
        asking = asyncio.create_task(recorder.append(a_judgement()))
        await store.gate.reached()
        asyncio.get_running_loop().call_later(0.01, store.gate.open)

    await asking
    assert recorder.status.records == 1
