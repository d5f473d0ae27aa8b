"""What a command line means by a policy set: files, a package, a git revision, or what was active.

`active` is the set that the server on this machine activated last, and `version:3f2a9c` an
earlier one, as `moderation policy history` lists them.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from moderation.adapters.git_files import RevisionUnknown, unpack_revision
from moderation.adapters.policy_state import PolicyState, versions_of
from moderation.cli.exits import CommandError, Exit
from moderation.cli.packages import is_package, unpacked
from moderation.core.encoder import EncoderInfo
from moderation.core.errors import PolicySetRejected
from moderation.core.policy import PolicySet
from moderation.core.solving import OnStale
from moderation.packages import state_directory
from moderation.policies import calibrated_policies
from moderation.settings import Settings

ACTIVE, VERSION = "active", "version:"


@dataclass(frozen=True, slots=True)
class Named:
    """A policy set, and what it was called."""

    name: str
    policy_set: PolicySet


def load_named(name: str, settings: Settings, encoder: EncoderInfo) -> Named:
    """The set of that name, with its calibrations; a revision is one of the policies' directory.

    Raises CommandError with every problem found.
    """
    try:
        if name == ACTIVE or name.startswith(VERSION):
            return Named(name, _kept(name, settings))
        with _directory(name, settings) as directory:
            return Named(name, calibrated_policies(directory, encoder, OnStale.MARK).load())
    except PolicySetRejected as rejected:
        raise CommandError(f"{name}: {rejected}", Exit.CONFIG) from rejected
    except RevisionUnknown as error:
        message = f"{name}: there is no such file or directory, and as a git revision: {error}"
        raise CommandError(message, Exit.NO_INPUT) from error


def _kept(name: str, settings: Settings) -> PolicySet:
    state = PolicyState(state_directory(settings))
    versions = versions_of(state.history())
    digits = name.removeprefix(VERSION) if name != ACTIVE else ""
    found = [one for one in versions if one.startswith(digits.lower())]
    if name == ACTIVE:
        found = found[:1]
    if len(found) != 1:
        problem = "several versions start so" if found else "no such policy set was active"
        hint = "`moderation policy history` lists them"
        raise CommandError(f"{name}: {problem}; {hint}", Exit.NO_INPUT)
    return state.kept(found[0])


@contextmanager
def _directory(name: str, settings: Settings) -> Iterator[Path]:
    path = Path(name)
    if path.is_dir():
        yield path
        return
    if is_package(path):
        with unpacked(path, settings) as directory:
            yield directory
        return
    with tempfile.TemporaryDirectory() as scratch:
        if not path.is_file():
            yield unpack_revision(name, settings.policies.directory, Path(scratch))
            return
        alone = Path(scratch) / settings.policies.directory.name
        alone.mkdir()
        shutil.copyfile(path, alone / path.name)
        yield alone
