"""The decision log of a real server: complete, private, and no reason not to answer."""

import base64
import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moderation.adapters.decision_log.holds import HOLDS
from moderation.adapters.decision_log.verifying import verify
from moderation.cli.remote import status_rows
from moderation.client import InvalidRequest, Item, ModerationClient
from moderation.core.record import DecisionRecord
from moderation.v1 import moderation_pb2 as pb
from tests import disks
from tests.adapters.decision_log.logs import contents_in, everything_in, read
from tests.cli.command import moderation
from tests.e2e.server import Server, running_server, until

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "policies"
CAT = (ROOT / "samples" / "cat-portrait.jpg").read_bytes()
SNAKE = (ROOT / "samples" / "green-snake.jpg").read_bytes()
MANDATORY = "MODERATION_DECISION_LOG__MANDATORY"
SMALL_DISK_BYTES = 16 * 1024


def test_every_answer_of_every_call_is_recorded_and_nothing_of_an_image(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        running_server(POLICIES, "--device", "cpu", "--decision-log", str(log)) as server,
        ModerationClient(server.address) as client,
    ):
        answers = [client.moderate(CAT, content_id="one"), client.moderate(b"junk")]
        items = [Item(CAT, "two"), Item(b"junk", "three")]
        answers += [result.decision for result in client.moderate_batch(items)]
        answers += [result.decision for result in client.moderate_stream(items)]
        for bad in ("a\nb", "../x", "x" * 257, "a\x00b"):
            with pytest.raises(InvalidRequest):
                client.moderate(CAT, content_id=bad)
        status = client.status().decision_log
        assert server.metrics()["moderation_decision_log_records_total"] == 6
        assert server.metrics()["moderation_decision_log_bytes_total"] > 1000
        assert server.metrics()["moderation_decision_log_waiting"] == 0

    recorded = {one.decision_id: one for one in read(log)}
    assert (status.records, status.lost, status.problem) == (6, 0, "")
    assert recorded.keys() == {one.decision_id for one in answers}
    for answer in answers:
        record = recorded[answer.decision_id]
        assert f"ACTION_{record.action}" == pb.Action.Name(answer.action)
        assert record.content_id == answer.content_id
        assert [one.policy_id for one in record.verdicts] == [
            one.policy_id for one in answer.verdicts
        ]
    assert {one.failure_code for one in recorded.values()} == {"", "not_an_image"}
    assert verify(log).problems == []
    assert not any(CAT[start : start + 32] in everything_in(log) for start in range(0, 4096, 64))


