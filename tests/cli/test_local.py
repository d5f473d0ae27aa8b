"""Judging with an engine of one's own: the engine on fakes, the files real."""

import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from moderation.cli.exits import CommandError, Exit
from moderation.cli.local import judged_by_engine, load_policies
from moderation.cli.report import Judged
from moderation.core.content import Embeddings
from moderation.core.decision import Options
from moderation.core.errors import PolicySetRejected, Problem
from moderation.core.policy import PolicySet, Profile
from moderation.engine import Engine, new_id, utc_now
from moderation.service.admission import Limits
from moderation.service.batching import Batcher
from moderation.service.embedding_cache import EmbeddingCache
from moderation.service.encoding import ContentEncoder, encode_batch
from moderation.service.moderator import Moderator
from moderation.service.policy_store import PolicyStore
from moderation.service.watchdog import Watchdog
from moderation.settings import Settings
from moderation.v1 import moderation_pb2 as pb
from tests.builders import a_policy, a_policy_set, an_encoder_info
from tests.fakes import FakeEncoder, FakeImageDecoder, FakePolicySource, RecordingTelemetry


@asynccontextmanager
async def an_engine(
    policies: PolicySet | Exception | None = None, *, max_in_flight: int = 64
) -> AsyncIterator[Engine]:
    """An engine that sees in a picture the text that it holds."""
    encoder, telemetry = FakeEncoder(), RecordingTelemetry()
    with ThreadPoolExecutor(2) as executor:
        batcher = Batcher(
            partial(encode_batch, encoder),
            executor=executor,
            telemetry=telemetry,
            max_batch_size=8,
            max_queue_size=64,
            batches_in_flight=1,
        )
        store = PolicyStore(
            source=FakePolicySource(policies or a_policy_set(a_policy(phrases=["a gun"]))),
            text_encoder=encoder,
            encoder=an_encoder_info(),
            telemetry=telemetry,
            clock=utc_now,
            executor=executor,
        )
        async with batcher:
            contents = ContentEncoder(
                decoder=FakeImageDecoder(),
                batcher=batcher,
                executor=executor,
                decode_threads=2,
                cache=EmbeddingCache(
                    max_bytes=2**20, refusal_s=60, telemetry=telemetry, clock=time.monotonic
                ),
                encoder_id="fake-encoder",
                telemetry=telemetry,
            )
            moderator = Moderator(
                policies=store,
                encoder=contents,
                telemetry=telemetry,
                limits=Limits(
                    max_in_flight=max_in_flight, max_in_flight_bytes=2**20, max_request_s=10
                ),
                clock=lambda: datetime(2026, 3, 1, tzinfo=UTC),
                new_id=new_id,
            )
            yield Engine(
                moderator=moderator,
                policies=store,
                encoder=an_encoder_info(),
                contents=contents,
                texts=encoder,
                see=see_nothing,
                watchdog=Watchdog(NeverStuck(), limit_s=10, telemetry=telemetry),
            )


class NeverStuck:
    """An encoder at which a watchdog finds nothing."""

    def longest_run_s(self) -> float:
        return 0.0

    def break_off(self, after_s: float) -> None:
        raise AssertionError("nothing runs")


def see_nothing(image: bytes) -> Embeddings:
    raise AssertionError("no policy test is run here")


async def judged(
    engine: Engine, pictures: list[Path], options: Options | None = None
) -> list[Judged]:
    """Outcomes in the order of the pictures."""
    await load_policies(engine, Path("policies"))
    outcomes = judged_by_engine(engine, pictures, options or Options(), Settings())
    return sorted([one async for one in outcomes], key=lambda one: one.place)


def pictures_of(folder: Path, *texts: str) -> list[Path]:
    paths = [folder / f"{number}.jpg" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


async def test_every_picture_gets_its_decision(tmp_path: Path) -> None:
    pictures = pictures_of(tmp_path, "a kitten", "a gun", *["a kitten"] * 40)

    async with an_engine() as engine:
        outcomes = await judged(engine, pictures)

    actions = [one.decision.action for one in outcomes if one.decision is not None]
    assert actions == [pb.ACTION_ALLOW, pb.ACTION_BLOCK, *[pb.ACTION_ALLOW] * 40]


async def test_broken_empty_and_missing_pictures_do_not_stop_the_others(tmp_path: Path) -> None:
    pictures = pictures_of(tmp_path, "broken", "", "gone", "a gun")
    pictures[2].unlink()

    async with an_engine() as engine:
        broken, empty, gone, gun = await judged(engine, pictures)

    assert broken.decision is not None
    assert broken.decision.failure.code == pb.FAILURE_CODE_NOT_AN_IMAGE
    assert empty.problem.startswith("content.image: is empty")
    assert gone.problem == "cannot be read: No such file or directory"
    assert gun.decision is not None
    assert gun.decision.action == pb.ACTION_BLOCK


async def test_a_canary_acts_on_the_same_pictures_whatever_else_is_judged(tmp_path: Path) -> None:
    canary = replace(a_policy(phrases=["a gun"]), canary=0.5)
    pictures = pictures_of(tmp_path, *["a gun"] * 20)

    async with an_engine(PolicySet((canary,), {"default": Profile()})) as engine:
        together = await judged(engine, pictures)
        backwards = await judged(engine, pictures[::-1])

    actions = [one.decision.action for one in together if one.decision]
    assert set(actions) == {pb.ACTION_ALLOW, pb.ACTION_BLOCK}
    assert [one.decision.action for one in backwards if one.decision] == actions[::-1]


async def test_a_wrong_profile_ends_the_command(tmp_path: Path) -> None:
    pictures = pictures_of(tmp_path, "a kitten")

    async with an_engine() as engine:
        with pytest.raises(CommandError, match=r"options\.profile") as raised:
            await judged(engine, pictures, Options(profile="nope"))

    assert raised.value.exit_code is Exit.USAGE


async def test_what_fails_inside_is_no_decision(tmp_path: Path) -> None:
    pictures = pictures_of(tmp_path, "a kitten")

    async with an_engine(max_in_flight=0) as engine:
        (outcome,) = await judged(engine, pictures)

    assert outcome.decision is None
    assert outcome.exit_code is Exit.SOFTWARE


async def test_policies_that_cannot_be_used_are_all_told() -> None:
    problems = (Problem("x.yaml", 1, 2, "wrong"), Problem("y.yaml", 3, 4, "wrong too"))

    async with an_engine(PolicySetRejected(problems)) as engine:
        with pytest.raises(CommandError, match=r"x\.yaml:1:2: wrong\ny\.yaml:3:4") as raised:
            await load_policies(engine, Path("policies"))

    assert raised.value.exit_code is Exit.CONFIG
