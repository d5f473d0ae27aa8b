"""Turns a call away before its message is read, when there is no room for any such."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import grpc
from grpc.aio import ServerInterceptor

from moderation.adapters.grpc.access import SERVICE, VISIT
from moderation.adapters.grpc.interceptors import MaybeHandler
from moderation.adapters.grpc.unread import unread
from moderation.service.lanes import Priority
from moderation.service.moderator import Moderator

MODERATE = f"/{SERVICE}/Moderate"
"""The one method that carries one content."""
OF_SEVERAL = frozenset({f"/{SERVICE}/ModerateBatch", f"/{SERVICE}/ModerateStream"})
"""Whose items have an answer each, and come when there is a place. But all need room in memory."""
PRIORITY_KEY = "x-priority"
PRIORITY_BY_NAME = {priority.name.lower(): priority for priority in Priority}


class SheddingInterceptor(ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Refuses by metadata alone what the moderator would refuse, whatever it says or weighs.

    Put it behind the interceptor that knows the caller: each tenant has its own room. A tenant's
    that shows itself by a certificate is looked at when the message was read.
    """

    def __init__(self, moderator: Moderator) -> None:
        self._moderator = moderator

    async def intercept_service(  # type: ignore[override]  # the stub forgets unknown methods
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MaybeHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MaybeHandler:
        """The method's handler, or one that refuses."""
        method, tenant = handler_call_details.method, VISIT.get().caller.tenant.name
        priority, excess = Priority.BULK, None
        if method == MODERATE:
            priority = priority_in(handler_call_details.invocation_metadata or ())
            excess = self._moderator.excess(priority, tenant)
        elif method in OF_SEVERAL:
            excess = self._moderator.excess_of_bytes(tenant)
        if excess is None:
            return await continuation(handler_call_details)
        return unread(partial(self._moderator.turn_away, excess, priority, tenant))


def priority_in(metadata: Iterable[tuple[str, str | bytes]]) -> Priority:
    """What a call says of itself before its message is read: interactive unless it says bulk."""
    for name, value in metadata:
        if name == PRIORITY_KEY and isinstance(value, str):
            return PRIORITY_BY_NAME.get(value, Priority.INTERACTIVE)
    return Priority.INTERACTIVE
