"""What a comparison of two encoders looks like: a table, YAML to paste, or JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from moderation.cli.output import say, say_table
from moderation.core.comparison import (
    RATE_TOLERANCE,
    Pairing,
    PolicyComparison,
    Rate,
    Refit,
)
from moderation.core.policy import Thresholds

COLUMNS = (
    "policy",
    "shift",
    "order",
    "same decision",
    "flips",
    "flagged before",
    "at old cuts",
    "at new cuts",
    "review",
    "block",
    "",
)
LEGEND = (
    "shift: mean of new score less old one; order: rank correlation; flagged: review or block, "
    "with the 95 % interval"
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that there is to report."""

    pairing: Pairing
    contents: int
    policies: tuple[PolicyComparison, ...]
    notes: tuple[str, ...] = ()


def show(comparison: Comparison, *, as_json: bool) -> None:
    """Print a report."""
    if as_json:
        say(json.dumps(_as_dict(comparison)))
        return
    pairing = comparison.pairing
    say(f"{comparison.contents} contents, from {pairing.old_encoder} to {pairing.new_encoder}")
    for note in comparison.notes:
        say(f"note: {note}")
    table = Table(*COLUMNS, box=None)
    for one in comparison.policies:
        table.add_row(*_cells(one))
    say_table(table)
    say(LEGEND)
    say("")
    say(to_yaml(comparison.policies))


def to_yaml(policies: Sequence[PolicyComparison]) -> str:
    """The new thresholds as policy files and profiles.yaml take them."""
    lines = ["# Thresholds for the new encoder. Paste them, then run `moderation encoder bind`."]
    for one in policies:
        if not one.profile:
            lines += [f"# {one.policy_id}.yaml", f"thresholds: {_flow(one.thresholds)}"]
    overriding = [one for one in policies if one.profile]
    for profile in dict.fromkeys(one.profile for one in overriding):
        lines += [f"# profiles.yaml, profile {profile}", "    thresholds:"]
        for one in overriding:
            if one.profile == profile:
                lines.append(f"      {one.policy_id}: {_flow(one.thresholds)}")
    return "\n".join(lines)


def _flow(cuts: Thresholds) -> str:
    block = "" if cuts.block is None else f", block: {cuts.block:.6f}"
    return f"{{review: {cuts.review:.6f}{block}}}"


def _cells(one: PolicyComparison) -> tuple[str, ...]:
    block = "" if one.block is None else f"{one.block.old:g} -> {one.block.new:g}"
    return (
        f"{one.policy_id} ({one.profile})" if one.profile else one.policy_id,
        f"{one.shift.mean:+.3f}",
        f"{one.shift.rank_correlation:.2f}",
        f"{one.agreement.value:.1%}",
        _flips(one),
        _with_interval(one.review.old_rate),
        f"{one.review.unchanged_rate.value:.1%}",
        f"{one.review.new_rate.value:.1%}",
        f"{one.review.old:g} -> {one.review.new:g}",
        block,
        _remark(one),
    )


def _with_interval(rate: Rate) -> str:
    low, high = rate.interval
    return f"{rate.value:.1%} ({low:.1%}-{high:.1%})"


def _flips(one: PolicyComparison) -> str:
    return ", ".join(
        f"{before.name.lower()} to {after.name.lower()} {count}"
        for (before, after), count in one.flips.items()
    )


def _remark(one: PolicyComparison) -> str:
    fits = [refit for refit in (one.review, one.block) if refit is not None]
    if any(not refit.keeps_rate for refit in fits):
        return f"the rate moves by more than {RATE_TOLERANCE * 100:g} point: gather more contents"
    if any(refit.is_extrapolated for refit in fits):
        return "a cut that flagged none or all: only a bound"
    return ""


def _as_dict(comparison: Comparison) -> dict[str, Any]:
    return {
        "old_encoder": comparison.pairing.old_encoder,
        "new_encoder": comparison.pairing.new_encoder,
        "policy_set_version": comparison.pairing.policy_set_version,
        "contents": comparison.contents,
        "notes": list(comparison.notes),
        "policies": [_policy(one) for one in comparison.policies],
        "yaml": to_yaml(comparison.policies),
    }


def _policy(one: PolicyComparison) -> dict[str, Any]:
    return {
        "policy": one.policy_id,
        "profile": one.profile,
        "shift": {
            "mean": one.shift.mean,
            "median": one.shift.median,
            "p95_absolute": one.shift.p95_absolute,
            "rank_correlation": one.shift.rank_correlation,
        },
        "agreement": _rate(one.agreement),
        "flips": {
            f"{before.name.lower()}_to_{after.name.lower()}": count
            for (before, after), count in one.flips.items()
        },
        "review": _refit(one.review),
        "block": None if one.block is None else _refit(one.block),
    }


def _refit(refit: Refit) -> dict[str, Any]:
    return {
        "old": refit.old,
        "new": refit.new,
        "old_rate": _rate(refit.old_rate),
        "unchanged_rate": _rate(refit.unchanged_rate),
        "new_rate": _rate(refit.new_rate),
        "held_out_difference": refit.held_out_difference,
        "keeps_rate": refit.keeps_rate,
        "is_extrapolated": refit.is_extrapolated,
    }


def _rate(rate: Rate) -> dict[str, Any]:
    low, high = rate.interval
    return {"count": rate.count, "of": rate.total, "share": rate.value, "low": low, "high": high}
