"""One policy file: from its text to a Policy, with all that is wrong in it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from moderation.adapters.policy_yaml.document import read_document
from moderation.adapters.policy_yaml.schema import PhraseSchema, PolicySchema, ThresholdsSchema
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
from moderation.core.policy import Mode, Phrase, Policy, Severity, Thresholds


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """What one file says; `policy` is None if it has a flaw of its own."""

    policy: Policy | None
    claimed_id: tuple[str, Place] | None
    """The id that it gives itself, if that much is right, whatever else is wrong."""
    flaws: tuple[Flaw, ...]


def parse_policy(text: str) -> PolicyFile:
    """Read one policy; raises nothing."""
    document = read_document(text)
    root = document.root
    if root is None:
        return PolicyFile(None, None, document.flaws or (Flaw(None, "the file is empty"),))
    written, flaws = check(PolicySchema, root)
    order = threshold_flaws("thresholds", node_at(root, "thresholds"))
    flaws = merged(document.flaws, flaws, [*order, *_repeats(root)])
    policy = _policy(written) if written is not None and not flaws else None
    return PolicyFile(policy, _claimed_id(root, flaws), tuple(flaws))


def merged(*passes: Iterable[Flaw]) -> list[Flaw]:
    """What several passes found, less what a later one adds at a place told by an earlier one."""
    flaws: list[Flaw] = []
    for found in passes:
        told = {flaw.place for flaw in flaws}
        flaws += [flaw for flaw in found if flaw.place not in told]
    return flaws


def thresholds_from(written: ThresholdsSchema) -> Thresholds:
    """The cuts as the domain knows them."""
    return Thresholds(written.review, written.block)


def threshold_flaws(path: str, thresholds: Node | None) -> Iterator[Flaw]:
    """A flaw at `review` if it is above `block`."""
    match node_at(thresholds, "review"), node_at(thresholds, "block"):
        case (
            ScalarNode(value=float(low), source=review, place=place),
            ScalarNode(value=float(high), source=block),
        ) if low > high:
            message = f"review ({review}) must not be above block ({block})"
            yield Flaw(place, f"{path}: {message}")


def _policy(written: PolicySchema) -> Policy:
    return Policy(
        id=written.id,
        title=written.title,
        description=written.description,
        category=written.category,
        severity=Severity(written.severity),
        mode=Mode(written.mode),
        phrases=_phrases(written.phrases),
        contrast=_phrases(written.contrast),
        templates=tuple(written.templates),
        aggregation=written.aggregation,
        thresholds=thresholds_from(written.thresholds),
        needs_clip=written.needs_clip,
    )


def _phrases(written: list[PhraseSchema]) -> tuple[Phrase, ...]:
    return tuple(Phrase(one.text, one.weight) for one in written)


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
