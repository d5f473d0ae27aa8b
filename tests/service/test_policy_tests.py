"""Embeddings of what tests look at, and tests that stand before an activation."""

from collections.abc import Mapping

import numpy as np
import pytest

from moderation.core.content import Embeddings
from moderation.core.corpus import Corpus
from moderation.core.errors import FailureCode, PolicySetRejected, UnjudgeableContent
from moderation.core.policy import Action
from moderation.core.policy_tests import Expectation, PolicyTest, Subject, SubjectKind
from moderation.service.policy_tests import (
    ActivationTests,
    SubjectEmbeddings,
    accept,
    as_mapping,
    name_of,
)
from tests.builders import a_policy, a_policy_set, compiled
from tests.fakes import FAKE_DIM, FakeEncoder, embedding_of
from tests.service.engine import running_engine

GUN = Subject(SubjectKind.PICTURE, "folder/gun.jpg")
TEXT = Subject(SubjectKind.TEXT, "a cat")
STORED = Subject(SubjectKind.EMBEDDING, "upload-7")


class Pictures:
    """Files in memory whose bytes say what they show, and who looks at them."""

    def __init__(self, **bytes_by_stem: bytes) -> None:
        self.bytes_by_path = {f"folder/{stem}.jpg": one for stem, one in bytes_by_stem.items()}
        self.seen: list[bytes] = []

    def read(self, path: str) -> bytes:
        try:
            return self.bytes_by_path[path]
        except KeyError as error:
            raise FileNotFoundError(path) from error

    def see(self, image: bytes) -> Embeddings:
        self.seen.append(image)
        if image == b"broken":
            raise UnjudgeableContent(FailureCode.CORRUPT, "broken")
        return embedding_of(image.decode())[None]


def looking(
    pictures: Pictures, stored: Mapping[str, Embeddings] | None = None
) -> SubjectEmbeddings:
    return SubjectEmbeddings(pictures.see, FakeEncoder(), pictures.read, stored or {})


def test_pictures_and_texts_are_embedded_and_named_for_storing() -> None:
    pictures = Pictures(gun=b"a gun")
    embeddings = looking(pictures)

    found = embeddings.of([GUN, TEXT])

    assert np.array_equal(found[GUN], embedding_of("a gun")[None])
    assert np.array_equal(found[TEXT], embedding_of("a cat")[None])
    assert embeddings.found.keys() == {name_of(GUN, b"a gun"), name_of(TEXT)}


def test_what_was_seen_once_is_not_looked_at_again() -> None:
    pictures = Pictures(gun=b"a gun")
    embeddings = looking(pictures)

    embeddings.of([GUN])
    embeddings.of([GUN])

    assert pictures.seen == [b"a gun"]


def test_a_stored_embedding_serves_for_the_very_picture_only() -> None:
    stored = {name_of(GUN, b"a gun"): embedding_of("stored")[None]}
    same, changed = Pictures(gun=b"a gun"), Pictures(gun=b"another gun")

    served = looking(same, stored).of([GUN])[GUN]
    seen = looking(changed, stored).of([GUN])[GUN]

    assert np.array_equal(served, embedding_of("stored")[None])
    assert same.seen == []
    assert np.array_equal(seen, embedding_of("another gun")[None])


def test_a_stored_embedding_serves_where_there_is_no_picture() -> None:
    stored = {name_of(GUN, b"a gun"): embedding_of("stored")[None]}

    assert GUN in looking(Pictures(), stored).of([GUN])
    assert looking(Pictures()).of([GUN]) == {}


def test_contents_are_found_by_their_id() -> None:
    stored = {"embedding:upload-7": embedding_of("a gun")[None]}

    assert np.array_equal(
        looking(Pictures(), stored).of([STORED])[STORED], embedding_of("a gun")[None]
    )
    assert looking(Pictures()).of([STORED]) == {}


def test_what_cannot_be_judged_has_no_embedding() -> None:
    assert looking(Pictures(gun=b"broken")).of([GUN]) == {}


def test_a_stored_corpus_is_found_by_name() -> None:
    frames = embedding_of("a gun")[None]

    found = as_mapping(Corpus.from_contents([("a", frames)], dim=FAKE_DIM))

    assert np.array_equal(found["a"], frames)


def a_test(*allowed: Action, needs_clip: bool = False) -> PolicyTest:
    expectation = Expectation(actions=frozenset(allowed), needs_clip=needs_clip)
    return PolicyTest("tests/x.yaml", 3, 5, GUN, expectation)


def activation(*tests: PolicyTest, is_starter: bool = False) -> ActivationTests:
    return ActivationTests(lambda: tests, looking(Pictures(gun=b"a gun")), is_starter)


def test_a_set_that_passes_its_tests_is_let_pass() -> None:
    activation(a_test(Action.BLOCK))(compiled())


def test_a_failing_test_is_told_with_its_place() -> None:
    with pytest.raises(PolicySetRejected) as caught:
        activation(a_test(Action.ALLOW))(compiled())

    assert str(caught.value).startswith(
        "tests/x.yaml:3:5: the test of 'gun.jpg' fails: expected allow, got block by weapons"
    )


def test_what_needs_clip_does_not_stand_in_the_starter_s_way() -> None:
    test = a_test(Action.ALLOW, needs_clip=True)

    activation(test, is_starter=True)(compiled())
    with pytest.raises(PolicySetRejected):
        activation(test)(compiled())


def test_required_tests_have_to_be_there() -> None:
    with pytest.raises(PolicySetRejected, match="there is no policy test"):
        activation()(compiled())


def test_nobody_who_did_not_ask_is_refused() -> None:
    accept(compiled())


async def test_a_set_that_fails_is_not_activated_and_the_last_good_one_stays() -> None:
    async with running_engine(check=activation(a_test(Action.BLOCK))) as engine:
        good = engine.policies.current.policy_set.version
        engine.source.holds = a_policy_set(a_policy(review=1.0, block=1.0))

        assert not await engine.policies.reload()

        assert engine.policies.current.policy_set.version == good
        (problem,) = engine.policies.status.problems
        assert "expected block, got allow" in problem.message
