"""One form for all values of equal meaning, and its digest.

Whatever a dataclass compares by counts, so that a field added later counts
without a line here. The order of a tuple does not: phrases, templates and the
points of a line mean the same in any order. Neither does 1 instead of 1.0.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from typing import Any


def canonical(value: Any, *, only: Sequence[str] = ()) -> Any:  # noqa: ANN401 - any plain value
    """The value as JSON knows it; of a dataclass, `only` these fields if any are named."""
    if isinstance(value, Enum):
        return value.value
    for kinds, form in _FORMS:
        if isinstance(value, kinds):
            return form(value)
    return {name: canonical(getattr(value, name)) for name in only or _compared(value)}


def digest(canonical_value: Any) -> str:  # noqa: ANN401 - what `canonical` answers
    """sha256 in hex."""
    return hashlib.sha256(json.dumps(canonical_value, sort_keys=True).encode()).hexdigest()


def _compared(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - any dataclass
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} has no canonical form")
    return tuple(one.name for one in fields(value) if one.compare)


_FORMS: Sequence[tuple[Any, Callable[[Any], Any]]] = (
    ((str, bool, type(None)), lambda value: value),
    ((int, float), float),
    ((tuple, frozenset), lambda value: sorted(map(canonical, value), key=repr)),
    (Mapping, lambda value: {key: canonical(one) for key, one in value.items()}),
    (date, date.isoformat),
)
