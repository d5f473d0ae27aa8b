"""YAML text to a tree of values that know their place in the file.

ruamel.yaml supplies the events; the tree is built here, on a stack of its own.
So nothing is expanded or constructed, nesting is bounded, and one pass finds
every anchor, alias, tag and repeated key. Plain scalars follow the core schema
of YAML 1.2, in which `no`, `on` and `off` are texts.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]  # re-exported from C
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from moderation.adapters.policy_yaml.hints import hint_for
from moderation.adapters.policy_yaml.tree import (
    Entry,
    Flaw,
    Flawed,
    ListNode,
    MappingNode,
    Node,
    Place,
    ScalarNode,
    printable,
    quoted,
)

MAX_DEPTH = 16
"""The deepest that the language needs is 4."""
MAX_NUMBER_CHARACTERS = 40

_CONSTANTS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)
_UNUSUAL = re.compile(r"[\t?\x85\u2028\u2029]|[|>](?![-+]?\n)")
"""Where libyaml, which follows YAML 1.1, reads otherwise: tabs, ends of lines, `?` keys, and
heads of block texts."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds; `root` is None if it could not be read to its end."""

    root: Node | None
    flaws: tuple[Flaw, ...]


def read_document(text: str) -> Document:
    """The tree of a text, or what is wrong with it; raises nothing."""
    directive = _DIRECTIVE.search(text)
    if directive:
        place = Place(text.count("\n", 0, directive.start()) + 1, 1)
        message = "a line must not start with %: YAML directives are not allowed"
        return Document(None, (Flaw(place, message),))
    return read_fast(text) or read_with_care(text)


def read_fast(text: str) -> Document | None:
    """The tree by libyaml, 40 times as fast; None if anything at all is wrong or unusual."""
    if _UNUSUAL.search(text):
        return None
    builder = _TreeBuilder(text)
    parser = CParser(text)
    try:
        while parser.check_event():
            event = parser.get_event()
            if isinstance(event, ScalarEvent) and not event.value:
                return None  # the parsers differ in where nothing stands
            builder.take(event)
    except (Flawed, YAMLError, ValueError, OverflowError):
        return None  # the other parser knows better how to say what is wrong
    finally:
        parser.dispose()
    return None if builder.flaws else Document(builder.root, ())


def read_with_care(text: str) -> Document:
    """The tree by ruamel's own parser, which says where and why a text is no YAML."""
    builder = _TreeBuilder(text)
    yaml = YAML(typ="safe", pure=True)
    try:
        for event in _events(yaml, text):
            builder.take(event)
    except Flawed as error:
        return Document(None, (*builder.flaws, error.flaw))
    except MarkedYAMLError as error:
        return Document(None, (*builder.flaws, _syntax_flaw(error, text)))
    except (YAMLError, ValueError, OverflowError) as error:
        # The parser gives no mark for these: an escape beyond Unicode, such as "\U00110000".
        place = Place(yaml.reader.line + 1, yaml.reader.column + 1)
        message = f"is not valid YAML: an escape stands for no character ({error})"
        return Document(None, (*builder.flaws, Flaw(place, message[:200])))
    return Document(builder.root, tuple(builder.flaws))


def _events(yaml: YAML, text: str) -> Iterator[Any]:
    # YAML.parse does the same, but forgets on an error how far it had read.
    _, parser = yaml.get_constructor_parser(text)
    while parser.check_event():
        yield parser.get_event()


@dataclass(slots=True)
class _Open:
    """A list or mapping that has not ended; in a mapping, the key that waits for its value."""

    node: ListNode | MappingNode
    key: "_Key | None" = None


@dataclass(frozen=True, slots=True)
class _Key:
    text: str | None
    """None for a key that is no text."""
    place: Place


