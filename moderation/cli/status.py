"""`moderation status`: what a running server says of itself."""

import asyncio
from typing import Annotated

import typer

from moderation.cli.flags import (
    Address,
    ApiKeyFile,
    Ca,
    Cert,
    Key,
    PlainTextKey,
    ServerName,
    Timeout,
)


def status(
    address: Address = "127.0.0.1:50051",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = "",
    api_key_file: ApiKeyFile = None,
    plain_text_key: PlainTextKey = False,
    timeout: Timeout = 10.0,
) -> int:
    """Show what a running server says of itself; ends with 69 when it is not serving."""
    from moderation.cli.remote import Connection, api_key_of, show_status, tls_of

    connection = Connection(
        address,
        timeout,
        tls=tls_of(ca, cert, key, server_name),
        api_key=api_key_of(api_key_file),
        plain_text_key=plain_text_key,
    )
    return asyncio.run(show_status(connection, as_json=as_json))
