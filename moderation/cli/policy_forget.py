"""`moderation policy forget`: overwrite what was kept of a content."""

from pathlib import Path
from typing import Annotated

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.cli.flags import Config
from moderation.cli.output import say
from moderation.settings import load_settings


def forget(
    content_ids: Annotated[
        list[str], typer.Argument(help="Content ids, whole.", show_default=False)
    ],
    recent: Annotated[
        Path | None,
        typer.Option(help="Directory of the embeddings.", show_default="recent.directory"),
    ] = None,
    config: Config = None,
) -> int:
    """Overwrite the embeddings that a server kept of these contents; it may be running."""
    settings = load_settings({}, config)
    from moderation.adapters.recent_store import erase_recent

    directory = recent or settings.recent.directory
    if not directory.is_dir():
        raise CommandError(f"{directory}: there is no such directory", Exit.NO_INPUT)
    try:
        erased = sum(erase_recent(directory, content_id) for content_id in content_ids)
    except OSError as error:
        raise CommandError(f"{directory}: {error}", Exit.SOFTWARE) from error
    say(f"{erased} frames overwritten")
    return Exit.ALLOW
