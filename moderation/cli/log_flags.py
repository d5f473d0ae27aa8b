"""What the commands on a decision log have in common."""

from pathlib import Path
from typing import Annotated

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.settings import Settings

LogDirectory = Annotated[
    Path | None,
    typer.Option(
        "--log", help="Directory of the decision log.", show_default="decision_log.directory"
    ),
]


def log_directory(named: Path | None, settings: Settings) -> Path:
    """Where the log is; raises CommandError if that is nowhere."""
    directory = named or Path(settings.decision_log.directory)
    if named is None and not settings.decision_log.directory:
        problem = "no decision log is set; name its directory with --log"
        raise CommandError(problem, Exit.USAGE)
    if not directory.is_dir():
        raise CommandError(f"{directory}: there is no such directory", Exit.NO_INPUT)
    return directory
