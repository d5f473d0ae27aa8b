"""Writing: in order, in one go, over crashes, full disks and clocks that are set back."""

import errno
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from moderation.adapters.decision_log.lines import Kind
from moderation.adapters.decision_log.segments import (
    MAX_WRITERS,
    LogUnavailable,
    take_writer,
)
from moderation.adapters.decision_log.store import DecisionLogStore, Fsync, WriteRules
from moderation.adapters.decision_log.verifying import verify
from tests.adapters.decision_log.logs import (
    RULES,
    SMALL,
    Clock,
    a_log,
    contents_in,
    everything_in,
    files_of,
    read,
    record,
)
from tests.builders import NOON, a_judgement
from tests.contracts import RecordStoreContract
from tests.fakes import FakeRecordStore

HOUR_S = 3600.0


class TestFakeRecordStore(RecordStoreContract):
    @pytest.fixture
    def store(self) -> FakeRecordStore:
        return FakeRecordStore()


class TestDecisionLogStore(RecordStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[DecisionLogStore]:
        with a_log(tmp_path) as store:
            yield store


@pytest.mark.parametrize("fsync", Fsync)
def test_what_was_written_is_read_in_its_order(tmp_path: Path, fsync: Fsync) -> None:
    with a_log(tmp_path, rules=WriteRules(fsync=fsync)) as store:
        record(store, "a", "b")
        store.tend()
        record(store, "c")

    assert contents_in(tmp_path) == ["a", "b", "c"]
    assert verify(tmp_path).problems == []


def test_the_files_are_their_owner_s_alone_and_never_hold_an_image(tmp_path: Path) -> None:
    with a_log(tmp_path / "log") as store:
        store.append([a_judgement(image=b"\xff\xd8 the bytes of a picture")])

    modes = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "log").rglob("*")}
    assert set(modes.values()) == {0}
    assert b"the bytes of a picture" not in everything_in(tmp_path)


def test_a_restart_goes_on_in_the_same_file_and_chain(tmp_path: Path) -> None:
    for content_id in ("a", "b", "c"):
        with a_log(tmp_path) as store:
            record(store, content_id)

    assert len(files_of(tmp_path)) == 1
    assert contents_in(tmp_path) == ["a", "b", "c"]
    verified = verify(tmp_path)
    assert (verified.problems, verified.heads["writer-0"].sequence) == ([], 4)


def test_a_file_that_is_full_or_old_is_followed_by_another(tmp_path: Path) -> None:
    clock = Clock()
    with a_log(tmp_path, rules=SMALL, clock=clock) as store:
        record(store, "a")
        record(store, "b")
    assert len(files_of(tmp_path)) == 3

    with a_log(tmp_path, rules=RULES, clock=clock) as store:
        clock.advance(RULES.segment_s - 1)
        store.tend()
        assert len(files_of(tmp_path)) == 3
        clock.advance(1)
        store.tend()
        record(store, "c")

    assert len(files_of(tmp_path)) == 4
    assert contents_in(tmp_path) == ["a", "b", "c"]
    assert verify(tmp_path).problems == []


def test_an_old_file_is_followed_by_another_after_a_restart_too(tmp_path: Path) -> None:
    clock = Clock()
    with a_log(tmp_path, clock=clock) as store:
        record(store, "a")
    clock.advance(RULES.segment_s)

    with a_log(tmp_path, clock=clock) as store:
        store.tend()

    assert len(files_of(tmp_path)) == 2


@pytest.mark.parametrize("left", [1, 40, -1])
def test_a_line_that_a_crash_has_torn_is_removed_and_nothing_else(
    tmp_path: Path, left: int
) -> None:
    with a_log(tmp_path) as store:
        record(store, "a", "b")
    (segment,) = files_of(tmp_path)
    *whole, last = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(whole) + last[:left])
    (problem,) = verify(tmp_path).problems
    assert problem.startswith(f"{segment}:3: is cut short")

    with a_log(tmp_path) as store:
        assert store.torn_bytes == len(last[:left])
        record(store, "c")

    assert contents_in(tmp_path) == ["a", "c"]
    verified = verify(tmp_path)
    assert (verified.problems, verified.kinds[Kind.RECOVERED]) == ([], 1)


def test_a_file_that_a_crash_left_without_a_line_is_begun_anew(tmp_path: Path) -> None:
    with a_log(tmp_path) as store:
        record(store, "a")
    torn = files_of(tmp_path)[0].with_name("decisions-000000000003.jsonl")
    torn.write_bytes(b'{"schema":1,"se')

    with a_log(tmp_path) as store:
        record(store, "b")

    assert not torn.exists()
    assert contents_in(tmp_path) == ["a", "b"]
    assert verify(tmp_path).problems == []


def test_a_log_whose_only_file_is_torn_begins_at_its_beginning(tmp_path: Path) -> None:
    with a_log(tmp_path):
        pass
    (segment,) = files_of(tmp_path)
    segment.write_bytes(segment.read_bytes()[:20])

    with a_log(tmp_path) as store:
        record(store, "a")

    assert contents_in(tmp_path) == ["a"]
    assert verify(tmp_path).problems == []


