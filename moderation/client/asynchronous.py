"""The client for asyncio."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Sequence,
)
from contextlib import aclosing
from functools import partial
from typing import Self, TypeVar
from uuid import uuid4

import grpc
import grpc.aio

from moderation.client.budget import Budget, checked_timeout_s
from moderation.client.caller import Secret, caller_for
from moderation.client.channel import Credentials, channel_options, channel_security
from moderation.client.errors import ClientError, ServiceUnavailable, error_from_rpc
from moderation.client.messages import (
    Item,
    Result,
    batch_request,
    moderate_request,
    named,
    options_message,
)
from moderation.client.posture import Action, Posture, with_action
from moderation.client.streaming import SharedStream, as_judged
from moderation.client.stubs import AsyncStub, new_async_stub
from moderation.client.throttle import NO_THROTTLE, Throttle, Throttles
from moderation.v1 import moderation_pb2 as pb

AnswerT = TypeVar("AnswerT")


class AsyncModerationClient:
    """Asks the moderation service at `address` (`host:port`); use it with `async with`.

    `timeout_s` is the deadline of one request, all retries included; while the service
    cannot be reached, half of it is spent on asking again. `on_unavailable` is the action
    for content that the service gave no answer on: REVIEW unless you say otherwise.
    Without `credentials`, a `Tls` or gRPC's own, the connection is plain text. `metadata` goes
    with every call. `api_key`, or `token` for one of an issuer, says who calls: a text, or
    what is asked for it before each call. Neither goes to another machine in plain text, unless
    `plain_text_key` says that something else encrypts the way there. While the service turns most
    requests away, part of them is not sent but ends as if it had been turned away too, unless
    `throttle` is False.
    """

    def __init__(  # noqa: PLR0913 - each is an option of the client
        self,
        address: str,
        *,
        on_unavailable: Action = Action.REVIEW,
        timeout_s: float = 10.0,
        credentials: Credentials = None,
        metadata: Sequence[tuple[str, str]] = (),
        api_key: Secret = "",
        token: Secret = "",
        plain_text_key: bool = False,
        throttle: bool = True,
    ) -> None:
        self._address = address
        self._posture = Posture.for_action(on_unavailable)
        self._timeout_s = checked_timeout_s(timeout_s)
        self._throttles = Throttles(is_on=throttle)
        self._credentials = credentials
        self._caller = caller_for(
            address,
            credentials,
            metadata=metadata,
            api_key=api_key,
            token=token,
            plain_text_key=plain_text_key,
        )
        self._open_stub: AsyncStub | None = None

    async def __aenter__(self) -> Self:
        """Open the channel; it connects with the first call. Raises TlsUnusable."""
        self._channel = _open_channel(self._address, self._credentials)
        self._open_stub = new_async_stub(self._channel)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close the channel, and cancel what still runs on it."""
        self._open_stub = None
        await self._channel.close(None)

    async def moderate(  # noqa: PLR0913 - each is an option of the request
        self,
        image: bytes = b"",
        *,
        uri: str = "",
        content_id: str = "",
        profile: str = "",
        policy_ids: Collection[str] = (),
        include_all_verdicts: bool = False,
        bulk: bool = False,
        request_id: str = "",
    ) -> pb.Decision:
        """Judge one image, or the one that the service fetches from `uri`.

        `request_id` is what the service's log names, random if not given. What is `bulk`
        lets others go first.

        Raises InvalidRequest or CallRefused; anything else that goes wrong becomes a
        Decision by the posture.
        """
        options = options_message(profile, policy_ids, include_all_verdicts, bulk=bulk)
        request = moderate_request(Item(image, content_id, uri), options)
        try:
            return await self._moderate(request, Budget(self._timeout_s, request_id=request_id))
        except ServiceUnavailable as error:
            return self._posture.decision(error, request)

    async def moderate_batch(
        self,
        items: Iterable[Item],
        *,
        profile: str = "",
        policy_ids: Collection[str] = (),
        include_all_verdicts: bool = False,
        bulk: bool = True,
    ) -> list[Result]:
        """Judge several images in one call; one result for each, in the same order.

        The service bounds a batch in number and bytes (64 MiB); `moderate_stream` has no
        such bound. Raises InvalidRequest or CallRefused if the batch as a whole is refused.
        """
        options = options_message(profile, policy_ids, include_all_verdicts, bulk=bulk)
        sent = [named(item) for item in items]
        requests = [moderate_request(item, options) for item in sent]
        budget = Budget(self._timeout_s)
        try:
            batch = batch_request(sent, options)
            response = await self._call(partial(self._stub.ModerateBatch, batch), budget)
        except ServiceUnavailable as error:
            return [self._posture.result(error, request) for request in requests]
        answers = [*response.results, *[None] * len(requests)]
        left_s = budget.left_s()
        return await asyncio.gather(
            *(
                self._finish(request, answer, Budget(left_s, request_id=budget.request_id))
                for request, answer in zip(requests, answers, strict=False)
            )
        )

    async def moderate_stream(
        self,
        items: AsyncIterable[Item] | Iterable[Item],
        *,
        max_in_flight: int = 32,
        profile: str = "",
        policy_ids: Collection[str] = (),
        include_all_verdicts: bool = False,
        bulk: bool = True,
    ) -> AsyncGenerator[Result, None]:
        """Judge images as they come; one result for each, as soon as it is ready.

        Results come in any order and are known by their content id. At most
        `max_in_flight` items are taken from `items` ahead of the results that were taken
        from here, so neither a slow service nor a slow reader fills the memory. Each item
        has `timeout_s` of its own. Items that a broken stream left without an answer are
        asked for again, each in a call of its own, before the posture decides.
        """
        options = options_message(profile, policy_ids, include_all_verdicts, bulk=bulk)
        streams = _Streams(self._open_stream)

        async def judge(item: Item) -> Result:
            return await self._judge_on(streams, moderate_request(named(item), options))

        try:
            async with aclosing(as_judged(judge, items, max_in_flight=max_in_flight)) as results:
                async for result in results:
                    yield result
        finally:
            await streams.close()

    async def list_policies(self) -> pb.ListPoliciesResponse:
        """The policies and profiles that are active now; raises ClientError."""
        request = pb.ListPoliciesRequest()
        return await self._call(partial(self._stub.ListPolicies, request), self._brief_budget())

    async def status(self) -> pb.GetStatusResponse:
        """What the service says of itself, also while it is not ready; raises ClientError."""
        request = pb.GetStatusRequest()
        return await self._call(partial(self._stub.GetStatus, request), self._brief_budget())

    def _brief_budget(self) -> Budget:
        """For a question about the service itself: that it is gone is an answer."""
        return Budget(self._timeout_s, outage_share=0.0)

    @property
    def _stub(self) -> AsyncStub:
        if self._open_stub is None:
            raise RuntimeError(
                "the client is not open; "
                "ask within `async with AsyncModerationClient(...) as client:`"
            )
        return self._open_stub

    def _open_stream(self) -> SharedStream:
        request_id = uuid4().hex
        metadata = self._caller.beside(request_id)
        return SharedStream(self._stub.ModerateStream(metadata=metadata), request_id)

    async def _judge_on(self, streams: "_Streams", request: pb.ModerateRequest) -> Result:
        stream = streams.current()
        budget = Budget(self._timeout_s, request_id=stream.request_id)
        streamed = pb.ModerateStreamRequest(content=request.content, options=request.options)
        try:
            async with asyncio.timeout(budget.left_s()):
                answer = await stream.ask(streamed)
        except TimeoutError:
            late = f"no answer on the stream within {self._timeout_s} s"
            error = ServiceUnavailable(
                grpc.StatusCode.DEADLINE_EXCEEDED, late, request_id=stream.request_id
            )
            return self._posture.result(error, request)
        return await self._finish(request, answer, budget)

    async def _finish(
        self, request: pb.ModerateRequest, answer: pb.ItemResult | None, budget: Budget
    ) -> Result:
        outcome = self._posture.result_or_pause(answer, request, budget)
        if isinstance(outcome, Result):
            return outcome
        await asyncio.sleep(outcome)
        try:
            return Result(request.content.content_id, await self._moderate(request, budget))
        except ClientError as error:
            return self._posture.result(error, request)

    async def _moderate(self, request: pb.ModerateRequest, budget: Budget) -> pb.Decision:
        bulk = request.options.priority == pb.PRIORITY_BULK
        call = partial(self._stub.Moderate, request)
        throttle = self._throttles.of(bulk=bulk)
        response = await self._call(call, budget, throttle, bulk=bulk)
        return with_action(response.decision)

    async def _call(
        self,
        call: Callable[..., Awaitable[AnswerT]],
        budget: Budget,
        throttle: Throttle = NO_THROTTLE,
        *,
        bulk: bool = False,
    ) -> AnswerT:
        while True:
            try:
                return await self._attempt(call, budget, throttle, bulk=bulk)
            except ClientError as error:
                pause_s = budget.pause_before_retry(error)
                if pause_s is None:
                    raise
            await asyncio.sleep(pause_s)

    async def _attempt(
        self,
        call: Callable[..., Awaitable[AnswerT]],
        budget: Budget,
        throttle: Throttle,
        *,
        bulk: bool,
    ) -> AnswerT:
        metadata = self._caller.beside(budget.request_id, bulk=bulk)
        throttle.require_room(budget.request_id)
        try:
            answer = await call(timeout=budget.left_s(), metadata=metadata)
        except grpc.aio.AioRpcError as failure:
            error = error_from_rpc(failure, budget.request_id)
            throttle.answered(error)
            raise error from failure
        throttle.answered()
        return answer


class _Streams:
    """The stream that is open now; a new one takes the place of one that broke."""

    def __init__(self, open_stream: Callable[[], SharedStream]) -> None:
        self._open_stream = open_stream
        self._stream: SharedStream | None = None

    def current(self) -> SharedStream:
        if self._stream is None or self._stream.is_broken:
            self._stream = self._open_stream()
        return self._stream

    async def close(self) -> None:
        if self._stream is not None:
            await self._stream.close()


def _open_channel(address: str, credentials: Credentials) -> grpc.aio.Channel:
    security, options = channel_security(credentials), channel_options(credentials)
    if security is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, security, options=options)
