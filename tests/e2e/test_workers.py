"""Several processes behind one port are one service: for clients, for Prometheus, in the log."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from moderation.adapters.decision_log.reading import Query, find
from moderation.adapters.decision_log.records import RecordCodec
from moderation.adapters.decision_log.verifying import verify
from moderation.client import ModerationClient
from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc
from tests.deploy.load import CAT, ROOT, another_copy
from tests.e2e.server import CACHE, DRAIN, Server, free_port, running_server, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

Stub = moderation_pb2_grpc.ModerationServiceStub
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
WORKERS = 2
MOST_IN_FLIGHT = 8
Counts = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("workers") / "policies"
    shutil.copytree(ROOT / "policies", directory)
    return directory


@pytest.fixture(scope="module")
def server(policies: Path) -> Iterator[Server]:
    env = {"MODERATION_LIMITS__MAX_IN_FLIGHT": str(MOST_IN_FLIGHT)}
    with running_server(policies, "--workers", str(WORKERS), env=env) as running:
        yield running


@pytest.fixture(scope="module")
def stubs(server: Server) -> Iterator[Sequence[Stub]]:
    with ExitStack() as stack:

        def connect() -> Stub:
            channel = grpc.insecure_channel(server.address, options=OWN_CONNECTION)
            return Stub(stack.enter_context(channel))

        yield of_every_worker(connect, lambda stub: stub.GetStatus(pb.GetStatusRequest()))


Connection = TypeVar("Connection")


def of_every_worker(
    connect: Callable[[], Connection], status: Callable[[Connection], pb.GetStatusResponse]
) -> Sequence[Connection]:
    """A connection to each worker; to which one a new one goes is the kernel's choice."""
    found: dict[int, Connection] = {}
    for _ in range(64):
        connection = connect()
        found.setdefault(status(connection).worker.index, connection)
        if len(found) == WORKERS:
            break
    assert sorted(found) == list(range(WORKERS))
    return [found[worker] for worker in range(WORKERS)]


def moderate(stub: Stub, image: bytes = CAT) -> pb.Decision:
    request = pb.ModerateRequest(content=pb.Content(image=image))
    decision: pb.Decision = stub.Moderate(request, timeout=60).decision
    return decision


def status(stub: Stub) -> pb.GetStatusResponse:
    answer: pb.GetStatusResponse = stub.GetStatus(pb.GetStatusRequest(), timeout=60)
    return answer


def policy_sets(stub: Stub) -> list[pb.PolicySetActivation]:
    return list(stub.ListPolicySets(pb.ListPolicySetsRequest(), timeout=60).activations)


def counted(server: Server) -> Counts:
    """Every series of what only ever grows."""
    with urllib.request.urlopen(server.metrics_url, timeout=30) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        if family.type in ("counter", "histogram")
        for sample in family.samples
    }


def gauge(server: Server, name: str) -> float:
    with urllib.request.urlopen(server.metrics_url, timeout=30) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return sum(one.value for family in families if family.name == name for one in family.samples)


def answered(counts: Counts) -> float:
    method = "/moderation.v1.ModerationService/Moderate"
    return counts.get(("moderation_rpcs_total", (("code", "OK"), ("method", method))), 0.0)


def test_every_worker_answers_and_their_counts_are_one_sum(
    server: Server, stubs: Sequence[Stub]
) -> None:
    before = answered(counted(server))

    actions = [moderate(stub).action for stub in stubs for _ in range(5)]

    assert answered(counted(server)) == before + 5 * WORKERS
    assert set(actions) == {pb.ACTION_ALLOW}
    assert gauge(server, "moderation_workers") == WORKERS
    assert gauge(server, "moderation_ready") == 1
    assert [status(stub).worker.count for stub in stubs] == [WORKERS] * WORKERS


@pytest.mark.parametrize("workers", [1, WORKERS])
def test_a_second_server_on_the_port_is_refused(server: Server, workers: int) -> None:
    port = server.address.rpartition(":")[2]
    command = [sys.executable, "-m", "moderation", "serve", "--port", port, "--metrics-port", "0"]
    command += ["--workers", str(workers), "--policies", str(ROOT / "policies")]

    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert second.returncode == 69
    assert "cannot listen" in second.stderr


def test_one_edit_reaches_every_worker_and_is_remembered_once(
    server: Server, stubs: Sequence[Stub], policies: Path
) -> None:
    before = versions(stubs)
    history = len(policy_sets(stubs[0]))

    (policies / "hats.yaml").write_text(
        "id: hats\ntitle: Hats\nphrases: [a red hat]\nthresholds: {review: 0.7}\n"
    )
    until(lambda: not versions(stubs) & before)
    until(lambda: len(policy_sets(stubs[0])) > history)

    lists = [policy_sets(stub) for stub in stubs]
    assert len(before) == len(versions(stubs)) == 1
    assert lists[0] == lists[1]
    assert len(lists[0]) == history + 1
    decided = {moderate(stub).policy_set_version for stub in stubs}
    assert decided == versions(stubs)


def versions(stubs: Sequence[Stub]) -> set[str]:
    return {status(stub).policy_set.version for stub in stubs}


def test_limits_hold_for_all_workers_together(server: Server) -> None:
    codes: Counter[grpc.StatusCode] = Counter()
    most = 0.0
    with ExitStack() as stack:
        calls = []
        for number in range(8 * MOST_IN_FLIGHT):
            channel = stack.enter_context(
                grpc.insecure_channel(server.address, options=OWN_CONNECTION)
            )
            stub = Stub(channel)
            request = pb.ModerateRequest(content=pb.Content(image=another_copy(CAT, number)))
            calls.append(stub.Moderate.future(request, timeout=60))
        while not all(call.done() for call in calls):
            most = max(most, gauge(server, "moderation_in_flight"))
        codes.update(call.code() for call in calls)

    assert most <= MOST_IN_FLIGHT
    assert codes.keys() == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert codes[grpc.StatusCode.OK] >= MOST_IN_FLIGHT


