"""Batches: nothing lost, doubled or mixed up, and nobody pays for another's failure."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

from moderation.core.errors import EncodingFailed, NotReady, Overloaded
from moderation.service.batching import Batched, Batcher
from moderation.service.outcomes import ShedReason
from tests.fakes import RecordingTelemetry
from tests.service.doubler import CULPRIT, Doubler, results


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2, "inference") as pool:
        yield pool


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()


@pytest.fixture
def telemetry() -> RecordingTelemetry:
    return RecordingTelemetry()


@pytest.fixture
def batcher(
    doubler: Doubler, executor: Executor, telemetry: RecordingTelemetry
) -> Batcher[int, int]:
    return Batcher(
        doubler, executor=executor, telemetry=telemetry, max_batch_size=4, max_queue_size=8
    )


async def started(*submissions: asyncio.Task[list[Batched[int]]]) -> None:
    """Let the tasks run until they wait for their results."""
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(submission.done() for submission in submissions)


async def test_an_idle_batcher_answers_at_once_and_in_order(
    batcher: Batcher[int, int], telemetry: RecordingTelemetry
) -> None:
    async with batcher:
        batched = await batcher.submit([1, 2, 3])

    assert results(batched) == [2, 4, 6]
    assert all(one.queue_s >= 0 and one.run_s >= 0 for one in batched)
    assert telemetry.batch_sizes == [3]
    assert telemetry.depths[:2] == [3, 0]


async def test_what_gathers_while_a_batch_runs_becomes_the_next_batches(
    batcher: Batcher[int, int], doubler: Doubler
) -> None:
    doubler.gate.close()
    async with batcher:
        first = asyncio.create_task(batcher.submit([0]))
        await doubler.gate.reached()
        others = [asyncio.create_task(batcher.submit([n, n + 1])) for n in (1, 3, 5)]
        await started(first, *others)
        doubler.gate.open()

        answers = [results(answer) for answer in await asyncio.gather(first, *others)]

    assert answers == [[0], [2, 4], [6, 8], [10, 12]]
    assert doubler.batches == [[0], [1, 2, 3, 4], [5, 6]]


async def test_only_the_culprit_of_a_failed_batch_fails(
    batcher: Batcher[int, int], doubler: Doubler
) -> None:
    doubler.gate.close()
    async with batcher:
        first = asyncio.create_task(batcher.submit([0]))
        await doubler.gate.reached()
        others = [asyncio.create_task(batcher.submit([n])) for n in (1, CULPRIT, 3)]
        await started(first, *others)
        doubler.gate.open()
        one, culprit, three = await asyncio.gather(*others, return_exceptions=True)
        afterwards = await batcher.submit([4])

    assert not isinstance(one, BaseException)
    assert not isinstance(three, BaseException)
    assert results(one) + results(three) + results(afterwards) == [2, 6, 8]
    assert isinstance(culprit, EncodingFailed)
    assert str(culprit) == "the encoder failed with RuntimeError"
    assert isinstance(culprit.__cause__, RuntimeError)
    assert doubler.batches == [[0], [1, CULPRIT, 3], [1], [CULPRIT], [3], [4]]


async def test_what_is_left_of_a_group_that_failed_is_not_encoded(
    batcher: Batcher[int, int], doubler: Doubler
) -> None:
    async with batcher:
        with pytest.raises(EncodingFailed):
            await batcher.submit([CULPRIT, 1, 2, 3, 4, 5, 6, 7])

    # One by one after the batch failed; the culprit came first, and nobody waits for the rest.
    assert doubler.batches[:2] == [[CULPRIT, 1, 2, 3], [CULPRIT]]
    assert len(doubler.batches) <= 3


async def test_a_full_device_overloads_the_whole_batch_at_once(
    executor: Executor, telemetry: RecordingTelemetry
) -> None:
    runs: list[Sequence[int]] = []

    def full(items: Sequence[int]) -> Sequence[int]:
        runs.append(items)
        raise Overloaded("no memory left", retry_after_s=2.0)

    batcher = Batcher[int, int](
        full, executor=executor, telemetry=telemetry, max_batch_size=4, max_queue_size=8
    )
    async with batcher:
        with pytest.raises(Overloaded, match="no memory left"):
            await batcher.submit([1, 2, 3])

    assert runs == [[1, 2, 3]]


async def test_an_encoding_failure_keeps_its_own_words(
    executor: Executor, telemetry: RecordingTelemetry
) -> None:
    def refuse(items: Sequence[int]) -> Sequence[int]:
        raise EncodingFailed(f"no unit vector for {len(items)}")

    batcher = Batcher(
        refuse, executor=executor, telemetry=telemetry, max_batch_size=4, max_queue_size=8
    )
    async with batcher:
        with pytest.raises(EncodingFailed, match="no unit vector for 1"):
            await batcher.submit([1])


@pytest.mark.parametrize("answer", [[], [1, 2, 3]])
async def test_too_few_or_many_results_fail_the_callers_and_not_the_loop(
    answer: list[int], executor: Executor, telemetry: RecordingTelemetry
) -> None:
    answers = [answer, answer, answer, [7]]
    batcher = Batcher[int, int](
        lambda _: answers.pop(0),
        executor=executor,
        telemetry=telemetry,
        max_batch_size=4,
        max_queue_size=8,
    )
    async with batcher:
        failed = await asyncio.gather(
            batcher.submit([1]), batcher.submit([2]), return_exceptions=True
        )
        afterwards = await batcher.submit([3])

    assert [type(one) for one in failed] == [EncodingFailed, EncodingFailed]
    assert results(afterwards) == [7]


async def test_items_of_callers_who_left_are_skipped_and_take_no_room_in_a_batch(
    batcher: Batcher[int, int], doubler: Doubler
) -> None:
    doubler.gate.close()
    async with batcher:
        first = asyncio.create_task(batcher.submit([0]))
        await doubler.gate.reached()
        leaving = asyncio.create_task(batcher.submit([1, 2]))
        staying = asyncio.create_task(batcher.submit([3, 4, 5, 6]))
        await started(first, leaving, staying)
        leaving.cancel()
        doubler.gate.open()
        answer = await staying
        with pytest.raises(asyncio.CancelledError):
            await leaving

    assert results(answer) == [6, 8, 10, 12]
    assert first.result()
    assert doubler.batches == [[0], [3, 4, 5, 6]]


async def test_a_caller_who_leaves_while_its_batch_runs_disturbs_nobody(
    batcher: Batcher[int, int], doubler: Doubler
) -> None:
    doubler.gate.close()
    async with batcher:
        leaving = asyncio.create_task(batcher.submit([0]))
        await doubler.gate.reached()
        leaving.cancel()
        staying = asyncio.create_task(batcher.submit([1]))
        await started(staying)
        doubler.gate.open()

        assert results(await staying) == [2]


@pytest.mark.parametrize("group", [[CULPRIT], [CULPRIT, 1]])
async def test_a_failure_that_nobody_waits_for_any_more_is_dropped(
    group: list[int], batcher: Batcher[int, int], doubler: Doubler
) -> None:
    unhandled: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    doubler.gate.close()

    async with batcher:
        leaving = asyncio.create_task(batcher.submit(group))
        await doubler.gate.reached()
        leaving.cancel()
        await asyncio.wait([leaving])
        doubler.gate.open()

    assert doubler.batches == [group]
    assert unhandled == []


async def test_a_full_queue_turns_newcomers_away_and_says_when_to_return(
    batcher: Batcher[int, int], doubler: Doubler, telemetry: RecordingTelemetry
) -> None:
    doubler.gate.close()
    async with batcher:
        running = asyncio.create_task(batcher.submit([0]))
        await doubler.gate.reached()
        waiting = asyncio.create_task(batcher.submit([1, 2, 3, 4, 5, 6]))
        await started(running, waiting)

        with pytest.raises(Overloaded, match="6 frames wait already") as caught:
            await batcher.submit([7, 8, 9])
        fitting = asyncio.create_task(batcher.submit([7, 8]))
        await started(running, waiting, fitting)
        doubler.gate.open()

        assert results(await fitting) == [14, 16]
    assert caught.value.retry_after_s > 0
    assert telemetry.sheds == [ShedReason.QUEUE_FULL]
    assert max(telemetry.depths) == 8
    assert results(waiting.result()) == [2, 4, 6, 8, 10, 12]


async def test_a_group_longer_than_the_queue_is_let_in_when_nothing_waits(
    batcher: Batcher[int, int],
) -> None:
    async with batcher:
        batched = await batcher.submit(range(14, 34))

    assert results(batched) == [2 * item for item in range(14, 34)]


async def test_no_items_are_no_results(batcher: Batcher[int, int]) -> None:
    async with batcher:
        assert await batcher.submit([]) == []


async def test_a_closed_batcher_takes_nothing(batcher: Batcher[int, int]) -> None:
    with pytest.raises(NotReady):
        await batcher.submit([1])
    async with batcher:
        pass
    with pytest.raises(NotReady):
        await batcher.submit([1])


async def test_closing_finishes_what_waits(batcher: Batcher[int, int], doubler: Doubler) -> None:
    doubler.gate.close()
    async with batcher:
        running = asyncio.create_task(batcher.submit([0]))
        await doubler.gate.reached()
        waiting = asyncio.create_task(batcher.submit([1, 2, 3, 4, 5]))
        await started(running, waiting)
        asyncio.get_running_loop().call_soon(doubler.gate.open)

    assert results(await running) == [0]
    assert results(await waiting) == [2, 4, 6, 8, 10]


async def test_a_stop_that_loses_its_patience_leaves_no_caller_waiting(
    batcher: Batcher[int, int], doubler: Doubler
) -> None:
    doubler.gate.close()
    await batcher.__aenter__()
    running = asyncio.create_task(batcher.submit([0]))
    await doubler.gate.reached()
    waiting = asyncio.create_task(batcher.submit([1]))
    await started(running, waiting)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await batcher.__aexit__(None, None, None)

    outcomes = await asyncio.gather(running, waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [NotReady, NotReady]
    doubler.gate.open()


async def test_as_many_batches_run_at_once_as_allowed(
    executor: Executor, telemetry: RecordingTelemetry
) -> None:
    both_running = threading.Barrier(2, timeout=10)

    def run(items: Sequence[int]) -> Sequence[int]:
        both_running.wait()
        return items

    batcher = Batcher(
        run,
        executor=executor,
        telemetry=telemetry,
        max_batch_size=1,
        max_queue_size=8,
        batches_in_flight=2,
    )
    async with batcher:
        batched = await batcher.submit([1, 2])

    assert results(batched) == [1, 2]
