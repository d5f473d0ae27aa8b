"""The second encoder: never in the way, and what it saw is kept."""

import asyncio
import math
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.comparison import Pair, Pairing
from moderation.core.content import Content
from moderation.core.decision import Options
from moderation.core.scoring import CompiledPolicies, score
from moderation.service.outcomes import ShadowOutcome
from moderation.service.shadowing import EncoderShadow, SecondEncoder, ShadowLimits, is_sampled
from tests.builders import a_content, a_policy, a_policy_set, an_encoder_info, compiled
from tests.fakes import FakeEncoder, FakeImageDecoder, RecordingTelemetry, embedding_of
from tests.service.engine import FakeClock, running_engine

POLICIES = a_policy_set(a_policy("weapons", phrases=["a gun"]), a_policy("pets", phrases=["a cat"]))


class RecordingSink:
    """Remembers pairs, or fails like a full disk."""

    def __init__(self, *, is_full: bool = False) -> None:
        self.is_full = is_full
        self.pairs: list[Pair] = []

    def record(self, pair: Pair) -> None:
        if self.is_full:
            raise OSError("no space left on device")
        self.pairs.append(pair)


@dataclass
class Shadowed:
    """A running shadow, and everything around it."""

    shadow: EncoderShadow
    encoder: FakeEncoder
    sink: RecordingSink
    telemetry: RecordingTelemetry

    async def see(self, content: Content, policies: CompiledPolicies | None = None) -> None:
        self.offer(content, policies)
        await self.shadow.settled()

    def offer(self, content: Content, policies: CompiledPolicies | None = None) -> None:
        judged = policies or compiled(POLICIES)
        seen = embedding_of(content.image.decode())[None, :]
        self.shadow.offer(content, score(seen, judged), judged)


@asynccontextmanager
async def shadowed(
    encoder: FakeEncoder | None = None,
    *,
    share: float = 1.0,
    max_waiting: int = 4,
    sink: RecordingSink | None = None,
) -> AsyncIterator[Shadowed]:
    second, kept, telemetry = (
        encoder or FakeEncoder(),
        sink or RecordingSink(),
        RecordingTelemetry(),
    )
    info = an_encoder_info(encoder_id="second")
    with ThreadPoolExecutor(1) as executor:
        shadow = EncoderShadow(
            SecondEncoder(info, second, second, FakeImageDecoder()),
            limits=ShadowLimits(share, max_waiting),
            sink=kept,
            telemetry=telemetry,
            clock=FakeClock(),
            executor=executor,
        )
        async with shadow:
            yield Shadowed(shadow, second, kept, telemetry)


async def test_both_scores_of_every_policy_are_kept() -> None:
    async with shadowed() as running:
        await running.see(a_content(b"a gun"))

    (pair,) = running.sink.pairs
    assert pair.pairing == Pairing("fake-encoder", "second", POLICIES.version)
    assert pair.scores.keys() == {"weapons", "pets"}
    assert pair.scores["weapons"] == pytest.approx((0.993, 0.993), abs=0.001)
    assert running.telemetry.shadowed == [ShadowOutcome.RECORDED]


async def test_a_content_is_known_by_its_bytes_and_its_id_is_not_kept() -> None:
    async with shadowed() as running:
        await running.see(a_content(b"a gun", "user-17"))
        await running.see(a_content(b"a gun", "user-18"))

    first, second = running.sink.pairs
    assert first.content == second.content
    assert "user" not in first.content


async def test_new_policies_are_followed_and_known_texts_not_embedded_again() -> None:
    async with shadowed() as running:
        await running.see(a_content(b"a gun"))
        more = a_policy_set(*POLICIES.policies, a_policy("fire", phrases=["a fire"]))
        await running.see(a_content(b"a gun"), compiled(more))

    assert sorted(running.encoder.texts) == ["a cat", "a fire", "a gun"]
    assert running.sink.pairs[-1].scores.keys() == {"weapons", "pets", "fire"}


