"""The generator against a server on a loopback port: what it counts, and that it obeys."""

import math
import time
from dataclasses import replace

import pytest

from benchmarks.load import Load, Outcome, Recorder, put_load, summary
from benchmarks.pictures import KINDS, another, picture
from moderation.adapters.images import DecodeLimits, PillowDecoder
from moderation.core.content import PixelSpec
from moderation.core.errors import PolicySetRejected, Problem
from moderation.service.admission import Limits
from tests.adapters.grpc.server import served


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_can_be_judged_in_bytes_not_seen_before(kind: str) -> None:
    decoder = PillowDecoder(PixelSpec(224), DecodeLimits())
    image = picture(kind)

    first, second = another(image), another(image)

    assert len({image, first, second}) == 3
    assert (decoder.decode(first) == decoder.decode(image)).all()


@pytest.mark.parametrize(
    "load",
    [
        Load("", seconds=0.3, warm_up_s=0.0, concurrency=2),
        Load("", seconds=0.3, warm_up_s=0.0, rate=40.0),
        Load("", seconds=0.3, warm_up_s=0.0, concurrency=2, stream=True),
    ],
    ids=["one by one", "at a rate", "stream"],
)
async def test_answers_are_counted_with_their_latencies(load: Load) -> None:
    async with served(PolicySetRejected((Problem("x.yaml", 1, 1, "empty"),))) as service:
        address = f"127.0.0.1:{service.server.port}"
        outcome = await put_load(replace(load, address=address))

    (code,) = outcome.counts
    assert code in {"UNAVAILABLE", "14"}  # there are no policies; a stream names it by number
    assert outcome.counts[code] >= 1
    assert outcome.percentile_ms(50, code) > 0
    assert bool(outcome.late_s) is bool(load.rate)
    assert outcome.per_s == 0
    assert summary(outcome).startswith(code)


async def test_a_caller_waits_as_long_as_a_refusal_says() -> None:
    nobody = Limits(max_in_flight=0, max_in_flight_bytes=1, max_request_s=1.0)

    async with served(limits=nobody) as service:
        address = f"127.0.0.1:{service.server.port}"
        outcome = await put_load(Load(address, seconds=0.5, warm_up_s=0.0, concurrency=3))

    assert outcome.counts == {"RESOURCE_EXHAUSTED": 3}


def test_nothing_answered_has_no_percentile() -> None:
    assert math.isnan(Outcome(1.0).percentile_ms(99))
    assert summary(Outcome(1.0, {"OK": [0.1]})) == ""


def test_an_answer_after_the_end_counts_as_slow_and_not_as_output() -> None:
    recorder = Recorder(Load("", seconds=0.01, warm_up_s=0.0))
    began = time.perf_counter()
    while not recorder.is_over:
        time.sleep(0.001)

    recorder.record("OK", began)
    recorder.record("OK", time.perf_counter())

    outcome = recorder.outcome(0.01)
    assert outcome.counts == {"OK": 1}
    assert outcome.per_s == 0
