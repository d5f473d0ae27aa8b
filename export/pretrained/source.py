"""Finds a model's files, on disk or on the hub, and says where they came from and on what terms."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from export.pretrained.errors import ExportError
from export.pretrained.preprocessing import PROCESSOR_FILE
from moderation.adapters.encoders.manifest import Source, sha256_of

WANTED = [
    "config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    PROCESSOR_FILE,
    "processor_config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "README.md",
]
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
LOCAL = "local"
NO_LICENSE = "not stated by the model card"
LICENSE_LINE = re.compile(r"^license(?:_name)?:[ \t]*(\S.*?)\s*$", re.MULTILINE)
FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's files in a directory, in transformers' format, and what they are called."""

    directory: Path
    name: str
    revision: str
    """The hub's commit, or `local`."""

    @classmethod
    def find(cls, source: str, *, revision: str | None = None) -> Self:
        """A directory made by `save_pretrained`, or else a hub id; raises ExportError."""
        directory = Path(source)
        if directory.is_dir():
            if revision is not None:
                raise ExportError(f"{source}: is a directory, which has no revisions")
            found = cls(directory, directory.resolve().name, LOCAL)
        else:
            path = _downloaded(source, revision)
            found = cls(path, source, path.name)
        found._require_safe_weights()
        return found

    @property
    def config(self) -> Mapping[str, Any]:
        """The model's config.json; raises ExportError."""
        return self._json("config.json")

    @property
    def processor_config(self) -> Mapping[str, Any]:
        """How pictures are prepared, from whichever file says it; raises ExportError."""
        combined = self.directory / "processor_config.json"
        if not (self.directory / PROCESSOR_FILE).is_file() and combined.is_file():
            images: Mapping[str, Any] = self._json(combined.name).get("image_processor", {})
            return images
        return self._json(PROCESSOR_FILE)

    def as_source(self) -> Source:
        """The entry in the bundle's manifest."""
        whole = self.directory / "model.safetensors"
        return Source(
            name=self.name,
            version=self.revision,
            license=self._license(),
            sha256=sha256_of(whole) if whole.is_file() else None,
        )

    def _license(self) -> str:
        card = self.directory / "README.md"
        text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
        front_matter = FRONT_MATTER.match(text)
        named = LICENSE_LINE.findall(front_matter[1]) if front_matter else []
        return " / ".join(one.strip("\"'") for one in named) or NO_LICENSE

    def _json(self, file: str) -> dict[str, Any]:
        path = self.directory / file
        try:
            content: dict[str, Any] = json.loads(path.read_bytes())
        except OSError as error:
            raise ExportError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ExportError(f"{path}: is no JSON: {error}") from error
        return content

    def _require_safe_weights(self) -> None:
        if any(self.directory.glob("model*.safetensors")):
            return
        pickles = sorted(one.name for kind in PICKLES for one in self.directory.glob(kind))
        found = f"only {pickles[0]}, a pickle" if pickles else "none"
        raise ExportError(
            f"{self.name}: weights must be model.safetensors; there is {found}. Pickles are "
            "refused because reading one can run any code. On the hub many models have a "
            "converted copy: look for it among the pull requests and name it with "
            "--revision refs/pr/NUMBER"
        )


def _downloaded(source: str, revision: str | None) -> Path:
    import huggingface_hub  # noqa: PLC0415 - a directory needs no hub
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415

    try:
        path = huggingface_hub.snapshot_download(source, revision=revision, allow_patterns=WANTED)
    except HFValidationError as error:
        raise ExportError(f"{source}: is neither a directory nor a hub id") from error
    except (OSError, RuntimeError, ValueError) as error:
        # The hub's client raises kinds of all three: offline, no such model, no permission.
        raise ExportError(_unreachable(source, error)) from error
    return Path(path)


def _unreachable(source: str, error: Exception) -> str:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    offline = " HF_HUB_OFFLINE is set: only what was downloaded before can be used."
    return (
        f"{source}: cannot be had from the hub: {reason}."
        f"{offline if os.environ.get('HF_HUB_OFFLINE') else ''}"
        " Instead, on a machine that reaches the hub, run"
        f" `hf download {source} --local-dir DIRECTORY`, bring the directory here, and name it"
        " in place of the id"
    )
