"""What a bundle says of its encoder, without loading the graphs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from moderation.adapters.encoders.manifest import Manifest
from moderation.core.calibration import Calibration
from moderation.core.content import Crop, Interpolation, PixelSpec
from moderation.core.encoder import EncoderInfo
from moderation.core.scoring import ScoreScale


def info_of(manifest: Manifest, *, device: str) -> EncoderInfo:
    """The facts in a manifest, and where the encoder runs."""
    return EncoderInfo(
        encoder_id=manifest.encoder_id,
        name=manifest.name,
        family=manifest.family,
        dim=manifest.dim,
        pixels=PixelSpec(
            size_px=manifest.image.size_px,
            crop=Crop(manifest.image.crop),
            crop_fraction=manifest.image.crop_fraction,
            interpolation=Interpolation(manifest.image.interpolation),
        ),
        scale=ScoreScale(
            scale=manifest.score.scale,
            default=Calibration(manifest.score.bias, manifest.score.temperature),
            contrast_aggregation=manifest.score.contrast_aggregation,
        ),
        device=device,
        notice=manifest.notice,
        is_starter=manifest.is_starter,
    )


@dataclass(frozen=True, slots=True)
class TokenLimit:
    """Tells how much of a text an encoder does not see."""

    directory: Path
    manifest: Manifest

    def count_cut(self, texts: Sequence[str]) -> list[int]:
        """How many tokens of each text lie beyond the limit."""
        limit = self.manifest.text.max_tokens
        # Two tokens mark start and end, and no other has less than a byte.
        long = [n for n, text in enumerate(texts) if len(text.encode()) + 2 > limit]
        cut = [0] * len(texts)
        if long:
            tokenizer = Tokenizer.from_file(str(self.directory / self.manifest.tokenizer.file))
            tokenizer.no_truncation()
            tokenizer.no_padding()
            encodings = tokenizer.encode_batch([texts[n] for n in long])
            for n, encoding in zip(long, encodings, strict=True):
                cut[n] = max(0, len(encoding.ids) - limit)
        return cut
