"""References for drift as JSON files, one a policy, beside the policies that they belong to.

They lie at `drift/<encoder id>/<policy id>.json` below the directory of the policies.
None is needed: one that cannot be read is told of, and its policy is not compared.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from moderation.core.drift import Reference
from moderation.service.drift import References

FOLDER = "drift"
SUFFIX = ".json"
MAX_FILE_BYTES = 1 << 16

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Scale(_Part):
    scale: Finite
    contrast_aggregation: str


class _File(_Part):
    format: Literal[1] = 1
    policy: str
    encoder_id: str
    policy_hash: str
    raw_score: _Scale
    edges: list[Finite]
    counts: list[int]

    def to_reference(self) -> Reference:
        return Reference(
            policy_id=self.policy,
            encoder_id=self.encoder_id,
            policy_hash=self.policy_hash,
            scale=self.raw_score.scale,
            contrast_aggregation=self.raw_score.contrast_aggregation,
            edges=tuple(self.edges),
            counts=tuple(self.counts),
        )


class DriftReferences:
    """Fulfils the ReferenceSource port."""

    def __init__(self, policies: Path) -> None:
        self._policies = policies

    def load(self, encoder_id: str) -> References:
        """See ReferenceSource."""
        by_policy: dict[str, Reference] = {}
        problems: list[str] = []
        for path in _files(references_of(self._policies, encoder_id)):
            try:
                reference = _File.model_validate_json(_content(path)).to_reference()
                if (reference.policy_id, reference.encoder_id) != (path.stem, encoder_id):
                    raise ValueError("is of another policy or encoder than its name says")
                by_policy[reference.policy_id] = reference
            except OSError as error:
                problems.append(f"{path}: {error.strerror}")
            except ValidationError as error:
                problem = error.errors(include_url=False)[0]
                place = ".".join(map(str, problem["loc"])) or "the file"
                problems.append(f"{path}: {place}: {problem['msg']}")
            except ValueError as error:
                problems.append(f"{path}: {error}")
        return References(by_policy, tuple(problems))

    def save(self, reference: Reference) -> Path:
        """Write a reference in place of the policy's former one; raises OSError."""
        directory = references_of(self._policies, reference.encoder_id)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{reference.policy_id}{SUFFIX}"
        file = _File(
            policy=reference.policy_id,
            encoder_id=reference.encoder_id,
            policy_hash=reference.policy_hash,
            raw_score=_Scale(
                scale=reference.scale, contrast_aggregation=reference.contrast_aggregation
            ),
            edges=list(reference.edges),
            counts=list(reference.counts),
        )
        unfinished = directory / f".{path.name}.new"
        unfinished.write_text(json.dumps(file.model_dump(), indent=2) + "\n", encoding="utf-8")
        return unfinished.replace(path)


def references_of(policies: Path, encoder_id: str) -> Path:
    """Where an encoder's references lie."""
    return policies / FOLDER / encoder_id


def _files(directory: Path) -> Iterable[Path]:
    try:
        paths = list(directory.iterdir())
    except OSError:  # there are none, and policies say so themselves if they cannot be read
        return []
    return sorted(one for one in paths if one.suffix == SUFFIX and not one.name.startswith("."))


def _content(path: Path) -> bytes:
    """Raises OSError, or ValueError for what is no small file."""
    if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"is no file of at most {MAX_FILE_BYTES} bytes")
    return path.read_bytes()
