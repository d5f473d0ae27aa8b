"""From pydantic's errors to flaws: what is wrong, where, and what would be right."""

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from moderation.adapters.policy_yaml.hints import NO_BREAK_SPACE, is_glued_key
from moderation.adapters.policy_yaml.tree import (
    Flaw,
    ListNode,
    MappingNode,
    Node,
    Place,
    ScalarNode,
    plain,
    quoted,
)
from moderation.adapters.policy_yaml.words import MAX_ID_CHARACTERS
from moderation.core.calibration import TargetKind

Model = TypeVar("Model", bound=BaseModel)
Location = Sequence[int | str]
TARGETS = tuple(kind.value for kind in TargetKind)
KEY = "[key]"
"""How pydantic says that it means the key of a mapping."""
MAX_NUMBER_CHARACTERS = 40
COMMENT_HINT = "write a text after the hyphen; one that begins with # needs quotes"
_LIKE_HYPHENS = tuple("-\N{BULLET}\N{EN DASH}\N{EM DASH}*")
ID_RULE = "lower-case letters and digits, with single hyphens between them"


@dataclass(frozen=True, slots=True)
class Spot:
    """A node of the tree, found by its location."""

    path: str
    node: Node
    key_place: Place | None
    """Where the node's key stands; None in a list and at the root."""

    @property
    def place(self) -> Place:
        """Where the value stands, or its key if it has none."""
        is_absent = isinstance(self.node, ScalarNode) and self.node.source == ""
        return self.key_place or self.node.place if is_absent else self.node.place


def check(model: type[Model], root: Node) -> tuple[Model | None, list[Flaw]]:
    """The tree as that model, or None and why not."""
    try:
        return model.model_validate(plain(root)), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return None, [_flaw(one, model, root) for one in details]


def find(root: Node, location: Location) -> Spot:
    """The node at a location, or the last one on the way that there is.

    Items are counted from 1 in the path, as people and editors count lines.
    """
    spot = Spot("", root, None)
    for part in location:
        node = spot.node
        if isinstance(node, MappingNode) and part in node.entries:
            entry = node.entries[str(part)]
            spot = Spot(join(spot.path, str(part)), entry.node, entry.place)
        elif isinstance(node, ListNode) and isinstance(part, int):
            spot = Spot(f"{spot.path}[{part + 1}]", node.items[part], None)
        else:
            break
    return spot


def join(path: str, key: str) -> str:
    """The path of a key below another path."""
    name = key if key.replace("-", "_").isidentifier() and len(key) <= 64 else quoted(key)
    return f"{path}.{name}" if path else name


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint at the nearest known name, or nothing."""
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that this was probably meant to be, or nothing."""
    near = difflib.get_close_matches(name[:64].lower(), sorted(known), n=1)
    return near[0] if near else ""


def _flaw(error: ErrorDetails, model: type[BaseModel], root: Node) -> Flaw:
    location = error["loc"]
    if error["type"] == "extra_forbidden":
        return _unknown_key(location, model, root)
    spot = find(root, location)
    if location[-1:] == (KEY,):
        message = f"the name must be {ID_RULE}, at most {MAX_ID_CHARACTERS} characters"
        return Flaw(spot.key_place, _told(spot.path, message))
    if error["type"] == "missing":
        path = join(spot.path, str(location[-1]))
        return Flaw(spot.key_place or spot.node.place, f"{path}: this key is required")
    word = _WORDING.get(error["type"], _as_pydantic_says)
    return Flaw(spot.place, _told(spot.path, word(spot.node, error)))


def _unknown_key(location: Location, model: type[BaseModel], root: Node) -> Flaw:
    parent, key = find(root, location[:-1]), str(location[-1])
    known = _keys_at(model, location[:-1])
    near = nearest(key, known)
    hint = f"; did you mean {near}?" if near else ""
    if isinstance(parent.node, MappingNode) and near in parent.node.entries:
        hint = f"; {near} is there already, so remove one of them"
    elif key.isdecimal():  # {review: 0,5}
        hint = "; write a number with a point, not with a comma"
    elif key in _BELOW and _BELOW[key] in known:  # {review: 0.5} without its indentation
        hint = f"; it belongs below {_BELOW[key]}, indented further"
    elif NO_BREAK_SPACE in key:
        hint = "; it contains a no-break space, type an ordinary one in its place"
    message = f"unknown key {quoted(key)}{hint} (known keys: {', '.join(known)})"
    place = find(root, location).key_place or parent.node.place
    return Flaw(place, _told(parent.path, message))


_BELOW: Mapping[str, str] = {"review": "thresholds", "block": "thresholds"}


def _told(path: str, message: str) -> str:
    return f"{path}: {message}" if path else message


def _keys_at(annotation: Any, location: Location) -> list[str]:  # noqa: ANN401 - a type form
    """The keys of the model that a location leads to."""
    for part in location:
        while get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        if get_origin(annotation) in {list, dict}:
            annotation = get_args(annotation)[-1]
        else:
            annotation = annotation.model_fields[part].annotation
    return list(annotation.model_fields)


