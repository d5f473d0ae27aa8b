"""An event loop whose clock leaps to whatever is due next, and an executor on it."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Leaping(selectors.DefaultSelector):
    """Does not sleep until the next timer: its clock is put forward."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See BaseSelector; raises RuntimeError where nothing would ever happen."""
        if timeout is None:
            raise RuntimeError("everything waits for something outside of virtual time")
        self.now += max(timeout, 0.0)
        found: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        return found


class VirtualTime(asyncio.SelectorEventLoop):
    """Takes no time of ours."""

    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._leaping.now


class VirtualThread(Executor):
    """Runs one call at a time, each for as many seconds as it adds to `takes_s` meanwhile."""

    def __init__(self) -> None:
        self.takes_s = 0.0
        self._free_at = 0.0

    def submit(self, call: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:  # noqa: ANN401 - as Executor
        """See Executor."""
        future: Future[Any] = Future()
        self.takes_s = 0.0
        try:
            settle, outcome = future.set_result, call(*args, **named)
        except Exception as error:  # whatever it is, it is for who waits
            settle, outcome = future.set_exception, error  # type: ignore[assignment]
        loop = asyncio.get_running_loop()
        self._free_at = max(self._free_at, loop.time()) + self.takes_s
        loop.call_at(self._free_at, _settle, future, settle, outcome)
        return future


def _settle(future: Future[Any], settle: Callable[[Any], None], outcome: object) -> None:
    if not future.cancelled():
        settle(outcome)


def run_in_virtual_time(main: Coroutine[Any, Any, Result]) -> Result:
    """As asyncio.run does."""
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        return runner.run(main)
