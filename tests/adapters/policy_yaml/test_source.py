"""A directory of policy files becomes one policy set."""

import itertools
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.core.errors import PolicySetRejected
from moderation.core.policy import (
    Action,
    Mode,
    Phrase,
    Policy,
    Profile,
    Severity,
    Thresholds,
)
from moderation.core.templates import DEFAULT_TEMPLATES
from tests.adapters.policy_yaml.writing import GOOD, another, edited, load, problems, write
from tests.contracts import PolicySourceContract

SHIPPED = Path(__file__).parents[3] / "policies"


class TestYamlPolicySource(PolicySourceContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> YamlPolicySource:
        return YamlPolicySource(write(tmp_path, x=GOOD))

    @pytest.fixture
    def broken_source(self, tmp_path: Path) -> YamlPolicySource:
        return YamlPolicySource(write(tmp_path, x="id: ["))


def test_the_shipped_policies_load() -> None:
    policy_set = load(SHIPPED)

    assert len(policy_set.policies) >= 10
    assert {"default", "kids", "marketplace"} <= policy_set.profiles.keys()


def test_every_shipped_policy_has_look_alikes_and_says_what_it_means() -> None:
    for policy in load(SHIPPED).policies:
        assert policy.contrast, policy.id
        assert policy.description, policy.id


def test_a_short_policy_gets_the_defaults(tmp_path: Path) -> None:
    (policy,) = load(write(tmp_path, x=GOOD)).policies

    assert policy == Policy(
        id="x",
        title="X",
        phrases=(Phrase("a gun"), Phrase("a pistol")),
        thresholds=Thresholds(review=0.5, block=0.8),
    )
    assert policy.templates == DEFAULT_TEMPLATES


def test_every_key_reaches_the_policy(tmp_path: Path) -> None:
    text = """\
        id: x
        title: Firearms
        description: >-
          Guns shown as objects
          or in use.
        severity: critical
        category: regulated-goods
        mode: shadow
        phrases:
          - text: a gun
            weight: 0.5
          - "7.62 ammunition"
        contrast: [a toy]
        templates: ["a photo of {}."]
        aggregation: top_k_mean
        thresholds: {review: 0, block: 1}
        needs_clip: true
        """

    (policy,) = load(write(tmp_path, x=text)).policies

    assert policy == Policy(
        id="x",
        title="Firearms",
        description="Guns shown as objects or in use.",
        severity=Severity.CRITICAL,
        category="regulated-goods",
        mode=Mode.SHADOW,
        phrases=(Phrase("a gun", 0.5), Phrase("7.62 ammunition")),
        contrast=(Phrase("a toy"),),
        templates=("a photo of {}.",),
        aggregation="top_k_mean",
        thresholds=Thresholds(review=0.0, block=1.0),
        needs_clip=True,
    )


@pytest.mark.parametrize("thresholds", ["{review: 0.5}", "{review: 0.5, block: null}"])
def test_a_policy_without_a_block_threshold_never_blocks(tmp_path: Path, thresholds: str) -> None:
    text = edited(("{review: 0.5, block: 0.8}", thresholds))

    (policy,) = load(write(tmp_path, x=text)).policies

    assert isinstance(policy.thresholds, Thresholds)
    assert policy.thresholds.action_for(1.0) is Action.REVIEW


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "NO", "2024-01-31", "1_000", "0x1F"])
def test_words_are_texts_and_not_what_older_yaml_took_them_for(tmp_path: Path, word: str) -> None:
    (policy,) = load(write(tmp_path, x=edited(("a gun", word)))).policies

    assert policy.phrases[0].text == word


@pytest.mark.parametrize("word", ["1", "1.5", "-3", "1e3", ".5", "true", "null", "~", ".inf"])
def test_what_is_no_text_must_be_quoted_to_be_a_phrase(tmp_path: Path, word: str) -> None:
    unquoted = write(tmp_path / "unquoted", x=edited(("a gun", word)))
    quoted = write(tmp_path / "quoted", x=edited(("a gun", f"'{word}'")))

    assert problems(unquoted) == [
        "policies/x.yaml:4:5: phrases[1]: must be a text, or a mapping with text and weight, "
        f"got {word}; put it in quotes"
    ]
    assert load(quoted).policies[0].phrases[0].text == word


def test_blanks_around_and_within_a_phrase_do_not_count(tmp_path: Path) -> None:
    (policy,) = load(write(tmp_path, x=edited(("a gun", '"  a \\n  gun "')))).policies

    assert policy.phrases[0].text == "a gun"


def test_policies_come_in_the_order_of_their_ids(tmp_path: Path) -> None:
    directory = write(tmp_path, x__b=another("x-b"), x=GOOD, a=another("a"))

    assert [policy.id for policy in load(directory).policies] == ["a", "x", "x-b"]


def test_both_endings_are_read_and_what_is_hidden_or_foreign_is_not(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD)
    (directory / "y.YML").write_text(another("y"))
    for name in (".x.yaml.swp", ".hidden.yaml", "x.yaml~", "x.yaml.bak", "#x.yaml#", "README.md"):
        (directory / name).write_text("id: [")
    (directory / ".git").mkdir()
    (directory / "archive").mkdir()

    assert [policy.id for policy in load(directory).policies] == ["x", "y"]


