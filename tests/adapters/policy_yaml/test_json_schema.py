"""The schema that editors use says what the language says, and the shipped files keep to it."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from moderation.adapters.policy_yaml.json_schema import MODELS, json_schema
from moderation.adapters.policy_yaml.source import SHARED
from tests.adapters.policy_yaml.test_messages import VALUES
from tests.adapters.policy_yaml.writing import GOOD, edited, problems, write

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "policies"
FILES = sorted(
    path
    for folder in ("policies", "policies/tests", "samples/calibration/policies")
    for path in (ROOT / folder).glob("*.yaml")
)
ONLY_THE_SERVICE_KNOWS = {
    "a control character in quotes",
    "a character that reverses the text",
    "half of a character",
    "a phrase that is indented further than the one above",
    "a phrase twice",
    "an id other than the file's name",
    "a phrase that is a contrast phrase too",
    "a template twice",
    "a text that begins with a sign of YAML",
    "a threshold that is not a number",
    "thresholds out of order",
    "thresholds as targets out of order",
    "a recall that is lower at review than at block",
    "a canary of a shadow",
    "a day that there is not",
    "an end before the beginning",
    "an include without a file of lists",
}
"""Mistakes between two values, in what a text holds, or in YAML itself: no schema can say these."""


def kind_of(path: Path) -> str:
    if path.parent.name == "tests":
        return "tests"
    return path.stem if path.stem in SHARED else "policy"


def read(text: str) -> Any:  # noqa: ANN401 - whatever YAML holds
    return YAML(typ="safe", pure=True).load(text)


def is_valid(text: str, kind: str = "policy") -> bool:
    written = json.loads(json.dumps(read(text), default=str))
    return Draft202012Validator(json_schema(kind)).is_valid(written)


@pytest.mark.parametrize("kind", MODELS)
def test_the_schema_is_one_and_the_committed_file_is_up_to_date(kind: str) -> None:
    schema = json_schema(kind)
    committed = (SHIPPED / ".schema" / f"{kind}.schema.json").read_text()

    Draft202012Validator.check_schema(schema)
    assert json.loads(committed) == schema, "run `moderation policy schema` into it"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_file_names_its_schema_and_keeps_to_it(path: Path) -> None:
    text = path.read_text()

    start, _, schema = text.splitlines()[0].partition("=")
    assert start == "# yaml-language-server: $schema"
    named = (path.parent / schema).resolve()
    assert named == SHIPPED / ".schema" / f"{kind_of(path)}.schema.json"
    assert is_valid(text, kind_of(path))


def test_a_good_policy_is_valid() -> None:
    assert is_valid(GOOD)


@pytest.mark.parametrize("name", sorted(VALUES.keys() - ONLY_THE_SERVICE_KNOWS))
def test_an_editor_underlines_what_the_service_refuses(name: str) -> None:
    text, *_ = VALUES[name]

    assert not is_valid(text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("policy", edited(("- a gun", "- '  '"))),
        ("policy", edited(("- a gun", "- {text: '  '}"))),
        ("policy", edited(("- a gun", "- include: A B"))),
        ("policy", edited(("title: X", "title: X\neffective: '2020-13-01'"))),
        ("policy", edited(("title: X", "title: X\nclause_url: http://"))),
        ("policy", edited(("title: X", "title: X\ntemplates: ['{} {}']"))),
        ("policy", "{}"),
        ("lists", "lists: {a: [' ']}"),
        ("lists", "lists: {A B: [x]}"),
        ("profiles", "profiles: {kids: {}}"),
        ("profiles", "profiles: {default: {}, A B: {}}"),
        ("profiles", "profiles: {default: {thresholds: {A B: {review: 0.5}}}}"),
        ("categories", "categories: {A B: {title: X}}"),
    ],
)
def test_what_no_file_may_hold_is_underlined_too(tmp_path: Path, kind: str, text: str) -> None:
    shared = {} if kind == "policy" else {kind: text}

    assert not is_valid(text, kind)
    assert problems(write(tmp_path, x=GOOD if shared else text, **shared))


@pytest.mark.parametrize(
    "expected",
    [
        "{action: allow}",
        "{action: [review, block], policy: weapons}",
        "{flagged_by: weapons, needs_clip: true}",
        "{not_flagged_by: [pets, alcohol]}",
        "{scores: {weapons: {min: 0.5, max: 0.9}}}",
    ],
)
def test_a_good_test_is_valid(expected: str) -> None:
    assert is_valid(f"profile: kids\ntexts: {{a cat: {expected}}}", "tests")


@pytest.mark.parametrize(
    "expected",
    [
        "{}",
        "{needs_clip: true}",
        "{acton: allow}",
        "{action: alow}",
        "{action: []}",
        "{policy: No}",
        "{flagged_by: [No]}",
        "{flagged_by: []}",
        "{scores: {weapons: {min: 2}}}",
    ],
)
def test_an_editor_underlines_what_is_wrong_in_a_test(expected: str) -> None:
    assert not is_valid(f"texts: {{a cat: {expected}}}", "tests")


def test_every_key_tells_an_editor_what_it_means() -> None:
    for kind in MODELS:
        schema = json_schema(kind)
        for name, key in schema["properties"].items():
            assert key.get("description"), (kind, name)
