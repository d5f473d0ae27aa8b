"""`moderation policy rollback`: put an older policy set back, until the policy files change."""

from collections.abc import Sequence
from typing import Annotated

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.cli.flags import Config, Policies, named_alone, nested
from moderation.cli.output import say
from moderation.settings import load_settings

SHOWN_DIGITS = 12


def rollback(
    version: Annotated[
        str, typer.Argument(help="First digits of a version; the one before the present if none.")
    ] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Back to what the files say.")] = False,
    policies: Policies = None,
    config: Config = None,
) -> int:
    """Put an older policy set back; the running service takes it within a second.

    It stays until the policy files change in their meaning.
    """
    settings = load_settings(nested(named_alone(policies)), config)
    from moderation.adapters.policy_state import PolicyState, versions_of
    from moderation.core.errors import PolicySetRejected
    from moderation.packages import state_directory
    from moderation.service.activation import Pin, SetOrigin

    state = PolicyState(state_directory(settings))
    try:
        if undo:
            state.unpin()
            say("the service goes by the policy files again")
            return Exit.ALLOW
        history = state.history()
        wanted = _wanted(version, versions_of(history))
        state.kept(wanted)  # the service must not be asked for what cannot be had
        by_files = (one.version for one in history if one.origin is SetOrigin.SOURCE)
        state.put_pin(Pin(wanted, instead_of=next(by_files)))
    except PolicySetRejected as error:
        raise CommandError(str(error), Exit.NO_INPUT) from error
    except OSError as error:
        raise CommandError(f"cannot be written: {error.strerror}", Exit.NO_PERMISSION) from error
    say(f"{wanted[:SHOWN_DIGITS]} is put back until the policy files change")
    return Exit.ALLOW


def _wanted(digits: str, versions: Sequence[str]) -> str:
    """The one version that starts so; raises CommandError."""
    if not digits and len(versions) < 2:
        raise CommandError("there is no earlier policy set to go back to", Exit.NO_INPUT)
    if not digits:
        return versions[1]
    found = [one for one in versions if one.startswith(digits.lower())]
    if len(found) == 1:
        return found[0]
    problem = "several versions start" if found else "no version starts"
    hint = "`moderation policy history` lists them"
    raise CommandError(f"{problem} with {digits[:64]!r}; {hint}", Exit.USAGE)
