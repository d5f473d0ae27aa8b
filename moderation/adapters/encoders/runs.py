"""What a session is computing just now, and a way to break it off."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar


class Breakable(Protocol):
    """onnxruntime's options of a run: it looks at `terminate` between two nodes of the graph."""

    terminate: Any


Options = TypeVar("Options", bound=Breakable)


class Runs(Generic[Options]):
    """The runs under way; several threads may begin and end some while another looks at them."""

    def __init__(
        self, make_options: Callable[[], Options], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make_options = make_options
        self._clock = clock
        self._numbers = itertools.count()
        self._under_way: dict[int, tuple[float, Options]] = {}

    @contextmanager
    def one(self) -> Iterator[Options]:
        """The options for a run that is under way while in the context."""
        number, options = next(self._numbers), self._make_options()
        self._under_way[number] = (self._clock(), options)
        try:
            yield options
        finally:
            del self._under_way[number]

    def longest_s(self) -> float:
        """For how long the oldest run has been under way; 0 if there is none."""
        now = self._clock()
        return max((now - started for started, _ in list(self._under_way.values())), default=0.0)

    def break_off(self, after_s: float) -> None:
        """Ask every run older than this to end, which it does by an error at its next node."""
        now = self._clock()
        for started, options in list(self._under_way.values()):
            if now - started > after_s:
                options.terminate = True
