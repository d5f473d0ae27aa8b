"""Files of policy tests: what is expected of pictures, texts and stored embeddings."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from moderation.adapters.policy_yaml.document import read_document
from moderation.adapters.policy_yaml.files import decode, read_policy_file, stem_of
from moderation.adapters.policy_yaml.schema import ACTIONS
from moderation.adapters.policy_yaml.tree import (
    Flaw,
    Flawed,
    MappingNode,
    Node,
    ScalarNode,
    entry_at,
    node_at,
    printable,
)
from moderation.adapters.policy_yaml.wording import check, join
from moderation.adapters.policy_yaml.words import BY_ID, ID_SCHEMA, Cut, Id
from moderation.core.errors import PolicySetRejected, Problem
from moderation.core.policy import Action
from moderation.core.policy_tests import Expectation, PolicyTest, ScoreRange, Subject, SubjectKind

FOLDER = "tests"
"""Beside the policies, where their source does not look."""
KINDS: Mapping[str, SubjectKind] = {
    "pictures": SubjectKind.PICTURE,
    "texts": SubjectKind.TEXT,
    "embeddings": SubjectKind.EMBEDDING,
}


EXPECTED = ("action", "policy", "flagged_by", "not_flagged_by", "scores")
"""The keys of which each test needs one."""


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _actions(value: object) -> object:
    written = _listed(value)
    if not isinstance(written, list) or not written or not all(one in ACTIONS for one in written):
        raise PydanticCustomError("one_of", "", {"allowed": ACTIONS})
    return written


def _one_or_more(item: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}


PolicyIds = Annotated[
    list[Id], BeforeValidator(_listed), WithJsonSchema(_one_or_more({**ID_SCHEMA}))
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RangeSchema(_Part):
    """Bounds of a score, both included."""

    min: Cut = Field(0.0, description="the lowest score")
    max: Cut = Field(1.0, description="the highest score")


class ExpectationSchema(_Part):
    """What has to hold of one content; what is left out is not looked at."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": [one]} for one in EXPECTED]}
    )

    action: Annotated[
        list[str],
        BeforeValidator(_actions),
        WithJsonSchema(_one_or_more({"type": "string", "enum": list(ACTIONS)})),
    ] = Field(
        [], description="the decision is `allow`, `review` or `block`, or one of a list of them"
    )
    policy: Id | None = Field(
        None, description="this policy decides, whenever the decision is not `allow`"
    )
    flagged_by: PolicyIds = Field(
        [],
        description="these policies reach `review`, whether they act or are in the shadow",
    )
    not_flagged_by: PolicyIds = Field([], description="these do not")
    scores: dict[Id, RangeSchema] = Field(
        {},
        description="scores lie within bounds: `{big-cats: {min: 0.6, max: 0.95}}`",
        json_schema_extra=BY_ID,
    )
    needs_clip: bool = Field(
        False, description="`true`: not to be expected of the starter encoder, which skips the test"
    )


class TestsSchema(_Part):
    """One file of tests."""

    __test__ = False  # pytest would take it for a class of tests

    profile: Id | None = Field(None, description="the profile, if it is not `default`")
    folder: str = Field(
        "", max_length=1000, description="where the pictures are, seen from this file"
    )
    pictures: dict[str, ExpectationSchema] = Field(
        {}, description="what is expected of pictures, by path"
    )
    texts: dict[str, ExpectationSchema] = Field(
        {}, description="what is expected of texts, which are judged as the pictures they describe"
    )
    embeddings: dict[str, ExpectationSchema] = Field(
        {}, description="what is expected of contents whose embeddings are stored, by content id"
    )


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def read_policy_tests(
    paths: Sequence[Path], *, shown: Callable[[Path], str] = _short
) -> tuple[PolicyTest, ...]:
    """Every test of files, and of the files in directories, in a stable order.

    `shown` says how a file is named in tests and problems. Raises PolicySetRejected with every
    problem found.
    """
    tests: list[PolicyTest] = []
    problems: list[Problem] = []
    for path in (file for one in paths for file in _files(one)):
        try:
            tests += _read(path, printable(shown(path)))
        except PolicySetRejected as rejected:
            problems += rejected.problems
    if problems:
        raise PolicySetRejected(tuple(problems))
    return tuple(tests)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    inside = (one for one in sorted(path.iterdir()) if not one.name.startswith("."))
    return [one for one in inside if stem_of(one.name) != one.name]


