from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from moderation.adapters.encoders.devices import CPU, Tuning
from moderation.adapters.encoders.dual_encoder import warm_up_sizes
from moderation.adapters.encoders.image_sessions import ImageSessions
from moderation.adapters.encoders.registry import load_encoder
from moderation.core.content import PixelSpec
from moderation.core.errors import BundleRejected
from moderation.service.ports import ImageEncoder, TextEncoder
from tests.bundles import DIM, FAMILIES, SIZE_PX, clip_bundle, edit_manifest
from tests.contracts import ImageEncoderContract, TextEncoderContract

ONE_THREAD = Tuning(threads=1)


@pytest.fixture(params=list(FAMILIES.values()), ids=list(FAMILIES))
def make_bundle(request: pytest.FixtureRequest) -> Callable[..., Path]:
    made: Callable[..., Path] = request.param
    return made


class TestEveryFamilyAsImageEncoder(ImageEncoderContract):
    @pytest.fixture
    def encoder(self, make_bundle: Callable[..., Path], tmp_path: Path) -> ImageEncoder:
        return load_encoder(str(make_bundle(tmp_path / "bundle")), tuning=ONE_THREAD)

    @pytest.fixture
    def pixel_spec(self) -> PixelSpec:
        return PixelSpec(SIZE_PX)


class TestEveryFamilyAsTextEncoder(TextEncoderContract):
    @pytest.fixture
    def encoder(self, make_bundle: Callable[..., Path], tmp_path: Path) -> TextEncoder:
        return load_encoder(str(make_bundle(tmp_path / "bundle")), tuning=ONE_THREAD)


def a_batch(n: int = 2) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 255, (n, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)


def sessions(directory: Path, devices: str, *, in_flight: int = 0) -> ImageSessions:
    manifest = edit_manifest(directory)
    tuned = Tuning(threads=1, batches_in_flight=in_flight)
    return ImageSessions(directory, manifest.image, devices=devices, tuning=tuned)


def test_a_cpu_runs_one_batch_at_a_time(tmp_path: Path) -> None:
    images = sessions(clip_bundle(tmp_path / "bundle"), "cpu")

    assert images.batches_in_flight == 1
    assert images.device == CPU


def test_as_many_batches_run_at_once_as_were_asked_for(tmp_path: Path) -> None:
    images = sessions(clip_bundle(tmp_path / "bundle"), "cpu", in_flight=3)
    alone = images.run(a_batch())

    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(images.run, [a_batch()] * 12))

    assert images.batches_in_flight == 3
    assert all(np.allclose(one, alone) for one in together)


def test_a_device_that_is_none_is_refused_by_its_setting(tmp_path: Path) -> None:
    with pytest.raises(BundleRejected, match=r"encoder\.device: unknown device 'tpu'"):
        sessions(clip_bundle(tmp_path / "bundle"), "tpu")


@pytest.mark.parametrize(
    ("largest", "sizes"), [(1, [1]), (6, [6, 4, 2, 1]), (8, [8, 4, 2, 1]), (9, [9, 8, 4, 2, 1])]
)
def test_the_largest_batch_is_warmed_up_first(largest: int, sizes: list[int]) -> None:
    assert warm_up_sizes(largest) == sizes


def test_warming_up_leaves_an_encoder_that_answers(tmp_path: Path) -> None:
    encoder = load_encoder(str(clip_bundle(tmp_path / "bundle")), tuning=ONE_THREAD)

    encoder.warm_up()

    assert encoder.encode_images(a_batch()).shape == (2, DIM)
    assert encoder.batches_in_flight == 1
    assert encoder.info.device == CPU


@pytest.mark.parametrize(("precision", "misfit"), [("int8", ""), ("fp32", ""), ("fp16", "int8")])
def test_a_precision_that_does_not_suit_the_device_is_told(
    precision: str, misfit: str, tmp_path: Path
) -> None:
    bundle = clip_bundle(tmp_path / "bundle", precision=precision)

    encoder = load_encoder(str(bundle), tuning=ONE_THREAD)

    assert misfit in encoder.misfit
    assert bool(encoder.misfit) == bool(misfit)