class _TreeBuilder:
    """Takes events in their order and grows the tree."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.root: Node | None = None
        self.flaws: list[Flaw] = []
        self._open: list[_Open] = []
        self._documents = 0

    def take(self, event: Any) -> None:  # noqa: ANN401 - ruamel's events share no useful type
        """Grow by one event; raises Flawed if going on is pointless."""
        step = self._STEPS.get(type(event))
        if step is not None:
            step(self, event)

    def _start_document(self, event: DocumentStartEvent) -> None:
        place = _place(event.start_mark)
        self._documents += 1
        if self._documents > 1:
            message = "a second document starts here; write one policy in each file"
            raise Flawed(Flaw(place, message))

    def _scalar(self, event: ScalarEvent) -> None:
        place = self._checked_place(event)
        if not event.style and event.end_mark.line > event.start_mark.line:
            self._check_lines_of(event)
        value = _resolve(event.value) if event.implicit[0] else event.value
        self._attach(ScalarNode(place, value, event.value))

    def _check_lines_of(self, event: ScalarEvent) -> None:
        """Refuse an item that goes on over a line which was meant as the next item.

        To YAML it is one text with a hyphen in it; nobody would see why it finds nothing.
        """
        if not self._open or not isinstance(self._open[-1].node, ListNode):
            return
        first, last = event.start_mark.line + 1, event.end_mark.line + 1
        for number, line in enumerate(self._text.split("\n")[first:last], start=first + 1):
            if line.lstrip().startswith("- "):
                message = f"belongs to the item on line {first}, since it is indented further"
                place = Place(number, len(line) - len(line.lstrip()) + 1)
                self.flaws.append(Flaw(place, f"{message}; begin both alike"))

    def _alias(self, event: AliasEvent) -> None:
        place = _place(event.start_mark)
        message = f"the alias *{event.anchor[:40]} is not allowed; write the value out"
        self.flaws.append(Flaw(place, message))
        self._attach(ScalarNode(place, None, f"*{event.anchor}"))

    def _start_list(self, event: SequenceStartEvent) -> None:
        self._start(ListNode(self._checked_place(event)))

    def _start_mapping(self, event: MappingStartEvent) -> None:
        self._start(MappingNode(self._checked_place(event)))

    def _start(self, node: ListNode | MappingNode) -> None:
        if len(self._open) >= MAX_DEPTH:
            message = f"is nested too deeply; at most {MAX_DEPTH} levels are allowed"
            raise Flawed(Flaw(node.place, message))
        self._attach(node)
        self._open.append(_Open(node))

    def _end(self, _event: SequenceEndEvent | MappingEndEvent) -> None:
        self._open.pop()

    def _checked_place(self, event: Any) -> Place:  # noqa: ANN401 - one of ruamel's node events
        place = _place(event.start_mark)
        if event.anchor is not None:
            message = f"the anchor &{printable(event.anchor[:40])} is not allowed; remove it"
            self.flaws.append(Flaw(place, message))
        if event.tag is not None:
            message = f"the tag {quoted(str(event.tag))} is not allowed; remove it"
            self.flaws.append(Flaw(place, message))
        return place

    def _attach(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node, ListNode):
            parent.node.items.append(node)
        elif parent.key is None:
            parent.key = self._key(node)
        else:
            self._enter(parent.node, parent.key, node)
            parent.key = None

    def _key(self, node: Node) -> _Key:
        if isinstance(node, ScalarNode):
            return _Key(node.source, node.place)
        self.flaws.append(Flaw(node.place, f"a key must be a text, got {node}"))
        return _Key(None, node.place)

    def _enter(self, mapping: MappingNode, key: _Key, node: Node) -> None:
        if key.text is None:
            return
        first = mapping.entries.setdefault(key.text, Entry(key.place, node))
        if first.place != key.place:
            message = f"the key {quoted(key.text)} is already on line {first.place.line}"
            self.flaws.append(Flaw(key.place, f"{message}; remove one of them"))

    _STEPS: Mapping[type, Callable[["_TreeBuilder", Any], None]] = {
        DocumentStartEvent: _start_document,
        ScalarEvent: _scalar,
        AliasEvent: _alias,
        SequenceStartEvent: _start_list,
        MappingStartEvent: _start_mapping,
        SequenceEndEvent: _end,
        MappingEndEvent: _end,
    }


def _resolve(text: str) -> str | float | bool | None:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if len(text) <= MAX_NUMBER_CHARACTERS and _NUMBER.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _place(mark: Any) -> Place:  # noqa: ANN401 - ruamel's marks share no useful type
    return Place(mark.line + 1, mark.column + 1)


def _syntax_flaw(error: MarkedYAMLError, text: str) -> Flaw:
    mark = error.problem_mark or error.context_mark
    problem = " ".join(str(error.problem or error.context).split())
    context = ""
    if error.context and error.context_mark:
        context = f" {error.context} that starts on line {error.context_mark.line + 1}"
    hint = hint_for(problem, error, text)
    place = _place(mark) if mark else None
    return Flaw(place, f"is not valid YAML: {problem[:200]}{context}{hint}")
