"""How far policies' scores have moved from their references, asked for at every scrape."""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.registry import Collector

from moderation.adapters.prometheus import catalog
from moderation.service.drift import PolicyDrift


class ScoreDrift(Collector):
    """Gauges by policy, of those policies alone that have a reference."""

    def __init__(self) -> None:
        self.drifts: Callable[[], Sequence[PolicyDrift]] = tuple

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        psi = catalog.gauge_family("moderation_policy_score_psi")
        scores = catalog.gauge_family("moderation_policy_scores_compared")
        outdated = catalog.gauge_family("moderation_policy_reference_outdated")
        for one in self.drifts():
            outdated.add_metric([one.policy_id], float(one.is_outdated))
            if not one.is_outdated:
                scores.add_metric([one.policy_id], one.scores)
            if one.psi is not None:
                psi.add_metric([one.policy_id], one.psi)
        yield from (psi, scores, outdated)
