"""Every mistake in profiles.yaml: where it is told to be, and in which words."""

from pathlib import Path

import pytest

from tests.adapters.policy_yaml.writing import GOOD, another, problems, write

WRONG = {
    "an empty file": ("# nothing yet\n", ": the file is empty"),
    "no key profiles": (
        "default: {}\n",
        ":1:1: profiles: this key is required",
        ":1:1: unknown key 'default' (known keys: profiles)",
    ),
    "profiles that are a list": (
        "profiles: [default]\n",
        ":1:11: profiles: must be a mapping of keys to values, got a list",
    ),
    "no default profile": (
        "profiles:\n  kids: {}\n",
        ":1:1: profiles.default: this key is required; it is for requests that name no profile",
    ),
    "a profile without content": (
        "profiles:\n  default:\n",
        ":2:3: profiles.default: must be a mapping of keys to values, got nothing; "
        "indent the lines that belong to it",
    ),
    "a name that is no id": (
        "profiles:\n  default: {}\n  Kids & Co: {}\n",
        ":3:3: profiles.'Kids & Co': the name must be lower-case letters and digits, with single "
        "hyphens between them, at most 64 characters",
    ),
    "an unknown key": (
        "profiles:\n  default: {policy: all}\n",
        ":2:13: profiles.default: unknown key 'policy'; did you mean policies? "
        "(known keys: policies, on_unjudgeable, thresholds, audit_share, review_budget)",
    ),
    "a selection that is neither": (
        "profiles:\n  default: {policies: everything}\n",
        ":2:23: profiles.default.policies: must be all, or a list of policy ids, got 'everything'",
    ),
    "a selection of nothing": (
        "profiles:\n  default: {policies: []}\n",
        ":2:23: profiles.default.policies: must not be empty: this profile would judge nothing",
    ),
    "a selection of numbers": (
        "profiles:\n  default: {policies: [7]}\n",
        ":2:23: profiles.default.policies: every item must be the id of a policy, as a text",
    ),
    "a policy that there is not": (
        "profiles:\n  default: {policies: [weapon]}\n",
        ":2:24: profiles.default.policies[1]: there is no policy 'weapon'; did you mean weapons?",
    ),
    "a policy that is like none": (
        "profiles:\n  default: {policies: [x, qqq]}\n",
        ":2:27: profiles.default.policies[2]: there is no policy 'qqq'; remove it or add its file",
    ),
    "a policy twice": (
        "profiles:\n  default: {policies: [x, x]}\n",
        ":2:27: profiles.default.policies[2]: 'x' is listed twice; remove one of them",
    ),
    "an unknown action": (
        "profiles:\n  default: {on_unjudgeable: blok}\n",
        ":2:29: profiles.default.on_unjudgeable: must be one of allow, review, block, got 'blok'; "
        "did you mean block?",
    ),
    "thresholds of a policy that there is not": (
        "profiles:\n  default: {thresholds: {weapon: {review: 0.1}}}\n",
        ":2:26: profiles.default.thresholds.weapon: there is no policy 'weapon'; "
        "did you mean weapons?",
    ),
    "thresholds of a policy that is not selected": (
        "profiles:\n  default: {policies: [x], thresholds: {weapons: {review: 0.1}}}\n",
        ":2:41: profiles.default.thresholds.weapons: this profile does not select that policy; "
        "add it to the profile's policies",
    ),
    "thresholds out of range": (
        "profiles:\n  default: {thresholds: {x: {review: 2}}}\n",
        ":2:38: profiles.default.thresholds.x.review: must be between 0 and 1, got 2",
    ),
    "thresholds out of order": (
        "profiles:\n  default: {thresholds: {x: {review: 0.9, block: 0.1}}}\n",
        ":2:38: profiles.default.thresholds.x: review (0.9) must not be above block (0.1)",
    ),
    "thresholds as targets out of order": (
        "profiles:\n  default:\n    thresholds:\n"
        "      x: {review: {max_fpr: 0.1}, block: {max_fpr: 0.2}}\n",
        ":4:29: profiles.default.thresholds.x: review (max_fpr: 0.1) must not be stricter than "
        "block (max_fpr: 0.2)",
    ),
    "an audit share above 1": (
        "profiles:\n  default: {audit_share: 5}\n",
        ":2:26: profiles.default.audit_share: must be between 0 and 1, got 5",
    ),
    "a review budget of nothing": (
        "profiles:\n  default: {review_budget: 0}\n",
        ":2:28: profiles.default.review_budget: must be above 0 and at most 1, got 0",
    ),
    "a syntax error": (
        "profiles:\n  default: {}\n kids: {}\n",
        ":3:2: is not valid YAML: expected <block end>, but found '<block mapping start>' while "
        "parsing a block mapping that starts on line 1; is this line indented like those above it?",
    ),
    "two profiles of one name": (
        "profiles:\n  default: {}\n  default: {}\n",
        ":3:3: the key 'default' is already on line 2; remove one of them",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_mistake_in_the_profiles_is_told_at_its_place(
    tmp_path: Path, case: tuple[str, ...]
) -> None:
    text, *told = case
    directory = write(tmp_path, x=GOOD, weapons=another("weapons"), profiles=text)

    assert problems(directory) == [f"policies/profiles.yaml{one}" for one in told]


def test_a_broken_policy_is_not_told_to_be_missing_as_well(tmp_path: Path) -> None:
    profiles = "profiles:\n  default: {policies: [x, broken]}\n"
    directory = write(tmp_path, x=GOOD, broken="id: [\n", profiles=profiles)

    (told,) = problems(directory)

    assert told.startswith("policies/broken.yaml:2:1: is not valid YAML")


def test_profiles_without_a_policy_are_no_set(tmp_path: Path) -> None:
    directory = write(tmp_path, profiles="profiles:\n  default: {}\n")

    assert problems(directory) == [
        "policies: there is no policy, only shared files; nothing would be judged"
    ]


def test_a_second_file_of_profiles_is_refused(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD, profiles="profiles:\n  default: {}\n")
    (directory / "profiles.yml").write_text("profiles:\n  default: {}\n")

    assert problems(directory) == [
        "policies/profiles.yml: there is policies/profiles.yaml already; keep one of them"
    ]
