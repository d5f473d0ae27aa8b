"""`moderation`: one entry point, one subcommand a file."""

import sys
import traceback

import typer

from moderation import __version__
from moderation.cli import (
    bundle,
    bundle_store,
    calibrate,
    check,
    client,
    config,
    doctor,
    drift,
    encoder,
    health,
    key,
    log,
    policy,
    replay,
    serve,
    status,
    top,
)
from moderation.cli.exits import MEANING, CommandError, Exit
from moderation.core.errors import BundleRejected, KeysRejected, ModerationError
from moderation.settings import SettingsError

EXIT_CODES = "\n".join(f"  {code.value:3}  {meaning}" for code, meaning in MEANING.items())
HELP = f"""Decide whether an image may be published.

\b
Exit codes (of several pictures, the strictest decides):
{EXIT_CODES}
"""

EXIT_BY_ERROR: dict[type[Exception], Exit] = {
    SettingsError: Exit.CONFIG,
    BundleRejected: Exit.CONFIG,
    KeysRejected: Exit.CONFIG,
    ImportError: Exit.CONFIG,
    ModerationError: Exit.SOFTWARE,
}

cli = typer.Typer(name="moderation", help=HELP, rich_markup_mode=None)
cli.command("serve")(serve.serve)
cli.command("serve-as-worker", hidden=True)(serve.serve_as_worker)
cli.command("check")(check.check)
cli.command("client")(client.client)
cli.command("status")(status.status)
cli.command("health")(health.health)
cli.command("top")(top.top)
cli.command("config")(config.config)
cli.command("doctor")(doctor.doctor)
bundle_store.register(bundle.cli)
cli.add_typer(bundle.cli, name="bundle")
cli.add_typer(encoder.cli, name="encoder")
cli.add_typer(policy.policy)
cli.add_typer(log.log)
cli.add_typer(drift.drift)
cli.add_typer(key.key)
cli.command("replay")(replay.replay)
cli.command("calibrate")(calibrate.calibrate)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"moderation {__version__}")
        raise typer.Exit


@cli.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Options that stand before the subcommand."""
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(Exit.USAGE)


def run() -> None:
    """Run the command line; every error that can be foreseen ends in one message and a code."""
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        return int(cli(standalone_mode=False, prog_name="moderation") or Exit.ALLOW)
    except typer.TyperException as error:
        # Its own code for a wrong command line is 2, which would read as BLOCK.
        problem = error.format_message().rstrip(".")
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "moderation"
        takes = {one.name for one in context.command.params} if context else set()
        if "extra argument" in problem and "policies" in takes:
            problem += "; policies are named with --policies DIRECTORY"
        return _tell(f"{problem}; `{command} --help` shows the way", Exit.USAGE)
    except (typer.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except CommandError as error:
        return _tell(str(error), error.exit_code)
    except tuple(EXIT_BY_ERROR) as error:
        exits = (code for kind, code in EXIT_BY_ERROR.items() if isinstance(error, kind))
        return _tell(str(error), next(exits))
    except Exception:  # a bug must not end with Python's own 1, which would read as REVIEW
        traceback.print_exc()
        return Exit.SOFTWARE


def _tell(message: str, exit_code: Exit) -> Exit:
    if message:
        print(f"moderation: {message}", file=sys.stderr)
    return exit_code
