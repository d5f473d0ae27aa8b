"""Shared phrases: the file lists.yaml, and what policies take from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from moderation.adapters.policy_yaml.document import read_document
from moderation.adapters.policy_yaml.schema import (
    MAX_PHRASES,
    ListsSchema,
    PhraseSchema,
    PolicySchema,
)
from moderation.adapters.policy_yaml.tree import (
    Flaw,
    ListNode,
    MappingNode,
    Node,
    Place,
    ScalarNode,
    entry_at,
    node_at,
    quoted,
)
from moderation.adapters.policy_yaml.wording import check, did_you_mean, join
from moderation.core.policy import Phrase

SIDES = ("phrases", "contrast")


@dataclass(frozen=True, slots=True)
class Lists:
    """What lists.yaml says."""

    by_name: Mapping[str, tuple[Phrase, ...]] = field(default_factory=lambda: MappingProxyType({}))
    background: tuple[Phrase, ...] = ()
    is_whole: bool = True
    """False if the file has flaws: then nothing is said of what policies include."""
    flaws: tuple[Flaw, ...] = ()


NO_LISTS = Lists()


@dataclass(slots=True)
class Included:
    """A policy's phrases with what they include."""

    phrases: tuple[Phrase, ...] = ()
    contrast: tuple[Phrase, ...] = ()
    flaws: list[Flaw] = field(default_factory=list)


def parse_lists(text: str) -> Lists:
    """Read the lists; raises nothing."""
    document = read_document(text)
    root = document.root
    if root is None:
        empty = (Flaw(None, "the file is empty"),)
        return Lists(is_whole=False, flaws=document.flaws or empty)
    written, told = check(ListsSchema, root)
    flaws = [*document.flaws, *told, *(() if told else _list_flaws(root))]
    if written is None or flaws:
        return Lists(is_whole=False, flaws=tuple(flaws))
    by_name = {name: tuple(map(_phrase, items)) for name, items in written.lists.items()}
    background = _expanded(written.background, by_name)
    return Lists(MappingProxyType(by_name), background)


def include(root: Node, written: PolicySchema, lists: Lists) -> Included:
    """What the policy's phrases and contrast phrases are, the background's included."""
    included = Included(flaws=[*_include_flaws(root, lists)])
    if included.flaws:
        return included
    included.phrases = _expanded(written.phrases, lists.by_name)
    own = {_key(phrase.text) for phrase in included.phrases}
    contrast = _expanded(written.contrast, lists.by_name)
    included.flaws += _contradictions(root, contrast, own)
    # Whoever lists a background phrase as a phrase means it; the background gives way.
    around = lists.background if written.background else ()
    known = own | {_key(phrase.text) for phrase in contrast}
    included.contrast = contrast + tuple(one for one in around if _key(one.text) not in known)
    for side, phrases in zip(SIDES, (included.phrases, included.contrast), strict=True):
        if len(phrases) > MAX_PHRASES and (entry := entry_at(root, side)):
            message = f"{side}: has {len(phrases)} items with what it includes"
            included.flaws.append(
                Flaw(entry.place, f"{message}; at most {MAX_PHRASES} are allowed")
            )
    return included


def _expanded(
    written: Sequence[PhraseSchema], by_name: Mapping[str, tuple[Phrase, ...]]
) -> tuple[Phrase, ...]:
    """One's own phrases win over included ones of the same text."""
    own = [_phrase(one) for one in written if one.include is None]
    phrases = {_key(phrase.text): phrase for phrase in own}
    for one in written:
        for phrase in by_name[one.include] if one.include is not None else ():
            phrases.setdefault(_key(phrase.text), phrase)
    return tuple(phrases.values())


def _phrase(written: PhraseSchema) -> Phrase:
    return Phrase(written.text, written.weight)


def _key(text: str) -> str:
    return " ".join(text.split()).casefold()


def _list_flaws(root: Node) -> Iterator[Flaw]:
    """Texts that stand twice in a list, and lists that include lists."""
    lists = node_at(root, "lists")
    entries = lists.entries if isinstance(lists, MappingNode) else {}
    for name, entry in entries.items():
        path = join("lists", name)
        for number, place, _ in _includes(entry.node):
            message = "a list cannot include another one; write its phrases out"
            yield Flaw(place, f"{path}[{number}]: {message}")
        yield from _repeats(path, entry.node)
    yield from _repeats("background", node_at(root, "background"))
    yield from _unknown_lists("background", node_at(root, "background"), frozenset(entries))


def _repeats(path: str, listed: Node | None) -> Iterator[Flaw]:
    seen: dict[str, Place] = {}
    for number, item in enumerate(listed.items if isinstance(listed, ListNode) else (), start=1):
        node = node_at(item, "text") if isinstance(item, MappingNode) else item
        if not isinstance(node, ScalarNode):
            continue
        first = seen.setdefault(_key(str(node.value)), node.place)
        if first != node.place:
            message = f"{quoted(str(node.value))} is already on line {first.line}"
            yield Flaw(node.place, f"{path}[{number}]: {message}; remove one of them")


def _include_flaws(root: Node, lists: Lists) -> Iterator[Flaw]:
    for side in SIDES:
        yield from _unknown_lists(side, node_at(root, side), frozenset(lists.by_name))


def _unknown_lists(path: str, listed: Node | None, known: frozenset[str]) -> Iterator[Flaw]:
    seen: dict[str, Place] = {}
    for number, place, name in _includes(listed):
        if name not in known:
            hint = did_you_mean(name, known) or "; add it to lists.yaml, or remove this line"
            yield Flaw(place, f"{path}[{number}]: there is no list {quoted(name)}{hint}")
        elif seen.setdefault(name, place) != place:
            message = f"list {quoted(name)} is already included on line {seen[name].line}"
            yield Flaw(place, f"{path}[{number}]: {message}; remove one of them")


def _includes(listed: Node | None) -> Iterator[tuple[int, Place, str]]:
    """The items of a list that are includes, numbered from 1."""
    for number, item in enumerate(listed.items if isinstance(listed, ListNode) else (), start=1):
        node = node_at(item, "include")
        if isinstance(node, ScalarNode):
            yield number, node.place, str(node.value)


def _contradictions(root: Node, contrast: Sequence[Phrase], phrases: set[str]) -> Iterator[Flaw]:
    """Texts that are phrases and contrast phrases by way of a list."""
    both = [phrase.text for phrase in contrast if _key(phrase.text) in phrases]
    if both:
        entry = entry_at(root, "contrast")
        message = f"contrast: {quoted(both[0])} is among the phrases too, by way of a list"
        yield Flaw(entry.place if entry else None, f"{message}; it cannot be both")
