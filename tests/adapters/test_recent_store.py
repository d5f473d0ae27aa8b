"""The ring of recent embeddings: bounded, whole after a crash, and forgetful when told to be."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from moderation.adapters.recent_store import (
    HEADER_BYTES,
    RecentStore,
    RecentUnavailable,
    erase_recent,
    read_recent,
)
from moderation.core.content import Embeddings
from tests.fakes import FAKE_DIM, embedding_of
from tests.service.recent import RecentContentsContract

DAY_S = 86400.0


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def a_store(
    directory: Path,
    clock: Clock,
    *,
    max_frames: int = 8,
    encoder: str = "e",
    part: tuple[int, int] = (0, 1),
) -> RecentStore:
    return RecentStore(
        directory,
        encoder_id=encoder,
        dim=FAKE_DIM,
        max_frames=max_frames,
        max_age_s=DAY_S,
        clock=clock,
        part=part,
    )


def frames(*shown: str) -> Embeddings:
    return np.stack([embedding_of(one) for one in shown])


def ids(directory: Path) -> list[str]:
    return list(read_recent(directory, encoder_id="e").content_ids)


def bytes_of(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


class TestRecentStore(RecentContentsContract):
    @pytest.fixture
    def store(self, tmp_path: Path, clock: Clock) -> Iterator[RecentStore]:
        with a_store(tmp_path, clock) as store:
            yield store


def test_what_was_kept_is_read_again_bit_by_bit(tmp_path: Path, clock: Clock) -> None:
    with a_store(tmp_path, clock) as store:
        store.append([("a", frames("a gun")), ("ü-2", frames("a cat", "a dog", "a cow"))])

        corpus = read_recent(tmp_path, encoder_id="e")

    assert corpus.content_ids == ("a", "ü-2")
    assert np.array_equal(corpus.frames_of(0), frames("a gun"))
    assert np.array_equal(corpus.frames_of(1), frames("a cat", "a dog", "a cow"))


def test_the_oldest_give_way_and_no_content_is_left_in_part(tmp_path: Path, clock: Clock) -> None:
    with a_store(tmp_path, clock, max_frames=5) as store:
        store.append([("a", frames("1", "2", "3"))])
        store.append([("b", frames("4")), ("c", frames("5")), ("d", frames("6"))])

        assert ids(tmp_path) == ["b", "c", "d"]


def test_the_file_never_grows_beyond_its_bound(tmp_path: Path, clock: Clock) -> None:
    sizes = set()
    with a_store(tmp_path, clock, max_frames=5) as store:
        for number in range(30):
            store.append([(f"c{number}", frames("x", "y"))])
            sizes.add(sum(path.stat().st_size for path in tmp_path.iterdir()))

    assert max(sizes) <= HEADER_BYTES + 5 * (FAKE_DIM * 4 + 400)


def test_an_animation_longer_than_the_ring_is_left_out(tmp_path: Path, clock: Clock) -> None:
    with a_store(tmp_path, clock, max_frames=2) as store:
        store.append([("long", frames("1", "2", "3")), ("short", frames("4"))])

        assert ids(tmp_path) == ["short"]


def test_what_is_too_old_is_overwritten(tmp_path: Path, clock: Clock) -> None:
    with a_store(tmp_path, clock) as store:
        store.append([("a", frames("a gun"))])
        clock.now += DAY_S / 2
        store.append([("b", frames("a cat"))])
        clock.now += DAY_S / 2 + 1

        store.expire()

    assert ids(tmp_path) == ["b"]
    assert embedding_of("a gun").tobytes() not in bytes_of(tmp_path)


def test_a_reader_can_ask_for_what_is_newer_still(tmp_path: Path, clock: Clock) -> None:
    with a_store(tmp_path, clock) as store:
        store.append([("a", frames("a gun"))])
        clock.now += 100
        store.append([("b", frames("a cat"))])

    corpus = read_recent(tmp_path, encoder_id="e", max_age_s=50, now=clock.now)

    assert corpus.content_ids == ("b",)


def test_a_restart_goes_on_where_it_was(tmp_path: Path, clock: Clock) -> None:
    for name in "abcde":
        with a_store(tmp_path, clock, max_frames=3) as store:
            store.append([(name, frames(name))])

    assert ids(tmp_path) == ["c", "d", "e"]


def test_a_restart_forgets_what_grew_old_meanwhile(tmp_path: Path, clock: Clock) -> None:
    with a_store(tmp_path, clock) as store:
        store.append([("a", frames("a gun"))])
    clock.now += DAY_S + 1

    with a_store(tmp_path, clock):
        assert ids(tmp_path) == []


@pytest.mark.parametrize("cut", [1, 100, 500])
def test_a_record_that_a_crash_tore_is_skipped(tmp_path: Path, clock: Clock, cut: int) -> None:
    with a_store(tmp_path, clock) as store:
        store.append([("a", frames("a gun")), ("b", frames("a cat"))])
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-cut])

    with a_store(tmp_path, clock) as store:
        store.append([("c", frames("a dog"))])

        assert ids(tmp_path) == ["a", "c"]


@pytest.mark.case(99)
def test_one_flipped_bit_costs_that_record_only(tmp_path: Path, clock: Clock) -> None:
    with a_store(tmp_path, clock) as store:
        store.append([("a", frames("a gun")), ("b", frames("a cat"))])
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[HEADER_BYTES + 330] ^= 1
    path.write_bytes(content)

    assert ids(tmp_path) == ["b"]


@pytest.mark.case(104)
def test_erasing_leaves_no_byte_of_the_content(tmp_path: Path, clock: Clock) -> None:
    with a_store(tmp_path, clock) as store:
        store.append([("them", frames("a gun", "a cat")), ("b", frames("a dog"))])
        store.append([("them", frames("a cow"))])

        assert erase_recent(tmp_path, "them") == 3

        assert ids(tmp_path) == ["b"]
        content = bytes_of(tmp_path)
        assert b"them" not in content
        for shown in ("a gun", "a cat", "a cow"):
            assert embedding_of(shown).tobytes() not in content
        store.append([("c", frames("a bow"))])
        assert ids(tmp_path) == ["b", "c"]


def test_a_long_content_id_is_erased_by_the_whole_of_it(tmp_path: Path, clock: Clock) -> None:
    first, second = "é" * 255 + "1", "é" * 255 + "2"
    with a_store(tmp_path, clock) as store:
        store.append([(first, frames("a gun")), (second, frames("a cat"))])

    assert erase_recent(tmp_path, first) == 1
    assert np.array_equal(read_recent(tmp_path, encoder_id="e").embeddings, frames("a cat"))


def test_all_contents_whose_ids_begin_alike_are_erased(tmp_path: Path, clock: Clock) -> None:
    with a_store(tmp_path, clock) as store:
        for one in ("é-17/a", "é-17/b", "é-170/a", "b"):
            store.append([(one, frames("a gun", "a cat"))])

    assert erase_recent(tmp_path, "é-17/", is_prefix=True) == 4
    assert ids(tmp_path) == ["é-170/a", "b"]


def test_erasing_what_is_not_there_erases_nothing(tmp_path: Path, clock: Clock) -> None:
    with a_store(tmp_path, clock) as store:
        store.append([("a", frames("a gun"))])

    assert erase_recent(tmp_path, "b") == 0
    assert ids(tmp_path) == ["a"]


def test_embeddings_of_another_encoder_are_removed_and_never_read(
    tmp_path: Path, clock: Clock
) -> None:
    with a_store(tmp_path, clock) as store:
        store.append([("a", frames("a gun"))])

    with pytest.raises(RecentUnavailable, match="no recent embeddings of this encoder"):
        read_recent(tmp_path, encoder_id="another")
    with a_store(tmp_path, clock, encoder="another"):
        assert embedding_of("a gun").tobytes() not in bytes_of(tmp_path)


def test_a_ring_of_another_size_is_begun_anew(tmp_path: Path, clock: Clock) -> None:
    with a_store(tmp_path, clock, max_frames=4) as store:
        store.append([("a", frames("a gun"))])

    with a_store(tmp_path, clock, max_frames=5):
        assert ids(tmp_path) == []


def test_only_one_process_may_fill_a_directory(tmp_path: Path, clock: Clock) -> None:
    with (
        a_store(tmp_path, clock),
        pytest.raises(RecentUnavailable, match="cannot hold recent embeddings"),
        a_store(tmp_path, clock),
    ):
        pass


def test_the_files_are_their_owner_s_alone(tmp_path: Path, clock: Clock) -> None:
    directory = tmp_path / "recent"
    with a_store(directory, clock):
        (path,) = directory.iterdir()

        assert directory.stat().st_mode & 0o077 == 0
        assert path.stat().st_mode & 0o077 == 0


def test_a_file_of_something_else_is_told(tmp_path: Path, clock: Clock) -> None:
    with a_store(tmp_path, clock):
        pass
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"something else")

    with pytest.raises(RecentUnavailable, match="is no file of recent embeddings"):
        read_recent(tmp_path, encoder_id="e")


def test_a_directory_that_cannot_be_is_told(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RecentUnavailable, match="cannot hold"), a_store(tmp_path / "file", clock):
        pass


def test_parts_of_several_processes_are_read_and_erased_as_one(
    tmp_path: Path, clock: Clock
) -> None:
    with (
        a_store(tmp_path, clock, part=(0, 2)) as first,
        a_store(tmp_path, clock, part=(1, 2)) as second,
    ):
        for store, content_id in ((second, "a"), (first, "b"), (second, "c")):
            clock.now += 1
            store.append([(content_id, frames("a cat"))])
        read = ids(tmp_path)
        erased = erase_recent(tmp_path, "c")

    assert read == ["a", "b", "c"]
    assert erased == 1
    assert ids(tmp_path) == ["a", "b"]


def test_a_part_that_no_process_has_any_more_is_removed(tmp_path: Path, clock: Clock) -> None:
    for number in range(3):
        with a_store(tmp_path, clock, part=(number, 3)) as store:
            store.append([(f"of {number}", frames("a cat"))])

    with a_store(tmp_path, clock, part=(0, 2)):
        assert ids(tmp_path) == ["of 0", "of 1"]
