"""What is erased or expired is gone from the disk, unless the law holds it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from moderation.adapters.decision_log.erasing import Held, erase_content
from moderation.adapters.decision_log.expiry import EXPIRED
from moderation.adapters.decision_log.holds import HOLDS, HoldsUnreadable, read_holds
from moderation.adapters.decision_log.lines import Kind
from moderation.adapters.decision_log.records import RecordCodec
from moderation.adapters.decision_log.retention import Retention, tidy
from moderation.adapters.decision_log.segments import writers_of
from moderation.adapters.decision_log.verifying import verify
from moderation.core.record import record_of
from tests.adapters.decision_log.logs import (
    SMALL,
    Clock,
    a_log,
    contents_in,
    everything_in,
    files_of,
    record,
)
from tests.builders import NOON, a_judgement

DAY_S = 86400.0
A_WEEK = Retention(max_age_s=7 * DAY_S)
HOLD = "holds:\n  - {reason: case 12, content_id: held}\n"


def erase(directory: Path, content_id: str) -> int:
    return erase_content(directory, content_id, RecordCodec(), NOON).records


@pytest.mark.parametrize("content_id", ["them/1.jpg", "caf\xe9 \N{GRINNING FACE}.png", 'a"\\b'])
@pytest.mark.case(104)
def test_nothing_of_an_erased_content_is_left_and_the_chain_holds(
    tmp_path: Path, content_id: str
) -> None:
    with a_log(tmp_path, rules=SMALL) as store:
        for one in (content_id, "others", content_id):
            store.append([a_judgement(one, image=one.encode(), decision_id=f"d of {one}")])
    digest = RecordCodec().digest(a_judgement(image=content_id.encode()).content_digest)
    assert digest.removeprefix("sha256:").encode() in everything_in(tmp_path)

    erased = erase_content(tmp_path, content_id, RecordCodec(), NOON)

    assert (erased.records, erased.content_digests) == (2, frozenset({digest}))
    left = everything_in(tmp_path)
    for trace in (content_id, f"d of {content_id}", digest.removeprefix("sha256:")):
        assert trace.encode() not in left
        assert trace.encode("ascii", "backslashreplace") not in left
    assert contents_in(tmp_path) == ["others"]
    verified = verify(tmp_path)
    assert (verified.problems, verified.kinds[Kind.ERASED]) == ([], 2)
    assert erase(tmp_path, content_id) == 0


def test_a_server_goes_on_writing_while_contents_are_erased(tmp_path: Path) -> None:
    with a_log(tmp_path) as store:
        record(store, "them", "others")
        assert erase(tmp_path, "them") == 1
        record(store, "more")
        assert verify(tmp_path).problems == []
    with a_log(tmp_path) as store:
        record(store, "again")

    assert contents_in(tmp_path) == ["others", "more", "again"]
    assert verify(tmp_path).problems == []


def test_decisions_on_all_contents_whose_ids_begin_alike_are_erased(tmp_path: Path) -> None:
    with a_log(tmp_path) as store:
        record(store, 'é"17/a', 'é"17/b', 'é"170/a', 'x é"17/')

    erased = erase_content(tmp_path, 'é"17/', RecordCodec(), NOON, is_prefix=True)

    assert erased.records == 2
    assert contents_in(tmp_path) == ['é"170/a', 'x é"17/']
    assert verify(tmp_path).problems == []


def test_an_id_within_another_is_not_erased(tmp_path: Path) -> None:
    with a_log(tmp_path) as store:
        record(store, "them", "them/2")
        store.append([a_judgement("third", tenant="them")])

    assert erase(tmp_path, "them") == 1
    assert contents_in(tmp_path) == ["them/2", "third"]


def test_what_is_held_is_not_erased_nor_anything_else_asked_for_with_it(tmp_path: Path) -> None:
    with a_log(tmp_path) as store:
        record(store, "held", "other")
    (tmp_path / HOLDS).write_text(HOLD)

    with pytest.raises(Held, match=r"jsonl:2: is under a legal hold \(case 12\)"):
        erase(tmp_path, "held")

    assert erase(tmp_path, "other") == 1
    assert contents_in(tmp_path) == ["held"]


def test_files_that_are_too_old_are_removed_and_not_taken_for_missing(tmp_path: Path) -> None:
    clock = Clock()
    with a_log(tmp_path, rules=SMALL, retention=A_WEEK, clock=clock) as store:
        for content_id in ("a", "b", "c"):
            record(store, content_id)
            clock.advance(4 * DAY_S)
        store.tend()

        assert contents_in(tmp_path) == ["b", "c"]
        assert b'"a"' not in everything_in(tmp_path)
        verified = verify(tmp_path)
        assert (verified.problems, verified.expired) == ([], 3)

        clock.advance(30 * DAY_S)
        store.tend()
        store.tend()

    # The last file is being written: it goes once it has a successor.
    assert contents_in(tmp_path) == []
    verified = verify(tmp_path)
    assert verified.problems == []
    assert verified.heads["writer-0"].sequence == verified.expired + verified.lines


def test_what_a_server_left_that_is_no_more_expires_too(tmp_path: Path) -> None:
    clock = Clock()
    with a_log(tmp_path, retention=A_WEEK, clock=clock) as stays:
        with a_log(tmp_path, clock=clock) as goes:
            record(goes, "left")
            stays.tend()
        clock.advance(3601)
        stays.tend()
        clock.advance(6 * DAY_S)
        stays.tend()
        assert contents_in(tmp_path) == ["left"]

        clock.advance(DAY_S + 1)
        stays.tend()
        assert contents_in(tmp_path) == []
        assert verify(tmp_path).problems == []

    with a_log(tmp_path, clock=clock), a_log(tmp_path, clock=clock) as again:
        record(again, "more")
    assert contents_in(tmp_path) == ["more"]
    assert verify(tmp_path).problems == []


def test_a_directory_that_a_server_left_without_a_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "writer-7").mkdir()

    with a_log(tmp_path) as store:
        store.tend()

    assert len(files_of(tmp_path)) == 1


def test_of_too_much_the_oldest_goes(tmp_path: Path) -> None:
    with a_log(tmp_path, rules=SMALL, retention=Retention(max_bytes=3000)) as store:
        for content_id in "abcdef":
            record(store, content_id)
        store.tend()

    assert "".join(contents_in(tmp_path)) == "ef"
    assert sum(path.stat().st_size for path in files_of(tmp_path)) <= 3000
    assert verify(tmp_path).problems == []


def test_a_log_that_expired_whole_goes_on_with_its_numbers(tmp_path: Path) -> None:
    clock = Clock()
    with a_log(tmp_path, rules=SMALL, retention=A_WEEK, clock=clock) as store:
        record(store, "a")
        clock.advance(20 * DAY_S)
        record(store, "b")
        store.tend()
    for path in files_of(tmp_path)[:-1]:
        path.unlink(missing_ok=True)
    last = files_of(tmp_path)[-1]
    last.write_bytes(b"")

    with a_log(tmp_path, clock=clock):
        assert files_of(tmp_path)[0].name > "decisions-000000000001.jsonl"


@pytest.mark.case(105)
def test_a_hold_wins_over_retention_and_covers_nothing_else(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / HOLDS).write_text(HOLD)
    with a_log(tmp_path, rules=SMALL, retention=A_WEEK, clock=clock) as store:
        record(store, "a")
        record(store, "held", "beside it")
        record(store, "b")
        record(store, "c")
        clock.advance(8 * DAY_S)
        for _ in range(2):
            clock.advance(3601)
            store.tend()

    assert contents_in(tmp_path) == ["held", "c"]
    assert b"beside it" not in everything_in(tmp_path)
    assert verify(tmp_path).problems == []

    (tmp_path / HOLDS).unlink()
    for writer in writers_of(tmp_path):
        tidy(writer, A_WEEK, RecordCodec(), clock.now)
    assert contents_in(tmp_path) == ["c"]
    assert verify(tmp_path).problems == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("holds: [{reason: x}]", "holds.0: Value error, needs content_id, since or until"),
        ("holds: [{content_id: x}]", "holds.0.reason: Field required"),
        ("holds: [{reason: x, until: 2026-03-01}]", "holds.0.until"),
        ("[", "cannot be read"),
        ("", "the file: "),
    ],
)
def test_while_holds_cannot_be_read_nothing_is_removed(
    tmp_path: Path, text: str, problem: str
) -> None:
    clock = Clock()
    with a_log(tmp_path, rules=SMALL, retention=A_WEEK, clock=clock) as store:
        record(store, "a")
        clock.advance(8 * DAY_S)
        record(store, "b")
        (tmp_path / HOLDS).write_text(text)

        with pytest.raises(HoldsUnreadable, match=problem):
            store.tend()
        with pytest.raises(HoldsUnreadable, match=problem):
            erase(tmp_path, "a")

    assert contents_in(tmp_path) == ["a", "b"]


def test_a_hold_may_be_on_a_time(tmp_path: Path) -> None:
    (tmp_path / HOLDS).write_text(
        "holds:\n"
        "  - {reason: month, since: 2026-03-01T00:00:00Z, until: 2026-03-31T00:00:00+02:00}\n"
        "  - {reason: since then, since: 2027-01-01T00:00:00Z, content_id: x}\n"
    )
    holds = read_holds(tmp_path)

    def held(days: int) -> str:
        moment = (NOON + timedelta(days=days)).isoformat()
        hold = holds.on(replace(record_of(a_judgement("x"), bytes.hex), decided_at=moment))
        return hold.reason if hold else ""

    reasons = [held(days) for days in (-2, 0, 29, 31, 400)]
    assert reasons == ["", "month", "month", "", "since then"]


def test_what_expired_is_read_as_nothing_where_the_file_is_spoiled(tmp_path: Path) -> None:
    clock = Clock()
    with a_log(tmp_path, rules=SMALL, retention=A_WEEK, clock=clock) as store:
        record(store, "a")
        clock.advance(8 * DAY_S)
        record(store, "b")
        store.tend()
        (store.writer / EXPIRED).write_text("[[1]]")

    (problem,) = verify(tmp_path).problems
    assert problem.endswith("are missing")
