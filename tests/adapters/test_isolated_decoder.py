"""A decoder in processes of its own answers as the one in this process does."""

from collections.abc import Iterator

import numpy as np
import pytest

from moderation.adapters.images import DecodeLimits, PillowDecoder
from moderation.adapters.images.worker import WorkerLimits
from moderation.adapters.images.workers import DecodeWorkers, IsolatedDecoder
from moderation.core.content import PixelSpec
from moderation.core.errors import UnjudgeableContent
from tests.contracts import ImageDecoderContract
from tests.fakes import RecordingTelemetry
from tests.picture_builders import a_jpeg
from tests.pictures import JUDGEABLE, UNJUDGEABLE

SPEC = PixelSpec(32)
LIMITS = DecodeLimits()


@pytest.fixture(scope="module")
def decoder() -> Iterator[IsolatedDecoder]:
    roomy = WorkerLimits(timeout_s=30, max_memory_bytes=2**30)
    with DecodeWorkers(2, roomy, LIMITS, RecordingTelemetry()) as running:
        yield running.decoder(SPEC)


class TestIsolatedDecoder(ImageDecoderContract):
    """`decoder` is the module's fixture."""

    @pytest.fixture
    def pixel_spec(self) -> PixelSpec:
        return SPEC

    @pytest.fixture
    def picture(self) -> bytes:
        return a_jpeg()


@pytest.mark.parametrize("name", JUDGEABLE)
def test_a_picture_s_pixels_are_the_same_as_in_this_process(
    decoder: IsolatedDecoder, name: str
) -> None:
    picture = JUDGEABLE[name]()

    np.testing.assert_array_equal(
        decoder.decode(picture), PillowDecoder(SPEC, LIMITS).decode(picture)
    )


@pytest.mark.parametrize("name", UNJUDGEABLE)
def test_a_refusal_is_the_same_as_in_this_process(decoder: IsolatedDecoder, name: str) -> None:
    picture = UNJUDGEABLE[name][0]()

    with pytest.raises(UnjudgeableContent) as here:
        PillowDecoder(SPEC, LIMITS).decode(picture)
    with pytest.raises(UnjudgeableContent) as there:
        decoder.decode(picture)

    assert (there.value.code, there.value.message) == (here.value.code, here.value.message)
