"""Reads a processor's configuration and says it in the manifest's words, or refuses by name.

Nothing is guessed: a step that the server would not do changes every embedding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from export.pretrained.errors import ExportError

PROCESSOR_FILE = "preprocessor_config.json"
INTERPOLATIONS: Mapping[int, Literal["bilinear", "bicubic"]] = {2: "bilinear", 3: "bicubic"}
"""By Pillow's number."""
CHANNELS = 3
KNOWN = frozenset(
    {
        "image_processor_type",
        "feature_extractor_type",
        "processor_class",
        "do_convert_rgb",
        "do_resize",
        "size",
        "resample",
        "do_center_crop",
        "crop_size",
        "do_rescale",
        "rescale_factor",
        "do_normalize",
        "image_mean",
        "image_std",
        "default_to_square",
        "data_format",
        "input_data_format",
        "device",
        "return_tensors",
        "disable_grouping",
    }
)
"""Fields that are read below, or that change no pixel."""


@dataclass(frozen=True, slots=True)
class PixelScale:
    """What happens to the numbers of a picture: (pixel * rescale - mean) / std, by channel."""

    rescale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes the tower's input."""

    size_px: int
    crop: Literal["center", "squash"]
    crop_fraction: float
    interpolation: Literal["bilinear", "bicubic"]
    scale: PixelScale


def read_preprocessing(config: Mapping[str, Any], *, image_size: int) -> Preprocessing:
    """Map preprocessor_config.json; `image_size` is what the model was built for."""
    _require_known_fields(config)
    size_px, crop, fraction = _geometry(config)
    if size_px != image_size:
        raise _refused("size", f"makes {size_px} px, the model takes {image_size} px")
    resample = config.get("resample", 3)
    if resample not in INTERPOLATIONS:
        raise _refused("resample", f"{resample} is not supported; bilinear (2) and bicubic (3) are")
    return Preprocessing(size_px, crop, fraction, INTERPOLATIONS[resample], _scale(config))


def _require_known_fields(config: Mapping[str, Any]) -> None:
    for field, value in config.items():
        if field not in KNOWN and value not in (None, False):
            raise _refused(field, f"{value!r} is not known here, and would be left out")
    for field in ("do_resize", "do_rescale", "do_normalize"):
        if not config.get(field, True):
            raise _refused(field, "false is not supported; the server always does this")


def _geometry(config: Mapping[str, Any]) -> tuple[int, Literal["center", "squash"], float]:
    crops = config.get("do_center_crop", "crop_size" in config)
    size = config.get("size")
    if isinstance(size, int):
        # The oldest files: a bare number means the shorter edge, unless nothing is cut.
        size = {"shortest_edge": size} if crops else {"height": size, "width": size}
    if not isinstance(size, Mapping):
        raise _refused("size", f"{size!r} is not supported")
    if set(size) == {"shortest_edge"}:
        if not crops:
            raise _refused("do_center_crop", "without it, pictures would not be square")
        side = _square("crop_size", config.get("crop_size"))
        edge = int(size["shortest_edge"])
        if side > edge:
            raise _refused("crop_size", f"{side} px are more than size, {edge} px: it would pad")
        return side, "center", side / edge
    side = _square("size", size)
    if crops and _square("crop_size", config.get("crop_size")) != side:
        raise _refused("crop_size", "a crop after squashing to a square is not supported")
    return side, "squash", 1.0


def _square(field: str, size: object) -> int:
    if isinstance(size, int):
        return size
    if not isinstance(size, Mapping) or set(size) != {"height", "width"}:
        raise _refused(field, f"{size!r} is not supported; height and width are")
    if size["height"] != size["width"]:
        raise _refused(field, f"{size['height']} x {size['width']} px is not square")
    return int(size["height"])


def _scale(config: Mapping[str, Any]) -> PixelScale:
    return PixelScale(
        rescale=float(config.get("rescale_factor", 1 / 255)),
        mean=_channels("image_mean", config.get("image_mean")),
        std=_channels("image_std", config.get("image_std")),
    )


def _channels(field: str, values: object) -> tuple[float, ...]:
    if not isinstance(values, Sequence) or len(values) != CHANNELS:
        raise _refused(field, f"{values!r} does not have a number for each of {CHANNELS} channels")
    return tuple(float(value) for value in values)


def _refused(field: str, problem: str) -> ExportError:
    return ExportError(f"{PROCESSOR_FILE}: {field}: {problem}")
