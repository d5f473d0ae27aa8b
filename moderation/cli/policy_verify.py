"""`moderation policy verify`: whether a package is signed, by whom, and what is in it."""

from pathlib import Path
from typing import Annotated

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.cli.flags import Config, nested
from moderation.cli.output import say
from moderation.core.errors import PolicySetRejected
from moderation.settings import load_settings


def verify(
    package: Annotated[Path, typer.Argument(help="The archive; its signature is beside it.")],
    public_key: Annotated[
        list[Path] | None,
        typer.Option(
            help="File of public keys; may be given more than once.",
            show_default="package.public_keys",
        ),
    ] = None,
    config: Config = None,
) -> int:
    """Check the signature and the archive as a server would, and say what they are."""
    settings = load_settings(nested({}), config)
    keys = tuple(public_key or ()) or settings.package.key_files
    if not keys:
        message = "name the keys that may have signed it with --public-key"
        raise CommandError(message, Exit.USAGE)
    from moderation.adapters.policy_package import FilePackage
    from moderation.cli.packages import files_of

    try:
        files, verified = files_of(FilePackage(package), keys)
    except PolicySetRejected as rejected:
        raise CommandError(str(rejected), Exit.CONFIG) from rejected
    assert verified is not None
    stated = verified.statement
    say(f"signed by key {verified.key_id}, serial {stated.serial}, sha256 {stated.sha256}")
    for name, content in files.items():
        say(f"{len(content):9} {name}")
    return Exit.ALLOW
