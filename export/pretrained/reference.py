"""What transformers itself, in float32, makes of the probes: the truth that a bundle is held to.

Written into the bundle, so that any machine can compare without torch or the weights.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from export.pretrained.errors import ExportError
from export.pretrained.tokenization import reference_ids

ITEMS_PER_RUN = 8


@dataclass(frozen=True, slots=True)
class Reference:
    """Probes, and what each stage of transformers made of them."""

    pictures: Sequence[bytes]
    texts: Sequence[str]
    pixels: NDArray[np.uint8]
    """After resizing and cropping, uint8[pictures, size, size, 3]."""
    ids: NDArray[np.int64]
    """int64[texts, max_tokens], padded."""
    image_embeddings: NDArray[np.float32]
    text_embeddings: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write arrays only, so that nothing needs unpickling."""
        np.savez_compressed(
            path,
            picture_bytes=np.frombuffer(b"".join(self.pictures), dtype=np.uint8),
            picture_sizes=np.array([len(one) for one in self.pictures]),
            texts=np.array([one.encode() for one in self.texts], dtype=np.bytes_),
            pixels=self.pixels,
            image_embeddings=self.image_embeddings,
            text_embeddings=self.text_embeddings,
        )


def make_reference(
    model: Any,  # noqa: ANN401 - transformers' own
    processor: Any,  # noqa: ANN401 - transformers' own
    tokenizer: Any,  # noqa: ANN401 - transformers' own
    *,
    pictures: Sequence[bytes],
    texts: Sequence[str],
    max_tokens: int,
) -> Reference:
    """Run the whole of transformers; raises ExportError where it gives no finite answer."""
    images = [_opened(one) for one in pictures]
    resized = processor(images, do_rescale=False, do_normalize=False)["pixel_values"]
    prepared = torch.from_numpy(np.stack(processor(images)["pixel_values"])).float()
    ids = torch.tensor(reference_ids(tokenizer, texts, max_tokens=max_tokens))
    with torch.inference_mode():
        image_rows = [model.get_image_features(one) for one in prepared.split(ITEMS_PER_RUN)]
        text_rows = [model.get_text_features(one) for one in ids.split(ITEMS_PER_RUN)]
    return Reference(
        pictures=pictures,
        texts=texts,
        pixels=np.stack(resized).transpose(0, 2, 3, 1).astype(np.uint8),
        ids=ids.numpy(),
        image_embeddings=_unit_rows("pictures", image_rows),
        text_embeddings=_unit_rows("texts", text_rows),
    )


def _opened(picture: bytes) -> Image.Image:
    """Upright and over white, as the server shows pictures: transformers leaves that to callers."""
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(picture)))
    if not upright.has_transparency_data:
        return upright.convert("RGB")
    with_alpha = upright.convert("RGBA")
    white = Image.new("RGBA", with_alpha.size, "white")
    return Image.alpha_composite(white, with_alpha).convert("RGB")


def _unit_rows(name: str, outputs: Sequence[Any]) -> NDArray[np.float32]:
    rows = torch.cat([getattr(one, "pooler_output", one) for one in outputs])
    unit = torch.nn.functional.normalize(rows, dim=-1)
    if not torch.isfinite(unit).all():
        raise ExportError(f"the model's answers to {name} are not finite; its weights are damaged")
    embeddings: NDArray[np.float32] = unit.numpy()
    return embeddings
