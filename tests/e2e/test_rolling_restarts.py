"""Servers are restarted one after the other, or killed, while requests come: none is lost."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from moderation.client import Action, ModerationClient
from tests.deploy.load import CAT, ROOT, another_copy
from tests.e2e.server import Server, free_port, running_server

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(3600)]

RESTARTS = int(os.environ.get("ROLLING_RESTARTS", "4"))
"""Of each kind; 100 take ten minutes."""
CALLERS = 4


class Rollout:
    """Two servers on fixed ports, of which one at a time is replaced."""

    def __init__(self, stack: ExitStack) -> None:
        self._ports = (free_port(), free_port())
        self._stacks = [stack.enter_context(ExitStack()) for _ in self._ports]
        self._servers = [self._start(place) for place in range(len(self._ports))]

    @property
    def target(self) -> str:
        return "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in self._ports)

    def replace(self, place: int, ending: signal.Signals) -> int:
        """End one server and start its successor; the exit code of the one that ended."""
        self._servers[place].process.send_signal(ending)
        code = self._servers[place].process.wait(60)
        self._stacks[place].close()
        self._servers[place] = self._start(place)
        return code

    def _start(self, place: int) -> Server:
        server = running_server(ROOT / "policies", "--port", str(self._ports[place]))
        return self._stacks[place].enter_context(server)


@pytest.fixture
def rollout() -> Iterator[Rollout]:
    with ExitStack() as stack:
        yield Rollout(stack)


@contextmanager
def requests(target: str, outcomes: Counter[str]) -> Iterator[None]:
    """Callers who ask all the while; what each got is counted."""
    done = threading.Event()
    with (
        ModerationClient(target, timeout_s=20, on_unavailable=Action.BLOCK) as client,
        ThreadPoolExecutor(CALLERS) as pool,
    ):

        def ask(caller: int) -> None:
            number = 0
            while not done.is_set():
                number += 1
                decision = client.moderate(another_copy(CAT, caller * 1_000_000 + number))
                outcomes[decision.failure.message or Action(decision.action).name] += 1

        asking = [pool.submit(ask, caller) for caller in range(CALLERS)]
        try:
            yield
        finally:
            done.set()
            for one in asking:
                one.result()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
@pytest.mark.case(56, 66)
def test_no_request_is_lost_while_servers_are_replaced(
    rollout: Rollout, ending: signal.Signals
) -> None:
    outcomes: Counter[str] = Counter()

    with requests(rollout.target, outcomes):
        codes = [rollout.replace(number % 2, ending) for number in range(RESTARTS)]

    print(f"{RESTARTS} restarts, {outcomes.total()} requests: {dict(outcomes)}")  # noqa: T201 - the result
    assert set(codes) == {0 if ending is signal.SIGTERM else -ending}
    assert outcomes.total() > 10 * RESTARTS
    assert set(outcomes) == {"ALLOW"}
