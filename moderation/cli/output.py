"""What goes to standard output: lines and tables, safe for terminals and for pipes."""

import os
import sys

from rich.console import Console, RenderableType
from rich.table import Table

from moderation.cli.exits import CommandError, Exit

PIPE_WIDTH = 240
"""Columns of a table that goes into a file or pipe, where nothing needs to fit a screen."""


def say(text: str) -> None:
    """Print at once; raises CommandError if nobody reads any more, as after `| head`."""
    try:
        print(text, flush=True)
    except BrokenPipeError as error:
        # The interpreter flushes once more when it ends, and must find something open.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CommandError("", Exit.NOBODY_READS) from error


def say_table(table: Table) -> None:
    """Print a table, as wide as the terminal."""
    say_shown(table)


def say_shown(shown: RenderableType) -> None:
    """Print whatever rich can show, as wide as the terminal."""
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, markup=False)
    with console.capture() as capture:
        console.print(shown)
    say("\n".join(line.rstrip() for line in capture.get().splitlines()))


def printable(text: str) -> str:
    """The text without what could steer a terminal: names and messages come from strangers."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
