"""`moderation policy test`: whether the policies decide as their editors expect."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from moderation.cli.flags import Bundle, Config, Device, Policies, nested
from moderation.settings import load_settings


def run_tests(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files of tests, or folders of them; by default `tests` beside the policies.",
            show_default=False,
        ),
    ] = None,
    policies: Policies = None,
    encoder: Bundle = None,
    device: Device = None,
    show_all: Annotated[bool, typer.Option("--all", help="Show the tests that pass too.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a test and line.")
    ] = False,
    junit: Annotated[
        Path | None, typer.Option(help="Write a JUnit report here too.", show_default=False)
    ] = None,
    update: Annotated[
        bool,
        typer.Option(
            "--update", help="Store the embeddings of what the tests look at beside them."
        ),
    ] = False,
    recent: Annotated[
        Path | None,
        typer.Option(
            help="With --update, take embeddings by content id from what a server kept here.",
            show_default="recent.directory",
        ),
    ] = None,
    config: Config = None,
) -> int:
    """Run the tests of the policies.

    Ends with 0 if all of them pass, and with 1 if any fails.
    """
    flags = {
        "policies.directory": policies,
        "encoder.bundle": encoder,
        "encoder.device": device,
    }
    settings = load_settings(nested(flags), config)
    from moderation.cli.packages import policies_unpacked
    from moderation.cli.testing import Wanted, run

    wanted = Wanted(tuple(files or ()), show_all, as_json, junit, update, recent)
    with policies_unpacked(settings) as unpacked:
        return asyncio.run(run(unpacked, wanted))
