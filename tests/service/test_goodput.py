"""Under overload by callers with little time, most of what the encoder can do is still answered."""

import asyncio
import random
from concurrent.futures import Executor
from dataclasses import dataclass

import pytest

from moderation.core.content import Embeddings, Pixels
from moderation.core.decision import Options
from moderation.core.errors import DeadlineExceeded, Overloaded
from moderation.service.admission import Limits
from tests.builders import a_content
from tests.fakes import FakeEncoder
from tests.service.engine import MAX_BATCH_SIZE, Engine, running_engine
from tests.service.virtual_time import VirtualThread, run_in_virtual_time

FACTOR = 4.0
SETTLING_S = 4.0
MEASURED_S = 6.0


@dataclass(frozen=True)
class Speed:
    """What a batch takes: so much, and so much more for each frame."""

    batch_s: float
    frame_s: float

    def run_s(self, size: int) -> float:
        return self.batch_s + size * self.frame_s

    @property
    def peak_per_s(self) -> float:
        return MAX_BATCH_SIZE / self.run_s(MAX_BATCH_SIZE)


PROCESSOR = Speed(0.0, 0.04)
CARD = Speed(0.03, 0.002)
BETWEEN = Speed(0.1, 0.02)


class TimedEncoder(FakeEncoder):
    """Takes its time, of the thread that it runs on."""

    def __init__(self, speed: Speed, thread: VirtualThread) -> None:
        super().__init__()
        self._speed, self._thread = speed, thread

    def encode_images(self, pixels: Pixels) -> Embeddings:
        self._thread.takes_s += self._speed.run_s(len(pixels))
        return super().encode_images(pixels)


async def answered_per_s(speed: Speed, allowed_s: float, *, leaves_early_s: float = 0.0) -> float:
    """Goodput in an open loop of `FACTOR` times the peak.

    Each caller has so much time, and leaves so long before the server's clock says that it is over.
    """
    inference = VirtualThread()
    threads: dict[str, Executor] = {"inference": inference}
    limits = Limits(
        max_in_flight=256,
        max_in_flight_bytes=2**20,
        max_request_s=10.0,
        target_wait_s=0.5,
        min_in_flight=MAX_BATCH_SIZE,
    )
    answers: list[float] = []
    loop, chance = asyncio.get_running_loop(), random.Random(7)

    async def ask(engine: Engine, number: int) -> None:
        content = a_content(b"%d" % number)
        try:
            async with asyncio.timeout(allowed_s - leaves_early_s):
                await engine.moderator.moderate(content, Options(), within_s=allowed_s)
        except (DeadlineExceeded, Overloaded, TimeoutError):
            return
        answers.append(loop.time())

    async with (
        running_engine(
            images=TimedEncoder(speed, inference),
            limits=limits,
            thread=lambda name: threads.get(name) or VirtualThread(),
        ) as engine,
        asyncio.TaskGroup() as callers,
    ):
        number = 0
        while loop.time() < SETTLING_S + MEASURED_S:
            callers.create_task(ask(engine, number := number + 1))
            await asyncio.sleep(chance.expovariate(FACTOR * speed.peak_per_s))
    return sum(at > SETTLING_S for at in answers) / MEASURED_S


@pytest.mark.parametrize(
    ("speed", "allowed_s"),
    [(PROCESSOR, 0.25), (PROCESSOR, 0.5), (PROCESSOR, 1.0), (CARD, 0.25), (BETWEEN, 0.5)],
)
def test_goodput_stays_near_the_peak_whatever_time_the_callers_have(
    speed: Speed, allowed_s: float
) -> None:
    per_s = run_in_virtual_time(answered_per_s(speed, allowed_s))

    assert per_s >= 0.8 * speed.peak_per_s


def test_it_does_where_the_callers_leave_before_the_server_knows_it_too() -> None:
    per_s = run_in_virtual_time(answered_per_s(PROCESSOR, 0.5, leaves_early_s=0.02))

    assert per_s >= 0.8 * PROCESSOR.peak_per_s
