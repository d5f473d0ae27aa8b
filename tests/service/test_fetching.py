"""Images that requests name: nothing is fetched for who may not, and all of it counts."""

import asyncio
from dataclasses import dataclass, field

import pytest

from moderation.core.content import NamedContent
from moderation.core.decision import Options
from moderation.core.errors import DeadlineExceeded, InvalidRequest, NotReady, Overloaded
from moderation.core.identity import Tenant, TenantLimits
from moderation.core.policy import Action
from moderation.service.admission import Limits
from moderation.service.outcomes import ShedReason
from moderation.service.ports import Expect
from moderation.service.tenants import Tenants
from tests.builders import a_content
from tests.service.engine import Engine, running_engine

GUN = NamedContent("https://a.example/gun", "one")
ROOM = Limits(max_in_flight=64, max_in_flight_bytes=2**20, max_request_s=10.0, max_fetches=4)


@dataclass
class FakeImages:
    """An ImageFetcher that holds one image."""

    holds: bytes | Exception = b"a gun"
    max_bytes: int = 1000
    asked: list[str] = field(default_factory=list)

    async def fetch(self, uri: str, within_s: float | None, expect: Expect) -> bytes:
        self.asked.append(uri)
        if isinstance(self.holds, Exception):
            raise self.holds
        expect(len(self.holds))
        return self.holds


async def moderated(engine: Engine, tenant: str = "") -> Action:
    decision = await engine.moderator.moderate(GUN, Options(), tenant=tenant)
    assert decision.content_id == "one"
    return decision.action


async def test_an_image_that_is_named_is_judged_as_one_that_is_sent() -> None:
    images = FakeImages()
    async with running_engine(limits=ROOM, fetcher=images) as engine:
        assert await moderated(engine) is Action.BLOCK
        assert engine.moderator.in_flight == 0

    assert images.asked == [GUN.uri]


async def test_without_a_fetcher_nothing_is_named() -> None:
    async with running_engine(limits=ROOM) as engine:
        with pytest.raises(InvalidRequest, match="images by URI are off"):
            await moderated(engine)


async def test_a_tenant_over_its_rate_gets_nothing_fetched() -> None:
    images, slow = FakeImages(), Tenant("slow", limits=TenantLimits(requests_per_s=1.0))
    async with running_engine(limits=ROOM, fetcher=images) as engine:
        engine.moderator.share_among(
            Tenants(lambda: {"slow": slow}, max_share=1.0, clock=lambda: 0.0)
        )
        await moderated(engine, "slow")
        with pytest.raises(Overloaded):
            await moderated(engine, "slow")

    assert len(images.asked) == 1
    assert engine.telemetry.sheds == [ShedReason.TENANT_RATE]


@pytest.mark.parametrize("error", [NotReady("x"), InvalidRequest("content.uri", "x"), OSError()])
async def test_however_a_fetch_ends_its_room_is_free_again(error: Exception) -> None:
    images = FakeImages(holds=error)
    tight = Limits(max_in_flight=1, max_in_flight_bytes=1, max_request_s=10.0, max_fetches=1)
    async with running_engine(limits=tight, fetcher=images) as engine:
        for _ in range(2):
            with pytest.raises(type(error)):
                await moderated(engine)
        images.holds = b"a gun"
        assert await moderated(engine) is Action.BLOCK


async def test_a_request_ends_in_time_however_long_the_fetch_took() -> None:
    async with running_engine(limits=ROOM, fetcher=FakeImages()) as engine:
        engine.images.gate.close()
        with pytest.raises(DeadlineExceeded, match=r"within 0\.050 s"):
            await engine.moderator.moderate(GUN, Options(), within_s=0.05)
        engine.images.gate.open()


async def test_a_fetch_that_waits_keeps_nobody_from_the_encoder() -> None:
    began, release = asyncio.Event(), asyncio.Event()

    class Slow(FakeImages):
        async def fetch(self, uri: str, within_s: float | None, expect: Expect) -> bytes:
            self.asked.append(uri)
            if len(self.asked) == 4:
                began.set()
            await release.wait()
            return b"a gun"

    one_place = Limits(
        max_in_flight=8,
        max_in_flight_bytes=2**20,
        max_request_s=10.0,
        max_fetches=4,
        target_wait_s=10.0,
        min_in_flight=1,
    )
    async with running_engine(limits=one_place, fetcher=Slow()) as engine:
        waiting = [asyncio.create_task(moderated(engine)) for _ in range(4)]
        await began.wait()
        with pytest.raises(Overloaded, match="4 images are being fetched"):
            await moderated(engine)
        beside = await engine.moderator.moderate(a_content(b"a kitten"), Options())
        fetches = engine.moderator.fetches_in_flight
        release.set()
        actions = await asyncio.gather(*waiting)

    assert (fetches, engine.moderator.fetches_in_flight) == (4, 0)
    assert beside.action is Action.ALLOW
    assert actions == [Action.BLOCK] * 4
