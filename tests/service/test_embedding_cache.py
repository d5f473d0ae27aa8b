"""What is remembered of contents, for how long, and in how much memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.content import Embeddings, content_digest
from moderation.core.errors import FailureCode, UnjudgeableContent
from moderation.service.embedding_cache import (
    ENTRY_BYTES,
    TRANSIENT,
    ContentKey,
    EmbeddingCache,
)
from tests.fakes import RecordingTelemetry


def content_key(encoder_id: str, image: bytes) -> ContentKey:
    return encoder_id, content_digest(image)


KEY, OTHER = content_key("encoder", b"a gun"), content_key("encoder", b"a kitten")
DIM = 32
SIZE = ENTRY_BYTES + 4 * DIM


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def a_cache(
    clock: Clock, *, entries: int = 3, telemetry: RecordingTelemetry | None = None
) -> EmbeddingCache:
    return EmbeddingCache(
        max_bytes=entries * SIZE,
        refusal_s=60.0,
        telemetry=telemetry or RecordingTelemetry(),
        clock=clock,
    )


def rows(value: float = 1.0, frames: int = 1) -> Embeddings:
    return np.full((frames, DIM), value, dtype=np.float32)


def test_what_was_remembered_comes_back_and_cannot_be_changed(clock: Clock) -> None:
    cache = a_cache(clock)

    cache.remember(KEY, rows(0.5))

    found = cache.get(KEY)
    assert found is not None
    np.testing.assert_array_equal(found, rows(0.5))
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 0
    assert cache.get(OTHER) is None


def test_other_bytes_and_other_encoders_have_keys_of_their_own() -> None:
    keys = {content_key(*of) for of in (("a", b"x"), ("b", b"x"), ("a", b"y"), ("a", b"x"))}

    assert len(keys) == 3


def test_what_was_asked_for_longest_ago_makes_room(clock: Clock) -> None:
    cache = a_cache(clock, entries=2)
    keys = [content_key("encoder", bytes([number])) for number in range(3)]
    cache.remember(keys[0], rows())
    cache.remember(keys[1], rows())
    cache.get(keys[0])

    cache.remember(keys[2], rows())

    assert [cache.get(key) is not None for key in keys] == [True, False, True]


def test_what_is_larger_than_the_whole_cache_is_not_kept(clock: Clock) -> None:
    telemetry = RecordingTelemetry()
    cache = a_cache(clock, entries=1, telemetry=telemetry)

    cache.remember(KEY, rows(frames=2))

    assert cache.get(KEY) is None
    assert telemetry.cache_sizes == [0]


def test_remembering_anew_replaces(clock: Clock) -> None:
    telemetry = RecordingTelemetry()
    cache = a_cache(clock, telemetry=telemetry)

    cache.remember(KEY, rows(0.1))
    cache.remember(KEY, rows(0.2))

    np.testing.assert_array_equal(cache.get(KEY), rows(0.2))
    assert telemetry.cache_sizes == [SIZE, SIZE]


def test_a_refusal_is_repeated_for_a_while(clock: Clock) -> None:
    cache = a_cache(clock)
    cache.remember_refusal(KEY, UnjudgeableContent(FailureCode.TRUNCATED, "ends early"))

    for now in (0.0, 59.0):
        clock.now = now
        with pytest.raises(UnjudgeableContent, match="ends early") as caught:
            cache.get(KEY)
        assert caught.value.code is FailureCode.TRUNCATED

    clock.now = 60.0
    assert cache.get(KEY) is None


@pytest.mark.parametrize("code", sorted(TRANSIENT))
def test_what_may_go_better_next_time_is_not_remembered(clock: Clock, code: FailureCode) -> None:
    cache = a_cache(clock)

    cache.remember_refusal(KEY, UnjudgeableContent(code, "not now"))

    assert cache.get(KEY) is None


@given(
    asked=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(["get", "remember", "refuse"])), max_size=60
    ),
    entries=st.integers(0, 5),
)
def test_whatever_is_asked_the_bytes_stay_within_bounds_and_answers_are_right(
    asked: list[tuple[int, str]], entries: int
) -> None:
    telemetry, clock = RecordingTelemetry(), Clock()
    cache = a_cache(clock, entries=entries, telemetry=telemetry)

    for number, action in asked:
        key = content_key("encoder", bytes([number]))
        if action == "remember":
            cache.remember(key, rows(number))
        elif action == "refuse":
            cache.remember_refusal(key, UnjudgeableContent(FailureCode.CORRUPT, str(number)))
        assert answer(cache, key) in {None, number}

    assert all(0 <= size <= entries * SIZE for size in telemetry.cache_sizes)


def answer(cache: EmbeddingCache, key: ContentKey) -> int | None:
    """The number that was remembered for the key, as rows or as a refusal."""
    try:
        found = cache.get(key)
    except UnjudgeableContent as error:
        return int(error.message)
    return None if found is None else int(found[0, 0])
