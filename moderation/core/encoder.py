"""What a loaded encoder says of itself, and what its answers have to be."""

from dataclasses import dataclass

import numpy as np

from moderation.core.content import Embeddings, PixelSpec
from moderation.core.errors import EncodingFailed
from moderation.core.scoring import ScoreScale

UNIT_TOLERANCE = 1e-3


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


def require_unit_rows(embeddings: Embeddings, *, rows: int) -> Embeddings:
    """The embeddings themselves, if they are so many unit vectors; else raises EncodingFailed.

    An infinity or NaN would compare as "below the threshold", which is an ALLOW.
    """
    if embeddings.ndim != 2 or len(embeddings) != rows:
        raise EncodingFailed(f"the encoder answered {rows} inputs with shape {embeddings.shape}")
    if not np.all(np.abs(np.linalg.norm(embeddings, axis=1) - 1.0) < UNIT_TOLERANCE):
        raise EncodingFailed("the encoder answered with a vector that is not of unit norm")
    return embeddings
