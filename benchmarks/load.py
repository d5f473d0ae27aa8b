"""Asks a server for decisions, from a process of its own, and tells how long each took.

With `rate`, requests leave at their times whatever the answers do (an open loop,
Poisson), and latency counts from the time at which a request should have left: a
server that stalls cannot hide it. With `concurrency`, so many callers ask one
after the other, and obey the time to wait that a refusal names, as real ones do.

    python -m benchmarks.load '{"address": "127.0.0.1:50051", "kind": "VGA", "concurrency": 8}'
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import cast

import grpc
import grpc.aio
import numpy as np

from benchmarks.http_asking import http_asker
from benchmarks.pictures import another, picture
from moderation.client.errors import ServiceUnavailable, error_from_rpc
from moderation.client.throttle import NO_THROTTLE, Throttle
from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc

PICTURES = 8
PUSHBACK_KEY = "grpc-retry-pushback-ms"
PATIENCE_S = 120.0
SHED = "RESOURCE_EXHAUSTED"
NOT_SENT = "NOT_SENT"
GRPC = "grpc"
OPTIONS = [("grpc.max_send_message_length", 64 * 2**20), ("grpc.use_local_subchannel_pool", 1)]


@dataclass(frozen=True, slots=True)
class Load:
    """What to ask: `concurrency` callers, or `rate` requests a second if that is not 0."""

    address: str
    kind: str = "VGA"
    seconds: float = 3.0
    warm_up_s: float = 0.5
    concurrency: int = 8
    rate: float = 0.0
    stream: bool = False
    repeats: bool = False
    connections: int = 1
    """That the callers share; a server of several workers deals them out."""
    throttled: bool = False
    """Whether the callers send less to a server that turns them away, as our clients do."""
    timeout_s: float = 30.0
    """The deadline of each request."""
    protocol: str = GRPC
    """Ours, or a name in `http_asking.REQUESTS`."""


@dataclass(slots=True)
class Outcome:
    """What came of a load in its measured time."""

    seconds: float
    latencies_s: dict[str, list[float]] = field(default_factory=dict)
    """By gRPC status code, of every request that was under way in that time. One that ends later
    counts too: otherwise a server would look quick that leaves some for long."""
    decided: int = 0
    """Decisions that came within that time."""
    late_s: list[float] = field(default_factory=list)
    """How long after its time each request of an open loop left: the generator's own share."""

    @property
    def per_s(self) -> float:
        """Decisions a second."""
        return self.decided / self.seconds

    @property
    def counts(self) -> dict[str, int]:
        """Answers by status code."""
        return {code: len(latencies) for code, latencies in self.latencies_s.items()}

    def percentile_ms(self, percent: float, code: str = "OK") -> float:
        """So many percent of the answers with this code took no longer; NaN without any."""
        latencies = self.latencies_s.get(code)
        return 1000 * float(np.percentile(latencies, percent)) if latencies else float("nan")


def run_load(load: Load) -> Outcome:
    """Put a load on a server from another process; pictures are drawn before its time runs."""
    for seed in range(PICTURES):
        picture(load.kind, seed)
    command = [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(load))]
    patience_s = load.seconds + load.warm_up_s + PATIENCE_S
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=patience_s)
    return Outcome(**json.loads(done.stdout))


Ask = Callable[[float], Coroutine[None, None, float]]
"""Sends a request that began at that time; the seconds to wait before the next one."""


class Recorder:
    """Keeps what falls into the measured time."""

    def __init__(self, load: Load) -> None:
        self.starts_at = time.perf_counter() + load.warm_up_s
        self.ends_at = self.starts_at + load.seconds
        self.latencies_s: dict[str, list[float]] = {}
        self.decided = 0
        self.late_s: list[float] = []

    @property
    def is_over(self) -> bool:
        """Whether no further request is to be sent."""
        return time.perf_counter() >= self.ends_at

    def left(self, due: float) -> None:
        """A request left that was due then."""
        now = time.perf_counter()
        if self.starts_at <= now < self.ends_at:
            self.late_s.append(now - due)

    def record(self, code: str, began: float) -> None:
        """A request that began then was answered now."""
        now = time.perf_counter()
        if now >= self.starts_at and began < self.ends_at:
            self.latencies_s.setdefault(code, []).append(now - began)
            self.decided += code == "OK" and now < self.ends_at

    def outcome(self, seconds: float) -> Outcome:
        """When all have ended."""
        return Outcome(seconds, self.latencies_s, self.decided, self.late_s)


