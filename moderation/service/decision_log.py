"""Has every decision recorded before it is answered, many of them in one write.

One worker thread writes what waits in one go; an answer waits for its batch. So a
crash loses no answer that anybody had, and the event loop never waits for a disk.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from moderation.core.errors import NotReady
from moderation.core.record import Judgement
from moderation.service.ports import Telemetry

MAX_WAITING = 4096


class RecordStore(Protocol):
    """Where decisions are recorded. Called from one worker thread."""

    def append(self, judgements: Sequence[Judgement], *, lost: int = 0) -> int:
        """Write all of them or raise, for instance OSError; how many bytes that were.

        `lost` answers were given before without being recorded.
        """
        ...

    def tend(self) -> None:
        """Whatever is due beside writing; may raise, for instance OSError."""
        ...


@dataclass(frozen=True, slots=True)
class LogStatus:
    """How recording goes."""

    records: int = 0
    lost: int = 0
    """Answers that were given without being recorded."""
    problem: str = ""
    """Why the last attempt failed; empty if it did not."""
    failing_since: datetime | None = None
    mandatory: bool = False


@dataclass(frozen=True, slots=True)
class _Waiting:
    judgement: Judgement
    written: "asyncio.Future[str]" = field(repr=False)
    """Becomes why it was not written, empty if it was."""


class DecisionRecorder:
    """A DecisionLog over a store; a context manager that writes what waits when it ends.

    If it is `mandatory`, there is no answer without a record: NotReady is raised.
    Otherwise there is, and an alarm.
    """

    def __init__(  # noqa: PLR0913 - its parts, each by name
        self,
        store: RecordStore,
        *,
        telemetry: Telemetry,
        executor: Executor,
        clock: Callable[[], datetime],
        mandatory: bool,
        tend_every_s: float = 1.0,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._store = store
        self._telemetry = telemetry
        self._executor = executor
        self._clock = clock
        self._tend_every_s = tend_every_s
        self._max_waiting = max_waiting
        self._waiting: list[_Waiting] = []
        self._unreported = 0
        """Lost answers that the log itself does not tell of yet."""
        self._is_writing = False
        self._idle = asyncio.Event()
        self._tending: asyncio.Task[None] | None = None
        self.status = LogStatus(mandatory=mandatory)

    @property
    def waiting(self) -> int:
        """Answers that wait for their records to be written."""
        return len(self._waiting)

    async def __aenter__(self) -> Self:
        """Start tending the store."""
        self._tending = asyncio.create_task(self._tend())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Write what waits, and end."""
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        while self._is_writing:
            self._idle.clear()
            await self._idle.wait()

    async def append(self, judgement: Judgement) -> None:
        """See DecisionLog."""
        if len(self._waiting) >= self._max_waiting:
            problem = f"{len(self._waiting)} records wait to be written"
            self._failed(problem)
        else:
            written = asyncio.get_running_loop().create_future()
            self._waiting.append(_Waiting(judgement, written))
            if not self._is_writing:
                self._is_writing = True
                # Not yet: whoever else was judged in this turn of the loop comes along.
                asyncio.get_running_loop().call_soon(self._write)
            problem = await written
        if problem:
            self._answer_without_record(problem)

    def _answer_without_record(self, problem: str) -> None:
        if self.status.mandatory:
            raise NotReady("the decision cannot be recorded, and is not given without")
        self._unreported += 1
        self.status = replace(self.status, lost=self.status.lost + 1)
        self._telemetry.decision_not_recorded(problem)

    def _write(self) -> None:
        """Hand what waits to the worker thread, which tells when it is written."""
        loop = asyncio.get_running_loop()
        batch, self._waiting = self._waiting, []
        lost, self._unreported = self._unreported, 0
        judgements = [one.judgement for one in batch]

        def work() -> None:
            n_bytes, problem = 0, ""
            try:
                n_bytes = self._store.append(judgements, lost=lost)
            except Exception as error:  # whatever ails the store must not leave answers waiting
                problem = _told(error)
                loop.call_soon_threadsafe(self._not_written, problem, lost)
            loop.call_soon_threadsafe(self._written, batch, n_bytes, problem)

        self._executor.submit(work)

    def _not_written(self, problem: str, lost: int) -> None:
        self._unreported += lost
        self._failed(problem)

    def _written(self, batch: Sequence[_Waiting], n_bytes: int, problem: str) -> None:
        if not problem:
            records = self.status.records + len(batch)
            self.status = replace(self.status, records=records, problem="", failing_since=None)
            self._telemetry.decisions_recorded(len(batch), n_bytes)
        for one in batch:
            if not one.written.done():  # whoever asked may have gone away while we wrote
                one.written.set_result(problem)
        self._is_writing = bool(self._waiting)
        if self._is_writing:
            self._write()
        else:
            self._idle.set()

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(self._tend_every_s)
            try:
                await asyncio.get_running_loop().run_in_executor(self._executor, self._store.tend)
            except Exception as error:  # the next time may go better; answers must go on
                self._failed(_told(error))

    def _failed(self, problem: str) -> None:
        since = self.status.failing_since or self._clock()
        self.status = replace(self.status, problem=problem, failing_since=since)
        self._telemetry.recording_failed(problem)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


class _RecordsNothing:
    """A DecisionLog for those who keep none."""

    async def append(self, judgement: Judgement) -> None:
        """See DecisionLog."""


RECORDS_NOTHING = _RecordsNothing()
