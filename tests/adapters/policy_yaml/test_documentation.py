"""docs/policies.md says what is so: its examples load, its errors are real, its tables complete."""

import re
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from moderation.adapters.policy_yaml.expectations import ExpectationSchema
from moderation.adapters.policy_yaml.schema import (
    CategorySchema,
    ListsSchema,
    PolicySchema,
    ProfileSchema,
)
from moderation.adapters.policy_yaml.words import MAX_ID_CHARACTERS
from moderation.core.aggregation import AGGREGATIONS
from moderation.core.templates import TEMPLATE_SETS
from tests.adapters.policy_yaml.writing import another, load, problems, write

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "policies.md").read_text(encoding="utf-8")
PAGE_OF_TESTS = DOCS / "editing-policies.md"
EXAMPLE_BY_STEM = {
    stem: text
    for text, stem in re.findall(r"```yaml\n(# policies/(\w+)\.yaml\n.*?)```", PAGE, re.S)
}


def test_the_examples_load(tmp_path: Path) -> None:
    files = {stem: text for stem, text in EXAMPLE_BY_STEM.items() if stem != "broken"}

    policy_set = load(write(tmp_path, alcohol=another("alcohol"), **files))

    assert {policy.id for policy in policy_set.policies} == {
        "alcohol",
        "crackers",
        "fireworks",
        "sparklers",
    }
    assert policy_set.profiles.keys() == {"default", "kids"}
    assert policy_set.categories.keys() == {"regulated-goods", "pyrotechnics"}


def test_the_mistakes_are_answered_as_shown(tmp_path: Path) -> None:
    shown = re.findall(r"```text\n(.*?)```", PAGE, re.S)

    told = problems(write(tmp_path, broken=EXAMPLE_BY_STEM["broken"]))

    assert ["\n".join(told) + "\n"] == shown


MODELS = (PolicySchema, ProfileSchema, ListsSchema, CategorySchema)


@pytest.mark.parametrize("model", MODELS)
def test_the_tables_say_of_every_key_what_the_language_says(model: type[BaseModel]) -> None:
    rows = rows_of(model)

    assert list(rows) == list(model.model_fields)
    for key, field in model.model_fields.items():
        assert rows[key]["what it says"] == field.description


@pytest.mark.parametrize("model", [PolicySchema, ProfileSchema])
def test_the_tables_say_what_is_required_what_is_allowed_and_what_holds_without(
    model: type[BaseModel],
) -> None:
    schema = model.model_json_schema()
    required = schema.get("required", [])

    for key, row in rows_of(model).items():
        facts = schema["properties"][key]
        assert row.get("required", "") == ("yes" if key in required else ""), key
        if key not in required:
            assert row["default"] in defaults(key, facts["default"]), key
        told = numbers(row["allowed"].replace("like an id", f"{MAX_ID_CHARACTERS}"))
        assert [one for one in limits(facts) if one not in told] == [], key
        for names in (one["enum"] for one in alternatives(facts) if "enum" in one):
            shown = ", ".join(f"`{name}`" for name in names)
            assert row["allowed"] == shown or key == "templates"


def defaults(key: str, value: object) -> set[str]:
    """How a default may be written."""
    if isinstance(value, bool):
        return {f"`{str(value).lower()}`"}
    if isinstance(value, float):
        return {f"{value:g}"}
    if isinstance(value, str):
        return {f"`{value}`" if value else "empty"}
    if value:
        (name,) = (name for name, texts in TEMPLATE_SETS.items() if list(texts) == value)
        return {f"`{name}`"}
    return {"`all`"} if key == "policies" else {"none", "no limit"}


def alternatives(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a key may be, by any of which it is allowed."""
    found: list[Mapping[str, Any]] = facts.get("anyOf", [facts])
    return found


def limits(facts: Mapping[str, Any]) -> set[float]:
    """Every number that bounds a value."""
    names = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "maxLength", "maxItems"}
    return {
        float(one[name])
        for one in alternatives(facts)
        for name in (names | {"minItems"} if "maxItems" in one else names) & one.keys()
    }


def numbers(cell: str) -> set[float]:
    return {float(one.replace(",", "")) for one in re.findall(r"\d[\d,]*(?:\.\d+)?", cell)}


def test_the_page_says_of_every_key_of_a_test_what_an_editor_shows() -> None:
    page = PAGE_OF_TESTS.read_text(encoding="utf-8")
    table = page.partition("| key | what has to hold |")[2].partition("\n\n")[0]

    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.M)) == {
        key: field.description for key, field in ExpectationSchema.model_fields.items()
    }


def rows_of(model: type[BaseModel]) -> dict[str, dict[str, str]]:
    """By key, the cells of a table by their column."""
    header, *lines = re.findall(r"^\|(.*)\|$", table_of(model), re.M)
    columns = [one.strip() for one in header.split("|")]
    cells = [[one.strip() for one in line.split("|")] for line in lines if line[:1] == " "]
    return {first.strip("`"): dict(zip(columns[1:], rest, strict=True)) for first, *rest in cells}


def table_of(model: type[BaseModel]) -> str:
    """The table, with its header, whose first row is the model's first key."""
    first = next(iter(model.model_fields))
    tables = re.findall(r"^\|.*\n\|---.*\n(?:\|.*\n)+", PAGE, re.M)
    described = model.model_fields[first].description or ""
    start = f"|\n| `{first}` |"  # below the line of hyphens
    return next(str(one) for one in tables if f"---{start}" in one and described in one)


def test_the_tables_name_every_aggregation_and_every_template() -> None:
    for name in (*AGGREGATIONS, *TEMPLATE_SETS, *chain(*TEMPLATE_SETS.values())):
        assert f"`{name}`" in PAGE