def _as_pydantic_says(node: Node, error: ErrorDetails) -> str:
    return f"{error['msg']}, got {node}"


def _text(node: Node, _: ErrorDetails) -> str:
    is_filled = isinstance(node, ScalarNode) and node.source
    return f"must be a text, got {node}" + ("; put it in quotes" if is_filled else "")


def _number(node: Node, _: ErrorDetails) -> str:
    source = node.source if isinstance(node, ScalarNode) else ""
    is_quoted = source.replace(".", "", 1).isdecimal()
    return f"must be a number, got {node}" + (
        "; remove the quotes" if is_quoted else _point_hint(source) or _per_cent_hint(source)
    )


def _point_hint(source: str) -> str:
    has_comma = re.fullmatch(r"\d*,\d+", source) and len(source) <= MAX_NUMBER_CHARACTERS
    return f"; write {source.replace(',', '.')} with a point" if has_comma else ""


def _per_cent_hint(source: str) -> str:
    """For `10%`, and for a whole number that can hardly be meant otherwise."""
    written = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?) ?%", source)
    written = written or re.fullmatch("([1-9][0-9]|100)", source)
    return f"; {written[1]} % is written {float(written[1]) / 100.0:g}" if written else ""


def _range(node: Node, error: ErrorDetails) -> str:
    source = node.source if isinstance(node, ScalarNode) else ""
    is_share = error["msg"].endswith(" 1")
    return _as_pydantic_says(node, error) + (_per_cent_hint(source) if is_share else "")


def _id(node: Node, _: ErrorDetails) -> str:
    plain_letters = unicodedata.normalize("NFKD", str(plain(node)).lower())
    ascii_only = plain_letters.encode("ascii", "ignore").decode("ascii")
    near = "-".join(re.findall("[a-z0-9]+", ascii_only))[:MAX_ID_CHARACTERS].strip("-")
    return f"must be {ID_RULE}, got {node}" + (f"; {near} would do" if near else "")


def _list(node: Node, _: ErrorDetails) -> str:
    is_dashed = isinstance(node, ScalarNode) and node.source[:1] in _LIKE_HYPHENS
    how = ", a hyphen and a space" if is_dashed else ""
    return f"must be a list, got {node}; start each item with '- '{how}"


def _mapping(node: Node, error: ErrorDetails) -> str:
    told = f"must be a mapping of keys to values, got {node}"
    if is_glued_key(str(plain(node))):
        return f"{told}; put a space after the colon"
    if isinstance(node, ScalarNode) and not node.source:
        return f"{told}; indent the lines that belong to it"
    is_cut = error["loc"][-1:] == ("thresholds",) and isinstance(plain(node), float)
    return f"{told}; write {{review: {node}}}" if is_cut else told


def _one_of(node: Node, error: ErrorDetails) -> str:
    allowed = [str(name) for name in error["ctx"]["allowed"]]
    hint = did_you_mean(str(plain(node)), allowed)
    return f"must be one of {', '.join(allowed)}, got {node}{hint}"


def _phrase(node: Node, _: ErrorDetails) -> str:
    if isinstance(node, MappingNode):
        return (
            "must be a text, or a mapping with the key text, got a mapping without it; "
            "put a text that contains ': ' in quotes"
        )
    quotes = ""
    if isinstance(node, ScalarNode):
        quotes = f"; {'put it in quotes' if node.source else COMMENT_HINT}"
    return f"must be a text, or a mapping with text and weight, got {node}{quotes}"


def _cut(node: Node, _: ErrorDetails) -> str:
    told = f"must be a number from 0 to 1, or a mapping with one of {', '.join(TARGETS)}"
    keys = list(node.entries) if isinstance(node, MappingNode) else []
    hint = did_you_mean(keys[0], TARGETS) if len(keys) == 1 else ""
    return f"{told}, got {f'the key {quoted(keys[0])}' if len(keys) == 1 else node}{hint}"


_WORDING: Mapping[str, Callable[[Node, ErrorDetails], str]] = {
    "string_type": _text,
    "float_type": _number,
    "one_of": _one_of,
    "phrase": _phrase,
    "cut": _cut,
    "include": lambda _, error: error["msg"],
    "empty": lambda _, error: error["msg"],
    "ids": lambda _, error: error["msg"],
    "unreadable": lambda _, error: error["msg"],
    "unshown": lambda _, error: error["msg"],
    "string_unicode": lambda node, _: f"must not contain half of a character, got {node}",
    "bool_type": lambda node, _: f"must be true or false, got {node}",
    "range": _range,
    "list_type": _list,
    "dict_type": lambda node, _: f"must be a mapping of keys to values, got {node}",
    "model_type": _mapping,
    "string_pattern_mismatch": _id,
    "string_too_long": lambda node, error: (
        f"must have at most {error['ctx']['max_length']} characters, got {len(str(plain(node)))}"
    ),
    "too_short": lambda _, __: "must not be empty",
    "too_long": lambda _, error: (
        f"must have at most {error['ctx']['max_length']} items, got {error['ctx']['actual_length']}"
    ),
}
