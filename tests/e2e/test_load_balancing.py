"""Two servers behind one client: both get work, one ends under load, and no answer is lost."""

import json
import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from moderation.client import Action, ModerationClient
from tests.deploy.load import CAT, ROOT, another_copy
from tests.e2e.server import Server, running_server

REQUESTS = 600
BEFORE_THE_END = 50
SHARED = 60
"""Judged by both together before one ends: enough to tell whether they share evenly."""
KNOWN = 5
"""Times as many of a picture that is known: dozens are judged between two servers' readings."""
READINGS = 200
CONCURRENCY = 8
HERE = Path(__file__).parent
MODULES = ROOT / "examples" / "node" / "node_modules"
GO = ROOT / "examples" / "go"
GO_MISSING = (
    "" if shutil.which("go") and shutil.which("protoc-gen-go-grpc") else "not installed: go"
)
NODE_MISSING = (
    ""
    if shutil.which("node") and MODULES.exists()
    else "not installed: node, or its packages (npm ci --ignore-scripts in examples/node)"
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"]),
]


@pytest.fixture(scope="module")
def survivor() -> Iterator[Server]:
    with running_server(ROOT / "policies") as running:
        yield running


@dataclass(frozen=True)
class Pair:
    """One server that is to end, and one that outlives the tests and has judged some before."""

    mortal: Server
    survivor: Server
    judged_before: int

    @property
    def target(self) -> str:
        """Both addresses as gRPC writes them; a name in the DNS with two addresses is the same."""
        return f"ipv4:{self.mortal.address},{self.survivor.address}"

    def end_one(self, ending: signal.Signals, *, times: int = 1) -> None:
        """End a server while requests are under way, of which both do their part."""
        # One connection may be there before the other, and until then one server judges all.
        start = self.judged_when(lambda judged: min(judged) > 0)
        now = self.judged_when(lambda judged: sum(judged) >= sum(start) + times * SHARED)
        os.kill(self.mortal.process.pid, ending)

        shares = [after - before for before, after in zip(start, now, strict=True)]
        assert min(shares) >= 0.3 * sum(shares), f"not shared evenly: {shares}"
        assert sum(now) < times * REQUESTS, "nothing was under way any more"

    def judged_when(self, enough: Callable[[tuple[int, int]], bool]) -> tuple[int, int]:
        """How many each has answered well in this test, as soon as they are enough."""
        for _ in range(READINGS):
            judged = judged_by(self.mortal), judged_by(self.survivor) - self.judged_before
            if enough(judged):
                return judged
        raise AssertionError(f"one server judged next to nothing: {judged}")


@pytest.fixture
def servers(survivor: Server) -> Iterator[Pair]:
    with running_server(ROOT / "policies") as mortal:
        yield Pair(mortal, survivor, judged_by(survivor))


def judged_by(server: Server) -> int:
    """How many Moderate calls a server has answered well."""
    with urllib.request.urlopen(server.metrics_url, timeout=10) as page:
        families = text_string_to_metric_families(page.read().decode())
    return sum(
        int(sample.value)
        for family in families
        for sample in family.samples
        if sample.name == "moderation_rpcs_total"
        and sample.labels["method"].endswith("/Moderate")
        and sample.labels["code"] == "OK"
    )


def test_python_loses_nothing(servers: Pair, ending: signal.Signals) -> None:
    with (
        ModerationClient(servers.target, timeout_s=20, on_unavailable=Action.BLOCK) as client,
        ThreadPoolExecutor(CONCURRENCY) as pool,
    ):
        answers = pool.map(client.moderate, [another_copy(CAT, n) for n in range(REQUESTS)])
        decisions = [next(answers) for _ in range(BEFORE_THE_END)]
        servers.end_one(ending)
        decisions += answers

    assert len(decisions) == REQUESTS
    assert [one.failure.message for one in decisions if one.HasField("failure")] == []
    assert {Action(one.action) for one in decisions} == {Action.ALLOW}
    assert servers.mortal.process.wait(30) == ended_with(ending)


@pytest.mark.skipif(bool(NODE_MISSING), reason=NODE_MISSING)
def test_node_loses_nothing(servers: Pair, ending: signal.Signals) -> None:
    command = ["node", str(HERE / "node_load.js"), servers.target]
    command += [str(ROOT / "samples" / "cat-portrait.jpg"), str(REQUESTS)]

    outcome = json.loads(lines_of(command, lambda: servers.end_one(ending))[-1])

    assert outcome == {"answered": REQUESTS, "lost": 0, "messages": []}
    assert servers.mortal.process.wait(30) == ended_with(ending)


@pytest.fixture(scope="module")
def go_client() -> Path:
    subprocess.run([GO / "build.sh"], check=True, capture_output=True, timeout=300)
    return GO / "moderate"


@pytest.mark.timeout(400)
@pytest.mark.skipif(bool(GO_MISSING), reason=GO_MISSING)
def test_go_loses_nothing(
    servers: Pair, ending: signal.Signals, go_client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRPC_GO_RETRY", "on")  # the default since grpc-go 1.40; Debian's is older
    picture = str(ROOT / "samples" / "cat-portrait.jpg")
    target = f"{servers.mortal.address},{servers.survivor.address}"

    lines = lines_of(
        [str(go_client), target, *[picture] * KNOWN * REQUESTS],
        lambda: servers.end_one(ending, times=KNOWN),
    )

    assert lines == [f"{picture}: ACTION_ALLOW (no policy)\n"] * KNOWN * REQUESTS
    assert servers.mortal.process.wait(30) == ended_with(ending)


def lines_of(command: list[str], in_between: Callable[[], None]) -> list[str]:
    """What a program writes; something else is done after some of its lines."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(BEFORE_THE_END)]
        with ThreadPoolExecutor(1) as pool:  # a full pipe would stop the program
            others = pool.submit(process.stdout.readlines)
            in_between()
            lines += others.result()
    assert process.returncode == 0
    return lines


def ended_with(ending: signal.Signals) -> int:
    """Killed by the signal; or, asked to stop, ended by itself and well."""
    return -ending if ending is signal.SIGKILL else 0
