"""Embeddings on disk: given back as they were, bounded, and gone when they are erased."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest

from moderation.adapters.embedding_store import (
    SLICE,
    WRITING_PATIENCE_S,
    EmbeddingStore,
    _opened,
    erase_embeddings,
)
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
        return self._stack.enter_context(self.closed(encoder_id, max_bytes))

    def closed(self, encoder_id: str, max_bytes: int = 1 << 30) -> EmbeddingStore:
        """For the test to close."""
        return EmbeddingStore(
            self.directory,
            encoder_id=encoder_id,
            dim=DIM,
            max_bytes=max_bytes,
            max_age_s=60.0,
            warn=self.told.append,
            clock=self.clock,
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


def purged(store: EmbeddingStore) -> int:
    """Slices that went."""
    slices = 0
    while store.purge():
        slices += 1
    return slices


def test_what_is_too_old_is_not_given_out_and_goes_without_others_to_come(home: Home) -> None:
    store = home.store()
    store.keep([(digest(1), rows(1))])
    home.clock.now += 30
    store.keep([(digest(2), rows(2))])
    home.clock.now += 31

    assert store.recall(digest(1)) is None
    assert purged(store) == 1
    assert rows(1).tobytes()[:64] not in home.content()
    assert erase_embeddings(home.directory, [digest(1), digest(2)]) == 1


def test_what_is_too_old_goes_whichever_encoder_it_was_by(home: Home) -> None:
    home.store("former").keep([(digest(1), rows(1))])
    home.clock.now += 61

    assert purged(home.store("e1")) == 1
    assert erase_embeddings(home.directory, [digest(1)]) == 0


def test_a_lower_limit_makes_the_file_smaller_from_the_start(home: Home) -> None:
    file = home.directory / "e1.embeddings"
    home.store().keep([(digest(number), rows(number)) for number in range(3000)])

    store = home.store(max_bytes=1 << 20)

    assert purged(store) > 3000 // SLICE - 1, "nobody is held up by all of it at once"
    assert file.stat().st_size <= 1 << 20
    assert store.recall(digest(2999)) is not None
    assert store.recall(digest(0)) is None


def test_what_is_purged_leaves_no_more_than_a_part_of_its_room_to_others(home: Home) -> None:
    store = home.store(max_bytes=8 << 20)
    store.keep([(digest(number), rows(number)) for number in range(3000)])
    home.clock.now += 61

    purged(store)

    assert (home.directory / "e1.embeddings").stat().st_size <= 1 << 20
    assert (home.directory / "e1.embeddings-wal").stat().st_size == 0


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
    with closing(_opened(home.directory / "e1.embeddings", 5.0)) as database, database:
        database.execute("UPDATE contents SET rows = zeroblob(2048)")

    assert store.recall(digest(1)) is None


@pytest.mark.parametrize("value", ["'text'", "7", "1.5", "X'00'", "''"])
def test_whatever_a_row_holds_it_is_given_out_only_if_it_was_kept(home: Home, value: str) -> None:
    store = home.store()
    store.keep([(digest(1), rows(1))])
    with closing(_opened(home.directory / "e1.embeddings", 5.0)) as database, database:
        database.execute(f"UPDATE contents SET rows = {value}")

    assert store.recall(digest(1)) is None


def damaged(content: bytes, place: bytes) -> bytes:
    """With a byte there that is not of UTF-8."""
    at = content.index(place) + len(place)
    return content[:at] + b"\xf7" + content[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"no database" * 100,
        lambda content: damaged(content, b"CREATE TABLE content"),
        lambda content: damaged(content, b"SQLite form"),
        lambda content: content[:100] + bytes(200) + content[300:],
    ],
    ids=["text", "schema", "header", "first page"],
)
@pytest.mark.parametrize("whose", ["e1", "former"])
def test_a_damaged_file_is_begun_anew(
    home: Home, damage: Callable[[bytes], bytes], whose: str
) -> None:
    file = home.directory / f"{whose}.embeddings"
    with home.closed(whose) as store:
        store.keep([(digest(1), rows(1))])
    file.write_bytes(damage(file.read_bytes()))

    store = home.store("e1")
    store.purge()
    store.keep([(digest(2), rows(2))])

    (told,) = home.told
    assert told.startswith(str(file))
    assert told.endswith("; it was removed, and a new one begun")
    assert store.recall(digest(2)) is not None
    assert rows(1).tobytes()[:64] not in home.content()
    assert file.stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_database_cannot_be_said_to_be_erased(home: Home) -> None:
    home.directory.mkdir()
    (home.directory / "e1.embeddings").write_bytes(b"no database" * 100)

    with pytest.raises(OSError, match=r"e1\.embeddings: file is not a database"):
        erase_embeddings(home.directory, [digest(1)])


def test_a_file_that_cannot_be_opened_is_told_with_its_path_and_stays(home: Home) -> None:
    (home.directory / "e1.embeddings").mkdir(parents=True)

    with pytest.raises(OSError, match=r"e1\.embeddings: unable to open database file"):
        home.store()


def test_a_file_that_cannot_be_purged_keeps_no_other_from_it(home: Home) -> None:
    (home.directory / "a.embeddings").mkdir(parents=True)
    store = home.store()
    store.keep([(digest(1), rows(1))])
    home.clock.now += 61

    assert purged(store) == 1
    assert [told.endswith("unable to open database file") for told in home.told] == [True]


def test_an_open_transaction_of_another_process_keeps_nobody_from_asking(home: Home) -> None:
    store = home.store()
    store.keep([(digest(1), rows(1))])
    with closing(_opened(home.directory / "e1.embeddings", 5.0)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        found = [store.recall(digest(1)), home.store().recall(digest(1))]
        took_s = time.monotonic() - began
        store.keep([(digest(2), rows(2))])

    assert all(one is not None for one in found)
    assert took_s < WRITING_PATIENCE_S
    assert [told.endswith("database is locked") for told in home.told] == [True]


def _begin(directory: Path, start: Barrier, outcomes: "Queue[str]") -> None:
    start.wait()
    try:
        EmbeddingStore(
            directory,
            encoder_id="e1",
            dim=DIM,
            max_bytes=1 << 20,
            max_age_s=60.0,
            warn=outcomes.put,
        ).keep([(digest(os.getpid()), rows(1))])
    except Exception as error:  # whatever it is, it is for the test to tell
        outcomes.put(repr(error))
    outcomes.put("begun")


def test_several_processes_may_begin_a_file_at_once(tmp_path: Path) -> None:
    spawning = get_context("spawn")
    start, outcomes = spawning.Barrier(4), spawning.Queue()
    processes = [
        spawning.Process(target=_begin, args=(tmp_path / "cache", start, outcomes))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    told = [outcomes.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()

    assert told == ["begun"] * 4


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.recall(digest(1)),
        lambda store: store.keep([(digest(1), rows(1))]),
        lambda store: store.purge() or None,
    ],
    ids=["recall", "keep", "purge"],
)
def test_what_breaks_later_is_told_once_and_costs_nothing_else(
    home: Home, use: Callable[[EmbeddingStore], object]
) -> None:
    store = home.store()
    with closing(_opened(home.directory / "e1.embeddings", 5.0)) as database, database:
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
    with closing(_opened(home.directory / "e1.embeddings", 5.0)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM contents").fetchone()

        with pytest.raises(OSError, match="a server is writing it just now; run this again"):
            erase_embeddings(home.directory, [digest(1)])
