"""Decodes what has passed the limits, with Pillow, frame by frame."""

import warnings
from collections.abc import Mapping
from io import BytesIO

import numpy as np
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from moderation.adapters.images.formats import survey_image
from moderation.adapters.images.limits import DecodeLimits
from moderation.adapters.images.square import TURNS, Size, crop_box, least_side, square
from moderation.adapters.images.survey import Format, Survey, corrupt, truncated
from moderation.core.content import Pixels, PixelSpec
from moderation.core.errors import FailureCode, UnjudgeableContent

# The second line behind the limits: where Pillow and the survey read a file differently, Pillow's
# own check has to refuse, and not warn. Its limit is one number for the whole process, in which
# every decoder has the same limits.
warnings.simplefilter("error", Image.DecompressionBombWarning)

DECODERS: Mapping[Format, type[ImageFile]] = {
    Format.JPEG: JpegImageFile,
    Format.PNG: PngImageFile,
    Format.WEBP: WebPImageFile,
    Format.GIF: GifImageFile,
}
"""Called by name: `Image.open` would look at the bytes once more and may choose another."""


class PillowDecoder:
    """Turns the bytes of an upload into squares of pixels. Safe to call from several threads."""

    def __init__(self, spec: PixelSpec, limits: DecodeLimits) -> None:
        self._spec = spec
        self._limits = limits
        Image.MAX_IMAGE_PIXELS = limits.max_pixels

    def decode(self, image: bytes) -> Pixels:
        """RGB frames, uint8[frames, size, size, 3]; raises UnjudgeableContent and nothing else."""
        self._limits.check_bytes(len(image))
        survey = survey_image(image)
        self._limits.check(survey)
        try:
            return self._frames(survey)
        except MemoryError as error:
            raise UnjudgeableContent(
                FailureCode.TOO_LARGE, f"there was not enough memory to decode the {survey.format}"
            ) from error
        # Pillow's decoders raise about a dozen kinds of errors on damaged files, Exception
        # itself not excluded, and more with every release. All of them mean the same here.
        except Exception as error:
            raise _damage(survey) from error

    def _frames(self, survey: Survey) -> Pixels:
        with DECODERS[survey.format](BytesIO(survey.encoded)) as image:
            _compare(image, survey)
            drafted = _draft(image, least_side(self._spec))
            turn = TURNS[survey.orientation]
            chosen = _evenly_spaced(survey.frames, self._limits.max_frames_judged)
            frames = [turn(self._frame(image, survey, number, drafted)) for number in chosen]
        return np.stack(frames)

    def _frame(self, image: ImageFile, survey: Survey, number: int, drafted: Size | None) -> Pixels:
        image.seek(number)
        _compare(image, survey)
        image.load()
        return square(image, crop_box(drafted or image.size, self._spec), self._spec)


def _compare(image: ImageFile, survey: Survey) -> None:
    """Hold Pillow to what the limits have judged.

    A GIF may start smaller: its canvas grows with the first frame that reaches beyond it.
    """
    if image.width > survey.width or image.height > survey.height:
        raise ValueError("Pillow reads a larger size than the survey")


def _draft(image: ImageFile, side: int) -> Size | None:
    """Have a JPEG decoded at the smallest scale that need not be enlarged; the size it gets.

    The size is not rounded: the last column of a scaled picture may stand for a part of one.
    """
    drafted = image.draft(None, (side, side))
    return drafted[1][2:] if drafted else None


def _evenly_spaced(frames: int, most: int) -> list[int]:
    """The frames to judge: all if there are few, otherwise from the first to the last."""
    spaced = np.linspace(0, frames - 1, min(frames, most))
    return [round(position) for position in spaced]


def _damage(survey: Survey) -> UnjudgeableContent:
    if not survey.is_complete:
        return truncated(survey.format)
    return corrupt(survey.format, "its pixels cannot be decoded")
