"""The table of checks, and how they are run: one that fails itself hides no other."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from moderation.cli.examination import (
    bundles,
    certificates,
    clocks,
    decisions,
    decoding,
    directories,
    judging,
    limits,
    ports,
    runtime,
    secrets,
    sense,
)
from moderation.cli.examination.findings import Finding, Level, broken
from moderation.cli.exits import Exit
from moderation.settings import Settings

Look = Callable[[Settings], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """One check by name, and how the command ends when it fails."""

    name: str
    look: Look
    exit_code: Exit


CHECKS = (
    Check("runtime", runtime.look, Exit.CONFIG),
    Check("settings", sense.look, Exit.CONFIG),
    Check("secrets", secrets.look, Exit.CONFIG),
    Check("certificates", certificates.look, Exit.CONFIG),
    Check("encoder", bundles.look, Exit.CONFIG),
    Check("policies", judging.look, Exit.CONFIG),
    Check("decoding", decoding.look, Exit.UNAVAILABLE),
    Check("directories", directories.look, Exit.UNAVAILABLE),
    Check("decision log", decisions.look, Exit.UNAVAILABLE),
    Check("limits", limits.look, Exit.UNAVAILABLE),
    Check("ports", ports.look, Exit.UNAVAILABLE),
    Check("clock", clocks.look, Exit.UNAVAILABLE),
)


def examine(settings: Settings) -> Iterator[tuple[Check, Finding]]:
    """Every finding of every check, in the table's order."""
    for check in CHECKS:
        for finding in _findings(check, settings):
            yield check, finding


def exit_code_of(found: Iterable[tuple[Check, Finding]]) -> Exit:
    """The first check that fails decides."""
    failed = (check.exit_code for check, finding in found if finding.level is Level.FAIL)
    return next(failed, Exit.ALLOW)


def _findings(check: Check, settings: Settings) -> Iterator[Finding]:
    try:
        yield from check.look(settings)
    except ImportError as error:
        yield broken(str(error), check.name, "install what is missing; requirements/cpu.lock")
    except Exception as error:  # the patient may be ill in a way that nobody has thought of
        yield broken(
            f"the check itself failed: {type(error).__name__}: {error}",
            check.name,
            "report it together with this line; the other checks stand",
        )
