"""Drift of scores, as Prometheus reads it."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from moderation.adapters.prometheus.drift import ScoreDrift
from moderation.service.drift import PolicyDrift


def test_only_what_could_be_compared_has_an_index() -> None:
    registry = CollectorRegistry()
    drift = ScoreDrift()
    registry.register(drift)
    drift.drifts = lambda: (
        PolicyDrift("moved", is_outdated=False, scores=900, psi=0.5),
        PolicyDrift("quiet", is_outdated=False, scores=3),
        PolicyDrift("reworded", is_outdated=True),
    )

    lines = generate_latest(registry).decode().splitlines()

    assert [line for line in lines if not line.startswith("#")] == [
        'moderation_policy_score_psi{policy="moved"} 0.5',
        'moderation_policy_scores_compared{policy="moved"} 900.0',
        'moderation_policy_scores_compared{policy="quiet"} 3.0',
        'moderation_policy_reference_outdated{policy="moved"} 0.0',
        'moderation_policy_reference_outdated{policy="quiet"} 0.0',
        'moderation_policy_reference_outdated{policy="reworded"} 1.0',
    ]
