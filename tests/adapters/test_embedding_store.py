"""Embeddings on disk: given back as they were, bounded, and gone when they are erased."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest

from moderation.adapters.embedding_store import EmbeddingStore, _opened, erase_embeddings
from moderation.core.content import Embeddings

DIM = 512


def rows(seed: int, frames: int = 1) -> Embeddings:
    return np.random.default_rng(seed).normal(size=(frames, DIM)).astype(np.float32)


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Home:
    """A directory, and stores in it that are closed in the end."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory, self._stack = directory, stack
        self.clock, self.told = Clock(), list[str]()

    def store(self, encoder_id: str = "e1", max_bytes: int = 1 << 30) -> EmbeddingStore:
        return self._stack.enter_context(
            EmbeddingStore(
                self.directory,
                encoder_id=encoder_id,
                dim=DIM,
                max_bytes=max_bytes,
                max_age_s=60.0,
                warn=self.told.append,
                clock=self.clock,
            )
        )

    def content(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.directory.iterdir()))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with ExitStack() as stack:
        yield Home(tmp_path / "cache", stack)


def test_another_process_finds_what_one_kept(home: Home) -> None:
    one, other = home.store(), home.store()

    one.keep([(digest(1), rows(1)), (digest(2), rows(2, frames=3))])

    found = [other.recall(digest(number)) for number in (1, 2, 3)]
    np.testing.assert_array_equal(found[0], rows(1))
    np.testing.assert_array_equal(found[1], rows(2, frames=3))
    assert found[2] is None


def test_each_encoder_has_its_own(home: Home) -> None:
    home.store("e1").keep([(digest(1), rows(1))])

    assert home.store("e2").recall(digest(1)) is None


def test_only_the_owner_can_read_it(home: Home) -> None:
    home.store().keep([(digest(1), rows(1))])

    assert home.directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in home.directory.iterdir()} == {0}


def test_what_is_too_old_is_not_given_out_and_goes(home: Home) -> None:
    store = home.store()
    store.keep([(digest(1), rows(1))])
    home.clock.now += 61

    assert store.recall(digest(1)) is None
    store.keep([(digest(2), rows(2))])
    assert erase_embeddings(home.directory, [digest(1), digest(2)]) == 1


def test_the_oldest_goes_when_there_is_no_more_room(home: Home) -> None:
    store = home.store(max_bytes=1 << 20)
    for number in range(1000):
        home.clock.now += 0.01
        store.keep([(digest(number), rows(number))])

    there = [number for number in range(1000) if store.recall(digest(number)) is not None]
    assert 350 < len(there) < 520
    assert there == list(range(there[0], 1000))
    assert (home.directory / "e1.embeddings").stat().st_size < 1.2 * (1 << 20)


def test_nothing_of_what_is_erased_is_left_in_the_files(home: Home) -> None:
    store = home.store()
    store.keep([(digest(number), rows(number)) for number in range(1, 50)])
    assert rows(7).tobytes()[:64] in home.content()

    assert erase_embeddings(home.directory, [digest(7), digest(99)]) == 1

    assert store.recall(digest(7)) is None
    assert store.recall(digest(8)) is not None
    assert rows(7).tobytes()[:64] not in home.content()


def test_an_embedding_that_was_changed_on_disk_was_never_kept(home: Home) -> None:
    store = home.store()
    store.keep([(digest(1), rows(1))])
    with closing(_opened(home.directory / "e1.embeddings")) as database, database:
        database.execute("UPDATE contents SET rows = zeroblob(2048)")

    assert store.recall(digest(1)) is None


def test_a_file_that_is_no_database_is_told_with_its_path(home: Home) -> None:
    home.directory.mkdir()
    (home.directory / "e1.embeddings").write_bytes(b"no database" * 100)

    with pytest.raises(OSError, match=r"e1\.embeddings: file is not a database; remove the file"):
        home.store()
    with pytest.raises(OSError, match=r"e1\.embeddings: file is not a database"):
        erase_embeddings(home.directory, [digest(1)])


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.recall(digest(1)),
        lambda store: store.keep([(digest(1), rows(1))]),
    ],
    ids=["recall", "keep"],
)
def test_what_breaks_later_is_told_once_and_costs_nothing_else(
    home: Home, use: Callable[[EmbeddingStore], object]
) -> None:
    store = home.store()
    with closing(_opened(home.directory / "e1.embeddings")) as database, database:
        database.execute("DROP TABLE contents")

    assert use(store) is None
    assert use(store) is None
    (told,) = home.told
    assert told.endswith("no such table: contents")


def test_an_eraser_says_so_when_a_reader_is_in_its_way(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moderation.adapters.embedding_store.PATIENCE_S", 0.05)
    home.store().keep([(digest(1), rows(1))])
    with closing(_opened(home.directory / "e1.embeddings")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM contents").fetchone()

        with pytest.raises(OSError, match="a server is writing it just now; run this again"):
            erase_embeddings(home.directory, [digest(1)])
