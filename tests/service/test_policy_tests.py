"""Embeddings of what tests look at, and tests that stand before an activation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from moderation.core.content import Embeddings
from moderation.core.corpus import Corpus
from moderation.core.errors import FailureCode, PolicySetRejected, UnjudgeableContent
from moderation.core.policy import Action
from moderation.core.policy_tests import Expectation, PolicyTest, Subject, SubjectKind
from moderation.service.policy_tests import (
    ActivationTests,
    StoredEmbeddings,
    SubjectEmbeddings,
    accept,
    as_mapping,
)
from tests.builders import a_policy, a_policy_set, compiled
from tests.fakes import FAKE_DIM, FakeEncoder, embedding_of
from tests.service.engine import running_engine

GUN = Subject(SubjectKind.PICTURE, "folder/gun.jpg")
TEXT = Subject(SubjectKind.TEXT, "a cat")
STORED = Subject(SubjectKind.EMBEDDING, "upload-7")
TESTS = Path("policies/tests")
name_of = StoredEmbeddings(TESTS, {}).name_of


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
    pictures: Pictures, stored: Mapping[str, Embeddings] | None = None, flaw: str = ""
) -> SubjectEmbeddings:
    there = StoredEmbeddings(TESTS, stored or {}, flaw)
    return SubjectEmbeddings(pictures.see, FakeEncoder(), pictures.read, there)


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

    served = looking(Pictures(), stored).of([GUN])[GUN]

    assert np.array_equal(served, embedding_of("stored")[None])
    assert looking(Pictures()).of([GUN]) == {
        GUN: "this picture is not there, nor an embedding of it"
    }


def test_pictures_of_one_name_in_two_folders_are_two_pictures() -> None:
    other = Subject(SubjectKind.PICTURE, "elsewhere/gun.jpg")
    stored = {
        name_of(other, b"a cat"): embedding_of("a cat")[None],
        name_of(GUN, b"a gun"): embedding_of("a gun")[None],
    }

    found = looking(Pictures(), stored).of([GUN, other])

    assert np.array_equal(found[GUN], embedding_of("a gun")[None])
    assert np.array_equal(found[other], embedding_of("a cat")[None])
    assert looking(Pictures(), {name_of(GUN): stored[name_of(GUN, b"a gun")]}).of([other]) == {
        other: "this picture is not there, nor an embedding of it"
    }


def test_what_is_stored_goes_with_the_folder_of_the_tests() -> None:
    here, there = (Path(one, "policies/tests") for one in ("/home/me", "/srv"))
    names = {
        StoredEmbeddings(folder, {}).name_of(
            Subject(SubjectKind.PICTURE, f"{folder}/../../pictures/gun.jpg"), b"a gun"
        )
        for folder in (here, there)
    }

    assert {name.rpartition(":")[0] for name in names} == {"picture:../../pictures/gun.jpg"}


def test_what_cannot_be_read_is_told_with_the_reason() -> None:
    def read(path: str) -> bytes:
        raise PermissionError(13, "Permission denied")

    embeddings = SubjectEmbeddings(Pictures().see, FakeEncoder(), read, StoredEmbeddings(TESTS, {}))

    told = "this picture cannot be read: Permission denied, nor an embedding of it"
    assert embeddings.of([GUN]) == {GUN: told}


def test_a_file_of_embeddings_that_cannot_be_used_is_told_where_one_is_missed() -> None:
    embeddings = looking(Pictures(cat=b"a cat"), flaw="x.npz: is no file of embeddings")

    found = embeddings.of([GUN, STORED, TEXT])

    why = "; x.npz: is no file of embeddings"
    assert found[GUN] == f"this picture is not there, nor an embedding of it{why}"
    assert found[STORED] == f"this embedding is not there{why}"
    assert np.array_equal(found[TEXT], embedding_of("a cat")[None])


def test_texts_are_encoded_many_at_a_time() -> None:
    class Counting(FakeEncoder):
        calls = 0

        def encode_texts(self, texts: Sequence[str]) -> Embeddings:
            Counting.calls += 1
            return super().encode_texts(texts)

    pictures = Pictures()
    texts = [Subject(SubjectKind.TEXT, f"text {number}") for number in range(60)]
    embeddings = SubjectEmbeddings(
        pictures.see, Counting(), pictures.read, StoredEmbeddings(TESTS, {})
    )

    found = embeddings.of([*texts, texts[0]])

    assert Counting.calls < 10
    for one in texts:
        assert np.array_equal(found[one], embedding_of(one.name)[None])


def test_an_update_adds_to_what_other_tests_need_and_drops_the_rest() -> None:
    before = {
        name_of(GUN, b"an older gun"): embedding_of("an older gun")[None],
        name_of(TEXT): embedding_of("a cat")[None],
        "text:nobody names: it": embedding_of("a dog")[None],
    }
    found = {name_of(GUN, b"a gun"): embedding_of("a gun")[None]}
    stored = StoredEmbeddings(TESTS, before)

    assert stored.updated(found, [GUN, TEXT]).keys() == {name_of(GUN, b"a gun"), name_of(TEXT)}
    assert stored.updated(found, None).keys() == {
        name_of(GUN, b"a gun"),
        name_of(TEXT),
        "text:nobody names: it",
    }


def test_contents_are_found_by_their_id() -> None:
    stored = {"embedding:upload-7": embedding_of("a gun")[None]}

    assert np.array_equal(
        looking(Pictures(), stored).of([STORED])[STORED], embedding_of("a gun")[None]
    )
    assert looking(Pictures()).of([STORED]) == {STORED: "this embedding is not there"}


def test_what_cannot_be_judged_is_told_with_the_reason() -> None:
    found = looking(Pictures(gun=b"broken")).of([GUN])

    assert found == {GUN: "this picture cannot be judged: broken"}


def test_a_stored_corpus_is_found_by_name() -> None:
    frames = embedding_of("a gun")[None]

    found = as_mapping(Corpus.from_contents([("a", frames)], dim=FAKE_DIM))

    assert np.array_equal(found["a"], frames)


def a_test(*allowed: Action, needs_clip: bool = False) -> PolicyTest:
    expectation = Expectation(actions=frozenset(allowed), needs_clip=needs_clip)
    return PolicyTest("tests/x.yaml", 3, 5, GUN, expectation)


def activation(*tests: PolicyTest, is_starter: bool = False) -> ActivationTests:
    embeddings = looking(Pictures(gun=b"a gun"))
    return ActivationTests(lambda: tests, lambda: embeddings.stored, embeddings, is_starter)


def test_a_set_that_passes_its_tests_is_let_pass() -> None:
    activation(a_test(Action.BLOCK))(compiled())


def test_what_is_stored_beside_the_tests_is_read_anew_each_time() -> None:
    stored = {name_of(GUN, b"a gun"): embedding_of("a gun")[None]}
    there: list[Mapping[str, Embeddings]] = [{}, stored]
    check = ActivationTests(
        lambda: [a_test(Action.BLOCK)],
        lambda: StoredEmbeddings(TESTS, there.pop(0)),
        looking(Pictures()),
    )

    with pytest.raises(PolicySetRejected, match="this picture is not there"):
        check(compiled())
    check(compiled())


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
