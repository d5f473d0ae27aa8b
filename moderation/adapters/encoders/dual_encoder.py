"""A bundle's two graphs as one encoder: pixels in, or texts in, unit vectors out.

The graphs of every family look alike once exported; what differs between
families, such as padding or a missing mask, is said by the manifest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from moderation.adapters.encoders.description import info_of
from moderation.adapters.encoders.devices import MISFITS, Device, Tuning
from moderation.adapters.encoders.image_sessions import ImageSessions
from moderation.adapters.encoders.manifest import Manifest
from moderation.adapters.encoders.onnx_session import OnnxSession
from moderation.adapters.encoders.tokenizer import TextTokenizer, TokenIds
from moderation.core.content import Embeddings, Pixels
from moderation.core.encoder import EncoderInfo
from moderation.core.errors import BundleRejected, Overloaded

ANY = None
"""A size that a graph must take as it comes."""
Shape: TypeAlias = tuple[int | None, ...]
Shapes: TypeAlias = Mapping[str, Shape]


class OnnxDualEncoder:
    """Fulfils the ImageEncoder and the TextEncoder port."""

    def __init__(
        self, directory: Path, manifest: Manifest, *, devices: str, tuning: Tuning
    ) -> None:
        """Load both graphs and the tokenizer; raises BundleRejected if they do not fit."""
        self._manifest = manifest
        self._tuning = tuning
        self._images = ImageSessions(directory, manifest.image, devices=devices, tuning=tuning)
        # Texts are encoded only when policies change: neither the GPU's memory nor memory that
        # is held between two changes is for them.
        self._texts = OnnxSession(
            directory / manifest.text.file,
            device=Device("cpu"),
            tuning=replace(tuning, keep_memory=False),
        )
        self._tokenizer = TextTokenizer(
            directory / manifest.tokenizer.file,
            max_tokens=manifest.text.max_tokens,
            pad_id=manifest.text.pad_id,
            pad_to_max=manifest.text.pad_to_max,
        )
        for images in self._images.sessions:
            _require_signature(images, manifest.image.file, *_image_signature(manifest))
        _require_signature(self._texts, manifest.text.file, *_text_signature(manifest))

    @property
    def info(self) -> EncoderInfo:
        """What this encoder is, and where it really runs."""
        return info_of(self._manifest, device=self._images.device)

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

    def longest_run_s(self) -> float:
        """See InterruptibleEncoder; of pictures."""
        return self._images.longest_run_s()

    def break_off(self, after_s: float) -> None:
        """See InterruptibleEncoder; of pictures."""
        self._images.break_off(after_s)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """See TextEncoder; texts beyond the token limit are cut.

        Memory grows with the number of texts times the longest: callers make batches.
        """
        text = self._manifest.text
        ids, mask = self._tokenizer.encode(texts)
        inputs: dict[str, TokenIds] = {text.ids: ids}
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


def _image_signature(manifest: Manifest) -> tuple[Shapes, Shapes]:
    image = manifest.image
    return (
        {image.input: (ANY, image.size_px, image.size_px, 3)},
        {image.output: (ANY, manifest.dim)},
    )


def _text_signature(manifest: Manifest) -> tuple[Shapes, Shapes]:
    text = manifest.text
    tokens = text.max_tokens if text.pad_to_max else ANY
    inputs = [text.ids] if text.mask is None else [text.ids, text.mask]
    return dict.fromkeys(inputs, (ANY, tokens)), {text.output: (ANY, manifest.dim)}


def _require_signature(session: OnnxSession, file: str, inputs: Shapes, outputs: Shapes) -> None:
    if unknown := session.input_shapes.keys() ^ inputs.keys():
        raise BundleRejected(
            f"{file}: the manifest and the graph do not name the same inputs: "
            f"{', '.join(sorted(unknown))}"
        )
    if absent := outputs.keys() - session.output_shapes.keys():
        raise BundleRejected(
            f"{file}: the manifest names an output that the graph lacks: {', '.join(absent)}"
        )
    actual = session.input_shapes | session.output_shapes
    for name, expected in {**inputs, **outputs}.items():
        if not _fits(actual[name], expected):
            raise BundleRejected(
                f"{file}: {name} has the shape {_shown(actual[name])} in the graph, "
                f"{_shown(expected)} by the manifest"
            )


def _fits(actual: Sequence[object], expected: Shape) -> bool:
    """Whether sizes are equal where both are fixed, and free where any must be taken."""
    return len(actual) == len(expected) and all(
        not isinstance(size, int) or size == wanted
        for size, wanted in zip(actual, expected, strict=True)
    )


def _shown(shape: Sequence[object]) -> str:
    return f"[{', '.join(str(size) if isinstance(size, int) else 'any' for size in shape)}]"
