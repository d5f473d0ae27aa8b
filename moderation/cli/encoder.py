"""`moderation encoder`: what a swap of the encoder would change, and for which one policies are."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.cli.flags import AsJson, Bundle, Config, Device, Policies, nested
from moderation.cli.output import say
from moderation.settings import bundle_store, load_settings

PAIRS = "Directory that a server with --shadow-encoder has filled; the setting's when left out."
PICTURES = "Folder of pictures to be scored by both encoders now, instead of recorded pairs."

cli = typer.Typer(no_args_is_help=True, help="Compare encoders, and bind policies to one.")


@cli.command("compare")
def compare(
    pairs: Annotated[Path | None, typer.Argument(help=PAIRS, show_default=False)] = None,
    pictures: Annotated[Path | None, typer.Option("--pictures", help=PICTURES)] = None,
    encoder: Bundle = None,
    other: Annotated[
        str | None, typer.Option("--with", help="The new encoder, for --pictures.")
    ] = None,
    policies: Policies = None,
    device: Device = None,
    as_json: AsJson = False,
    config: Config = None,
) -> int:
    """Report, for each policy, how scores and decisions move, and thresholds that keep the rate."""
    from moderation.cli.encoder_compare import compare_pictures, compare_recorded

    flags = {
        "policies.directory": policies,
        "encoder.bundle": encoder,
        "encoder.device": device,
        "shadow_encoder.directory": pairs,
        "shadow_encoder.bundle": other,
    }
    settings = load_settings(nested(flags), config)
    if pictures is None:
        return compare_recorded(settings, as_json=as_json)
    if not settings.shadow_encoder.bundle:
        raise CommandError("--pictures needs the new encoder: name it with --with", Exit.USAGE)
    return asyncio.run(compare_pictures(pictures, settings, as_json=as_json))


@cli.command("bind")
def bind(
    encoder: Bundle = None,
    policies: Policies = None,
    release: Annotated[
        bool, typer.Option("--release", help="Bind the policies to no encoder.")
    ] = False,
    config: Config = None,
) -> int:
    """Write down that the policies' thresholds were set for this encoder: others refuse them."""
    from moderation.adapters.encoders.registry import find_manifest
    from moderation.adapters.policy_yaml import remove_binding, write_binding

    flags = {"policies.directory": policies, "encoder.bundle": encoder}
    settings = load_settings(nested(flags), config)
    directory = settings.policies.directory
    try:
        if release:
            was_bound = remove_binding(directory)
            say(f"{directory}: {'bound to no encoder now' if was_bound else 'was not bound'}")
            return Exit.ALLOW
        manifest = find_manifest(
            settings.encoder.bundle, store=bundle_store(settings), device=settings.encoder.device
        )
        path = write_binding(directory, encoder_id=manifest.encoder_id, name=manifest.name)
    except OSError as error:
        raise CommandError(
            f"{directory}: cannot be written: {error.strerror}", Exit.CONFIG
        ) from error
    say(f"{path}: bound to {manifest.name} ({manifest.encoder_id[:12]})")
    return Exit.ALLOW
