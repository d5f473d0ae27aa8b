"""Calibrations as JSON files, one a policy, to be reviewed like the policies themselves.

They lie at `calibration/<encoder id>/<policy id>.json` below the directory of the
policies. Reading is strict, for what stands there decides; writing the same
calibration gives the same bytes, so that a pull request shows what has changed.
"""

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from moderation.core.calibration import (
    Calibration,
    Fit,
    IsotonicCalibration,
    PolicyCalibration,
    SolvedThreshold,
    TargetKind,
    ThresholdTarget,
)
from moderation.core.errors import PolicySetRejected, Problem
from moderation.core.scoring import ScoreScale

FOLDER = "calibration"
SUFFIX = ".json"
MAX_FILE_BYTES = 1 << 20

_PAIR = re.compile(r"\[\s+([^\s,\[\]]+),\s+([^\s,\[\]]+)\s+\]")

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class _Unusable(Exception):
    """The file cannot be used; its message is for the user."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Platt(_Part):
    bias: Finite
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    def to_fit(self) -> Fit:
        return Calibration(self.bias, self.temperature)


class _Isotonic(_Part):
    points: list[tuple[Finite, Finite]]

    def to_fit(self) -> Fit:
        return IsotonicCalibration(tuple(self.points))


class _Threshold(_Part):
    target: dict[Literal["max_fpr", "min_recall"], Finite] = Field(min_length=1, max_length=1)
    threshold: Finite
    bound: Finite
    errors: Count
    count: Count

    def to_solved(self) -> SolvedThreshold:
        ((kind, rate),) = self.target.items()
        target = ThresholdTarget(TargetKind(kind), rate)
        return SolvedThreshold(target, self.threshold, self.bound, self.errors, self.count)


class _Scale(_Part):
    """How the encoder's similarities became raw scores; its id does not cover that."""

    scale: Finite
    contrast_aggregation: str


class _Labels(_Part):
    violating: Count
    benign: Count


class _File(_Part):
    format: Literal[1] = 1
    policy: str
    encoder_id: str
    policy_hash: str
    raw_score: _Scale
    labels: _Labels
    platt: _Platt | None = None
    isotonic: _Isotonic | None = None
    thresholds: list[_Threshold] = []


