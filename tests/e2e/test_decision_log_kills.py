"""A server that is killed at any moment has recorded every decision that anybody was given."""

import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from moderation.adapters.decision_log.reading import Query, find
from moderation.adapters.decision_log.records import RecordCodec
from moderation.adapters.decision_log.verifying import verify
from moderation.client import Item, ModerationClient
from moderation.v1 import moderation_pb2 as pb
from tests.e2e.server import CACHE, STATE, running_server

KILLS = int(os.environ.get("TEST_KILLS", "5"))
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(60 + 15 * KILLS)]

ROOT = Path(__file__).parents[2]
PICTURES = [path.read_bytes() for path in sorted((ROOT / "samples").glob("*.jpg"))]
ON_ITS_WAY = 8
CALLERS = 2
ANSWER_S = 2.0
PATIENCE_S = 30.0


@dataclass
class Load:
    """Asks until it is told to stop, in a stream and one by one, and keeps the answers."""

    address: str
    asked: int = 0
    answers: list[pb.Decision] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    _counting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def acknowledged(self) -> list[str]:
        return [one.decision_id for one in list(self.answers) if not is_posture(one)]

    def stream(self) -> None:
        with ModerationClient(self.address, timeout_s=ANSWER_S) as client:
            for result in client.moderate_stream(self._items(), max_in_flight=ON_ITS_WAY):
                self.answers.append(result.decision)

    def call(self) -> None:
        with ModerationClient(self.address, timeout_s=ANSWER_S) as client:
            for item in self._items():
                self.answers.append(client.moderate(item.image, content_id=item.content_id))

    def _items(self) -> Iterator[Item]:
        while not self.stop.is_set():
            with self._counting:
                self.asked += 1
                number = self.asked
            yield Item(PICTURES[number % len(PICTURES)], f"upload/{number}")


def is_posture(decision: pb.Decision) -> bool:
    return decision.failure.code == pb.FAILURE_CODE_SERVICE_UNAVAILABLE


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(load: Load, answers: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(load.acknowledged) < answers:
        assert time.monotonic() < deadline, "no answers come"
        time.sleep(0.005)


@pytest.mark.case(97, 101)
def test_kills_at_random_points_lose_no_answer_and_no_record(tmp_path: Path) -> None:
    port, chance, log = a_free_port(), random.Random(7), tmp_path / "log"
    env = {CACHE: str(tmp_path / "cache"), STATE: str(tmp_path / "state")}
    flags = ("--port", str(port), "--device", "cpu", "--decision-log", str(log))
    load = Load(f"127.0.0.1:{port}")

    with ThreadPoolExecutor(1 + CALLERS) as asking:
        callers = [asking.submit(load.stream), *(asking.submit(load.call) for _ in range(CALLERS))]
        try:
            for _ in range(KILLS):
                with running_server(ROOT / "policies", *flags, env=env) as server:
                    wait_for(load, len(load.acknowledged) + chance.randint(1, 30))
                    server.process.kill()
                    server.process.wait()
            with running_server(ROOT / "policies", *flags, env=env):
                wait_for(load, len(load.acknowledged) + 1)
                load.stop.set()
                for caller in callers:
                    caller.result()
        finally:
            load.stop.set()

    recorded = Counter(one.decision_id for one in find(log, Query(), RecordCodec()))
    verified = verify(log)
    torn = verified.kinds["recovered"]
    acknowledged = load.acknowledged
    print(  # noqa: T201 - the figures are the result
        f"{KILLS} kills: {load.asked} asked, {len(acknowledged)} decided, "
        f"{len(load.answers) - len(acknowledged)} by the client's posture, "
        f"{recorded.total()} recorded, {torn} torn lines removed"
    )
    assert len(load.answers) == load.asked
    assert len(acknowledged) == len(set(acknowledged)) > KILLS
    assert [one for one in acknowledged if recorded[one] != 1] == []
    assert max(recorded.values()) == 1
    assert verified.problems == []
    assert verified.lost_answers == 0
