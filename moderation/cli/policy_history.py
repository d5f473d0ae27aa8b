"""`moderation policy history`: the policy sets that were active on this machine."""

from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from moderation.cli.exits import Exit
from moderation.cli.flags import Config, Package, Policies, named_alone, nested
from moderation.cli.output import printable, say, say_table
from moderation.settings import load_settings

SHOWN_DIGITS = 12


def history(
    policies: Policies = None,
    package: Package = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most activations shown.")] = 20,
    config: Config = None,
) -> int:
    """Show which policy sets were active, the newest first."""
    settings = load_settings(nested(named_alone(policies, package)), config)
    from moderation.adapters.policy_state import PolicyState
    from moderation.packages import named_policies, state_directory

    state = PolicyState(state_directory(settings))
    activations = state.history()[:limit]
    if not activations:
        say(f"no policy set of {printable(named_policies(settings))} has been active yet")
        return Exit.ALLOW
    table = Table("version", "active since", "from", "policies", "owners", "what changed", box=None)
    for one in activations:
        table.add_row(
            one.version[:SHOWN_DIGITS],
            shown_moment(one.activated_at),
            one.origin.value,
            str(one.policies),
            printable(", ".join(one.owners)),
            printable(one.summary),
        )
    say_table(table)
    if (pin := state.pin()) is not None:
        say(f"{pin.version[:SHOWN_DIGITS]} was put back; see `moderation policy rollback --help`")
    return Exit.ALLOW


def shown_moment(moment: datetime) -> str:
    """To the second, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"
