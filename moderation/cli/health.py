"""`moderation health`: whether the server on this machine is ready, for whatever supervises it."""

from http.client import HTTPConnection, HTTPException
from typing import Annotated

import typer

from moderation.cli.asking import why_not
from moderation.cli.exits import CommandError, Exit
from moderation.cli.flags import Config
from moderation.cli.output import say
from moderation.settings import load_settings, reachable_here


def health(
    address: Annotated[
        str,
        typer.Option(
            "--metrics-address",
            help="host:port of its metrics.",
            show_default="as the settings say",
        ),
    ] = "",
    timeout: Annotated[float, typer.Option("--timeout", min=0.001, help="Seconds.")] = 4.0,
    config: Config = None,
) -> int:
    """Ask the server whether it is ready; ends with 69 when it is not.

    It asks beside the metrics, so it needs no certificate and no key.
    """
    if not address:
        metrics = load_settings({}, config).metrics
        address = f"{reachable_here(metrics.host)}:{metrics.port}"
    try:
        connection = HTTPConnection(address, timeout=timeout)
        connection.request("GET", "/ready")
        status = connection.getresponse().status
        connection.close()
    except (OSError, HTTPException) as error:
        message = f"{address}: cannot be asked: {why_not(error)}"
        raise CommandError(message, Exit.UNAVAILABLE) from error
    say("ready" if status == 200 else "not ready")
    return Exit.ALLOW if status == 200 else Exit.UNAVAILABLE
