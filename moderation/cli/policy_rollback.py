"""`moderation policy rollback`: put an older policy set back, until the policy files change."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.cli.flags import Config, Policies, named_alone, nested
from moderation.cli.output import say
from moderation.settings import load_settings

if TYPE_CHECKING:
    from moderation.service.activation import Activation

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
    from moderation.service.activation import Pin

    state = PolicyState(state_directory(settings))
    try:
        if undo:
            state.unpin()
            say("the service goes by the policy files again, as soon as they can be used")
            return Exit.ALLOW
        history = state.history()
        wanted = _wanted(version, versions_of(history))
        state.kept(wanted)  # the service must not be asked for what cannot be had
        state.put_pin(Pin(wanted, instead_of=_meant_by_files(history)))
    except PolicySetRejected as error:
        raise CommandError(str(error), Exit.NO_INPUT) from error
    except OSError as error:
        raise CommandError(f"cannot be written: {error.strerror}", Exit.NO_PERMISSION) from error
    present = history[0].version
    place = f" in place of {present[:SHOWN_DIGITS]}" if present != wanted else ""
    say(f"{wanted[:SHOWN_DIGITS]} is put back{place} until the policy files change")
    return Exit.ALLOW


def _meant_by_files(history: Sequence["Activation"]) -> str:
    """The version that the files had when a server last read them; raises CommandError."""
    from moderation.service.activation import source_version

    version = source_version(history)
    if version is None:
        problem = "the history does not say what the policy files mean"
        raise CommandError(f"{problem}; a server that reads them writes it there", Exit.NO_INPUT)
    return version


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
