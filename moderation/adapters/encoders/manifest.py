"""The manifest of a bundle: what the graphs expect, what they answer, and every file's digest.

Shared with the exporter, which writes what this reads; it therefore knows no
other part of the project and has an error of its own.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MANIFEST_NAME = "manifest.json"
PARITY_FILE = "parity.json"
REFERENCE_FILE = "reference.npz"
"""What the original model made of some pictures and texts, where the bundle has one."""
FORMAT: Literal[1] = 1
READ_BYTES = 1 << 20

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]
"""A name without directories: a bundle cannot point outside itself."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=1)]


class ManifestError(ValueError):
    """The manifest cannot be used, or a file is not the one that it names."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ImageGraph(_Part):
    """Pixels uint8[n, size_px, size_px, 3] in, unit vectors float32[n, dim] out."""

    file: FileName
    input: str = "pixels"
    output: str = "embedding"
    size_px: Count
    crop: Literal["center", "squash"] = "center"
    crop_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"


class TextGraph(_Part):
    """Token ids, and a mask where the family has one, in; unit vectors float32[n, dim] out."""

    file: FileName
    ids: str = "ids"
    mask: str | None = "mask"
    output: str = "embedding"
    max_tokens: Count
    pad_id: Annotated[int, Field(ge=0)] = 0
    pad_to_max: bool = False
    """Whether every text is padded to `max_tokens`, as the family was trained."""


class TokenizerFile(_Part):
    """A tokenizer.json of the `tokenizers` library."""

    file: FileName


class ScoreDefaults(_Part):
    """How similarities become scores where no calibration exists."""

    scale: Annotated[float, Field(gt=0)]
    bias: float
    temperature: Annotated[float, Field(gt=0)]
    contrast_aggregation: Literal["max", "mean", "top_k_mean", "logsumexp"] = "mean"


class Source(_Part):
    """Where weights came from, and on what terms."""

    name: str
    version: str
    license: str
    sha256: Sha256 | None = None
    """Of the archive that was read, where there was one."""


class Manifest(_Part):
    """Everything about a bundle but the weights themselves."""

    format: Literal[1] = FORMAT
    name: str
    family: str
    dim: Count
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    """What is computed with; weights may be stored smaller."""
    image: ImageGraph
    text: TextGraph
    tokenizer: TokenizerFile
    score: ScoreDefaults
    files: dict[FileName, Sha256]
    """sha256 of every file but this one, by name."""
    sources: tuple[Source, ...] = ()
    notice: str = ""
    """What this encoder cannot see, when that must be known."""
    is_starter: bool = False

    @model_validator(mode="after")
    def _every_part_has_a_digest(self) -> Self:
        for file in (self.image.file, self.text.file, self.tokenizer.file):
            if file not in self.files:
                raise ValueError(f"files: there is no digest of {file}")
        return self

    @property
    def encoder_id(self) -> str:
        """sha256, in hex, of what determines the embeddings: graphs, tokenizer, preprocessing.

        Names, notices and score defaults are left out: they change no embedding.
        """
        parts = (self.image.file, self.text.file, self.tokenizer.file)
        determining = {
            "dim": self.dim,
            "image": self.image.model_dump(exclude={"file"}),
            "text": self.text.model_dump(exclude={"file"}),
            "digests": [self.files[part] for part in parts],
        }
        canonical = json.dumps(determining, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read a bundle's manifest; raises ManifestError naming the field that is wrong."""
        path = directory / MANIFEST_NAME
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ManifestError(f"{path}: cannot be read: {error.strerror}") from error
        except ValidationError as error:
            problems = (
                f"{'.'.join(str(part) for part in one['loc']) or 'the file'}: {one['msg']}"
                for one in error.errors()
            )
            raise ManifestError(f"{path}: {'; '.join(problems)}") from error

    def save(self, directory: Path) -> None:
        """Write the manifest beside the files that it describes."""
        text = self.model_dump_json(indent=2) + "\n"
        (directory / MANIFEST_NAME).write_text(text, encoding="utf-8")

    def verify_files(self, directory: Path) -> None:
        """Compare every file with its digest; raises ManifestError naming one that differs."""
        for file, expected in self.files.items():
            try:
                actual = sha256_of(directory / file)
            except OSError as error:
                raise ManifestError(
                    f"{directory / file}: cannot be read: {error.strerror}; "
                    "fetch or export the bundle again"
                ) from error
            if actual != expected:
                raise ManifestError(
                    f"{directory / file}: its sha256 is {actual}, the manifest says {expected}; "
                    "the file was altered or not copied whole: fetch or export the bundle again"
                )


def sha256_of(path: Path) -> str:
    """sha256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