async def put_load(load: Load) -> Outcome:
    """Put a load on a server from this process."""
    images = [picture(load.kind, seed) for seed in range(PICTURES)]
    numbers = iter(range(sys.maxsize))

    def next_image() -> bytes:
        image = images[next(numbers) % PICTURES]
        return image if load.repeats else another(image)

    recorder = Recorder(load)
    if load.protocol != GRPC:
        async with http_asker(load.protocol, load.address, timeout_s=load.timeout_s) as ask_one:

            async def ask_http(began: float) -> float:
                recorder.record(await ask_one(next_image()), began)
                return 0.0

            await _put(ask_http, recorder, load)
        return recorder.outcome(load.seconds)
    async with AsyncExitStack() as stack:
        stubs = []
        for _ in range(load.connections):
            channel = grpc.aio.insecure_channel(load.address, options=OPTIONS)
            await stack.enter_async_context(channel)
            stubs.append(moderation_pb2_grpc.ModerationServiceStub(channel))
        if load.stream:
            await _stream(stubs[0], recorder, next_image, load.concurrency)
        else:
            in_turn = cycle(stubs)
            throttle = Throttle() if load.throttled else NO_THROTTLE

            async def ask_grpc(began: float) -> float:
                try:
                    throttle.require_room("")
                except ServiceUnavailable:
                    recorder.record(NOT_SENT, began)
                    return 0.0
                stub = next(in_turn)
                return await _ask(stub, recorder, throttle, next_image(), began, load.timeout_s)

            await _put(ask_grpc, recorder, load)
    return recorder.outcome(load.seconds)


async def _put(ask: Ask, recorder: Recorder, load: Load) -> None:
    if load.rate:
        await _open_loop(ask, recorder, load.rate)
    else:
        await asyncio.gather(*(_one_by_one(ask, recorder) for _ in range(load.concurrency)))


async def _ask(
    stub: moderation_pb2_grpc.ModerationServiceStub,
    recorder: Recorder,
    throttle: Throttle,
    image: bytes,
    began: float,
    timeout_s: float,
) -> float:
    request = pb.ModerateRequest(content=pb.Content(image=image))
    try:
        response = await stub.Moderate(request, timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        recorder.record(error.code().name, began)
        throttle.answered(error_from_rpc(error))
        return _pushback_s(error)
    throttle.answered()
    recorder.record("UNJUDGEABLE" if response.decision.HasField("failure") else "OK", began)
    return 0.0


def _pushback_s(error: grpc.aio.AioRpcError) -> float:
    # The stub's own type for metadata cannot be read as the pairs that it holds.
    pairs = cast(Iterable[tuple[str, str | bytes]], error.trailing_metadata() or ())
    return int(dict(pairs).get(PUSHBACK_KEY, 0)) / 1000


async def _one_by_one(ask: Ask, recorder: Recorder) -> None:
    while not recorder.is_over:
        pause_s = await ask(time.perf_counter())
        await asyncio.sleep(pause_s)


async def _open_loop(ask: Ask, recorder: Recorder, rate: float) -> None:
    intervals = random.Random(7)
    due = time.perf_counter()
    async with asyncio.TaskGroup() as asking:
        while not recorder.is_over:
            due += intervals.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            recorder.left(due)
            asking.create_task(ask(due))


async def _stream(
    stub: moderation_pb2_grpc.ModerationServiceStub,
    recorder: Recorder,
    next_image: Callable[[], bytes],
    concurrency: int,
) -> None:
    room = asyncio.Semaphore(concurrency)
    began: dict[str, float] = {}

    async def requests() -> AsyncIterator[pb.ModerateStreamRequest]:
        number = 0
        while not recorder.is_over:
            await room.acquire()
            number += 1
            began[str(number)] = time.perf_counter()
            yield pb.ModerateStreamRequest(
                content=pb.Content(image=next_image(), content_id=str(number))
            )

    async for response in stub.ModerateStream(requests()):
        result = response.result
        code = "OK" if result.HasField("decision") else str(result.error.code)
        recorder.record(code, began.pop(result.content_id))
        room.release()


def summary(outcome: Outcome) -> str:
    """The answers that were no decisions, for a note beside the numbers."""
    others = Counter(outcome.counts)
    del others["OK"]
    return ", ".join(f"{code} {count}" for code, count in sorted(others.items()))


def main() -> None:
    """Read the load from the first argument, write the outcome as JSON."""
    outcome = asyncio.run(put_load(Load(**json.loads(sys.argv[1]))))
    print(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main()
