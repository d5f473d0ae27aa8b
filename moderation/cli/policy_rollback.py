"""`moderation policy rollback`: put an older policy set back, until the policy files change."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.cli.flags import Config, Package, Policies, named_alone, nested
from moderation.cli.output import say
from moderation.cli.policy_history import SHOWN_DIGITS, shown_moment
from moderation.settings import Settings, load_settings

if TYPE_CHECKING:
    from moderation.adapters.policy_state import PolicyState
    from moderation.service.activation import Activation


def rollback(
    version: Annotated[
        str, typer.Argument(help="First digits of a version; the one before the present if none.")
    ] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Back to what the files say.")] = False,
    policies: Policies = None,
    package: Package = None,
    config: Config = None,
) -> int:
    """Put an older policy set back; the running service takes it within a second.

    It stays until the policy files change in their meaning.
    """
    settings = load_settings(nested(named_alone(policies, package)), config)
    from moderation.adapters.policy_state import PolicyState, versions_of
    from moderation.core.errors import PolicySetRejected
    from moderation.packages import state_directory
    from moderation.service.activation import Pin

    state = PolicyState(state_directory(settings))
    source = "the package" if settings.package.source else "the policy files"
    try:
        if undo:
            state.unpin()
            say(f"the service goes by {source} again, as soon as it can")
            return Exit.ALLOW
        history = state.history()
        wanted = (
            _named(version, versions_of(history))
            if version
            else _one_before(state, history, settings)
        )
        state.kept(wanted)  # the service must not be asked for what cannot be had
        state.put_pin(Pin(wanted, instead_of=_meant_by(source, history)))
    except PolicySetRejected as error:
        raise CommandError(str(error), Exit.NO_INPUT) from error
    except OSError as error:
        raise CommandError(f"cannot be written: {error.strerror}", Exit.NO_PERMISSION) from error
    place = f" in place of {_present(history)}," if wanted != history[0].version else ""
    say(f"{wanted[:SHOWN_DIGITS]} is put back{place} until a change of {source}")
    return Exit.ALLOW


def _present(history: Sequence["Activation"]) -> str:
    """The active set, and since when: so it shows if the last edit never came into force."""
    present = history[0]
    return f"{present.version[:SHOWN_DIGITS]}, active since {shown_moment(present.activated_at)}"


def _meant_by(source: str, history: Sequence["Activation"]) -> str:
    """The version that the source had when a server last read it; raises CommandError."""
    from moderation.service.activation import source_version

    version = source_version(history)
    if version is None:
        raise CommandError(f"the history does not say what {source} meant last", Exit.NO_INPUT)
    return version


def _named(digits: str, versions: Sequence[str]) -> str:
    """The one version that starts so; raises CommandError."""
    found = [one for one in versions if one.startswith(digits.lower())]
    if len(found) == 1:
        return found[0]
    problem = "several versions start" if found else "no version starts"
    hint = "`moderation policy history` lists them"
    raise CommandError(f"{problem} with {digits[:64]!r}; {hint}", Exit.USAGE)


def _one_before(state: "PolicyState", history: Sequence["Activation"], settings: Settings) -> str:
    """The set before the present one, if it is clear which one that is; raises CommandError.

    Somebody in a hurry means the set before their last edit. What goes further back has to be
    named: it takes back an edit that nobody complained of.
    """
    from moderation.service.activation import source_version, version_before

    pin, before = state.pin(), version_before(history)
    if pin is not None and pin.instead_of == source_version(history):
        raise CommandError(
            f"{pin.version[:SHOWN_DIGITS]} is put back already, in place of "
            f"{pin.instead_of[:SHOWN_DIGITS]}; name a version to put another one back, as "
            "`moderation policy history` lists them, or take this back with --undo",
            Exit.USAGE,
        )
    if before is None:
        raise CommandError("there is no earlier policy set to go back to", Exit.NO_INPUT)
    if problem := _problem_of_files(settings):
        raise CommandError(
            "the policy files cannot be used, so the last edit never came into force; there is "
            f"still {_present(history)}. Mend the files, or go back further all the same with "
            f"`moderation policy rollback {before[:SHOWN_DIGITS]}`\n{problem}",
            Exit.CONFIG,
        )
    return before


def _problem_of_files(settings: Settings) -> str:
    """What keeps a server from reading the policy files, if it goes by files; empty if nothing."""
    from moderation.adapters.policy_yaml import YamlPolicySource
    from moderation.core.errors import PolicySetRejected

    if settings.package.source:
        return ""
    try:
        YamlPolicySource(settings.policies.directory).load()
    except PolicySetRejected as rejected:
        return str(rejected)
    return ""
