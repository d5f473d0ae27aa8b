"""The client library: asks a moderation service, and always comes back with an action.

    async with AsyncModerationClient("127.0.0.1:50051") as client:
        decision = await client.moderate(image)
        if Action(decision.action) is Action.ALLOW:
            publish(image)

`ModerationClient` is the same without asyncio. Answers are the wire's own messages,
`moderation.v1.moderation_pb2.Decision` and its like, described in the proto file.

What the client does by itself: it sets a deadline on every call; it tries again, for half
of that time, while the server cannot be reached, and when an overloaded one says after
what time; and when there is no answer in the end, it makes a Decision by the posture
`on_unavailable`, so that a pipeline is never without an action. Such a Decision has no
decision id and the failure code FAILURE_CODE_SERVICE_UNAVAILABLE. What only the caller
can mend is raised.
"""

from moderation.client.asynchronous import AsyncModerationClient
from moderation.client.errors import CallRefused, ClientError, InvalidRequest, ServiceUnavailable
from moderation.client.messages import Item, Result
from moderation.client.posture import Action
from moderation.client.synchronous import ModerationClient
from moderation.client.tls import Tls, TlsUnusable

__all__ = [
    "Action",
    "AsyncModerationClient",
    "CallRefused",
    "ClientError",
    "InvalidRequest",
    "Item",
    "ModerationClient",
    "Result",
    "ServiceUnavailable",
    "Tls",
    "TlsUnusable",
]
