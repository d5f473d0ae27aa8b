"""`moderation key create`: a new API key, shown once."""

import secrets
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.cli.flags import Config
from moderation.cli.key_flags import KeysFileFlag, keys_path, unwritable
from moderation.cli.output import say
from moderation.core.identity import Role
from moderation.settings import load_settings


def create(
    tenant: Annotated[str, typer.Option(help="Whose key it is; a new name adds a tenant.")],
    role: Annotated[
        list[Role] | None,
        typer.Option(help="What it allows; may be given more than once.", show_default="moderate"),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="Day, as 2027-03-01, or moment; never without.")
    ] = None,
    key_id: Annotated[
        str | None, typer.Option("--id", help="Its name in logs.", show_default="tenant and digits")
    ] = None,
    keys: KeysFileFlag = None,
    config: Config = None,
) -> int:
    """Add a key to the file and print it, which is the only time that anybody sees it.

    A running server takes it within seconds.
    """
    path = keys_path(keys, load_settings({}, config))
    from moderation.adapters.identity.keys_editing import KeysEditor, NewKey
    from moderation.identity import keys_source

    created, expires_at = datetime.now(UTC), _moment(expires)
    if expires_at is not None and expires_at <= created:
        raise CommandError(f"--expires: {expires} has passed; the key would be dead", Exit.USAGE)
    new = NewKey(
        id=key_id or f"{tenant}-{secrets.token_hex(4)}",
        tenant=tenant,
        roles=tuple(role or [Role.MODERATE]),
        created=created,
        expires=expires_at,
    )
    try:
        token = KeysEditor(keys_source(path)).create(new)
    except OSError as error:
        raise unwritable(path, error) from error
    print(f"key {new.id} of {tenant}; it is shown only now:", file=sys.stderr)
    say(token)
    return Exit.ALLOW


def _moment(written: str | None) -> datetime | None:
    from pydantic import TypeAdapter, ValidationError

    from moderation.adapters.identity.schema import Moment

    try:
        return None if written is None else TypeAdapter[datetime](Moment).validate_python(written)
    except ValidationError as error:
        raise CommandError(f"--expires: {error.errors()[0]['msg']}", Exit.USAGE) from error
