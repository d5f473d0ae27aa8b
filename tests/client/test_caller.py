"""A client shows who it is with every call, and never to whoever listens on the way."""

from itertools import count

import grpc
import pytest

from moderation.client import AsyncModerationClient, ModerationClient, Tls
from moderation.client.caller import AUTHORIZATION, is_of_this_machine
from moderation.v1 import moderation_pb2 as pb
from tests.client.scripted import (
    Connect,
    Context,
    ScriptedService,
    allow,
    connect_async,
    connect_sync,
    serving,
)

KEY = "mod_shop-1_abc"


@pytest.mark.parametrize(
    ("target", "is_here"),
    [
        ("127.0.0.1:50051", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("::1", True),
        ("unix:/run/moderation.sock", True),
        ("unix:///run/moderation.sock", True),
        ("ipv4:127.0.0.1:1,127.0.0.2:2", True),
        ("ipv6:[::1]:1", True),
        ("dns:///localhost:50051", True),
        ("dns:moderation.svc:50051", False),
        ("dns:///moderation.svc:50051", False),
        ("ipv4:127.0.0.1:1,10.0.0.2:2", False),
        ("10.0.0.1:50051", False),
        ("localhost.example:50051", False),
        ("[2001:db8::1]:50051", False),
        ("127.0.0.1.example:50051", False),
        ("xds:///127.0.0.1:1", False),
        ("", False),
        ("127.0.0.1\n:1", False),
    ],
)
def test_which_servers_are_on_this_machine(target: str, is_here: bool) -> None:
    assert is_of_this_machine(target) is is_here


@pytest.mark.parametrize("client", [ModerationClient, AsyncModerationClient])
def test_a_key_does_not_go_to_other_machines_in_plain_text(
    client: type[ModerationClient | AsyncModerationClient],
) -> None:
    with pytest.raises(ValueError, match=r"would go to moderation\.svc:1 in plain text") as caught:
        client("moderation.svc:1", api_key=KEY)

    assert KEY not in str(caught.value)
    client("moderation.svc:1")
    client("moderation.svc:1", token=KEY, plain_text_key=True)
    client("moderation.svc:1", api_key=KEY, credentials=Tls())
    client("127.0.0.1:1", api_key=lambda: KEY)


@pytest.mark.parametrize("secret", ["with space", "with\nbreak", "ümlaut", "with\x00null"])
def test_what_cannot_be_sent_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(ValueError, match="must be printable ASCII without spaces") as caught:
        ModerationClient("127.0.0.1:1", api_key=secret)

    assert secret not in str(caught.value)


def test_a_call_shows_one_credential() -> None:
    with pytest.raises(ValueError, match="one credential"):
        ModerationClient("127.0.0.1:1", api_key=KEY, token=KEY)


@pytest.mark.parametrize("connect", [connect_async, connect_sync])
@pytest.mark.parametrize("option", ["api_key", "token"])
async def test_every_call_shows_the_key(connect: Connect, option: str) -> None:
    service = ScriptedService()
    async with serving(service) as address, connect(address, **{option: f"{KEY}\n"}) as client:
        await client.moderate(b"a picture")

    assert service.metadata[AUTHORIZATION] == f"Bearer {KEY}"


@pytest.mark.parametrize("connect", [connect_async, connect_sync])
async def test_each_attempt_asks_anew_for_what_may_have_changed(connect: Connect) -> None:
    shown: list[str] = []
    numbers = count(1)

    async def refuse_once(content: pb.Content, context: Context) -> pb.Decision:
        metadata = dict(context.invocation_metadata() or ())
        shown.append(str(metadata[AUTHORIZATION]))
        if len(shown) == 1:
            await context.abort(grpc.StatusCode.CANCELLED, "scripted")
        return await allow(content, context)

    service = ScriptedService(refuse_once)
    async with (
        serving(service) as address,
        connect(address, token=lambda: f"token-{next(numbers)}") as client,
    ):
        await client.moderate(b"a picture")

    assert shown == ["Bearer token-1", "Bearer token-2"]


def test_no_representation_shows_the_key() -> None:
    client = ModerationClient("127.0.0.1:1", api_key=KEY)

    assert KEY not in repr(vars(client))
