"""`moderation client`: have pictures judged by a running server."""

import asyncio
from typing import Annotated, Literal

import typer

from moderation.cli.flags import (
    Address,
    AllVerdicts,
    AsJson,
    Ca,
    Cert,
    Key,
    Pictures,
    Profile,
    ServerName,
    Timeout,
)
from moderation.cli.pictures import find_pictures


def client(
    pictures: Pictures,
    address: Address = "127.0.0.1:50051",
    profile: Profile = "",
    all_verdicts: AllVerdicts = False,
    as_json: AsJson = False,
    on_unavailable: Annotated[
        Literal["allow", "review", "block"],
        typer.Option(help="Decision on a picture that the server gives no answer on."),
    ] = "review",
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = "",
    timeout: Timeout = 10.0,
) -> int:
    """Have pictures judged by a running server."""
    found = find_pictures(pictures, tell_skipped=True)
    from moderation.cli.remote import Connection, judge_pictures, tls_of

    return asyncio.run(
        judge_pictures(
            found,
            Connection(address, timeout, on_unavailable, tls_of(ca, cert, key, server_name)),
            profile=profile,
            all_verdicts=all_verdicts,
            as_json=as_json,
        )
    )
