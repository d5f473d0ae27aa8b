"""The report of a policy diff holds what was found, and fetches nothing."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from moderation.adapters.pages.policy_diff import policy_diff_page
from moderation.core.corpus import Corpus
from moderation.core.policy import BoundEncoder, PolicySet, Profile
from moderation.service.policy_diff import Comparison, PolicyComparer
from tests.builders import a_policy, a_policy_set, an_encoder_info
from tests.fakes import FAKE_DIM, FakeEncoder, embedding_of


def compared(old: PolicySet, new: PolicySet, *shown: str) -> Comparison:
    contents = [(f"<{one}>", embedding_of(one)[None]) for one in shown]
    corpus = Corpus.from_contents(contents, dim=FAKE_DIM)
    with ThreadPoolExecutor(1) as executor:
        comparer = PolicyComparer(encoder=an_encoder_info(), texts=FakeEncoder(), executor=executor)
        return comparer.compare(old, new, corpus)


OLD = a_policy_set(a_policy(), a_policy("pets", phrases=["a cat"]))
NEW = a_policy_set(
    a_policy(phrases=["a </script> gun", "a rifle"]),
    a_policy("pets", phrases=["a cat"], review=0.999, block=None),
    a_policy("new", phrases=["a cup"]),
)


def test_changes_flips_and_plots_are_on_the_page() -> None:
    page = policy_diff_page(compared(OLD, NEW, "a gun", "a cat", "a cup"), "HEAD", "policies")

    assert "Old: HEAD, version " in page
    assert "+ phrases[&quot;a rifle&quot;]" in page
    assert "Tried on 3 contents, by profile default." in page
    assert page.count('class="plot"') == 4
    assert "&lt;a gun&gt;" in page


def test_what_comes_from_files_and_strangers_cannot_end_a_script() -> None:
    page = policy_diff_page(compared(OLD, NEW, "</script><script>alert(1)"), "<old>", "<new>")

    assert "</script><script>alert" not in page
    assert "<old>" not in page
    assert "a </script> gun" not in page


def test_without_contents_and_changes_that_is_said() -> None:
    page = policy_diff_page(compared(OLD, OLD), "a", "b")

    assert "Both mean the same." in page
    assert 'class="plot"' not in page


def test_parts_of_every_kind_are_told() -> None:
    bound = BoundEncoder("a" * 64, "small", "encoder.lock")
    new = replace(a_policy_set(*OLD.policies, profiles=[Profile("kids")]), encoder=bound)

    page = policy_diff_page(compared(OLD, new), "a", "b")

    assert "<td>profile</td><td>kids</td><td>added</td>" in page
    assert "<td>binding</td><td>encoder.lock</td><td>added</td>" in page


def test_scores_of_a_policy_that_is_new_stand_on_one_side_only() -> None:
    comparison = compared(OLD, NEW, "a cup")
    assert comparison.effects is not None

    position = list(comparison.effects.by_policy).index("new")

    assert comparison.effects.tally.before[position].sum() == 0
    assert np.count_nonzero(comparison.effects.tally.after[position]) == 1
    page = policy_diff_page(comparison, "a", "b")
    assert "<td>&lt;a cup&gt;</td>" in page
    assert "<td>nan</td>" not in page
