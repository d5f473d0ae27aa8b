"""What the commands on keys have in common."""

from pathlib import Path
from typing import Annotated

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.settings import Settings

KeysFileFlag = Annotated[
    Path | None,
    typer.Option("--keys", help="File of the keys.", show_default="identity.keys_file"),
]


def keys_path(named: Path | None, settings: Settings) -> Path:
    """Where the keys are; raises CommandError if that is nowhere."""
    if named is None and not settings.identity.keys_file:
        raise CommandError("no file of keys is set; name it with --keys", Exit.USAGE)
    return named or Path(settings.identity.keys_file)


def unwritable(path: Path, error: OSError) -> CommandError:
    """How it is told that the file cannot be changed."""
    return CommandError(f"{path}: cannot be written: {error.strerror}", Exit.NO_PERMISSION)
