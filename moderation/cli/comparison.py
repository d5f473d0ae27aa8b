"""A comparison of two policy sets as lines and tables for people, and as JSON for programs."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from rich.table import Table

from moderation.cli.output import printable
from moderation.core.policy import Action
from moderation.core.policy_diff import Fate, PartDiff
from moderation.core.policy_effect import CONTENT, Effect, Moves
from moderation.core.proportions import Share
from moderation.service.policy_diff import Comparison, PolicyEffects

SHOWN_MOVED = 5
MAX_FLIPS_IN_JSON = 10_000
ON_CONTENTS = "(decision)"


def lines(comparison: Comparison, old: str, new: str) -> Iterator[str]:
    """What differs in meaning, and what it was tried on."""
    yield f"old: {printable(old)}, version {comparison.old.version[:12]}"
    yield f"new: {printable(new)}, version {comparison.new.version[:12]}"
    if comparison.diff.is_empty:
        yield "\nBoth mean the same."
    for kind, part in comparison.diff.parts:
        yield f"\n{kind} {printable(part.id)}{_fate(part)}"
        yield from (f"  {printable(str(change))}" for change in part.changes)
    found = comparison.effects
    if found is None:
        yield "\nThere was nothing to try it on; name pictures or embeddings with --on."
        return
    yield f"\nTried on {len(found.corpus):,} contents, profile {comparison.profile}."
    if found.tally.unsure:
        yield (
            f"{found.tally.unsure:,} of them lie too close to a threshold to be sure of: "
            "rounding may decide."
        )


def tables(comparison: Comparison) -> Iterator[tuple[str, Table]]:
    """Titles and tables of what changes in decisions."""
    found = comparison.effects
    if found is None:
        return
    yield "Flips, with 95 % intervals", _flip_table(found)
    flipped = found.tally.flips
    if len(flipped):
        yield "Flips that moved furthest", _moved_table(found, _furthest(flipped))


def as_dict(comparison: Comparison, old: str, new: str) -> dict[str, Any]:
    """Everything, in plain values."""
    told: dict[str, Any] = {
        "old": {"name": old, "version": comparison.old.version},
        "new": {"name": new, "version": comparison.new.version},
        "profile": comparison.profile,
        "changes": [
            {
                "kind": kind,
                "id": part.id,
                "added": part.fate is Fate.ADDED,
                "removed": part.fate is Fate.REMOVED,
                "changes": [
                    {"path": one.path, "before": one.before, "after": one.after}
                    for one in part.changes
                ],
            }
            for kind, part in comparison.diff.parts
        ],
    }
    if comparison.effects is not None:
        told["effect"] = _effect_dict(comparison.effects)
    return told


def _effect_dict(found: PolicyEffects) -> dict[str, Any]:
    by_policy = {}
    for position, (policy_id, effect) in enumerate(found.by_policy.items()):
        moved = found.tally.moved
        by_policy[policy_id] = {
            "shadow": policy_id in found.plan.shadow_ids,
            **_counts(effect),
            "histogram_before": found.tally.before[position].tolist(),
            "histogram_after": found.tally.after[position].tolist(),
            "most_moved": list(
                _rows(found, moved.rows(moved.policy == found.plan.touched[position]))
            ),
        }
    flips = found.tally.flips
    return {
        "contents": len(found.corpus),
        "scored_alone": found.tally.rechecked,
        "unsure": found.tally.unsure,
        "decisions": _counts(found.contents),
        "policies": by_policy,
        "flips": list(_rows(found, flips.rows(slice(MAX_FLIPS_IN_JSON)))),
        "flips_left_out": max(0, _count_flips(found) - min(len(flips), MAX_FLIPS_IN_JSON)),
    }


def _count_flips(found: PolicyEffects) -> int:
    effects = (found.contents, *found.by_policy.values())
    return sum(effect.flips.count for effect in effects)


def _counts(effect: Effect) -> dict[str, Any]:
    return {
        "flips": _share_dict(effect.flips),
        "stricter": effect.stricter,
        "milder": effect.milder,
        "flagged_before": _share_dict(effect.flagged_before),
        "flagged_after": _share_dict(effect.flagged_after),
        "transitions": {
            f"{was.name.lower()}_to_{will.name.lower()}": int(effect.transitions[was - 1, will - 1])
            for was in Action
            for will in Action
        },
    }


def _share_dict(share: Share) -> dict[str, Any]:
    return {"count": share.count, "rate": share.rate, "interval": list(share.interval)}


def _rows(found: PolicyEffects, moves: Moves) -> Iterator[dict[str, Any]]:
    for row in range(len(moves)):
        policy = int(moves.policy[row])
        yield {
            "content_id": found.corpus.content_ids[int(moves.content[row])],
            "policy": None if policy == CONTENT else found.plan.policy_ids[policy],
            "before": Action(int(moves.before[row])).name.lower(),
            "after": Action(int(moves.after[row])).name.lower(),
            "score_before": _number(moves.score_before[row]),
            "score_after": _number(moves.score_after[row]),
        }


def _number(score: float) -> float | None:
    return None if np.isnan(score) else float(score)


def _flip_table(found: PolicyEffects) -> Table:
    columns = ("policy", "contents", "flips", "share", "stricter", "milder", "flagged", "then")
    table = Table(*columns, box=None)
    table.add_row(*_flip_cells(ON_CONTENTS, found.contents))
    ordered = sorted(found.by_policy.items(), key=lambda one: (-one[1].flips.count, one[0]))
    for policy_id, effect in ordered:
        mark = " (shadow)" if policy_id in found.plan.shadow_ids else ""
        table.add_row(*_flip_cells(f"{policy_id}{mark}", effect))
    return table


def _flip_cells(name: str, effect: Effect) -> tuple[str, ...]:
    return (
        printable(name),
        f"{effect.contents:,}",
        f"{effect.flips.count:,}",
        share_text(effect.flips),
        f"{effect.stricter:,}",
        f"{effect.milder:,}",
        share_text(effect.flagged_before),
        share_text(effect.flagged_after),
    )


def share_text(share: Share) -> str:
    """`1.20 % (0.95 to 1.51)`."""
    low, high = (100.0 * bound for bound in share.interval)
    return f"{100.0 * share.rate:.2f} % ({low:.2f} to {high:.2f})"


def _furthest(flips: Moves) -> Moves:
    """A few of each policy, the furthest first; decisions as a whole have no distance."""
    distance = np.nan_to_num(np.abs(flips.score_after - flips.score_before))
    ordered = flips.rows(np.lexsort((flips.content, -distance, flips.policy)))
    rank = np.arange(len(ordered)) - np.searchsorted(ordered.policy, ordered.policy)
    return ordered.rows(rank < SHOWN_MOVED)


def _moved_table(found: PolicyEffects, moves: Moves) -> Table:
    table = Table("policy", "content", "before", "after", "score", "then", box=None)
    for row in _rows(found, moves):
        table.add_row(
            printable(row["policy"] or ON_CONTENTS),
            printable(row["content_id"]),
            row["before"],
            row["after"],
            *(
                "" if row[key] is None else f"{row[key]:.3f}"
                for key in ("score_before", "score_after")
            ),
        )
    return table


def _score_text(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"


def _fate(part: PartDiff) -> str:
    return "" if part.fate is Fate.CHANGED else f" ({part.fate})"
