"""`moderation policy keygen`: a pair of keys, to sign policies and to know who has."""

from pathlib import Path
from typing import Annotated

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.cli.output import say


def keygen(
    name: Annotated[
        Path,
        typer.Argument(help="Of the files: NAME.key signs, NAME.pub is for servers."),
    ] = Path("policies"),
) -> int:
    """Make a pair of Ed25519 keys. Keep NAME.key where policies are packed, and nowhere else.

    Files that are there already are left as they are.
    """
    from moderation.adapters.policy_package import make_key_pair

    private, public = (name.with_name(name.name + suffix) for suffix in (".key", ".pub"))
    try:
        key_id = make_key_pair(private, public)
    except FileExistsError as error:
        message = f"{error.filename}: is there already; choose another name"
        raise CommandError(message, Exit.USAGE) from error
    except OSError as error:
        message = f"{error.filename}: cannot be written: {error.strerror}"
        raise CommandError(message, Exit.NO_PERMISSION) from error
    say(f"key {key_id}: {private} signs, {public} is for package.public_keys of servers")
    return Exit.ALLOW
