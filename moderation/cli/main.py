"""`moderation`: one entry point, one subcommand a file."""

import sys

import click
import typer

from moderation import __version__
from moderation.cli import check, client, config, serve, status
from moderation.cli.exits import CommandError, Exit
from moderation.core.errors import BundleRejected, ModerationError
from moderation.settings import SettingsError

HELP = """Decide whether an image may be published.

Exit codes: 0 allow, 1 review, 2 block (the strictest, when there are several
pictures); 64 and above are errors.
"""

EXIT_BY_ERROR: dict[type[Exception], Exit] = {
    SettingsError: Exit.CONFIG,
    BundleRejected: Exit.CONFIG,
    ImportError: Exit.CONFIG,
    ModerationError: Exit.SOFTWARE,
}

cli = typer.Typer(name="moderation", help=HELP, no_args_is_help=True, rich_markup_mode=None)
cli.command("serve")(serve.serve)
cli.command("check")(check.check)
cli.command("client")(client.client)
cli.command("status")(status.status)
cli.command("config")(config.config)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"moderation {__version__}")
        raise typer.Exit


@cli.callback()
def main(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Options that stand before the subcommand."""


def run() -> None:
    """Run the command line; every error that can be foreseen ends in one message and a code."""
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        return int(cli(standalone_mode=False) or Exit.ALLOW)
    except click.UsageError as error:
        error.show()
        return Exit.USAGE  # click's own 2 would read as BLOCK
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except CommandError as error:
        return _tell(error, error.exit_code)
    except tuple(EXIT_BY_ERROR) as error:
        exits = (code for kind, code in EXIT_BY_ERROR.items() if isinstance(error, kind))
        return _tell(error, next(exits))


def _tell(error: Exception, exit_code: Exit) -> Exit:
    print(f"moderation: {error}", file=sys.stderr)
    return exit_code
