"""The bundled starter encoder on real photographs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder
from moderation.adapters.encoders.manifest import MANIFEST_NAME, Manifest
from moderation.adapters.encoders.registry import find_bundle, load_encoder
from moderation.adapters.images import DecodeLimits, PillowDecoder
from moderation.core.content import PixelSpec
from tests.contracts import ImageEncoderContract, TextEncoderContract

SAMPLES = Path(__file__).parents[3] / "samples"
MAX_BYTES = 35e6

NEAREST = {
    "german-shepherd.jpg": "a dog",
    "cat-portrait.jpg": "a cat",
    "panda.webp": "a panda",
    "tiger-in-snow.jpg": "a tiger",
    "green-snake.jpg": "a snake",
    "espresso-cup.jpg": "a cup of coffee",
    "syringe.jpg": "a syringe",
    "fighter-jet.jpg": "a military aircraft",
    "red-crab.jpg": "a crab",
    "claw-hammer.jpg": "a hammer",
}


@pytest.fixture(scope="module")
def encoder() -> OnnxDualEncoder:
    return load_encoder("starter", device="cpu")


@pytest.fixture
def pixel_spec(encoder: OnnxDualEncoder) -> PixelSpec:
    return encoder.info.pixels


class TestImageContract(ImageEncoderContract):
    pass


class TestTextContract(TextEncoderContract):
    pass


def similarities(encoder: OnnxDualEncoder, picture: str, texts: Sequence[str]) -> np.ndarray:
    pixels = PillowDecoder(encoder.info.pixels, DecodeLimits()).decode(
        (SAMPLES / picture).read_bytes()
    )
    return np.asarray(encoder.encode_texts(texts) @ encoder.encode_images(pixels)[0])


@pytest.mark.parametrize(("picture", "text"), NEAREST.items(), ids=NEAREST)
def test_a_photograph_is_nearest_to_what_it_shows(
    encoder: OnnxDualEncoder, picture: str, text: str
) -> None:
    texts = list(NEAREST.values())

    nearest = texts[int(similarities(encoder, picture, texts).argmax())]

    assert nearest == text


def test_what_is_shown_and_what_is_not_lie_far_apart(encoder: OnnxDualEncoder) -> None:
    dog, gun = similarities(encoder, "german-shepherd.jpg", ["a dog", "a gun"])

    assert dog > 0.4
    assert gun < 0.2


@pytest.mark.parametrize("text", ["", " ", "🔫", "gun " * 5000, "Ünïcödé ßtraße", "手枪"])
def test_any_text_has_a_place(encoder: OnnxDualEncoder, text: str) -> None:
    (row,) = encoder.encode_texts([text])

    assert np.linalg.norm(row) == pytest.approx(1.0, abs=1e-3)


def test_default_scores_map_the_measured_quantiles(encoder: OnnxDualEncoder) -> None:
    scale = encoder.info.scale
    raw = scale.scale * np.array([0.33, 0.44])

    scores = 1.0 / (1.0 + np.exp(-(raw - scale.default.bias) / scale.default.temperature))

    assert scores == pytest.approx([0.5, 0.8], abs=0.02)
    assert scale.contrast_aggregation == "mean"


def test_it_says_that_it_is_a_starter_and_how_to_switch(encoder: OnnxDualEncoder) -> None:
    info = encoder.info

    assert info.is_starter
    assert info.family == "starter"
    assert all(word in info.notice for word in ("ImageNet", "cannot see", "--encoder PATH"))


def test_every_source_is_named_with_its_licence() -> None:
    sources = Manifest.load(find_bundle("starter")).sources

    assert len(sources) == 4
    assert all(source.version and source.license for source in sources)


def test_the_bundle_is_small_and_holds_nothing_unlisted() -> None:
    directory = find_bundle("starter")

    assert {path.name for path in directory.iterdir()} == {
        MANIFEST_NAME,
        *Manifest.load(directory).files,
    }
    assert sum(path.stat().st_size for path in directory.iterdir()) <= MAX_BYTES


def test_no_path_of_the_machine_that_built_it_is_inside() -> None:
    for path in find_bundle("starter").iterdir():
        assert not any(trace in path.read_bytes() for trace in (b"site-packages", b"/export/"))
