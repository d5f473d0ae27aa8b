"""`moderation status`: what a running server says of itself."""

import asyncio
from typing import Annotated

import typer

from moderation.cli.flags import Address, Ca, Cert, Key, ServerName, Timeout


def status(
    address: Address = "127.0.0.1:50051",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    server_name: ServerName = "",
    timeout: Timeout = 10.0,
) -> int:
    """Show what a running server says of itself; ends with 69 when it is not serving."""
    from moderation.cli.remote import Connection, show_status, tls_of

    tls = tls_of(ca, cert, key, server_name)
    return asyncio.run(show_status(Connection(address, timeout, tls=tls), as_json=as_json))
