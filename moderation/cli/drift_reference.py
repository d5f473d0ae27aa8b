"""`moderation drift reference`: remember how the policies score now."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from moderation.cli.flags import Bundle, Config, Device, Policies, nested
from moderation.settings import load_settings


def reference(
    only: Annotated[
        list[str] | None,
        typer.Argument(metavar="POLICY...", help="Ids of policies; all by default."),
    ] = None,
    on: Annotated[
        list[Path] | None,
        typer.Option(
            help="Pictures, folders of them, or a file of embeddings; may be repeated.",
            show_default="what the server kept",
        ),
    ] = None,
    recent: Annotated[
        Path | None,
        typer.Option(
            help="Directory of the embeddings that a server kept.",
            show_default="recent.directory",
        ),
    ] = None,
    policies: Policies = None,
    encoder: Bundle = None,
    device: Device = None,
    config: Config = None,
) -> int:
    """Write a reference for each policy, from how it scores contents of an ordinary time.

    The files lie in `drift` below the directory of the policies; a running server takes
    them over at once, and compares what it scores from then on.
    """
    flags = {
        "policies.directory": policies,
        "encoder.bundle": encoder,
        "encoder.device": device,
    }
    settings = load_settings(nested(flags), config)
    from moderation.cli.referencing import write_references

    return asyncio.run(write_references(settings, tuple(only or ()), tuple(on or ()), recent))
