"""Policies from a package: whatever is not signed, or older than what was here, is refused."""

import threading
from collections.abc import Callable
from typing import Protocol

from moderation.adapters.policy_package.keys import PublicKeys
from moderation.adapters.policy_package.limits import SIGNATURE_SUFFIX
from moderation.adapters.policy_package.refusal import refused
from moderation.adapters.policy_package.sealing import Statement, require_stated, verify
from moderation.adapters.policy_package.shelf import PackageShelf, shelved_as
from moderation.adapters.policy_package.unpacking import unpack
from moderation.core.errors import PolicySetRejected, Problem
from moderation.core.policy import PolicySet
from moderation.service.ports import PolicySource


class Carrier(Protocol):
    """What brings a package here. Called from one worker thread."""

    shown: str
    """Where it is from, for people."""
    is_remote: bool
    """Whether looking costs somebody else something, and is done only when it is time to."""

    def signature(self) -> bytes:
        """The file that is beside the archive; raises PolicySetRejected."""
        ...

    def archive(self, n_bytes: int) -> bytes:
        """The archive, of which no more than this is wanted; raises PolicySetRejected."""
        ...


def _told_nobody(*, serial: int, sha256: str, key: str) -> None:
    """Where nobody wants to know."""


class PackageIntake:
    """Takes a package from its carrier to the shelf, if it is signed and not an older one.

    `keys` reads the public keys, at each look anew: one that is taken away counts no longer.
    `taken` is told of each package that was put on the shelf.
    """

    def __init__(
        self,
        carrier: Carrier,
        *,
        keys: Callable[[], PublicKeys],
        shelf: PackageShelf,
        min_serial: int = 0,
        taken: Callable[..., None] = _told_nobody,
    ) -> None:
        self.failures = 0
        """How many looks in a row have brought nothing that can be used."""
        self._carrier = carrier
        self._keys = keys
        self._shelf = shelf
        self._min_serial = min_serial
        self._tell_taken = taken
        self._is_due = threading.Event()
        self._is_due.set()
        self._problems: tuple[Problem, ...] = ()
        self._current: Statement | None = None

    def look_again(self) -> None:
        """There may be another package; the next `take` looks. Called from any thread."""
        self._is_due.set()

    def take(self) -> Statement:
        """What the package is that is on the shelf now; raises PolicySetRejected.

        Between two looks at something remote it says again what came of the last one.
        """
        if self._is_due.is_set() or not self._carrier.is_remote:
            self._is_due.clear()
            self._look()
        if self._problems or self._current is None:
            raise PolicySetRejected(self._problems)
        return self._current

    def _look(self) -> None:
        try:
            self._current = self._taken()
        except PolicySetRejected as rejected:
            self.failures, self._problems = self.failures + 1, rejected.problems
        else:
            self.failures, self._problems = 0, ()

    def _taken(self) -> Statement:
        """What the package is that is on the shelf now; raises PolicySetRejected."""
        signature = self._carrier.signature()
        shown = self._carrier.shown + SIGNATURE_SUFFIX
        verified = verify(signature, self._keys(), shown)
        statement = verified.statement
        if statement != self._current or not self._shelf.policies.is_dir():
            self._require_newest(statement)
            self._put(statement)
            self._tell_taken(serial=statement.serial, sha256=statement.sha256, key=verified.key_id)
        return statement

    def _require_newest(self, statement: Statement) -> None:
        if statement.serial < self._min_serial:
            message = f"its serial is {statement.serial}, below package.min_serial"
            raise refused(self._carrier.shown, f"{message}, {self._min_serial}; pack it anew")
        newest = self._shelf.newest()
        if newest is None or newest == shelved_as(statement) or newest.serial < statement.serial:
            return
        told = "is older than" if statement.serial < newest.serial else "is another one than"
        raise refused(
            self._carrier.shown,
            f"{told} the package that was here before: its serial is {statement.serial}, after "
            f"{newest.serial}; pack the files anew, or go back with `moderation policy rollback`",
        )

    def _put(self, statement: Statement) -> None:
        shown = self._carrier.shown
        archive = self._carrier.archive(statement.n_bytes)
        require_stated(archive, statement, shown)
        files = unpack(archive, shown)
        try:
            self._shelf.put(statement, files)
        except OSError as error:
            message = f"cannot be unpacked below policies.state_directory: {error.strerror}"
            raise refused(shown, message) from error


class PackagedPolicies:
    """A PolicySource: what `policies` reads on the shelf, once for each package."""

    def __init__(self, intake: PackageIntake, policies: PolicySource) -> None:
        self._intake = intake
        self._policies = policies
        self._loaded: tuple[Statement, PolicySet] | None = None

    def load(self) -> PolicySet:
        """See PolicySource."""
        statement = self._intake.take()
        if self._loaded is None or self._loaded[0] != statement:
            self._loaded = statement, self._policies.load()
        return self._loaded[1]
