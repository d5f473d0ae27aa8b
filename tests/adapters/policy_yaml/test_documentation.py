"""docs/policies.md says what is so: its examples load, its errors are real, its tables complete."""

import re
from pathlib import Path

from moderation.adapters.policy_yaml.schema import PolicySchema, ProfileSchema
from moderation.core.aggregation import AGGREGATIONS
from moderation.core.templates import DEFAULT_TEMPLATES
from tests.adapters.policy_yaml.writing import another, load, problems, write

PAGE = (Path(__file__).parents[3] / "docs" / "policies.md").read_text(encoding="utf-8")
EXAMPLE_BY_STEM = {
    stem: text
    for text, stem in re.findall(r"```yaml\n(# policies/(\w+)\.yaml\n.*?)```", PAGE, re.S)
}


def test_the_examples_load(tmp_path: Path) -> None:
    files = {stem: text for stem, text in EXAMPLE_BY_STEM.items() if stem != "broken"}

    policy_set = load(write(tmp_path, alcohol=another("alcohol"), **files))

    assert {policy.id for policy in policy_set.policies} == {"alcohol", "fireworks"}
    assert policy_set.profiles.keys() == {"default", "kids"}


def test_the_mistakes_are_answered_as_shown(tmp_path: Path) -> None:
    shown = re.findall(r"```text\n(.*?)```", PAGE, re.S)

    told = problems(write(tmp_path, broken=EXAMPLE_BY_STEM["broken"]))

    assert ["\n".join(told) + "\n"] == shown


def test_the_tables_name_every_key_in_the_language() -> None:
    keys = re.findall(r"^\| `(\w+)` \|", PAGE, re.M)

    assert sorted(keys) == sorted([*PolicySchema.model_fields, *ProfileSchema.model_fields])


def test_the_tables_name_every_aggregation_and_default_template() -> None:
    for name in (*AGGREGATIONS, *DEFAULT_TEMPLATES):
        assert f"`{name}`" in PAGE
