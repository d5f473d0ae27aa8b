"""What a policy file holds: values that know their place, and flaws that point at one."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

MAX_SHOWN_CHARACTERS = 40


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong in a file whose name is told elsewhere; no place means the whole file."""

    place: Place | None
    message: str


class Flawed(Exception):
    """The file cannot be read any further."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.message)
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value, and how it was written."""

    place: Place
    value: str | float | bool | None
    source: str

    def __str__(self) -> str:
        """How it is quoted in a message."""
        if self.source == "":
            return "''" if isinstance(self.value, str) else "nothing"
        return quoted(self.source) if isinstance(self.value, str) else self.source[:40]


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list."""

    place: Place
    items: list["Node"] = field(default_factory=list)

    def __str__(self) -> str:
        """How it is quoted in a message."""
        return "a list"


@dataclass(frozen=True, slots=True)
class Entry:
    """The value of a key, and where the key stands."""

    place: Place
    node: "Node"


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys with values."""

    place: Place
    entries: dict[str, Entry] = field(default_factory=dict)

    def __str__(self) -> str:
        """How it is quoted in a message."""
        return "a mapping"


Node: TypeAlias = ScalarNode | ListNode | MappingNode


def printable(text: str) -> str:
    """Text as it may appear in a log: on one line, valid Unicode, escaped where it must be."""
    return text if text.isprintable() else ascii(text)[1:-1]


def quoted(text: str) -> str:
    """Text of a file as a message may show it: short, printable, on one line."""
    more = "..." if len(text) > MAX_SHOWN_CHARACTERS else ""
    return repr(text[:MAX_SHOWN_CHARACTERS] + more)


def plain(node: Node) -> Any:  # noqa: ANN401 - plain YAML values have no narrower type
    """The tree as lists, dicts and scalars."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return {key: plain(entry.node) for key, entry in node.entries.items()}


def entry_at(node: Node | None, *keys: str) -> Entry | None:
    """What stands under these keys, one within the other, if there is anything."""
    entry: Entry | None = None
    for key in keys:
        entry = node.entries.get(key) if isinstance(node, MappingNode) else None
        node = entry.node if entry else None
    return entry


def node_at(node: Node | None, *keys: str) -> Node | None:
    """The value under these keys, if there is one."""
    entry = entry_at(node, *keys)
    return entry.node if entry else None