async def test_while_it_is_busy_content_is_dropped_and_counted() -> None:
    async with shadowed(max_waiting=1) as running:
        running.encoder.gate.close()
        running.offer(a_content(b"a gun", "1"))
        await running.encoder.gate.reached()
        running.offer(a_content(b"a gun", "2"))
        running.offer(a_content(b"a gun", "3"))
        running.encoder.gate.open()
        await running.shadow.settled()

    assert running.telemetry.shadowed.count(ShadowOutcome.DROPPED) == 1
    assert len(running.sink.pairs) == 2


@pytest.mark.parametrize(
    "encoder",
    [
        FakeEncoder(fails_on=["a gun"]),
        FakeEncoder(spoiled={"a gun": math.nan}),
        FakeEncoder(fails_on=["a cat"]),
    ],
    ids=["fails on the picture", "answers nonsense", "fails on a phrase"],
)
async def test_what_fails_is_counted_and_the_next_one_is_judged(encoder: FakeEncoder) -> None:
    async with shadowed(encoder) as running:
        await running.see(a_content(b"a gun"))
        encoder.fails_on.clear()
        encoder.spoiled.clear()
        await running.see(a_content(b"a kitten"))

    assert running.telemetry.shadowed == [ShadowOutcome.FAILED, ShadowOutcome.RECORDED]


async def test_policies_that_it_cannot_embed_are_not_judged_by_the_former_ones() -> None:
    more = a_policy_set(*POLICIES.policies, a_policy("fire", phrases=["a fire"]))
    async with shadowed(FakeEncoder(fails_on=["a fire"])) as running:
        await running.see(a_content(b"a gun"))
        await running.see(a_content(b"a gun"), compiled(more))

    assert running.telemetry.shadowed == [ShadowOutcome.RECORDED, ShadowOutcome.FAILED]
    assert len(running.sink.pairs) == 1


async def test_a_full_disk_is_counted_too() -> None:
    async with shadowed(sink=RecordingSink(is_full=True)) as running:
        await running.see(a_content(b"a gun"))

    assert running.telemetry.shadowed == [ShadowOutcome.FAILED]


async def test_stopping_waits_for_nothing_that_waits() -> None:
    async with shadowed() as running:
        running.encoder.gate.close()
        running.offer(a_content(b"a gun"))
        await running.encoder.gate.reached()
        running.offer(a_content(b"a gun"))
        asyncio.get_running_loop().call_later(0.01, running.encoder.gate.open)

    assert len(running.telemetry.shadowed) == 0


async def test_a_shadow_that_was_never_started_stops() -> None:
    shadow = EncoderShadow(
        SecondEncoder(an_encoder_info(), FakeEncoder(), FakeEncoder(), FakeImageDecoder()),
        limits=ShadowLimits(1.0, 1),
        sink=RecordingSink(),
        telemetry=RecordingTelemetry(),
        clock=FakeClock(),
        executor=ThreadPoolExecutor(1),
    )

    await shadow.__aexit__(None, None, None)


async def test_content_outside_the_share_is_not_even_counted() -> None:
    async with shadowed(share=1e-9) as running:
        await running.see(a_content(b"a gun"))

    assert running.sink.pairs == []
    assert running.telemetry.shadowed == []


async def test_what_the_moderator_scores_is_offered_and_its_answer_is_the_same() -> None:
    async with shadowed() as running, running_engine(POLICIES) as engine:
        alone = await engine.moderator.moderate(a_content(b"a gun"), Options())
        engine.moderator.show_to(running.shadow)
        watched = await engine.moderator.moderate(a_content(b"a gun"), Options())
        await engine.moderator.moderate(a_content(b"broken"), Options())
        await running.shadow.settled()

    assert watched.verdicts == alone.verdicts
    assert len(running.sink.pairs) == 1


@given(st.text(min_size=1), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_larger_share_holds_all_of_a_smaller_one(
    content_id: str, one: float, other: float
) -> None:
    smaller, larger = sorted([one, other])

    assert is_sampled(content_id, larger) or not is_sampled(content_id, smaller)
    assert is_sampled(content_id, 1.0)
    assert not is_sampled(content_id, 0.0)


def test_the_share_is_kept_over_many_contents() -> None:
    sampled = sum(is_sampled(f"upload-{number}", 0.05) for number in range(20_000))

    assert sampled / 20_000 == pytest.approx(0.05, abs=0.005)