@dataclass
class Asking:
    """Callers that ask until they are told to stop, and what each was given."""

    asked: int = 0
    answers: list[pb.Decision] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def run(self, client: ModerationClient) -> None:
        while not self.done.is_set():
            with self._counting:
                self.asked += 1
                number = self.asked
            self.answers.append(client.moderate(another_copy(CAT, number)))

    @property
    def acknowledged(self) -> list[str]:
        """Of those whom the service has answered."""
        posture = pb.FAILURE_CODE_SERVICE_UNAVAILABLE
        return [one.decision_id for one in [*self.answers] if one.failure.code != posture]

    def wait_for_more(self, answers: int) -> None:
        wanted = len(self.answers) + answers
        until(lambda: len(self.answers) >= wanted)


def watch(server: Server, done: threading.Event) -> list[str]:
    """Names of series that went down or vanished between two scrapes."""
    fallen: list[str] = []
    before: Counts = {}
    while not done.is_set():
        now = counted(server)
        fallen += [key[0] for key, value in before.items() if now.get(key, -1.0) < value]
        before = now
        time.sleep(0.1)
    return fallen


def test_a_killed_worker_and_a_stop_under_load_lose_nothing(tmp_path: Path) -> None:
    log, asking = tmp_path / "log", Asking()
    flags = ("--workers", str(WORKERS), "--decision-log", str(log))
    with (
        running_server(ROOT / "policies", *flags, env={DRAIN: "1"}) as server,
        ExitStack() as stack,
        ThreadPoolExecutor(2 * WORKERS + 1) as pool,
    ):

        def connect() -> ModerationClient:
            return stack.enter_context(ModerationClient(server.address, timeout_s=30))

        clients = of_every_worker(connect, lambda client: client.status())
        callers: list[Future[None]] = [pool.submit(asking.run, one) for one in [*clients] * 2]
        scraped = threading.Event()
        fallen = pool.submit(watch, server, scraped)
        try:
            asking.wait_for_more(10)
            killed = time.monotonic()
            os.kill(pid_of(server, 0), signal.SIGKILL)
            lost = server.wait_for("worker_lost")
            replaced = server.wait_for("worker_serving", within_s=60)
            replaced_in_s = time.monotonic() - killed
            asking.wait_for_more(10)
            scraped.set()

            server.process.send_signal(signal.SIGTERM)
            stopped, before_stop = time.monotonic(), len(asking.acknowledged)
            time.sleep(0.5)  # requests are answered on while clients leave
        finally:
            asking.done.set()
            scraped.set()
        for caller in callers:
            caller.result()
        exit_code = server.process.wait(30)
        stopped_in_s = time.monotonic() - stopped

    acknowledged = asking.acknowledged
    recorded = Counter(one.decision_id for one in find(log, Query(), RecordCodec()))
    verified = verify(log)
    print(  # noqa: T201 - the figures are the result
        f"{asking.asked} asked, {len(acknowledged)} decided, {recorded.total()} recorded, "
        f"{len(acknowledged) - before_stop} during the stop; "
        f"replaced in {replaced_in_s:.1f} s, stopped in {stopped_in_s:.1f} s"
    )
    assert (lost["worker"], lost["reason"], replaced["worker"]) == (0, "signal 9", 0)
    assert fallen.result() == []
    assert len(asking.answers) == asking.asked == len(acknowledged)
    assert len(acknowledged) > before_stop
    assert exit_code == 0
    assert stopped_in_s < 15
    assert [one for one in acknowledged if recorded[one] != 1] == []
    assert verified.problems == []
    assert len(verified.heads) == WORKERS


def test_a_worker_takes_no_call_before_it_has_policies(tmp_path: Path) -> None:
    directory = tmp_path / "policies"
    directory.mkdir()
    for number in range(12):  # whose texts nobody has embedded: half a second or more
        texts = "\n".join(f"- thing {number} of kind {kind}" for kind in range(20))
        (directory / f"p{number}.yaml").write_text(
            f"id: p{number}\ntitle: T\nphrases:\n{texts}\nthresholds: {{review: 0.99}}\n"
        )
    port = free_port()
    outcomes: list[tuple[grpc.StatusCode, str]] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=OWN_CONNECTION) as channel:
                try:
                    Stub(channel).Moderate(
                        pb.ModerateRequest(content=pb.Content(image=CAT)), timeout=60
                    )
                    outcomes.append((grpc.StatusCode.OK, ""))
                except grpc.RpcError as error:
                    outcomes.append((error.code(), error.details() or ""))

    flags = ("--workers", str(WORKERS), "--port", str(port))
    env = {CACHE: str(tmp_path / "no-texts-kept")}
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(ask)
        try:
            with running_server(directory, *flags, env=env):
                before = outcomes.count((grpc.StatusCode.OK, ""))
                until(lambda: outcomes.count((grpc.StatusCode.OK, "")) > before + 10)
                done.set()
                asking.result()
        finally:
            done.set()

    refused = [details for code, details in outcomes if code is not grpc.StatusCode.OK]
    assert refused
    assert [one for one in refused if "failed to connect" not in one.lower()] == []


def pid_of(server: Server, worker: int) -> int:
    started = [one for one in server.events if one["event"] == "worker_started"]
    return int(next(one["pid"] for one in reversed(started) if one["worker"] == worker))
