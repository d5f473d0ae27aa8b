"""A bundle's two graphs as one encoder: pixels in, or texts in, unit vectors out.

The graphs of every family look alike once exported; what differs between
families, such as padding or a missing mask, is said by the manifest.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moderation.adapters.encoders.manifest import Manifest
from moderation.adapters.encoders.onnx_session import Device, OnnxSession
from moderation.adapters.encoders.tokenizer import TextTokenizer
from moderation.core.content import Crop, Embeddings, Interpolation, Pixels, PixelSpec
from moderation.core.encoder import EncoderInfo
from moderation.core.errors import BundleRejected
from moderation.core.scoring import Calibration, ScoreScale


class OnnxDualEncoder:
    """Fulfils the ImageEncoder and the TextEncoder port."""

    def __init__(
        self, directory: Path, manifest: Manifest, *, device: Device, threads: int
    ) -> None:
        """Load both graphs and the tokenizer; raises BundleRejected if they do not fit."""
        self._manifest = manifest
        self._images = OnnxSession(directory / manifest.image.file, device=device, threads=threads)
        # Texts are encoded only when policies change: the GPU's memory is for images.
        self._texts = OnnxSession(directory / manifest.text.file, device="cpu", threads=threads)
        self._tokenizer = TextTokenizer(
            directory / manifest.tokenizer.file,
            max_tokens=manifest.text.max_tokens,
            pad_id=manifest.text.pad_id,
            pad_to_max=manifest.text.pad_to_max,
        )
        _require_dim(self._images, manifest.image.output, manifest.dim, manifest.image.file)
        _require_dim(self._texts, manifest.text.output, manifest.dim, manifest.text.file)

    @property
    def info(self) -> EncoderInfo:
        """What this encoder is, and where it really runs."""
        manifest = self._manifest
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
            device=self._images.provider,
            notice=manifest.notice,
            is_starter=manifest.is_starter,
        )

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """See ImageEncoder; pixels uint8[n, size, size, 3]."""
        image = self._manifest.image
        return self._images.run(image.output, {image.input: pixels})

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """See TextEncoder; texts beyond the token limit are cut."""
        text = self._manifest.text
        ids, mask = self._tokenizer.encode(texts)
        inputs: dict[str, NDArray[np.int64]] = {text.ids: ids}
        if text.mask is not None:
            inputs[text.mask] = mask
        return self._texts.run(text.output, inputs)

    def warm_up(self, *batch_sizes: int) -> None:
        """Run both graphs once at these sizes: the first run allocates and is slow."""
        size = self._manifest.image.size_px
        for batch_size in batch_sizes:
            self.encode_images(np.zeros((batch_size, size, size, 3), dtype=np.uint8))
        self.encode_texts(["a photo"])


def _require_dim(session: OnnxSession, output: str, dim: int, file: str) -> None:
    shape = session.output_shapes.get(output)
    if shape is None:
        raise BundleRejected(f"{file}: the manifest names an output {output!r} that is not there")
    if shape[-1] != dim:
        raise BundleRejected(f"{file}: the manifest says {dim} dimensions, the graph {shape[-1]}")
