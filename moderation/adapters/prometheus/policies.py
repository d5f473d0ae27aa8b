"""What each policy finds, for any number of policies: counts in arrays, shown at a scrape.

A decision costs a few array operations, where one metric object for each policy
would cost the event loop milliseconds once there are thousands of policies.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from moderation.adapters.prometheus import catalog
from moderation.core.decision import PolicyScores, Verdict
from moderation.core.policy import DEFAULT_PROFILE, Action, Mode, Policy
from moderation.core.scoring import CompiledPolicies

SCORES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Tenths, as thresholds are written, and finer at both ends, where most scores lie."""

ACTIONS = (Action.REVIEW, Action.BLOCK)
MODES = (Mode.ENFORCE, Mode.SHADOW)

Active = Callable[[], CompiledPolicies | None]


class PolicyCounts(Collector):
    """Scores, verdicts and thresholds by policy; removed policies vanish at the next scrape."""

    def __init__(self) -> None:
        self.active: Active = lambda: None
        """The policies to show; asked at every scrape, as requests may outlive their set."""
        self._lock = Lock()  # scrapes come from another thread
        self._row_by_policy: dict[str, int] = {}
        self._judged_by: tuple[Policy, ...] = ()
        self._rows: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self._buckets = np.zeros((0, len(SCORES) + 1), dtype=np.int64)
        self._sums = np.zeros(0)
        self._verdicts = np.zeros((0, len(ACTIONS), len(MODES)), dtype=np.int64)

    def scored(self, scores: PolicyScores) -> None:
        """Count the scores of one content."""
        with self._lock:
            if scores.policies is not self._judged_by:
                self._rows = self._rows_of([policy.id for policy in scores.policies])
                self._judged_by = scores.policies
            rows, values = self._rows[scores.judged], scores.score[scores.judged]
            self._buckets[rows, np.searchsorted(SCORES, values)] += 1
            self._sums[rows] += values

    def judged(self, verdict: Verdict) -> None:
        """Count a verdict above ALLOW."""
        mode = MODES.index(verdict.mode)
        with self._lock:
            (row,) = self._rows_of([verdict.policy.id])
            self._verdicts[row, ACTIONS.index(verdict.action), mode] += 1

    def collect(self) -> Iterator[Metric]:
        """The metrics of the active policies, at zero where nothing was counted yet."""
        active = self.active()
        ids = [] if active is None else [policy.id for policy in active.policies]
        with self._lock:
            self._keep_only(ids)
            buckets, sums, verdicts = self._buckets.copy(), self._sums.copy(), self._verdicts.copy()
        yield _histograms(ids, buckets, sums)
        yield _verdict_counters(ids, verdicts)
        yield _thresholds(active)

    def _rows_of(self, ids: Sequence[str]) -> NDArray[np.intp]:
        if missing := [policy_id for policy_id in ids if policy_id not in self._row_by_policy]:
            self._add(missing)
        return np.array([self._row_by_policy[policy_id] for policy_id in ids], dtype=np.intp)

    def _add(self, ids: Sequence[str]) -> None:
        known, more = len(self._row_by_policy), len(ids)
        self._row_by_policy |= {policy_id: row for row, policy_id in enumerate(ids, known)}
        self._buckets = np.pad(self._buckets, ((0, more), (0, 0)))
        self._sums = np.pad(self._sums, (0, more))
        self._verdicts = np.pad(self._verdicts, ((0, more), (0, 0), (0, 0)))

    def _keep_only(self, ids: Sequence[str]) -> None:
        """Bring the rows into the order of these policies, and drop all others."""
        if list(self._row_by_policy) == ids:
            return
        rows = self._rows_of(ids)
        self._buckets, self._sums = self._buckets[rows], self._sums[rows]
        self._verdicts = self._verdicts[rows]
        self._row_by_policy = {policy_id: row for row, policy_id in enumerate(ids)}
        self._judged_by = ()


class ReviewBudgets(Collector):
    """What the profiles of the active set say; asked for at every scrape."""

    def __init__(self) -> None:
        self.budgets: Callable[[], Mapping[str, float]] = dict

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        family = catalog.gauge_family("moderation_review_budget")
        for profile, budget in self.budgets().items():
            family.add_metric([profile], budget)
        yield family


def _histograms(
    ids: Iterable[str], buckets: NDArray[np.int64], sums: NDArray[np.float64]
) -> HistogramMetricFamily:
    family = catalog.histogram_family("moderation_policy_score")
    edges = [*(floatToGoString(edge) for edge in SCORES), "+Inf"]
    for policy_id, row, total in zip(ids, buckets.cumsum(axis=1), sums, strict=True):
        cumulative = list(zip(edges, row.tolist(), strict=True))
        family.add_metric([policy_id], buckets=cumulative, sum_value=float(total))
    return family


def _verdict_counters(ids: Iterable[str], verdicts: NDArray[np.int64]) -> CounterMetricFamily:
    family = catalog.counter_family("moderation_verdicts")
    for policy_id, counts in zip(ids, verdicts, strict=True):
        kinds = product(ACTIONS, MODES)
        for (action, mode), count in zip(kinds, counts.ravel().tolist(), strict=True):
            family.add_metric([policy_id, action.name.lower(), mode.value], count)
    return family


def _thresholds(active: CompiledPolicies | None) -> GaugeMetricFamily:
    family = catalog.gauge_family("moderation_policy_threshold")
    if active is None:
        return family
    cuts = active.cuts[DEFAULT_PROFILE]
    for policy, review, block in zip(active.policies, cuts.review, cuts.block, strict=True):
        family.add_metric([policy.id, "review"], float(review))
        if np.isfinite(block):
            family.add_metric([policy.id, "block"], float(block))
    return family
