"""The fakes keep the contracts of the ports that they stand in for."""

import pytest

from moderation.core.content import PixelSpec
from moderation.core.errors import PolicySetRejected, Problem
from moderation.service.ports import ChangeFeed
from tests.builders import a_policy_set
from tests.contracts import (
    ChangeFeedContract,
    ImageDecoderContract,
    ImageEncoderContract,
    PolicySourceContract,
    TelemetryContract,
    TextEncoderContract,
)
from tests.fakes import (
    FAKE_SIZE_PX,
    FakeChangeFeed,
    FakeEncoder,
    FakeImageDecoder,
    FakePolicySource,
    RecordingTelemetry,
)


@pytest.fixture
def pixel_spec() -> PixelSpec:
    return PixelSpec(FAKE_SIZE_PX)


class TestFakeImageDecoder(ImageDecoderContract):
    @pytest.fixture
    def decoder(self) -> FakeImageDecoder:
        return FakeImageDecoder()

    @pytest.fixture
    def picture(self) -> bytes:
        return b"a kitten|a gun"


class TestFakeEncoder(ImageEncoderContract, TextEncoderContract):
    @pytest.fixture
    def encoder(self) -> FakeEncoder:
        return FakeEncoder()


class TestFakePolicySource(PolicySourceContract):
    @pytest.fixture
    def source(self) -> FakePolicySource:
        return FakePolicySource(a_policy_set())

    @pytest.fixture
    def broken_source(self) -> FakePolicySource:
        return FakePolicySource(PolicySetRejected((Problem("gore.yaml", 3, 1, "no phrases"),)))


class TestFakeChangeFeed(ChangeFeedContract):
    @pytest.fixture
    def feed(self) -> FakeChangeFeed:
        return FakeChangeFeed()

    async def change(self, feed: ChangeFeed) -> None:
        assert isinstance(feed, FakeChangeFeed)
        feed.tell()

    async def close(self, feed: ChangeFeed) -> None:
        assert isinstance(feed, FakeChangeFeed)
        feed.close()


class TestRecordingTelemetry(TelemetryContract):
    @pytest.fixture
    def telemetry(self) -> RecordingTelemetry:
        return RecordingTelemetry()
