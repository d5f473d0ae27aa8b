"""docs/policies.md says what is so: its examples load, its errors are real, its tables complete."""

import re
from itertools import chain
from pathlib import Path

import pytest
from pydantic import BaseModel

from moderation.adapters.policy_yaml.expectations import ExpectationSchema
from moderation.adapters.policy_yaml.schema import (
    CategorySchema,
    ListsSchema,
    PolicySchema,
    ProfileSchema,
)
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
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)$", table_of(model), re.M))

    assert list(rows) == list(model.model_fields)
    for key, field in model.model_fields.items():
        assert f"| {field.description} |" in f"|{rows[key]}".replace("| yes |", "| |")


def test_the_page_says_of_every_key_of_a_test_what_an_editor_shows() -> None:
    page = PAGE_OF_TESTS.read_text(encoding="utf-8")
    table = page.partition("| key | what has to hold |")[2].partition("\n\n")[0]

    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.M)) == {
        key: field.description for key, field in ExpectationSchema.model_fields.items()
    }


def table_of(model: type[BaseModel]) -> str:
    """The table whose first row is the model's first key."""
    first = next(iter(model.model_fields))
    tables = re.findall(r"^\|---.*\n((?:\|.*\n)+)", PAGE, re.M)
    described = model.model_fields[first].description or ""
    return next(str(one) for one in tables if one.startswith(f"| `{first}` |") and described in one)


def test_the_tables_name_every_aggregation_and_every_template() -> None:
    for name in (*AGGREGATIONS, *TEMPLATE_SETS, *chain(*TEMPLATE_SETS.values())):
        assert f"`{name}`" in PAGE
