"""Thresholds: from what is written to the core's values, with targets that know their place."""

from collections.abc import Iterator

from moderation.adapters.policy_yaml.schema import CutSchema, ThresholdsSchema
from moderation.adapters.policy_yaml.tree import Flaw, MappingNode, Node, Place, ScalarNode, node_at
from moderation.core.calibration import Origin, TargetKind, ThresholdTarget
from moderation.core.policy import Thresholds, UnsolvedThresholds, WrittenThresholds

NOWHERE = Place(0, 0)


def thresholds_from(written: ThresholdsSchema, node: Node | None, file: str) -> WrittenThresholds:
    """The cuts as the domain knows them."""
    review = _cut(written.review, node_at(node, "review"), file)
    block = None
    if written.block is not None:
        block = _cut(written.block, node_at(node, "block"), file)
    if isinstance(review, ThresholdTarget) or isinstance(block, ThresholdTarget):
        return UnsolvedThresholds(review, block)
    return Thresholds(review, block)


def _cut(written: CutSchema, node: Node | None, file: str) -> float | ThresholdTarget:
    if written.number is not None:
        return written.number
    kind = TargetKind.MAX_FPR if written.max_fpr is not None else TargetKind.MIN_RECALL
    rate = written.max_fpr if written.max_fpr is not None else written.min_recall
    place = node.place if node else NOWHERE
    return ThresholdTarget(kind, rate or 0.0, Origin(file, place.line, place.column))


def threshold_flaws(path: str, thresholds: Node | None) -> Iterator[Flaw]:
    """A flaw at `review` if it is above `block`, in numbers or in what targets will give."""
    review, block = node_at(thresholds, "review"), node_at(thresholds, "block")
    match review, block:
        case (
            ScalarNode(value=float(low), source=low_text, place=place),
            ScalarNode(value=float(high), source=high_text),
        ) if low > high:
            message = f"review ({low_text}) must not be above block ({high_text})"
            yield Flaw(place, f"{path}: {message}")
        case MappingNode(), MappingNode():
            yield from _target_flaws(path, review, block)


def _target_flaws(path: str, review: Node, block: Node) -> Iterator[Flaw]:
    """The smaller rate, of false positives or of recall, is the higher threshold."""
    for kind in TargetKind:
        match node_at(review, kind), node_at(block, kind):
            case (
                ScalarNode(value=float(one), source=one_text, place=place),
                ScalarNode(value=float(other), source=other_text),
            ) if one < other:
                message = f"review ({kind.value}: {one_text}) must not be stricter than block"
                yield Flaw(place, f"{path}: {message} ({kind.value}: {other_text})")
