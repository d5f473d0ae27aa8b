"""The report of a policy diff: what was changed, who flips, and the scores before and after."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from moderation.adapters.pages.page import Heading, Paragraph, Part, Plot, Rows, page
from moderation.core.policy import Action
from moderation.core.policy_diff import Fate
from moderation.core.policy_effect import BINS, Effect, Moves
from moderation.core.proportions import Share
from moderation.service.policy_diff import Comparison, PolicyEffects

MOST_SECTIONS = 30
"""Policies with plots of their own, those with the most flips."""
SIZE_PX = 360
BEFORE, AFTER = "before", "after"
_EFFECT_HEADER = (
    "policy",
    "flips",
    "share, with 95 % interval",
    "stricter",
    "milder",
    "flagged before",
    "flagged after",
)
_MOVED_HEADER = ("content", "action before", "after", "score before", "after")


def policy_diff_page(comparison: Comparison, old: str, new: str) -> str:
    """The report as one HTML file."""
    parts: list[Part] = [
        Paragraph(f"Old: {old}, version {comparison.old.version}."),
        Paragraph(f"New: {new}, version {comparison.new.version}."),
        Heading("What was changed"),
        *_changes(comparison),
    ]
    if comparison.effects is not None:
        parts += _effects(comparison.effects, comparison.profile)
    return page("Policy diff", parts)


def _changes(comparison: Comparison) -> Iterator[Part]:
    rows = [
        (kind, part.id, told)
        for kind, part in comparison.diff.parts
        for told in (map(str, part.changes) if part.fate is Fate.CHANGED else [part.fate])
    ]
    if rows:
        yield Rows(("kind", "id", "change"), tuple(rows))
    else:
        yield Paragraph("Both mean the same.")


def _effects(found: PolicyEffects, profile: str) -> Iterator[Part]:
    yield Heading("What it does")
    yield Paragraph(f"Tried on {len(found.corpus):,} contents, by profile {profile}.")
    ordered = sorted(found.by_policy.items(), key=lambda one: (-one[1].flips.count, one[0]))
    rows = [_effect_row("decision as a whole", found.contents)]
    shadows = found.plan.shadow_ids
    rows += [
        _effect_row(f"{policy_id} (shadow)" if policy_id in shadows else policy_id, effect)
        for policy_id, effect in ordered
    ]
    yield Rows(_EFFECT_HEADER, tuple(rows))
    if ordered:
        yield _flips_plot(dict(ordered[:MOST_SECTIONS]))
    for policy_id, effect in ordered[:MOST_SECTIONS]:
        yield from _section(found, policy_id, effect)


def _section(found: PolicyEffects, policy_id: str, effect: Effect) -> Iterator[Part]:
    position = list(found.by_policy).index(policy_id)
    yield Heading(policy_id)
    yield _transitions(effect)
    yield _histogram(found, position)
    moved = _of_policy(found, int(found.plan.touched[position]))
    if len(moved):
        yield Paragraph("Contents that moved furthest:")
        yield Rows(_MOVED_HEADER, tuple(_moved_rows(found, moved)))


def _of_policy(found: PolicyEffects, policy: int) -> Moves:
    """Those whose score moved furthest, or those that flipped where only a threshold moved."""
    moved = found.tally.moved.rows(found.tally.moved.policy == policy)
    flips = found.tally.flips
    return moved if len(moved) else flips.rows(np.flatnonzero(flips.policy == policy)[:10])


def _effect_row(name: str, effect: Effect) -> tuple[str, ...]:
    return (
        name,
        f"{effect.flips.count:,}",
        _share(effect.flips),
        f"{effect.stricter:,}",
        f"{effect.milder:,}",
        _share(effect.flagged_before),
        _share(effect.flagged_after),
    )


def _share(share: Share) -> str:
    low, high = (100.0 * bound for bound in share.interval)
    return f"{100.0 * share.rate:.2f} % ({low:.2f} to {high:.2f})"


def _transitions(effect: Effect) -> Rows:
    header = ("contents", *(f"then {action.name.lower()}" for action in Action))
    rows = (
        (f"before {was.name.lower()}", *(f"{count:,}" for count in counts))
        for was, counts in zip(Action, effect.transitions.tolist(), strict=True)
    )
    return Rows(header, tuple(rows))


def _moved_rows(found: PolicyEffects, moved: Moves) -> Iterator[tuple[str, ...]]:
    for row in range(len(moved)):
        yield (
            found.corpus.content_ids[int(moved.content[row])],
            Action(int(moved.before[row])).name.lower(),
            Action(int(moved.after[row])).name.lower(),
            _score(moved.score_before[row]),
            _score(moved.score_after[row]),
        )


def _score(score: float) -> str:
    """Nothing where the policy does not judge, as before it was added."""
    return "" if np.isnan(score) else f"{score:.3f}"


def _flips_plot(by_policy: Mapping[str, Effect]) -> Plot:
    rows = [
        {"policy": policy_id, "contents": count, "direction": direction}
        for policy_id, effect in by_policy.items()
        for direction, count in (("stricter", effect.stricter), ("milder", effect.milder))
    ]
    bars = (
        alt.Chart(_data(rows))
        .mark_bar()
        .encode(
            x=alt.X("contents:Q", title="contents that flip", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("policy:N", sort=None, title=None),
            color=alt.Color(
                "direction:N",
                scale=alt.Scale(domain=["stricter", "milder"], range=["#c0392b", "#2980b9"]),
            ),
            tooltip=["policy:N", "direction:N", "contents:Q"],
        )
    )
    sized: Plot = bars.properties(width=2 * SIZE_PX, title="Flips by policy")
    return sized


def _histogram(found: PolicyEffects, position: int) -> Plot:
    edges = np.linspace(0.0, 1.0, BINS + 1)
    rows = [
        {"from": float(low), "to": float(high), "contents": int(count), "when": when}
        for when, counts in (
            (BEFORE, found.tally.before[position]),
            (AFTER, found.tally.after[position]),
        )
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    colours = alt.Scale(domain=[BEFORE, AFTER], range=["#7f8c8d", "#e67e22"])
    bars = (
        alt.Chart(_data(rows))
        .mark_bar(opacity=0.55)
        .encode(
            x=alt.X("from:Q", title="score", scale=alt.Scale(domain=[0, 1])),
            x2="to:Q",
            y=alt.Y(
                "contents:Q", stack=None, scale=alt.Scale(type="symlog", domainMin=0, nice=False)
            ),
            y2=alt.value(SIZE_PX // 2),
            color=alt.Color("when:N", scale=colours, sort=[BEFORE, AFTER]),
            tooltip=["when:N", "from:Q", "to:Q", "contents:Q"],
        )
    )
    cuts = (
        alt.Chart(_data(list(_cuts(found, position))))
        .mark_rule(strokeWidth=2, strokeDash=[4, 3])
        .encode(
            x="at:Q",
            color=alt.Color("when:N", scale=colours),
            tooltip=["threshold:N", "when:N", "at:Q"],
        )
    )
    title = "Scores and thresholds, before and after"
    sized: Plot = (bars + cuts).properties(width=SIZE_PX, height=SIZE_PX // 2, title=title)
    return sized


def _cuts(found: PolicyEffects, position: int) -> Iterator[dict[str, Any]]:
    policy = found.plan.touched[position]
    for when, lined in ((BEFORE, found.plan.old), (AFTER, found.plan.new)):
        for name, cuts in (("review", lined.review), ("block", lined.block)):
            if np.isfinite(cuts[policy]):
                yield {"at": float(cuts[policy]), "threshold": name, "when": when}


def _data(rows: Sequence[Mapping[str, Any]]) -> alt.Data:
    return alt.Data(values=list(rows))
