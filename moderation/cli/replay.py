"""`moderation replay`: whether a recorded decision would be the same again, and if not, why."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from moderation.cli.flags import Bundle, Config, Device, Package, Policies, nested
from moderation.cli.log_flags import LogDirectory, log_directory
from moderation.settings import load_settings


def replay(
    decision_id: Annotated[str, typer.Argument(help="Id of the decision.", show_default=False)],
    image: Annotated[
        Path | None, typer.Option(help="The picture; needed where no embedding was kept.")
    ] = None,
    policies: Policies = None,
    package: Package = None,
    encoder: Bundle = None,
    device: Device = None,
    log: LogDirectory = None,
    config: Config = None,
) -> int:
    """Judge again by the policy set of then; ends with 0 for the same answer, 1 for another."""
    flags = {
        "policies.directory": policies,
        "package.source": package,
        "encoder.bundle": encoder,
        "encoder.device": device,
    }
    settings = load_settings(nested(flags), config)
    from moderation.cli.replaying import replay_decision

    return asyncio.run(
        replay_decision(decision_id, log_directory(log, settings), settings, image=image)
    )
