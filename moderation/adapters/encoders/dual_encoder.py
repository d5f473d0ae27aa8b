"""A bundle's two graphs as one encoder: pixels in, or texts in, unit vectors out.

The graphs of every family look alike once exported; what differs between
families, such as padding or a missing mask, is said by the manifest.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moderation.adapters.encoders.devices import MISFITS, Device, Tuning
from moderation.adapters.encoders.image_sessions import ImageSessions
from moderation.adapters.encoders.manifest import Manifest
from moderation.adapters.encoders.onnx_session import OnnxSession
from moderation.adapters.encoders.tokenizer import TextTokenizer
from moderation.core.content import Crop, Embeddings, Interpolation, Pixels, PixelSpec
from moderation.core.encoder import EncoderInfo
from moderation.core.errors import BundleRejected, Overloaded
from moderation.core.scoring import Calibration, ScoreScale


class OnnxDualEncoder:
    """Fulfils the ImageEncoder and the TextEncoder port."""

    def __init__(
        self, directory: Path, manifest: Manifest, *, devices: str, tuning: Tuning
    ) -> None:
        """Load both graphs and the tokenizer; raises BundleRejected if they do not fit."""
        self._manifest = manifest
        self._tuning = tuning
        self._images = ImageSessions(directory, manifest.image, devices=devices, tuning=tuning)
        # Texts are encoded only when policies change: the GPU's memory is for images.
        self._texts = OnnxSession(
            directory / manifest.text.file, device=Device("cpu"), tuning=tuning
        )
        self._tokenizer = TextTokenizer(
            directory / manifest.tokenizer.file,
            max_tokens=manifest.text.max_tokens,
            pad_id=manifest.text.pad_id,
            pad_to_max=manifest.text.pad_to_max,
        )
        for images in self._images.sessions:
            _require_dim(images, manifest.image.output, manifest.dim, manifest.image.file)
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
            device=self._images.device,
            notice=manifest.notice,
            is_starter=manifest.is_starter,
        )

    @property
    def batches_in_flight(self) -> int:
        """How many batches may run at once, over all devices."""
        return self._images.batches_in_flight

    @property
    def misfit(self) -> str:
        """Why another precision would suit the device that runs; empty if this one does."""
        provider = self._images.sessions[0].provider
        return MISFITS.get((provider, self._manifest.precision), "")

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """See ImageEncoder; pixels uint8[n, size, size, 3]. Raises Overloaded without memory."""
        return self._images.run(pixels)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """See TextEncoder; texts beyond the token limit are cut."""
        text = self._manifest.text
        ids, mask = self._tokenizer.encode(texts)
        inputs: dict[str, NDArray[np.int64]] = {text.ids: ids}
        if text.mask is not None:
            inputs[text.mask] = mask
        return self._texts.run(text.output, inputs)

    def warm_up(self) -> None:
        """Run both graphs once, the first run allocates and is slow; raises BundleRejected.

        The largest batch comes first, so that the memory it takes serves the others.
        """
        size = self._manifest.image.size_px
        for batch_size in warm_up_sizes(self._tuning.largest_batch):
            frames = np.zeros((batch_size, size, size, 3), dtype=np.uint8)
            try:
                self._images.run_everywhere(frames)
            except Overloaded as error:
                raise BundleRejected(f"{self._manifest.image.file}: {error}") from error
        self.encode_texts(["a photo"])


def warm_up_sizes(largest: int) -> list[int]:
    """The batch sizes worth a first run: the largest, and every power of two below."""
    powers = (1 << power for power in range(largest.bit_length()))
    return sorted({largest, *powers}, reverse=True)


def _require_dim(session: OnnxSession, output: str, dim: int, file: str) -> None:
    shape = session.output_shapes.get(output)
    if shape is None:
        raise BundleRejected(f"{file}: the manifest names an output {output!r} that is not there")
    if shape[-1] != dim:
        raise BundleRejected(f"{file}: the manifest says {dim} dimensions, the graph {shape[-1]}")
