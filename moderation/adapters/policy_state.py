"""Remembers activated policy sets in a directory: the sets, their history, and a pin.

Every file is written beside its place and renamed into it, so that a crash or a
full disk leaves the old one. A set is filed under its version, which is the
digest of its meaning: one that was altered is not taken for what it was.
"""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from moderation.core.errors import PolicySetRejected, Problem
from moderation.core.policy import PolicySet
from moderation.service.activation import Activation, Pin

MAX_SETS = 50
MAX_ACTIVATIONS = 500
HISTORY = "history.jsonl"
PIN = "pin.json"
PIN_SUFFIXES = (".json",)
"""Of what somebody else may write here, and the service wants to hear of."""
SETS = "sets"

_SET: TypeAdapter[PolicySet] = TypeAdapter(PolicySet)
_ACTIVATION = TypeAdapter(Activation)
_PIN = TypeAdapter(Pin)


def state_of(root: Path, policies: Path | str) -> Path:
    """The directory below `root` for the policies of one directory, wherever that is, or URL.

    However its path is spelt; where links lead to may change, and they are not followed.
    """
    if isinstance(policies, str):
        key, name = policies.encode(), PurePosixPath(urlsplit(policies).path).name
    else:
        path = os.path.normpath(policies.absolute())
        key, name = os.fsencode(path), Path(path).name
    return root / f"{name or 'policies'}-{hashlib.sha256(key).hexdigest()[:12]}"


class PolicyState:
    """A PolicyKeeper in one directory, which is made when there is something to keep."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, policy_set: PolicySet, activation: Activation) -> None:
        """See PolicyKeeper."""
        (self._directory / SETS).mkdir(parents=True, exist_ok=True)
        path = self._path_of(activation.version)
        # The time of the file says which sets are the latest, also of one that comes back.
        _write(path, _SET.dump_json(_thawed(policy_set)))
        activations = (activation, *self.history())[:MAX_ACTIVATIONS]
        lines = [_ACTIVATION.dump_json(one) for one in reversed(activations)]
        _write(self._directory / HISTORY, b"".join(line + b"\n" for line in lines))
        self._forget_old_sets()

    def kept(self, version: str) -> PolicySet:
        """See PolicyKeeper."""
        path = self._path_of(version)
        try:
            policy_set = _SET.validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise _refused(version, "was not kept, or is too long ago") from error
        except (OSError, ValidationError) as error:
            raise _refused(version, f"cannot be read ({type(error).__name__})") from error
        if policy_set.version != version:
            raise _refused(version, "was altered since it was kept")
        return policy_set

    def history(self) -> tuple[Activation, ...]:
        """See PolicyKeeper."""
        try:
            lines = (self._directory / HISTORY).read_bytes().splitlines()
        except OSError:
            return ()
        read = [_read(_ACTIVATION, line) for line in reversed(lines)]
        return tuple(one for one in read if one is not None)

    def pin(self) -> Pin | None:
        """See PolicyKeeper."""
        try:
            pin: Pin | None = _read(_PIN, (self._directory / PIN).read_bytes())
        except OSError:
            return None
        return pin

    def unpin(self) -> None:
        """See PolicyKeeper."""
        (self._directory / PIN).unlink(missing_ok=True)

    def put_pin(self, pin: Pin) -> None:
        """Ask for an older set in place of the source's; raises OSError."""
        _write(self._directory / PIN, json.dumps(asdict(pin)).encode())

    def _path_of(self, version: str) -> Path:
        if not re.fullmatch("[0-9a-f]{64}", version):
            raise _refused(version[:64], "is no version of a policy set")
        return self._directory / SETS / f"{version}.json"

    def _forget_old_sets(self) -> None:
        oldest = sorted((self._directory / SETS).glob("*.json"), key=_modified)[:-MAX_SETS]
        for path in oldest:
            path.unlink(missing_ok=True)


class FollowedState:
    """A PolicyKeeper that reads what another process keeps there, and leaves writing to it."""

    def __init__(self, state: PolicyState) -> None:
        self._state = state

    def keep(self, policy_set: PolicySet, activation: Activation) -> None:
        """See PolicyKeeper; the other process has activated it too."""

    def kept(self, version: str) -> PolicySet:
        """See PolicyKeeper."""
        return self._state.kept(version)

    def history(self) -> tuple[Activation, ...]:
        """See PolicyKeeper."""
        return self._state.history()

    def pin(self) -> Pin | None:
        """See PolicyKeeper."""
        return self._state.pin()

    def unpin(self) -> None:
        """See PolicyKeeper; the other process sees the same files."""


def _thawed(policy_set: PolicySet) -> PolicySet:
    """The same set with mappings that pydantic knows how to write."""
    profiles = {
        name: replace(one, thresholds=dict(one.thresholds))
        for name, one in policy_set.profiles.items()
    }
    return replace(
        policy_set,
        profiles=profiles,
        categories=dict(policy_set.categories),
        calibrations=dict(policy_set.calibrations),
    )


def _modified(path: Path) -> float:
    return path.stat().st_mtime


def _read(kind: TypeAdapter[Any], content: bytes) -> Any:  # noqa: ANN401 - of that kind
    """The value, or None for what somebody's hand or a crash has spoiled."""
    with suppress(ValidationError):
        return kind.validate_json(content)
    return None


def _write(path: Path, content: bytes) -> None:
    with NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def _refused(version: str, problem: str) -> PolicySetRejected:
    return PolicySetRejected((Problem(f"kept policy set {version[:12]}", 0, 0, problem),))


def versions_of(history: Sequence[Activation]) -> tuple[str, ...]:
    """The versions that were active, each once, the newest first."""
    return tuple(dict.fromkeys(one.version for one in history))
