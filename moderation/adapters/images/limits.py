"""What an image may cost. Every limit is judged before a pixel is decoded."""

from dataclasses import dataclass

from moderation.adapters.images.survey import Survey
from moderation.core.errors import FailureCode, UnjudgeableContent


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """The most that one image may ask for; each check raises UnjudgeableContent."""

    max_image_bytes: int = 20 * 2**20
    max_pixels: int = 25_000_000
    """Of one frame."""
    max_frames: int = 1000
    max_frames_judged: int = 8
    max_aspect_ratio: float = 100.0
    min_side_px: int = 8
    """Below this there is nothing to recognise, only a colour."""
    max_scans: int = 50
    """Of a progressive JPEG; encoders write about ten."""
    max_animation_pixels: int = 64_000_000
    """Of all frames together: to judge the last, every one before it has to be decoded."""

    def check_bytes(self, size: int) -> None:
        """Judge the size of the file, before anything reads it."""
        if size > self.max_image_bytes:
            raise UnjudgeableContent(
                FailureCode.TOO_MANY_BYTES,
                f"the file has {size} bytes; at most {self.max_image_bytes} are allowed",
            )

    def check(self, survey: Survey) -> None:
        """Judge what the file says of itself."""
        self._check_shape(survey)
        self._check_cost(survey)

    def _check_shape(self, survey: Survey) -> None:
        shorter, longer = sorted((survey.width, survey.height))
        size = f"the {survey.format} is {survey.width} x {survey.height} pixels"
        if shorter < self.min_side_px:
            raise UnjudgeableContent(
                FailureCode.BAD_DIMENSIONS, f"{size}; a side must have at least {self.min_side_px}"
            )
        if shorter * longer > self.max_pixels:
            raise UnjudgeableContent(
                FailureCode.TOO_MANY_PIXELS,
                f"{size}, {shorter * longer} in all; at most {self.max_pixels} are allowed",
            )
        if longer > shorter * self.max_aspect_ratio:
            raise UnjudgeableContent(
                FailureCode.BAD_DIMENSIONS,
                f"{size}; a side may be at most {self.max_aspect_ratio:g} times the other",
            )

    def _check_cost(self, survey: Survey) -> None:
        if survey.frames > self.max_frames:
            raise UnjudgeableContent(
                FailureCode.TOO_MANY_FRAMES,
                f"the {survey.format} has {survey.frames} frames; "
                f"at most {self.max_frames} are allowed",
            )
        if survey.scans > self.max_scans:
            raise UnjudgeableContent(
                FailureCode.TOO_COSTLY,
                f"the {survey.format} has {survey.scans} scans; "
                f"at most {self.max_scans} are allowed",
            )
        in_all = survey.width * survey.height * survey.frames
        if survey.frames > 1 and in_all > self.max_animation_pixels:
            raise UnjudgeableContent(
                FailureCode.TOO_COSTLY,
                f"the frames of the {survey.format} have {in_all} pixels in all; "
                f"at most {self.max_animation_pixels} are allowed",
            )
