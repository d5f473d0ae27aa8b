"""How far policies' scores have moved from their references, asked for at every scrape."""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from moderation.service.drift import PolicyDrift


class ScoreDrift(Collector):
    """Gauges by policy, of those policies alone that have a reference."""

    def __init__(self) -> None:
        self.drifts: Callable[[], Sequence[PolicyDrift]] = tuple

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        psi = GaugeMetricFamily(
            "moderation_policy_score_psi",
            "Population stability index of a policy's scores against its reference.",
            labels=["policy"],
        )
        scores = GaugeMetricFamily(
            "moderation_policy_scores_compared",
            "Contents in the window that is compared with the reference.",
            labels=["policy"],
        )
        outdated = GaugeMetricFamily(
            "moderation_policy_reference_outdated",
            "1 while a policy's reference is of another wording, so that nothing is compared.",
            labels=["policy"],
        )
        for one in self.drifts():
            outdated.add_metric([one.policy_id], float(one.is_outdated))
            if not one.is_outdated:
                scores.add_metric([one.policy_id], one.scores)
            if one.psi is not None:
                psi.add_metric([one.policy_id], one.psi)
        yield from (psi, scores, outdated)
