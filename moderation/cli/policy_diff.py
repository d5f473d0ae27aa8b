"""`moderation policy diff`: what an edit changes, in words and in decisions."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from moderation.cli.flags import Bundle, Config, Device, Package, Policies, Profile, nested
from moderation.settings import load_settings


def diff(
    old: Annotated[
        str,
        typer.Argument(
            help="Directory, file, package, git revision, or active.", show_default=False
        ),
    ],
    new: Annotated[
        str | None,
        typer.Argument(help="The same; by default the policies' directory.", show_default=False),
    ] = None,
    on: Annotated[
        list[Path] | None,
        typer.Option(
            help="Try it on pictures, folders of them, or .npz files of embeddings.",
            show_default=False,
        ),
    ] = None,
    recent: Annotated[
        Path | None,
        typer.Option(help="Try it on what a server kept here.", show_default="recent.directory"),
    ] = None,
    profile: Profile = "",
    policies: Policies = None,
    package: Package = None,
    encoder: Bundle = None,
    device: Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with plots here too.", show_default=False)
    ] = None,
    config: Config = None,
) -> int:
    """Show what differs between two policy sets, and whose decisions change."""
    flags = {
        "policies.directory": policies,
        "package.source": package,
        "encoder.bundle": encoder,
        "encoder.device": device,
        "batching.max_queue_size": 4096,
    }
    settings = load_settings(nested(flags), config)
    from moderation.cli.comparing import Wanted, compare

    wanted = Wanted(
        old=old,
        new=new or str(settings.policies.directory),
        on=tuple(on or ()),
        recent=recent,
        profile=profile,
        as_json=as_json,
        html=html,
    )
    return asyncio.run(compare(settings, wanted))
