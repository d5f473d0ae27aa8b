"""`moderation client`: have pictures judged by a running server."""

import asyncio
from typing import Annotated, Literal

import typer

from moderation.cli.flags import (
    Address,
    AllVerdicts,
    ApiKeyFile,
    AsJson,
    Ca,
    Cert,
    Key,
    Pictures,
    PlainTextKey,
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
    api_key_file: ApiKeyFile = None,
    plain_text_key: PlainTextKey = False,
    timeout: Timeout = 10.0,
) -> int:
    """Have pictures judged by a running server."""
    found = find_pictures(pictures, tell_skipped=True)
    from moderation.cli.remote import Connection, api_key_of, judge_pictures, tls_of

    connection = Connection(
        address,
        timeout,
        on_unavailable,
        tls=tls_of(ca, cert, key, server_name),
        api_key=api_key_of(api_key_file),
        plain_text_key=plain_text_key,
    )

    return asyncio.run(
        judge_pictures(
            found,
            connection,
            profile=profile,
            all_verdicts=all_verdicts,
            as_json=as_json,
        )
    )
