"""Two policy sets are compared on a corpus, in chunks and by several workers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from moderation.core.corpus import Corpus
from moderation.core.decision import Options, decide
from moderation.core.errors import UnknownName
from moderation.core.policy import PolicySet, Profile
from moderation.core.scoring import score
from moderation.service.policy_diff import CHUNK_ROWS, PolicyComparer
from tests.builders import a_policy, a_policy_set, an_encoder_info, compiled
from tests.fakes import FAKE_DIM, FakeEncoder, embedding_of


@pytest.fixture
def comparer() -> Iterator[PolicyComparer]:
    with ThreadPoolExecutor(2) as executor:
        yield PolicyComparer(encoder=an_encoder_info(), texts=FakeEncoder(), executor=executor)


def a_corpus(contents: int) -> Corpus:
    random = np.random.default_rng(2)
    frames = random.normal(size=(contents, FAKE_DIM)).astype(np.float32)
    frames += random.uniform(0, 12, size=(contents, 1)).astype(np.float32) * embedding_of("a gun")
    frames /= np.linalg.norm(frames, axis=1, keepdims=True)
    return Corpus(tuple(f"c{n}" for n in range(contents)), frames, np.arange(contents))


OLD = a_policy_set(a_policy(), a_policy("pets", phrases=["a cat"]))
NEW = a_policy_set(a_policy(review=0.7), a_policy("pets", phrases=["a dog", "a cat"]))


def actions(policies: PolicySet, corpus: Corpus) -> list[int]:
    ready = compiled(policies)
    cuts = ready.cuts["default"]
    return [
        int(decide(score(frames[None], ready), ready, cuts, Options(), content_id="x").action)
        for frames in corpus.embeddings
    ]


def test_flips_over_all_chunks_are_those_of_deciding_one_by_one(comparer: PolicyComparer) -> None:
    corpus = a_corpus(2 * CHUNK_ROWS + 7)

    found = comparer.compare(OLD, NEW, corpus).effects

    assert found is not None
    before, after = actions(OLD, corpus), actions(NEW, corpus)
    flipped = [n for n, (was, will) in enumerate(zip(before, after, strict=True)) if was != will]
    flips = found.tally.flips
    assert sorted(flips.content[flips.policy == -1].tolist()) == flipped
    assert found.contents.flips.count == len(flipped) > 0
    assert found.by_policy.keys() == {"weapons", "pets"}


def test_the_changes_are_told_with_or_without_contents(comparer: PolicyComparer) -> None:
    without = comparer.compare(OLD, NEW, None)
    empty = comparer.compare(OLD, NEW, a_corpus(0))

    assert (without.effects, empty.effects) == (None, None)
    assert [part.id for part in without.diff.policies] == ["pets", "weapons"]


def test_a_profile_that_either_set_lacks_is_unknown(comparer: PolicyComparer) -> None:
    kids = a_policy_set(a_policy(), profiles=[Profile("kids")])

    for old, new in ((OLD, kids), (kids, OLD)):
        with pytest.raises(UnknownName):
            comparer.compare(old, new, None, profile="kids")


def test_what_is_off_on_that_day_does_not_judge() -> None:
    expired = a_policy_set(a_policy(), replace(a_policy("old"), expires=date(2026, 1, 1)))
    with ThreadPoolExecutor(1) as executor:
        comparer = PolicyComparer(
            encoder=an_encoder_info(),
            texts=FakeEncoder(),
            executor=executor,
            day=date(2026, 2, 1),
        )
        found = comparer.compare(a_policy_set(a_policy()), expired, a_corpus(10)).effects

    assert found is not None
    assert found.plan.policy_ids == ("weapons",)


def test_with_the_starter_what_needs_clip_acts_on_nothing() -> None:
    old, new = a_policy_set(a_policy()), a_policy_set(a_policy(needs_clip=True))
    with ThreadPoolExecutor(1) as executor:
        info = an_encoder_info(is_starter=True)
        comparer = PolicyComparer(encoder=info, texts=FakeEncoder(), executor=executor)
        found = comparer.compare(old, new, a_corpus(100)).effects

    assert found is not None
    assert found.contents.milder > 0