def test_one_id_in_two_files_names_both(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD)
    (directory / "x.yml").write_text(GOOD)

    assert problems(directory) == [
        "policies/x.yml:1:5: id: 'x' is already the id of policies/x.yaml; remove one of the files"
    ]


def test_a_copied_file_is_told_to_need_an_id_of_its_own(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD, y=GOOD)

    assert problems(directory) == [
        "policies/y.yaml:1:5: id: 'x' is already the id of policies/x.yaml; write 'y', the name of "
        "this file"
    ]


def test_of_two_files_with_one_id_the_copy_is_the_wrong_one(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD)
    (directory / "a copy of x.yaml").write_text(GOOD)

    assert problems(directory) == [
        "policies/a copy of x.yaml:1:5: id: 'x' is already the id of policies/x.yaml; remove one "
        "of the files"
    ]


def test_a_file_whose_name_can_be_no_id_is_to_be_renamed(tmp_path: Path) -> None:
    directory = write(tmp_path)
    (directory / "X.yaml").write_text(GOOD)

    assert problems(directory) == [
        "policies/X.yaml:1:5: id: must be the file's name without its ending, 'X', got 'x'; rename "
        "the file"
    ]


def test_a_set_whose_policies_are_all_off_is_refused(tmp_path: Path) -> None:
    directory = write(tmp_path, x=edited(("title: X", "title: X\nmode: off")))

    assert problems(directory) == [
        "policies: there is no policy that is not off; nothing would be judged"
    ]


def test_an_edit_is_seen_by_the_same_source(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD, y=another("y"))
    source = YamlPolicySource(directory)
    before = source.load()

    write(tmp_path, y=another("y").replace("0.8", "0.9"))
    after = source.load()

    assert after.version != before.version
    assert after.policies[1].thresholds.block == 0.9


def test_a_file_that_did_not_change_is_not_parsed_again(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD, y=another("y"))
    source = YamlPolicySource(directory)
    before = source.load()

    write(tmp_path, y=another("y").replace("0.8", "0.9"))
    after = source.load()

    assert after.policies[0] is before.policies[0]
    assert after.policies[1] is not before.policies[1]


def test_a_mistake_is_told_at_every_load_until_it_is_mended(tmp_path: Path) -> None:
    directory = write(tmp_path, x=edited(("0.5", "7")))
    source = YamlPolicySource(directory)
    told = [problems_of(source), problems_of(source)]

    write(tmp_path, x=GOOD)

    assert told[0] == told[1] != []
    assert problems_of(source) == []


def test_without_profiles_the_default_one_takes_every_policy(tmp_path: Path) -> None:
    policy_set = load(write(tmp_path, x=GOOD))

    assert policy_set.profiles == {"default": Profile()}


def test_profiles_select_and_override(tmp_path: Path) -> None:
    text = """\
        profiles:
          default: {}
          kids:
            policies: [x]
            on_unjudgeable: block
            thresholds:
              x: {review: 0.1}
        """

    policy_set = load(write(tmp_path, x=GOOD, y=another("y"), profiles=text))

    assert policy_set.profiles == {
        "default": Profile(),
        "kids": Profile(
            id="kids",
            policy_ids=frozenset({"x"}),
            thresholds={"x": Thresholds(review=0.1, block=None)},
            on_unjudgeable=Action.BLOCK,
        ),
    }


def problems_of(source: YamlPolicySource) -> list[str]:
    """What a load of this very source complains of."""
    try:
        source.load()
    except PolicySetRejected as rejected:
        return [str(problem) for problem in rejected.problems]
    return []


@pytest.mark.case(103)
def test_files_that_are_swapped_while_they_are_read_are_never_mixed(tmp_path: Path) -> None:
    names = ("a", "b")
    for name in names:
        (tmp_path / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
    swap_all(tmp_path, names, edit=0)
    source = YamlPolicySource(tmp_path)
    done = threading.Event()

    def keep_swapping() -> None:
        for edit in itertools.count(1):
            if done.wait(0.005):
                return
            swap_all(tmp_path, names, edit)
            shutil.rmtree(tmp_path / f"..{edit - 2}", ignore_errors=True)

    swapping = threading.Thread(target=keep_swapping)
    swapping.start()
    try:
        cuts: list[frozenset[str]] = []
        while len(set(cuts)) < 20:
            cuts.append(frozenset(str(policy.thresholds) for policy in source.load().policies))
    finally:
        done.set()
        swapping.join()

    assert all(len(one) == 1 for one in cuts)


def swap_all(directory: Path, names: Iterable[str], edit: int) -> None:
    """All files at one threshold, put in place together as Kubernetes does it."""
    fresh = directory / f"..{edit}"
    fresh.mkdir()
    for name in names:
        text = GOOD.replace("id: x", f"id: {name}").replace("0.5", str(0.1 + edit / 100_000))
        (fresh / f"{name}.yaml").write_text(text)
    (directory / "..new").symlink_to(fresh.name)
    (directory / "..new").replace(directory / "..data")