def test_without_the_flag_nothing_is_recorded(tmp_path: Path) -> None:
    with (
        running_server(POLICIES, "--device", "cpu") as server,
        ModerationClient(server.address) as client,
    ):
        client.moderate(b"junk")
        assert not client.status().HasField("decision_log")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few kilobytes."""
    with disks.small_disk(tmp_path / "disk", SMALL_DISK_BYTES) as disk:
        if disk is None:
            pytest.skip("mounting is not permitted here")
        yield disk


@pytest.mark.case(95)
def test_a_full_disk_costs_no_answer_and_raises_an_alarm(small_disk: Path) -> None:
    log = small_disk / "log"
    with (
        running_server(POLICIES, "--device", "cpu", "--decision-log", str(log)) as server,
        ModerationClient(server.address) as client,
    ):
        answers = 0
        while not client.status().decision_log.problem:
            assert client.moderate(SNAKE, content_id=f"upload/{answers}").verdicts
            answers += 1
        assert client.moderate(SNAKE).verdicts
        shown = dict(status_rows(client.status()))
        status = client.status().decision_log
        told = server.wait_for("decision_log_failed")
        assert server.metrics()["moderation_decision_log_failing"] == 1
        assert server.metrics()["moderation_decision_log_lost_total"] == 2
        assert "No space left" in told["reason"]
        assert shown["decision log"] == f"{answers - 1} records since the start"
        assert "answers are given without: OSError: [Errno 28]" in shown[""]
        assert (status.lost, status.HasField("failing_since")) == (2, True)

        subprocess.run(["mount", "-o", "remount,size=1M", str(small_disk)], check=True)
        assert client.moderate(SNAKE, content_id="with room").verdicts
        server.wait_for("decision_log_recovered")
        assert server.metrics()["moderation_decision_log_failing"] == 0

    verified = verify(log)
    assert (verified.problems, verified.lost_answers) == ([], 2)
    assert contents_in(log) == [*(f"upload/{n}" for n in range(answers - 1)), "with room"]


@pytest.mark.case(95)
def test_where_the_log_is_mandatory_a_full_disk_means_no_answer(small_disk: Path) -> None:
    log, env = small_disk / "log", {MANDATORY: "true"}
    with (
        running_server(POLICIES, "--device", "cpu", "--decision-log", str(log), env=env) as server,
        ModerationClient(server.address, timeout_s=2) as client,
    ):
        answers: list[pb.Decision] = []
        while not client.status().decision_log.problem:
            answers.append(client.moderate(SNAKE, content_id=f"upload/{len(answers)}"))

        assert answers[-1].failure.code == pb.FAILURE_CODE_SERVICE_UNAVAILABLE
        status = client.status().decision_log
        assert (status.mandatory, status.lost) == (True, 0)

    assert {one.decision_id for one in answers[:-1]} == {one.decision_id for one in read(log)}
    assert verify(log).problems == []


@pytest.mark.case(98)
def test_two_servers_on_one_directory_both_keep_their_records(tmp_path: Path) -> None:
    flags = ("--device", "cpu", "--decision-log", str(tmp_path))
    with running_server(POLICIES, *flags) as first, running_server(POLICIES, *flags) as second:
        for number, server in enumerate((first, second, first)):
            with ModerationClient(server.address) as client:
                client.moderate(SNAKE, content_id=f"upload/{number}")

        assert first.first("decision_log")["directory"] != second.first("decision_log")["directory"]

    assert sorted(contents_in(tmp_path)) == ["upload/0", "upload/1", "upload/2"]
    assert verify(tmp_path).problems == []


@pytest.mark.case(104)
async def test_a_content_is_erased_from_everything_while_the_server_runs(tmp_path: Path) -> None:
    env = {
        "MODERATION_RECENT__ENABLED": "true",
        "MODERATION_RECENT__DIRECTORY": str(tmp_path / "recent"),
        "MODERATION_SHADOW_ENCODER__DIRECTORY": str(tmp_path / "pairs"),
        "MODERATION_SHADOW_ENCODER__SHARE": "1",
        "MODERATION_DECISION_LOG__DIRECTORY": str(tmp_path / "log"),
        "MODERATION_DECISION_LOG__KEEP_EMBEDDINGS": "true",
    }
    flags = ("--device", "cpu", "--shadow-encoder", "starter")
    with (
        running_server(POLICIES, *flags, env=env, state=tmp_path / "state") as server,
        ModerationClient(server.address) as client,
    ):
        client.moderate(SNAKE, content_id="users/jane")
        client.moderate(CAT, content_id="others")
        until(lambda: metric_of_pairs(server) == 2)
        theirs, others = (written_forms_of(one) for one in read(tmp_path / "log"))
        assert all(form in everything_in(tmp_path) for form in (*theirs, *others))

        ended = await moderation("log", "erase", "--content-id", "users/jane", env=env)
        client.moderate(CAT, content_id="others/2")

    assert ended.exit_code == 0, ended.err
    left = everything_in(tmp_path)
    assert b"users/jane" not in left
    assert not any(form in left for form in theirs)
    assert all(form in left for form in others)
    assert contents_in(tmp_path / "log") == ["others", "others/2"]
    assert verify(tmp_path / "log").problems == []
    assert [line.split(" ")[0] for line in ended.out.splitlines()] == ["1", "1", "1"]


def written_forms_of(record: DecisionRecord) -> tuple[bytes, bytes]:
    """The embedding, as the log writes it and as the store of recent ones does."""
    return record.embeddings.encode(), base64.b64decode(record.embeddings)


@pytest.mark.case(99)
async def test_a_changed_record_is_named_and_costs_no_other(tmp_path: Path) -> None:
    log, flags = tmp_path / "log", ("--device", "cpu", "--decision-log", str(tmp_path / "log"))
    with running_server(POLICIES, *flags) as server, ModerationClient(server.address) as client:
        for content_id in ("one", "two", "three"):
            client.moderate(SNAKE, content_id=content_id)
    (segment,) = log.rglob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b'"two"', b'"2nd"'))

    with running_server(POLICIES, *flags) as server, ModerationClient(server.address) as client:
        client.moderate(SNAKE, content_id="four")
        status = client.status().decision_log
        verified = await moderation("log", "verify", "--log", log)
        found = await moderation("log", "query", "--log", log, "--json")

    assert (status.records, status.problem) == (1, "")
    assert verified.exit_code != 0
    assert f"{segment}:3: was changed" in verified.err + verified.out
    assert f"{segment}:3: was changed" in found.err
    told = [json.loads(line)["content_id"] for line in found.out.splitlines()]
    assert sorted(told) == ["four", "one", "three"]


@pytest.mark.case(105)
def test_a_hold_wins_over_retention(tmp_path: Path) -> None:
    log, tiny = tmp_path / "log", {"MODERATION_DECISION_LOG__SEGMENT_BYTES": "4096"}
    flags = ("--device", "cpu", "--decision-log", str(log))
    with (
        running_server(POLICIES, *flags, env=tiny) as server,
        ModerationClient(server.address) as client,
    ):
        for content_id in ("old", "held", "old too"):
            for _ in range(10):
                client.moderate(SNAKE, content_id=content_id)
    (log / HOLDS).write_text("holds: [{reason: case 12, content_id: held}]\n")

    brief = {**tiny, "MODERATION_DECISION_LOG__MAX_AGE_S": "0.1"}
    with (
        running_server(POLICIES, *flags, env=brief) as server,
        ModerationClient(server.address) as client,
    ):
        until(lambda: "old" not in contents_in(log))
        client.moderate(SNAKE, content_id="new")

    assert contents_in(log).count("held") == 10
    assert "new" in contents_in(log)
    assert verify(log).problems == []


@pytest.mark.case(96)
@pytest.mark.parametrize("mandatory", ["false", "true"])
def test_a_disk_that_hangs_costs_answers_in_their_deadline_and_is_waited_for_in_bounds(
    tmp_path: Path, mandatory: str
) -> None:
    log, hangs = tmp_path / "log", tmp_path / "hangs"
    env = {MANDATORY: mandatory, "TEST_DISK_HANGS": str(hangs)}
    flags = ("--device", "cpu", "--decision-log", str(log))
    with (
        running_server(POLICIES, *flags, env=env, program="tests.e2e.slow_disk") as server,
        ModerationClient(server.address, timeout_s=1) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        client.moderate(SNAKE, content_id="before")
        hangs.touch()
        meanwhile = list(pool.map(client.moderate, [SNAKE] * 20))
        waiting = server.metrics()["moderation_decision_log_waiting"]
        hangs.unlink()
        until(lambda: server.metrics()["moderation_decision_log_waiting"] == 0)
        after = client.moderate(SNAKE, content_id="after")

    unanswered = pb.FAILURE_CODE_SERVICE_UNAVAILABLE
    assert {one.failure.code for one in meanwhile} == {unanswered}
    assert waiting <= len(meanwhile)
    assert after.verdicts
    assert {"before", "after"} <= set(contents_in(log))
    assert verify(log).problems == []


def metric_of_pairs(server: Server) -> float:
    return server.metrics()['moderation_shadow_encodings_total{outcome="recorded"}']


def test_a_directory_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")

    with (
        pytest.raises(AssertionError, match="the server ended"),
        running_server(POLICIES, "--decision-log", str(tmp_path / "log")),
    ):
        """It says why on standard error, and ends."""