class CalibrationFiles:
    """Fulfils the CalibrationSource port; `scale` is the loaded encoder's."""

    def __init__(self, policies: Path, scale: ScoreScale) -> None:
        self._policies = policies
        self._scale = _Scale(scale=scale.scale, contrast_aggregation=scale.contrast_aggregation)

    def fingerprint(self, encoder_id: str) -> object:
        """See CalibrationSource."""
        directory = directory_of(self._policies, encoder_id)
        try:
            return {name: _identity(directory / name) for name in self._names(encoder_id)}
        except PolicySetRejected as rejected:
            return str(rejected)

    def load(self, encoder_id: str) -> Mapping[str, PolicyCalibration]:
        """See CalibrationSource."""
        calibrations: dict[str, PolicyCalibration] = {}
        problems: list[Problem] = []
        for name in self._names(encoder_id):
            try:
                calibration = self._read(encoder_id, name)
                calibrations[calibration.policy_id] = calibration
            except _Unusable as error:
                problems.append(Problem(f"{FOLDER}/{encoder_id}/{name}", 0, 0, str(error)))
        if problems:
            raise PolicySetRejected(tuple(problems))
        return calibrations

    def save(self, calibration: PolicyCalibration) -> Path:
        """Write a calibration in place of the policy's former one; raises OSError."""
        path = self.path_of(calibration.policy_id, calibration.encoder_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.new")
        unfinished.write_text(_written(calibration, self._scale), encoding="utf-8")
        unfinished.replace(path)
        return path

    def path_of(self, policy_id: str, encoder_id: str) -> Path:
        """Where a policy's calibration lies, if there is one."""
        return directory_of(self._policies, encoder_id) / f"{policy_id}{SUFFIX}"

    def encoder_ids(self) -> list[str]:
        """Every encoder that there are calibrations for."""
        folder = self._policies / FOLDER
        return sorted(_visible(folder))

    def _names(self, encoder_id: str) -> list[str]:
        directory = directory_of(self._policies, encoder_id)
        return sorted(name for name in _visible(directory) if name.endswith(SUFFIX))

    def _read(self, encoder_id: str, name: str) -> PolicyCalibration:
        content = _content(self._policies, directory_of(self._policies, encoder_id) / name)
        file = _parsed(content)
        if file.policy != name.removesuffix(SUFFIX) or file.encoder_id != encoder_id:
            raise _Unusable(
                f"is for policy {file.policy[:64]!r} and encoder {file.encoder_id[:64]!r}; "
                "a calibration lies at <encoder id>/<policy id>.json"
            )
        if file.raw_score != self._scale:
            raise _Unusable(
                f"was fitted to raw scores with {file.raw_score}, and the encoder's manifest now "
                f"says {self._scale}; run `moderation calibrate LABELS`"
            )
        return _calibration(file)


def directory_of(policies: Path, encoder_id: str) -> Path:
    """Where an encoder's calibrations lie."""
    return policies / FOLDER / encoder_id


def _identity(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _visible(directory: Path) -> Iterator[str]:
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return iter(())
    except OSError as error:
        problem = Problem(str(directory), 0, 0, f"cannot be read as a directory: {error.strerror}")
        raise PolicySetRejected((problem,)) from error
    return (name for name in names if not name.startswith("."))


def _content(root: Path, path: Path) -> bytes:
    """The file's bytes; a link must stay within the directory of the policies."""
    try:
        real_root, real = os.path.realpath(root, strict=True), os.path.realpath(path, strict=True)
        if os.path.commonpath([real_root, real]) != real_root:
            raise _Unusable("is a link that leads out of the policies; copy the file instead")
        # Not waiting for a named pipe's writer.
        with open(real, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as f:
            if not stat.S_ISREG(os.fstat(f.fileno()).st_mode):
                raise _Unusable("is not a file")
            content = f.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _Unusable(f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise _Unusable(f"is too large; at most {MAX_FILE_BYTES} bytes are allowed")
    return content


def _parsed(content: bytes) -> _File:
    try:
        value = json.loads(content, object_pairs_hook=_unique)
        # Strict, but with JSON's own freedom: a list is a tuple, 1 is 1.0.
        return _File.model_validate_json(json.dumps(value))
    except ValidationError as error:
        problems = (
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
        )
        raise _Unusable("; ".join(problems)) from error
    except (ValueError, RecursionError) as error:
        raise _Unusable(f"is not valid JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value_by_key = dict(pairs)
    if len(value_by_key) != len(pairs):
        raise ValueError(f"a key stands twice: {', '.join(key for key, _ in pairs)[:200]}")
    return value_by_key


def _calibration(file: _File) -> PolicyCalibration:
    curves = [curve for curve in (file.platt, file.isotonic) if curve is not None]
    if len(curves) != 1:
        raise _Unusable("must have one of platt and isotonic")
    try:
        return PolicyCalibration(
            policy_id=file.policy,
            encoder_id=file.encoder_id,
            policy_hash=file.policy_hash,
            fit=curves[0].to_fit(),
            positives=file.labels.violating,
            negatives=file.labels.benign,
            solved=tuple(threshold.to_solved() for threshold in file.thresholds),
        )
    except ValueError as error:
        raise _Unusable(str(error)) from error


def _written(calibration: PolicyCalibration, scale: _Scale) -> str:
    fit = calibration.fit
    file = _File(
        policy=calibration.policy_id,
        encoder_id=calibration.encoder_id,
        policy_hash=calibration.policy_hash,
        raw_score=scale,
        labels=_Labels(violating=calibration.positives, benign=calibration.negatives),
        platt=_Platt(bias=fit.bias, temperature=fit.temperature)
        if isinstance(fit, Calibration)
        else None,
        isotonic=_Isotonic(points=list(fit.points))
        if isinstance(fit, IsotonicCalibration)
        else None,
        thresholds=[_threshold(solved) for solved in calibration.solved],
    )
    text = json.dumps(file.model_dump(exclude_none=True), indent=2)
    return _PAIR.sub(r"[\1, \2]", text) + "\n"  # a point a line


def _threshold(solved: SolvedThreshold) -> _Threshold:
    return _Threshold(
        target={solved.target.kind.value: solved.target.rate},
        threshold=solved.threshold,
        bound=solved.bound,
        errors=solved.errors,
        count=solved.count,
    )