def test_damage_at_the_end_stays_to_be_seen_and_the_log_goes_on(tmp_path: Path) -> None:
    with a_log(tmp_path) as store:
        record(store, "a", "b")
    (segment,) = files_of(tmp_path)
    segment.write_bytes(segment.read_bytes().replace(b"d-b", b"d-x"))

    with a_log(tmp_path) as store:
        record(store, "c")

    assert contents_in(tmp_path) == ["a", "c"]
    (problem,) = verify(tmp_path).problems
    assert problem == f"{segment}:3: was changed: its checksum is another"


def test_answers_without_a_record_are_told_in_the_log(tmp_path: Path) -> None:
    with a_log(tmp_path) as store:
        store.append([a_judgement()], lost=3)

    verified = verify(tmp_path)
    assert (verified.lost_answers, verified.problems) == (3, [])


@pytest.mark.case(106)
def test_a_clock_that_is_set_back_changes_no_order(tmp_path: Path) -> None:
    clock = Clock()
    with a_log(tmp_path, clock=clock) as store:
        for number in range(3):
            moment = NOON - timedelta(hours=number)
            store.append([a_judgement(f"upload-{number}", decided_at=moment)])
            clock.set_back(HOUR_S)
            store.tend()
    with a_log(tmp_path, clock=clock) as store:
        store.append([a_judgement("upload-3", decided_at=clock.now)])

    assert contents_in(tmp_path) == [f"upload-{number}" for number in range(4)]
    moments = [one.decided_at for one in read(tmp_path)]
    assert moments == sorted(moments, reverse=True)
    assert verify(tmp_path).problems == []


def test_two_servers_on_one_directory_both_keep_their_records(tmp_path: Path) -> None:
    with a_log(tmp_path) as first, a_log(tmp_path) as second:
        record(first, "a")
        record(second, "b")
        record(first, "c")

        assert first.writer != second.writer
        assert verify(tmp_path).problems == []

    assert contents_in(tmp_path) == ["a", "c", "b"]
    with a_log(tmp_path) as third:
        record(third, "d")
    assert contents_in(tmp_path) == ["a", "c", "d", "b"]


def test_a_directory_that_cannot_hold_a_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(LogUnavailable, match="cannot hold a decision log"),
        a_log(tmp_path / "file"),
    ):
        pass


def test_there_is_a_limit_to_the_servers_in_one_directory(tmp_path: Path) -> None:
    locks = [take_writer(tmp_path)[1] for _ in range(MAX_WRITERS)]

    with pytest.raises(LogUnavailable, match=f"{MAX_WRITERS} servers write here already"):
        take_writer(tmp_path)
    for lock in locks:
        os.close(lock)


@contextmanager
def no_file_larger_than(n_bytes: int) -> Iterator[None]:
    """As on a full disk: what is beyond is refused, and a write may be taken in part."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 700, 1500])
def test_a_full_disk_leaves_what_was_written_and_takes_more_when_there_is_room(
    tmp_path: Path, room: int
) -> None:
    with a_log(tmp_path) as store:
        record(store, "a")
        (segment,) = files_of(tmp_path)
        with no_file_larger_than(segment.stat().st_size + room):
            for _ in range(2):
                with pytest.raises(OSError, match="File too large"):
                    record(store, "lost-1", "lost-2")
        record(store, "b")

    assert contents_in(tmp_path) == ["a", "b"]
    assert verify(tmp_path).problems == []


def test_a_disk_that_is_full_for_a_new_file_leaves_the_former_in_use(tmp_path: Path) -> None:
    with a_log(tmp_path, rules=SMALL) as store:
        with no_file_larger_than(10), pytest.raises(OSError, match="File too large"):
            record(store, "lost")
        record(store, "a")

    assert contents_in(tmp_path) == ["a"]
    assert len(files_of(tmp_path)) == 2
    assert verify(tmp_path).problems == []


@pytest.mark.parametrize("segment_bytes", [2**20, 1], ids=["a line", "a new file"])
def test_what_may_not_have_reached_the_disk_is_taken_back(
    tmp_path: Path, segment_bytes: int
) -> None:
    rules = WriteRules(fsync=Fsync.ALWAYS, segment_bytes=segment_bytes)
    fails = False

    def fsync(file: int) -> None:
        if fails:
            raise OSError(errno.EIO, "Input/output error")
        os.fsync(file)

    with a_log(tmp_path, rules=rules, fsync=fsync) as store:
        record(store, "a")
        fails = True
        with pytest.raises(OSError, match="Input/output error"):
            record(store, "lost")
        fails = False
        record(store, "b")

    assert contents_in(tmp_path) == ["a", "b"]
    assert verify(tmp_path).problems == []


def test_a_start_on_a_full_disk_fails_and_leaves_the_directory_to_others(tmp_path: Path) -> None:
    with (
        no_file_larger_than(10),
        pytest.raises(OSError, match="File too large"),
        a_log(tmp_path),
    ):
        pass

    with a_log(tmp_path) as store:
        record(store, "a")
    assert [path.parent.name for path in files_of(tmp_path)] == ["writer-0"]


def test_lines_can_be_read_by_anything_that_reads_json(tmp_path: Path) -> None:
    with a_log(tmp_path) as store:
        record(store, "caf\N{LATIN SMALL LETTER E WITH ACUTE}")

    (segment,) = files_of(tmp_path)
    header, decision = map(json.loads, segment.read_text(encoding="ascii").splitlines())
    assert (header["kind"], decision["content_id"]) == ("segment", "caf\xe9")
    assert (decision["schema"], decision["seq"]) == (1, 2)
