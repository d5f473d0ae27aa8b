"""The stream of the asynchronous client, under good and bad luck."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import grpc
import pytest

from moderation.client import Action, AsyncModerationClient, InvalidRequest, Item, Result
from moderation.v1 import moderation_pb2 as pb
from tests.client.scripted import Context, ScriptedService, a_decision, duration, failing, serving

Requests = AsyncIterator[pb.ModerateStreamRequest]
Responses = AsyncIterator[pb.ModerateStreamResponse]


class StreamingService(ScriptedService):
    """Answers its n-th ModerateStream by the n-th script, and the rest by the last one."""

    def __init__(self, *scripts: Callable[[Requests, Context], Responses]) -> None:
        super().__init__()
        self.scripts = list(scripts)
        self.streams = 0
        self.received: list[str] = []
        self.priorities: list[int] = []
        self.ended = asyncio.Event()

    async def ModerateStream(self, requests: Requests, context: Context) -> Responses:
        script = self.scripts[min(self.streams, len(self.scripts) - 1)]
        self.streams += 1
        try:
            async for response in script(self._noted(requests), context):
                yield response
        finally:
            self.ended.set()

    async def _noted(self, requests: Requests) -> Requests:
        async for request in requests:
            self.received.append(request.content.content_id)
            self.priorities.append(request.options.priority)
            yield request


def answer(content_id: str) -> pb.ModerateStreamResponse:
    result = pb.ItemResult(content_id=content_id, decision=a_decision(content_id))
    return pb.ModerateStreamResponse(result=result)


def answer_error(content_id: str, error: pb.ItemError) -> pb.ModerateStreamResponse:
    return pb.ModerateStreamResponse(result=pb.ItemResult(content_id=content_id, error=error))


async def echo(requests: Requests, context: Context) -> Responses:
    async for request in requests:
        yield answer(request.content.content_id)


def items(count: int) -> list[Item]:
    return [Item(b"image", str(number)) for number in range(count)]


async def streamed(
    service: StreamingService, sent: list[Item], *, timeout_s: float = 10.0
) -> list[Result]:
    async with (
        serving(service) as address,
        AsyncModerationClient(address, timeout_s=timeout_s) as client,
    ):
        return [result async for result in client.moderate_stream(sent)]


async def test_a_stream_is_work_in_bulk_unless_it_says_otherwise() -> None:
    service = StreamingService(echo)

    async with serving(service) as address, AsyncModerationClient(address) as client:
        for bulk in (True, False):
            async for _ in client.moderate_stream(items(1), bulk=bulk):
                pass

    assert service.priorities == [pb.PRIORITY_BULK, pb.PRIORITY_INTERACTIVE]


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what another task is about to bring about."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what is waited for knows of no event
            await asyncio.sleep(0.005)


async def test_every_item_gets_its_own_decision() -> None:
    service = StreamingService(echo)

    results = await streamed(service, items(100))

    assert {result.content_id: result.decision for result in results} == {
        str(number): a_decision(str(number)) for number in range(100)
    }
    assert service.streams == 1
    assert service.requests == []


async def test_answers_are_matched_however_late_they_come() -> None:
    async def backwards(requests: Requests, context: Context) -> Responses:
        taken = [(await anext(requests)).content.content_id for _ in range(3)]
        for content_id in reversed(taken):
            yield answer(content_id)

    results = await streamed(StreamingService(backwards), items(3))

    assert [result.content_id for result in results] == ["2", "1", "0"]
    assert all(result.decision.content_id == result.content_id for result in results)


async def test_items_without_a_name_get_one() -> None:
    results = await streamed(StreamingService(echo), [Item(b"image"), Item(b"image")])

    assert len({result.content_id for result in results}) == 2


async def test_items_of_one_name_are_each_answered_with_their_own_decision() -> None:
    async def by_image(requests: Requests, context: Context) -> Responses:
        async for request in requests:
            response = answer(request.content.content_id)
            response.result.decision.decision_id = request.content.image.decode()
            yield response

    results = await streamed(StreamingService(by_image), [Item(b"x", "a"), Item(b"y", "a")])

    assert [result.decision.decision_id for result in results] == ["x", "y"]


async def test_a_slow_service_holds_the_items_back() -> None:
    taken: list[str] = []
    go_on = asyncio.Event()

    async def source() -> AsyncIterator[Item]:
        for item in items(20):
            taken.append(item.content_id)
            yield item

    async def when_told(requests: Requests, context: Context) -> Responses:
        async for request in requests:
            await go_on.wait()
            yield answer(request.content.content_id)

    service = StreamingService(when_told)
    async with serving(service) as address, AsyncModerationClient(address) as client:
        results = client.moderate_stream(source(), max_in_flight=4)
        first = asyncio.ensure_future(anext(results))
        await until(lambda: bool(service.received))
        taken_ahead = len(taken)
        go_on.set()
        rest = [await first, *[result async for result in results]]

    assert taken_ahead <= 4
    assert len(rest) == 20


async def test_a_slow_reader_holds_the_items_back() -> None:
    taken: list[str] = []

    async def source() -> AsyncIterator[Item]:
        for item in items(20):
            taken.append(item.content_id)
            yield item

    service = StreamingService(echo)
    async with (
        serving(service) as address,
        AsyncModerationClient(address) as client,
        aclosing(client.moderate_stream(source(), max_in_flight=4)) as results,
    ):
        await anext(results)
        await until(lambda: len(service.received) == 4)
        await client.status()  # one more round trip, in which more items could be taken

        assert len(taken) == 4


async def test_an_answer_is_handed_on_while_the_source_is_silent() -> None:
    async def source() -> AsyncIterator[Item]:
        yield Item(b"image", "first")
        await asyncio.Event().wait()

    service = StreamingService(echo)
    async with (
        serving(service) as address,
        AsyncModerationClient(address) as client,
        aclosing(client.moderate_stream(source())) as results,
    ):
        first = await anext(results)

    assert first.content_id == "first"


async def test_a_refused_item_never_ends_the_stream() -> None:
    async def refuse_odd(requests: Requests, context: Context) -> Responses:
        async for request in requests:
            content_id = request.content.content_id
            refused = pb.ItemError(code=3, message="is empty", field="content.image")
            odd = int(content_id) % 2
            yield answer_error(content_id, refused) if odd else answer(content_id)

    results = await streamed(StreamingService(refuse_odd), items(10))

    refusals = {result.content_id: result.error for result in results if result.error}
    assert refusals.keys() == {"1", "3", "5", "7", "9"}
    assert all(isinstance(error, InvalidRequest) for error in refusals.values())


async def test_an_item_that_was_turned_away_is_asked_for_again_when_told() -> None:
    async def full(requests: Requests, context: Context) -> Responses:
        async for request in requests:
            busy = pb.ItemError(code=8, message="full", retry_after=duration(0.05))
            yield answer_error(request.content.content_id, busy)

    service = StreamingService(full)
    results = await streamed(service, items(3))

    assert [Action(result.decision.action) for result in results] == [Action.ALLOW] * 3
    assert len(service.requests) == 3


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, None], ids=["with-an-error", "quietly"])
async def test_what_a_broken_stream_left_open_is_asked_for_again(
    code: grpc.StatusCode | None,
) -> None:
    async def break_after_two(requests: Requests, context: Context) -> Responses:
        for _ in range(2):
            yield answer((await anext(requests)).content.content_id)
        await anext(requests)
        if code is not None:
            await context.abort(code, "scripted")

    service = StreamingService(break_after_two, echo)
    results = await streamed(service, items(40))

    assert {result.content_id for result in results} == {str(number) for number in range(40)}
    assert {Action(result.decision.action) for result in results} == {Action.ALLOW}
    assert service.streams >= 2


async def test_what_nobody_answers_after_a_break_gets_the_posture() -> None:
    async def break_at_once(requests: Requests, context: Context) -> Responses:
        yield answer((await anext(requests)).content.content_id)
        await context.abort(grpc.StatusCode.INTERNAL, "scripted")

    service = StreamingService(break_at_once)
    service.steps = [failing(grpc.StatusCode.INTERNAL, "still broken")]
    results = await streamed(service, items(5))

    actions = [result.decision.action for result in results]
    assert len(actions) == 5
    assert actions.count(pb.ACTION_REVIEW) == 5 - actions.count(pb.ACTION_ALLOW)
    assert pb.ACTION_REVIEW in actions


async def test_an_item_without_an_answer_gets_the_posture_and_the_others_theirs() -> None:
    async def forgetful(requests: Requests, context: Context) -> Responses:
        async for request in requests:
            if request.content.content_id != "1":
                yield answer(request.content.content_id)

    results = await streamed(StreamingService(forgetful), items(4), timeout_s=0.3)

    by_id = {result.content_id: result.decision for result in results}
    assert {name for name, decision in by_id.items() if decision.action == pb.ACTION_ALLOW} == {
        "0",
        "2",
        "3",
    }
    assert by_id["1"].failure.code == pb.FAILURE_CODE_SERVICE_UNAVAILABLE
    assert "DEADLINE_EXCEEDED" in by_id["1"].failure.message


async def test_a_late_answer_is_not_taken_for_that_of_the_next_item_of_the_name() -> None:
    late = asyncio.Event()

    async def source() -> AsyncIterator[Item]:
        yield Item(b"first", "a")
        await late.wait()
        yield Item(b"second", "a")

    async def only_the_late_one(requests: Requests, context: Context) -> Responses:
        await anext(requests)
        await late.wait()
        response = answer("a")
        response.result.decision.decision_id = "of the first"
        yield response
        await anext(requests, None)

    service = StreamingService(only_the_late_one)
    decisions = []
    async with (
        serving(service) as address,
        AsyncModerationClient(address, timeout_s=0.3) as client,
    ):
        async for result in client.moderate_stream(source()):
            decisions.append(result.decision)
            late.set()

    assert decisions[0].failure.code == pb.FAILURE_CODE_SERVICE_UNAVAILABLE
    assert decisions[1] == a_decision("a")


async def test_a_source_that_fails_is_told_after_the_answers_to_what_it_gave() -> None:
    async def source() -> AsyncIterator[Item]:
        yield Item(b"image", "first")
        raise OSError("the disk is gone")

    async with serving(StreamingService(echo)) as address, AsyncModerationClient(address) as client:
        results = client.moderate_stream(source())
        first = await anext(results)
        with pytest.raises(OSError, match="the disk is gone"):
            await anext(results)

    assert first.content_id == "first"


async def test_leaving_early_ends_the_stream() -> None:
    service = StreamingService(echo)

    async with serving(service) as address, AsyncModerationClient(address) as client:
        async with aclosing(client.moderate_stream(items(100), max_in_flight=2)) as results:
            await anext(results)

        await asyncio.wait_for(service.ended.wait(), 5)
        assert len(service.received) < 100
