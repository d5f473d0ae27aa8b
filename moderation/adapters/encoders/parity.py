"""Whether a bundle answers as the model it was made from: measured, reported, required at load."""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from moderation.adapters.encoders.manifest import PARITY_FILE, Manifest, sha256_of
from moderation.core.content import Embeddings, Pixels
from moderation.core.errors import BundleRejected

ITEMS_PER_RUN = 8
Precision = Literal["fp32", "fp16", "int8"]
Decode = Callable[[bytes], Pixels]


class DualEncoder(Protocol):
    """What is measured."""

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Pixels uint8[n, size, size, 3] to unit vectors."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Texts to unit vectors."""
        ...


@dataclass(frozen=True, slots=True)
class Reference:
    """Pictures and texts, and what the original model made of them."""

    pictures: Sequence[bytes]
    texts: Sequence[str]
    pixels: Pixels
    """The original's preprocessing of the pictures, uint8[pictures, size, size, 3]."""
    image_embeddings: Embeddings
    text_embeddings: Embeddings

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what an export has written; raises BundleRejected. Nothing is unpickled."""
        try:
            # From memory: numpy leaves a file open that turns out to be no archive.
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
                ends = np.cumsum(arrays["picture_sizes"])[:-1]
                pictures = np.split(arrays["picture_bytes"], ends)
                return cls(
                    pictures=[one.tobytes() for one in pictures],
                    texts=[bytes(one).decode() for one in arrays["texts"]],
                    pixels=arrays["pixels"],
                    image_embeddings=arrays["image_embeddings"],
                    text_embeddings=arrays["text_embeddings"],
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise BundleRejected(f"{path}: cannot be read as a reference: {error}") from error


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Check(_Part):
    """One number that must reach another."""

    name: str
    value: float
    required: float

    @property
    def passed(self) -> bool:
        """NaN passes nothing."""
        return self.value >= self.required


class ParityReport(_Part):
    """What was measured, with what, and on which encoder."""

    format: Literal[1] = 1
    encoder_id: str
    precision: Precision
    runtime: str
    """The library and the execution provider that ran the graphs."""
    pictures: int
    texts: int
    checks: tuple[Check, ...]

    @property
    def failing(self) -> tuple[Check, ...]:
        """Empty in a good report."""
        return tuple(check for check in self.checks if not check.passed)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The report in a bundle; raises BundleRejected."""
        path = directory / PARITY_FILE
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise BundleRejected(f"{path}: cannot be read as a parity report") from error

    def store(self, directory: Path, manifest: Manifest) -> Manifest:
        """Put the report into the bundle, and its digest into the manifest."""
        path = directory / PARITY_FILE
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        stored = manifest.model_copy(
            update={"files": {**manifest.files, PARITY_FILE: sha256_of(path)}}
        )
        stored.save(directory)
        return stored


LIMITS: Mapping[str, Mapping[Precision, float]] = {
    # Smallest cosine to the original's embedding: of the same pixels; of texts, whose graph is
    # float32 in every bundle.
    "image_cosine": {"fp32": 0.99999, "fp16": 0.9995, "int8": 0.999},
    "text_cosine": {"fp32": 0.99999, "fp16": 0.99999, "int8": 0.99999},
    # Smallest cosine between a picture alone and among others.
    "batch_cosine": {"fp32": 0.99999, "fp16": 0.9995, "int8": 0.999},
    # Kendall's tau of the texts' order, mean over the pictures.
    "text_order": {"fp32": 0.999, "fp16": 0.98, "int8": 0.90},
    # 1 less the mean difference of pixels, and the mean cosine, from the encoded picture on.
    "same_pixels": {"fp32": 0.98, "fp16": 0.98, "int8": 0.98},
    "upload_cosine": {"fp32": 0.999, "fp16": 0.999, "int8": 0.998},
}
"""What each measure must reach, by precision."""


def measure(encoder: DualEncoder, reference: Reference, decode: Decode) -> dict[str, float]:
    """Every measure that LIMITS names; 1 is perfect."""
    together = _in_runs(encoder, reference.pixels, ITEMS_PER_RUN)
    alone = _in_runs(encoder, reference.pixels, 1)
    texts = encoder.encode_texts(reference.texts)
    decoded = np.concatenate([decode(picture)[:1] for picture in reference.pictures])
    uploaded = _in_runs(encoder, decoded, ITEMS_PER_RUN)
    difference = np.abs(decoded.astype(np.float32) - reference.pixels.astype(np.float32))
    return {
        "image_cosine": float(_cosines(together, reference.image_embeddings).min()),
        "text_cosine": float(_cosines(texts, reference.text_embeddings).min()),
        "batch_cosine": float(_cosines(alone, together).min()),
        "text_order": _order_kept(
            together @ texts.T, reference.image_embeddings @ reference.text_embeddings.T
        ),
        "same_pixels": 1.0 - float(difference.mean()) / 255,
        "upload_cosine": float(_cosines(uploaded, reference.image_embeddings).mean()),
    }


def judge(measured: Mapping[str, float], precision: Precision) -> tuple[Check, ...]:
    """Each measure beside what it must reach."""
    return tuple(
        Check(name=name, value=measured[name], required=limits[precision])
        for name, limits in LIMITS.items()
    )


def require_parity(directory: Path, manifest: Manifest) -> None:
    """Raise BundleRejected if nobody has shown that a bundle answers as its original does.

    The starter has no original to compare with: its recipe's tests speak for it.
    """
    if manifest.is_starter:
        return
    advice = f"run `moderation bundle verify {directory}`, or set encoder.allow_unverified"
    if PARITY_FILE not in manifest.files:
        raise BundleRejected(f"{directory}: has no parity report; {advice}")
    report = ParityReport.load(directory)
    if report.encoder_id != manifest.encoder_id:
        raise BundleRejected(f"{directory}: its parity report is of another encoder; {advice}")
    if report.failing:
        worst = ", ".join(f"{one.name} {one.value:.5f} < {one.required}" for one in report.failing)
        raise BundleRejected(f"{directory}: its parity report fails: {worst}; {advice}")


def kendall_tau(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """How far two rankings agree, from -1 to 1; pairs that tie in both say nothing."""
    upper = np.triu_indices(len(one), 1)
    first = np.sign(one[:, None] - one[None, :])[upper]
    second = np.sign(other[:, None] - other[None, :])[upper]
    told = (first != 0) | (second != 0)
    return float((first * second)[told].mean()) if told.any() else 1.0


def _order_kept(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    return float(np.mean([kendall_tau(*rows) for rows in zip(ours, theirs, strict=True)]))


def _in_runs(encoder: DualEncoder, pixels: Pixels, size: int) -> Embeddings:
    runs = [pixels[start : start + size] for start in range(0, len(pixels), size)]
    return np.concatenate([encoder.encode_images(run) for run in runs])


def _cosines(one: Embeddings, other: Embeddings) -> NDArray[np.float32]:
    if one.shape != other.shape:
        raise BundleRejected(
            f"the reference has embeddings {list(other.shape)}, the encoder gives {list(one.shape)}"
        )
    cosines: NDArray[np.float32] = (one * other).sum(axis=1)
    return cosines
