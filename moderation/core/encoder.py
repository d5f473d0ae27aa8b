"""What a loaded encoder says of itself."""

from dataclasses import dataclass

from moderation.core.content import PixelSpec
from moderation.core.scoring import ScoreScale


@dataclass(frozen=True, slots=True)
class EncoderInfo:
    """Facts about a loaded encoder; `encoder_id` names what determines its embeddings."""

    encoder_id: str
    name: str
    family: str
    dim: int
    pixels: PixelSpec
    scale: ScoreScale
    device: str
    """The execution provider that really runs, not the one that was asked for."""
    notice: str = ""
    """What this encoder cannot see, when that must be known; empty otherwise."""
    is_starter: bool = False
