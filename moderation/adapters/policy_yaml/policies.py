"""One policy file: from its text to a draft, and with the shared lists to a Policy."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from moderation.adapters.policy_yaml.cuts import threshold_flaws, thresholds_from
from moderation.adapters.policy_yaml.document import read_document
from moderation.adapters.policy_yaml.includes import Included, Lists, include
from moderation.adapters.policy_yaml.schema import PolicySchema
from moderation.adapters.policy_yaml.tree import (
    Flaw,
    ListNode,
    MappingNode,
    Node,
    Place,
    ScalarNode,
    node_at,
    quoted,
)
from moderation.adapters.policy_yaml.wording import check
from moderation.core.policy import Mode, Policy, Severity


@dataclass(frozen=True, slots=True)
class Draft:
    """A policy that lacks only what other files say."""

    file: str
    root: Node
    written: PolicySchema

    def finished(self, lists: Lists) -> tuple[Policy | None, list[Flaw]]:
        """The policy with what it includes, or what is wrong with that."""
        if not lists.is_whole:
            return None, []  # which is told at the lists themselves
        included = include(self.root, self.written, lists)
        if included.flaws:
            return None, included.flaws
        return _policy(self, included), []

    @property
    def category(self) -> tuple[str, Place]:
        """What it names, and where."""
        node = node_at(self.root, "category") or self.root
        return self.written.category, node.place


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """What one file says; `draft` is None if it has a flaw of its own."""

    draft: Draft | None
    claimed_id: tuple[str, Place] | None
    """The id that it gives itself, if that much is right, whatever else is wrong."""
    flaws: tuple[Flaw, ...]


def parse_policy(text: str, file: str) -> PolicyFile:
    """Read one policy; raises nothing. `file` is its name as people see it."""
    document = read_document(text)
    root = document.root
    if root is None:
        return PolicyFile(None, None, document.flaws or (Flaw(None, "the file is empty"),))
    written, flaws = check(PolicySchema, root)
    order = threshold_flaws("thresholds", node_at(root, "thresholds"))
    flaws = merged(document.flaws, flaws, [*order, *_repeats(root), *_term_flaws(root)])
    draft = Draft(file, root, written) if written is not None and not flaws else None
    return PolicyFile(draft, _claimed_id(root, flaws), tuple(flaws))


def merged(*passes: Iterable[Flaw]) -> list[Flaw]:
    """What several passes found, less what a later one adds at a place told by an earlier one."""
    flaws: list[Flaw] = []
    for found in passes:
        told = {flaw.place for flaw in flaws}
        flaws += [flaw for flaw in found if flaw.place not in told]
    return flaws


def _policy(draft: Draft, included: Included) -> Policy:
    written = draft.written
    return Policy(
        id=written.id,
        title=written.title,
        description=written.description,
        owner=written.owner,
        category=written.category,
        severity=Severity(written.severity),
        legal_ground=written.legal_ground,
        clause_url=written.clause_url,
        mode=Mode(written.mode),
        canary=written.canary,
        effective=written.effective,
        expires=written.expires,
        phrases=included.phrases,
        contrast=included.contrast,
        templates=tuple(written.templates),
        aggregation=written.aggregation,
        thresholds=thresholds_from(
            written.thresholds, node_at(draft.root, "thresholds"), draft.file
        ),
        needs_clip=written.needs_clip,
    )


def _term_flaws(root: Node) -> Iterator[Flaw]:
    """A canary that has nothing to act with, and an end before the beginning."""
    canary, mode = node_at(root, "canary"), node_at(root, "mode")
    if canary and isinstance(mode, ScalarNode) and mode.value in (Mode.SHADOW, Mode.OFF):
        message = f"canary: a policy in mode {mode.value} acts on nothing; remove canary or mode"
        yield Flaw(canary.place, message)
    match node_at(root, "effective"), node_at(root, "expires"):
        case ScalarNode(value=str(first)), ScalarNode(value=str(last), place=place) if last < first:
            yield Flaw(place, f"expires: {last} is before effective ({first})")


def _claimed_id(root: Node, flaws: Iterable[Flaw]) -> tuple[str, Place] | None:
    node = node_at(root, "id")
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
        return None
    is_flawed = any(flaw.place == node.place for flaw in flaws)
    return None if is_flawed else (node.value, node.place)


def _repeats(root: Node) -> Iterator[Flaw]:
    """Texts that stand twice: in one list, or as phrase and as contrast phrase."""
    seen: dict[str, tuple[str, Place]] = {}
    for key in ("phrases", "contrast"):
        yield from _repeats_in(root, key, seen)
    yield from _repeats_in(root, "templates", {})


def _repeats_in(root: Node, key: str, seen: dict[str, tuple[str, Place]]) -> Iterator[Flaw]:
    for number, node in _texts(node_at(root, key)):
        text = " ".join(str(node.value).split())
        first_key, first = seen.setdefault(text.casefold(), (key, node.place))
        if first == node.place:
            continue
        path = f"{key}[{number}]: {quoted(text)}"
        if first_key == key:
            message = f"{path} is already on line {first.line}; remove one of them"
        else:
            message = f"{path} is also on line {first.line}, under {first_key}; it cannot be both"
        yield Flaw(node.place, message)


def _texts(listed: Node | None) -> Iterator[tuple[int, ScalarNode]]:
    """The readable texts of a list, numbered from 1."""
    if not isinstance(listed, ListNode):
        return
    for number, item in enumerate(listed.items, start=1):
        node = node_at(item, "text") if isinstance(item, MappingNode) else item
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            yield number, node
