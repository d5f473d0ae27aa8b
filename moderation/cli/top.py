"""`moderation top`: a running server at a glance, from its metrics alone."""

from typing import Annotated

import typer


def top(
    url: Annotated[
        str, typer.Option("--url", help="Where the server shows its metrics.")
    ] = "http://127.0.0.1:9464/metrics",
    interval: Annotated[
        float, typer.Option("--interval", min=0.1, help="Seconds between two looks.")
    ] = 2.0,
    once: Annotated[
        bool, typer.Option("--once", help="Show one interval and end; 69 if nobody answers.")
    ] = False,
    policies: Annotated[
        int, typer.Option("--policies", min=0, help="Most policies shown, those that flag most.")
    ] = 10,
) -> int:
    """Show what a server does now, until Ctrl-C.

    Rates and times are of the last interval; at first they are since the server's start.
    """
    from moderation.cli.observing.loop import watch

    return watch(url, interval_s=interval, once=once, most_policies=policies)
