"""What differs in meaning between two policy sets, by the names that the files use.

Every value of a policy or a profile gets a path, such as `thresholds.block` or
`phrases["a gun"]`; two sets differ where a path has different values or stands
on one side only. So a key that the language gains later is compared without a
line here, and an order that means nothing makes no difference.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum, StrEnum
from typing import TypeAlias

from moderation.core.calibration import PolicyCalibration, ThresholdTarget
from moderation.core.policy import BoundEncoder, Phrase, Policy, PolicySet, Profile
from moderation.core.taxonomy import Category

Value: TypeAlias = str | int | float | bool | None
"""What stands at a path, in the files' own words."""

Part: TypeAlias = Policy | Profile | Category | PolicyCalibration | BoundEncoder

BINDING = "encoder.lock"
"""There is one at most, under the name of its file."""


@dataclass(frozen=True, slots=True)
class Change:
    """One path whose value differs; `None` on the side where there is nothing."""

    path: str
    before: Value
    after: Value

    def __str__(self) -> str:
        """`+` what came, `-` what went, `~` what moved."""
        if self.before is None:
            return f"+ {_assignment(self.path, self.after)}"
        if self.after is None:
            return f"- {_assignment(self.path, self.before)}"
        return f"~ {self.path}: {_shown(self.before)} -> {_shown(self.after)}"


class Fate(StrEnum):
    """What became of a policy or a profile."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class PartDiff:
    """What changed in one policy or profile; all of it, if it was added or removed.

    Nothing of a profile that was added and is like the default one.
    """

    id: str
    fate: Fate
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class PolicySetDiff:
    """What differs between two policy sets; what is alike is left out."""

    policies: tuple[PartDiff, ...]
    profiles: tuple[PartDiff, ...]
    categories: tuple[PartDiff, ...] = ()
    calibrations: tuple[PartDiff, ...] = ()
    bindings: tuple[PartDiff, ...] = ()

    @property
    def parts(self) -> tuple[tuple[str, PartDiff], ...]:
        """All of them, each with its kind in front."""
        by_kind = {
            "policy": self.policies,
            "profile": self.profiles,
            "category": self.categories,
            "calibration": self.calibrations,
            "binding": self.bindings,
        }
        return tuple((kind, part) for kind, parts in by_kind.items() for part in parts)

    @property
    def is_empty(self) -> bool:
        """Whether both sets mean the same, and so have one version."""
        return not self.parts


def diff_policy_sets(old: PolicySet, new: PolicySet) -> PolicySetDiff:
    """What would have to be written into the old set's files to make the new one of it."""
    return PolicySetDiff(
        policies=_diff_parts(
            {policy.id: policy for policy in old.policies},
            {policy.id: policy for policy in new.policies},
        ),
        profiles=_diff_parts(old.profiles, new.profiles),
        categories=_diff_parts(old.categories, new.categories),
        calibrations=_diff_parts(old.calibrations, new.calibrations),
        bindings=_diff_bindings(old.encoder, new.encoder),
    )


def _diff_bindings(old: BoundEncoder | None, new: BoundEncoder | None) -> tuple[PartDiff, ...]:
    if old is not None and new is not None and old.encoder_id == new.encoder_id:
        return ()  # another name of one encoder means nothing
    before, after = ({} if one is None else {BINDING: one} for one in (old, new))
    return _diff_parts(before, after)


def _diff_parts(old: Mapping[str, Part], new: Mapping[str, Part]) -> tuple[PartDiff, ...]:
    parts = []
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name):
            continue
        before, after = _values(old.get(name), new.get(name)), _values(new.get(name), old.get(name))
        changes = tuple(
            Change(path, before.get(path), after.get(path))
            for path in dict.fromkeys([*before, *after])
            if before.get(path) != after.get(path)
        )
        fate = _fate(name in old, name in new)
        if changes or fate is not Fate.CHANGED:
            parts.append(PartDiff(name, fate, changes))
    return tuple(parts)


def _fate(was_there: bool, is_there: bool) -> Fate:
    if not was_there:
        return Fate.ADDED
    return Fate.CHANGED if is_there else Fate.REMOVED


def _values(part: Part | None, other: Part | None) -> dict[str, Value]:
    """Every value by its path, of fields that differ; what is empty or absent has none.

    Of what came or went as a whole, that much is told as one would have to write.
    """
    if part is None:
        return {}
    found = {
        path: value
        for one in fields(part)
        if one.compare and one.name not in {"id", "policy_id"}
        if getattr(part, one.name) != (getattr(other, one.name) if other else one.default)
        for path, value in _flat(*_as_written(one.name, getattr(part, one.name)))
    }
    return {path: value for path, value in found.items() if value not in {None, ""}}


def _as_written(name: str, value: object) -> tuple[str, object]:
    """A field as the files know it: there the policies of a profile are `all`, or a list."""
    if name != "policy_ids":
        return name, value
    return "policies", "all" if value is None else value


def _flat(path: str, value: object) -> Iterator[tuple[str, Value]]:
    children = _children(path, value)
    if children is None:
        yield path, _leaf(value)
        return
    for below, child in children:
        yield from _flat(below, child)


def _children(path: str, value: object) -> Iterable[tuple[str, object]] | None:
    """What stands below a value, by path; None if it is one that stands for itself."""
    if isinstance(value, Mapping):
        return [(f"{path}.{key}", value[key]) for key in sorted(value)]
    if isinstance(value, frozenset):
        return _items(path, sorted(value))
    if isinstance(value, tuple | list):
        return _items(path, value)
    if isinstance(value, ThresholdTarget):
        return None
    if is_dataclass(value):
        return [(f"{path}.{one.name}", getattr(value, one.name)) for one in fields(value)]
    return None


def _items(path: str, items: Iterable[object]) -> Iterator[tuple[str, object]]:
    for number, item in enumerate(items, start=1):
        if isinstance(item, Phrase):
            yield f'{path}["{item.text}"]', item.weight
        elif isinstance(item, str):
            yield f'{path}["{item}"]', True
        else:
            yield f"{path}[{number}]", item


def _leaf(value: object) -> Value:
    if isinstance(value, IntEnum):
        return value.name.lower()
    if value is None or isinstance(value, bool):
        return value
    return float(value) if isinstance(value, int | float) else str(value)


def _assignment(path: str, value: Value) -> str:
    is_plain_item = path.endswith('"]') and value == 1.0
    return path if is_plain_item else f"{path}: {_shown(value)}"


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
