"""What lint found, as people, programs, GitHub and code scanning want it told."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from moderation import __version__
from moderation.cli.output import printable
from moderation.core.errors import Problem
from moderation.settings import Settings

ERROR, WARNING = "error", "warning"
MEANING: Mapping[str, str] = {
    "E001": "the policies would be refused",
    "E002": "a file of tests would be refused",
    "W101": "a text is longer than the encoder reads",
    "W102": "a phrase stands in more than one policy",
    "W103": "a phrase is nearer to what another policy takes for harmless",
    "W104": "a policy's contrast swallows one of its phrases",
    "W105": "a contrast phrase is hardly told apart from the phrases",
    "W106": "a text is not in English, which is all that the encoder reads",
    "W107": "a policy in force acts on nothing under the starter encoder",
    "W108": "a calibration was made for an earlier wording",
    "W109": "a policy has expired",
    "W110": "no profile selects a policy",
    "W111": "a policy has no contrast",
    "W112": "a text denies something",
    "W113": "a text has a mark at its end that was hardly meant as part of it",
    "W114": "a file is not read, because of its name",
    "W115": "the thresholds were set for another encoder",
    "W116": "a calibration belongs to no policy",
}
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_GITHUB_ESCAPES = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_GITHUB_PROPERTY_ESCAPES = {":": "%3A", ",": "%2C"}


@dataclass(frozen=True, slots=True)
class Told:
    """One finding with its place; line and column count from 1, 0 means the whole file."""

    file: str
    line: int
    column: int
    code: str
    level: str
    message: str
    cure: str = ""

    @classmethod
    def at(cls, settings: Settings, *, file: str, **rest: Any) -> "Told":  # noqa: ANN401 - its fields
        """With the file's path as one can open it from here."""
        directory = settings.policies.directory
        name = Path(file).name
        # Told from the directory on, as calibrations and tests are, or from what is above it.
        inside = (path for path in (directory / file, directory / name) if path.exists())
        return cls(file=str(next(inside, directory.parent / file)), **rest)

    @classmethod
    def of_problem(
        cls, code: str, problem: Problem, settings: Settings, *, level: str = ERROR
    ) -> "Told":
        """A problem whose message says what would be right; policies are refused for an error."""
        return cls.at(
            settings,
            file=problem.file,
            line=problem.line,
            column=problem.column,
            code=code,
            level=level,
            message=problem.message,
        )

    @property
    def place(self) -> str:
        """The form that editors and terminals can jump to."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


Form = Callable[[Sequence[Told], Sequence[Told]], Iterator[str]]


def _text(found: Sequence[Told], mended: Sequence[Told]) -> Iterator[str]:
    for one in mended:
        yield printable(f"{one.place}: mended: {one.message}")
    for one in found:
        cure = f"; {one.cure}" if one.cure else ""
        yield printable(f"{one.place}: {one.level} {one.code}: {one.message}{cure}")
    counts = {level: sum(one.level == level for one in found) for level in (ERROR, WARNING)}
    yield ", ".join(f"{count} {level}{'s' * (count != 1)}" for level, count in counts.items())


def _json(found: Sequence[Told], mended: Sequence[Told]) -> Iterator[str]:
    yield json.dumps(
        {"findings": [asdict(one) for one in found], "mended": [asdict(one) for one in mended]}
    )


def _github(found: Sequence[Told], _: Sequence[Told]) -> Iterator[str]:
    for one in found:
        facts = {"file": one.file, "title": one.code}
        if one.line:
            facts |= {"line": str(one.line), "col": str(one.column)}
        properties = ",".join(f"{name}={_github_property(value)}" for name, value in facts.items())
        cure = f"; {one.cure}" if one.cure else ""
        message = printable(f"{one.message}{cure}").translate(_GITHUB_ESCAPES)
        yield f"::{one.level} {properties}::{message}"


def _github_property(value: str) -> str:
    escaped = printable(value).translate(_GITHUB_ESCAPES)
    for character, escape in _GITHUB_PROPERTY_ESCAPES.items():
        escaped = escaped.replace(character, escape)
    return escaped


def _sarif(found: Sequence[Told], _: Sequence[Told]) -> Iterator[str]:
    rules = [{"id": code, "shortDescription": {"text": text}} for code, text in MEANING.items()]
    driver = {"name": "moderation policy lint", "version": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "results": [_sarif_result(one) for one in found]}
    yield json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _sarif_result(one: Told) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": {"uri": Path(one.file).as_posix()}}
    if one.line:
        location["region"] = {"startLine": one.line, "startColumn": one.column}
    return {
        "ruleId": one.code,
        "level": one.level,
        "message": {"text": f"{one.message}; {one.cure}" if one.cure else one.message},
        "locations": [{"physicalLocation": location}],
    }


FORMS: Mapping[str, Form] = {
    "text": _text,
    "json": _json,
    "github": _github,
    "sarif": _sarif,
}