def _read(path: Path, shown: str) -> Iterator[PolicyTest]:
    try:
        document = read_document(decode(read_policy_file(path.parent, path.name)))
    except Flawed as error:
        raise _rejected(shown, [error.flaw]) from error
    if document.root is None or document.flaws:
        raise _rejected(shown, document.flaws or (Flaw(None, "the file is empty"),))
    written, flaws = check(TestsSchema, document.root)
    flaws += _empty_ranges(document.root)
    if written is not None:
        flaws += _expecting_nothing(written, document.root)
    if written is None or flaws:
        raise _rejected(shown, flaws)
    folder = path.parent / written.folder
    return _tests(shown, written, document.root, folder)


def _tests(shown: str, written: TestsSchema, root: Node, folder: Path) -> Iterator[PolicyTest]:
    for key, kind in KINDS.items():
        expected: Mapping[str, ExpectationSchema] = getattr(written, key)
        entries = node_at(root, key)
        for name, one in expected.items():
            assert isinstance(entries, MappingNode)
            place = entries.entries[name].place
            is_picture = kind is SubjectKind.PICTURE
            subject = Subject(kind, str(folder / name) if is_picture else name)
            yield PolicyTest(
                shown, place.line, place.column, subject, _expectation(one), written.profile or ""
            )


def _expectation(written: ExpectationSchema) -> Expectation:
    return Expectation(
        actions=frozenset(Action[one.upper()] for one in written.action),
        policy_id=written.policy or "",
        flagged_by=tuple(written.flagged_by),
        not_flagged_by=tuple(written.not_flagged_by),
        scores=MappingProxyType(
            {name: ScoreRange(one.min, one.max) for name, one in written.scores.items()}
        ),
        needs_clip=written.needs_clip,
    )


def _empty_ranges(root: Node) -> Iterator[Flaw]:
    for key in KINDS:
        for name, expectation in _entries(node_at(root, key)):
            for policy_id, bounds in _entries(node_at(expectation, "scores")):
                low, high = (_number(node_at(bounds, one)) for one in ("min", "max"))
                if low is not None and high is not None and low > high:
                    message = f"{key}.{name[:60]!r}.scores.{policy_id}: min is above max"
                    yield Flaw(bounds.place, message)


def _expecting_nothing(written: TestsSchema, root: Node) -> Iterator[Flaw]:
    """Such a test could not fail, whatever the policies say."""
    for key in KINDS:
        for name, one in getattr(written, key).items():
            if not any(getattr(one, expected) for expected in EXPECTED):
                path = join(key, name[:60])
                message = f"{path}: nothing is expected of it; write one of {', '.join(EXPECTED)}"
                entry = entry_at(root, key, name)
                yield Flaw(entry.place if entry else None, message)


def _entries(node: Node | None) -> Iterator[tuple[str, Node]]:
    if isinstance(node, MappingNode):
        yield from ((name, entry.node) for name, entry in node.entries.items())


def _number(node: Node | None) -> float | None:
    if isinstance(node, ScalarNode) and isinstance(node.value, float):
        return node.value
    return None


def _rejected(shown: str, flaws: Iterable[Flaw]) -> PolicySetRejected:
    return PolicySetRejected(
        tuple(
            Problem(
                shown,
                flaw.place.line if flaw.place else 0,
                flaw.place.column if flaw.place else 0,
                flaw.message,
            )
            for flaw in flaws
        )
    )
