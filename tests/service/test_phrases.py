"""A text is recalled, or else computed once, and how many of either is told."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from moderation.core.content import Embedding
from moderation.core.errors import EncodingFailed
from moderation.service.phrases import PhraseEmbeddings
from moderation.service.ports import EmbeddedTexts
from tests.fakes import FakeEncoder, embedding_of

NONE: frozenset[str] = frozenset()


class FakeMemory:
    """Knows some texts."""

    def __init__(self, **embedding_by_text: Embedding) -> None:
        self._embedding_by_text = embedding_by_text
        self.asked: list[Sequence[str]] = []

    def recall(self, texts: Sequence[str]) -> Mapping[str, Embedding]:
        self.asked.append(texts)
        known = self._embedding_by_text
        return {text: known[text] for text in texts if text in known}


def test_what_is_recalled_is_not_computed_and_counted_apart() -> None:
    encoder, memory = FakeEncoder(), FakeMemory(gun=embedding_of("gun"))
    phrases = PhraseEmbeddings(encoder, memory)

    found = phrases.embed(frozenset({"gun", "cat", "dog"}), active=NONE)

    assert found == EmbeddedTexts(computed=2, recalled=1)
    assert sorted(encoder.texts) == ["cat", "dog"]
    assert np.array_equal(phrases.by_text["gun"], embedding_of("gun"))


def test_what_is_in_use_is_not_asked_for_again() -> None:
    memory = FakeMemory(gun=embedding_of("gun"))
    phrases = PhraseEmbeddings(FakeEncoder(), memory)
    phrases.embed(frozenset({"gun", "cat"}), active=NONE)

    found = phrases.embed(frozenset({"gun", "cat"}), active=NONE)

    assert found == EmbeddedTexts()
    assert memory.asked == [["cat", "gun"]]


def test_without_a_memory_everything_is_computed() -> None:
    phrases = PhraseEmbeddings(FakeEncoder())

    assert phrases.embed(frozenset({"gun", "cat"}), active=NONE) == EmbeddedTexts(computed=2)


def test_a_memory_that_holds_no_unit_vectors_is_refused() -> None:
    phrases = PhraseEmbeddings(FakeEncoder(), FakeMemory(gun=2.0 * embedding_of("gun")))

    with pytest.raises(EncodingFailed):
        phrases.embed(frozenset({"gun"}), active=NONE)

    assert phrases.by_text == {}
