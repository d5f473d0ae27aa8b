"""Processor configurations in the manifest's words, or refused by the field's name."""

from typing import Any

import pytest

from export.pretrained.errors import ExportError
from export.pretrained.preprocessing import Preprocessing, read_preprocessing

CLIP: dict[str, Any] = {
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.48, 0.46, 0.41],
    "image_processor_type": "CLIPImageProcessor",
    "image_std": [0.27, 0.26, 0.28],
    "resample": 3,
    "rescale_factor": 1 / 255,
    "size": {"shortest_edge": 224},
}
SIGLIP: dict[str, Any] = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "image_processor_type": "SiglipImageProcessor",
    "resample": 3,
    "size": {"height": 224, "width": 224},
}


def read(config: dict[str, Any], **changes: object) -> Preprocessing:
    changed = {key: value for key, value in {**config, **changes}.items() if value is not ...}
    return read_preprocessing(changed, image_size=224)


def test_clip_cuts_the_centre() -> None:
    read_as = read(CLIP)

    assert (read_as.size_px, read_as.crop, read_as.crop_fraction) == (224, "center", 1.0)
    assert read_as.interpolation == "bicubic"
    assert read_as.scale.mean == (0.48, 0.46, 0.41)


def test_siglip_squashes() -> None:
    read_as = read(SIGLIP)

    assert (read_as.size_px, read_as.crop) == (224, "squash")
    assert read_as.scale.rescale == pytest.approx(1 / 255)


def test_a_larger_shortest_edge_becomes_a_fraction() -> None:
    read_as = read(CLIP, size={"shortest_edge": 256})

    assert read_as.crop_fraction == 224 / 256


@pytest.mark.parametrize(("size", "crops", "crop"), [(224, True, "center"), (224, False, "squash")])
def test_sizes_of_the_oldest_files_are_bare_numbers(size: int, crops: bool, crop: str) -> None:
    assert read(CLIP, size=size, crop_size=224, do_center_crop=crops).crop == crop


def test_bilinear_filters_are_known() -> None:
    assert read(CLIP, resample=2).interpolation == "bilinear"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("resample", 1),
        ("size", {"longest_edge": 224}),
        ("size", {"height": 224, "width": 336}),
        ("size", None),
        ("crop_size", {"height": 256, "width": 256}),
        ("crop_size", {"shortest_edge": 224}),
        ("do_center_crop", False),
        ("do_resize", False),
        ("do_rescale", False),
        ("do_normalize", False),
        ("image_mean", [0.5]),
        ("image_std", None),
        ("do_pad", True),
        ("max_num_patches", 256),
    ],
)
def test_what_the_server_would_not_do_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ExportError, match=rf"preprocessor_config\.json: {field}: "):
        read(CLIP, **{field: value})


def test_a_crop_after_squashing_is_refused() -> None:
    with pytest.raises(ExportError, match="crop_size: a crop after squashing"):
        read(CLIP, size={"height": 224, "width": 224}, crop_size=200)


def test_a_size_that_the_model_does_not_take_is_refused() -> None:
    with pytest.raises(ExportError, match="size: makes 224 px, the model takes 336 px"):
        read_preprocessing(CLIP, image_size=336)
