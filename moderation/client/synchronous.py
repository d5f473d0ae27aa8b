"""The client for programs without asyncio: the same calls, and the same rules."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from contextvars import copy_context
from functools import partial
from typing import Self, TypeVar

import grpc

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
from moderation.client.stubs import Stub, new_stub
from moderation.client.throttle import NO_THROTTLE, Throttle, Throttles
from moderation.v1 import moderation_pb2 as pb

AnswerT = TypeVar("AnswerT")

RETRIES_AT_ONCE = 8


class ModerationClient:
    """Asks the moderation service at `address` (`host:port`); use it with `with`.

    Takes the same arguments as AsyncModerationClient. Several threads may share one.
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
        self._open_stub: Stub | None = None

    def __enter__(self) -> Self:
        """Open the channel; it connects with the first call. Raises TlsUnusable."""
        self._channel = _open_channel(self._address, self._credentials)
        self._open_stub = new_stub(self._channel)
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the channel, and cancel what still runs on it."""
        self._open_stub = None
        self._channel.close()

    def moderate(  # noqa: PLR0913 - each is an option of the request
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
            return self._moderate(request, Budget(self._timeout_s, request_id=request_id))
        except ServiceUnavailable as error:
            return self._posture.decision(error, request)

    def moderate_batch(
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
            response = self._call(partial(self._stub.ModerateBatch, batch), budget)
        except ServiceUnavailable as error:
            return [self._posture.result(error, request) for request in requests]
        answers = [*response.results, *[None] * len(requests)]
        rest = partial(Budget, budget.left_s(), request_id=budget.request_id)
        with ThreadPoolExecutor(RETRIES_AT_ONCE, "moderation-client") as pool:
            finishing = [
                pool.submit(copy_context().run, self._finish, request, answer, rest)
                for request, answer in zip(requests, answers, strict=False)
            ]
            return [one.result() for one in finishing]

    def moderate_stream(
        self,
        items: Iterable[Item],
        *,
        max_in_flight: int = 32,
        profile: str = "",
        policy_ids: Collection[str] = (),
        include_all_verdicts: bool = False,
        bulk: bool = True,
    ) -> Iterator[Result]:
        """Judge images as they come; one result for each, as soon as it is ready.

        Results come in any order and are known by their content id. At most
        `max_in_flight` items are taken from `items` ahead of their results. Each item is a
        call of its own in a thread of its own; all of them share one connection.
        """
        options = options_message(profile, policy_ids, include_all_verdicts, bulk=bulk)
        running: set[Future[Result]] = set()
        with ThreadPoolExecutor(max_in_flight, "moderation-client") as pool:
            for item in items:
                request = moderate_request(named(item), options)
                budget = Budget(self._timeout_s)
                # Each with what is the caller's context now, for the trace that is in it.
                running.add(pool.submit(copy_context().run, self._ask, request, budget))
                if len(running) >= max_in_flight:
                    ready, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (one.result() for one in ready)
            yield from (one.result() for one in as_completed(running))

    def list_policies(self) -> pb.ListPoliciesResponse:
        """The policies and profiles that are active now; raises ClientError."""
        return self._call(
            partial(self._stub.ListPolicies, pb.ListPoliciesRequest()), self._brief_budget()
        )

    def status(self) -> pb.GetStatusResponse:
        """What the service says of itself, also while it is not ready; raises ClientError."""
        return self._call(
            partial(self._stub.GetStatus, pb.GetStatusRequest()), self._brief_budget()
        )

    def _brief_budget(self) -> Budget:
        """For a question about the service itself: that it is gone is an answer."""
        return Budget(self._timeout_s, outage_share=0.0)

    @property
    def _stub(self) -> Stub:
        if self._open_stub is None:
            raise RuntimeError(
                "the client is not open; ask within `with ModerationClient(...) as client:`"
            )
        return self._open_stub

    def _finish(
        self,
        request: pb.ModerateRequest,
        answer: pb.ItemResult | None,
        new_budget: Callable[[], Budget],
    ) -> Result:
        budget = new_budget()
        outcome = self._posture.result_or_pause(answer, request, budget)
        if isinstance(outcome, Result):
            return outcome
        time.sleep(outcome)
        return self._ask(request, budget)

    def _ask(self, request: pb.ModerateRequest, budget: Budget) -> Result:
        try:
            return Result(request.content.content_id, self._moderate(request, budget))
        except ClientError as error:
            return self._posture.result(error, request)

    def _moderate(self, request: pb.ModerateRequest, budget: Budget) -> pb.Decision:
        bulk = request.options.priority == pb.PRIORITY_BULK
        call = partial(self._stub.Moderate, request)
        throttle = self._throttles.of(bulk=bulk)
        response = self._call(call, budget, throttle, bulk=bulk)
        return with_action(response.decision)

    def _call(
        self,
        call: Callable[..., AnswerT],
        budget: Budget,
        throttle: Throttle = NO_THROTTLE,
        *,
        bulk: bool = False,
    ) -> AnswerT:
        while True:
            try:
                return self._attempt(call, budget, throttle, bulk=bulk)
            except ClientError as error:
                pause_s = budget.pause_before_retry(error)
                if pause_s is None:
                    raise
                time.sleep(pause_s)
                if self._open_stub is None:  # closed meanwhile, by another thread
                    raise

    def _attempt(
        self,
        call: Callable[..., AnswerT],
        budget: Budget,
        throttle: Throttle,
        *,
        bulk: bool,
    ) -> AnswerT:
        metadata = self._caller.beside(budget.request_id, bulk=bulk)
        throttle.require_room(budget.request_id)
        try:
            answer = call(timeout=budget.left_s(), metadata=metadata)
        except grpc.RpcError as failure:
            error = error_from_rpc(failure, budget.request_id)
            throttle.answered(error)
            raise error from failure
        throttle.answered()
        return answer


def _open_channel(address: str, credentials: Credentials) -> grpc.Channel:
    security, options = channel_security(credentials), channel_options(credentials)
    if security is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, security, options=options)
