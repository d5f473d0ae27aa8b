"""`moderation key revoke`: a credential that does not count any more."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from moderation.cli.exits import Exit
from moderation.cli.flags import Config
from moderation.cli.key_flags import KeysFileFlag, keys_path, unwritable
from moderation.cli.output import say
from moderation.settings import load_settings


def revoke(
    key_id: Annotated[str, typer.Argument(help="Its id.", show_default=False)],
    keys: KeysFileFlag = None,
    config: Config = None,
) -> int:
    """Withdraw a key, or a certificate as a credential; a server refuses it within seconds.

    The file keeps its name, so that the log can say who still uses it.
    """
    path = keys_path(keys, load_settings({}, config))
    from moderation.adapters.identity.keys_editing import KeysEditor
    from moderation.identity import keys_source

    try:
        KeysEditor(keys_source(path)).revoke(key_id, datetime.now(UTC))
    except OSError as error:
        raise unwritable(path, error) from error
    say(f"{key_id} is revoked")
    return Exit.ALLOW
