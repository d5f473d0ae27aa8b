"""What each policy finds, as Prometheus reads it."""

from collections.abc import Mapping

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from moderation.adapters.prometheus.policies import SCORES, PolicyCounts
from moderation.core.decision import PolicyScores
from moderation.core.policy import Action, Mode, Profile, Thresholds
from moderation.core.scoring import CompiledPolicies
from tests.builders import a_policy, a_policy_set, a_verdict, compiled

LABELS = ("policy", "action", "mode", "le")
WEAPONS, GORE, KNIVES = a_policy("weapons"), a_policy("gore"), a_policy("knives")


@pytest.fixture
def counts() -> PolicyCounts:
    return PolicyCounts()


def scraped(counts: PolicyCounts) -> Mapping[str, Mapping[str, float]]:
    """Values by the labels as one text, by the name of the series."""
    registry = CollectorRegistry()
    registry.register(counts)
    by_name: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            labels = " ".join(sample.labels[label] for label in LABELS if label in sample.labels)
            by_name.setdefault(sample.name, {})[labels] = sample.value
    return by_name


def scores(active: CompiledPolicies, *judged: str, **score: float) -> PolicyScores:
    """Scores by policy id; those of policies that did not judge are 0.99, and must not count."""
    ids = [policy.id for policy in active.policies]
    return PolicyScores(
        active.policies,
        np.array([score.get(policy_id, 0.99) for policy_id in ids]),
        np.zeros(len(ids)),
        np.array([policy_id in (judged or score) for policy_id in ids]),
    )


def test_a_score_is_counted_in_every_bucket_that_holds_it(counts: PolicyCounts) -> None:
    active = compiled(a_policy_set(WEAPONS, GORE))
    counts.active = lambda: active

    for weapons in (0.005, 0.5, 0.501, 1.0):
        counts.scored(scores(active, weapons=weapons, gore=0.0))

    seen = scraped(counts)
    buckets = seen["moderation_policy_score_bucket"]
    assert [buckets[f"weapons {edge}"] for edge in ("0.01", "0.4", "0.5", "0.6", "1.0")] == [
        *(1, 1, 2, 3, 4)
    ]
    assert buckets["weapons +Inf"] == seen["moderation_policy_score_count"]["weapons"] == 4
    assert seen["moderation_policy_score_sum"]["weapons"] == pytest.approx(2.006)
    assert {buckets[f"gore {edge}"] for edge in (*SCORES, "+Inf")} == {4}


def test_only_policies_that_judged_the_content_count_it(counts: PolicyCounts) -> None:
    active = compiled(a_policy_set(WEAPONS, GORE))
    counts.active = lambda: active

    counts.scored(scores(active, weapons=0.7))

    assert scraped(counts)["moderation_policy_score_count"] == {"weapons": 1, "gore": 0}


def test_every_active_policy_shows_zeros_before_it_finds_anything(counts: PolicyCounts) -> None:
    counts.active = lambda: compiled(a_policy_set(WEAPONS))

    seen = scraped(counts)

    assert seen["moderation_policy_score_count"] == {"weapons": 0}
    assert seen["moderation_verdicts_total"] == {
        f"weapons {action} {mode}": 0
        for action in ("review", "block")
        for mode in ("enforce", "shadow")
    }


def test_verdicts_are_counted_by_action_and_mode(counts: PolicyCounts) -> None:
    shadow = a_policy("gore", mode=Mode.SHADOW)
    counts.active = lambda: compiled(a_policy_set(WEAPONS, shadow))

    counts.judged(a_verdict(WEAPONS, action=Action.BLOCK))
    counts.judged(a_verdict(WEAPONS, action=Action.BLOCK))
    counts.judged(a_verdict(shadow, action=Action.REVIEW, mode=Mode.SHADOW))

    verdicts = scraped(counts)["moderation_verdicts_total"]
    assert {labels: value for labels, value in verdicts.items() if value} == {
        "weapons block enforce": 2,
        "gore review shadow": 1,
    }


def test_a_new_set_keeps_the_counts_of_what_stays_and_drops_what_went(
    counts: PolicyCounts,
) -> None:
    former = compiled(a_policy_set(WEAPONS, GORE))
    present = compiled(a_policy_set(KNIVES, WEAPONS))
    counts.active = lambda: former
    counts.scored(scores(former, weapons=0.7, gore=0.1))
    counts.judged(a_verdict(WEAPONS))

    counts.active = lambda: present
    counts.scored(scores(former, weapons=0.7, gore=0.1))  # it was under way during the reload
    counts.scored(scores(present, weapons=0.7, knives=0.1))

    seen = scraped(counts)
    assert seen["moderation_policy_score_count"] == {"weapons": 3, "knives": 1}
    assert seen["moderation_verdicts_total"]["weapons block enforce"] == 1
    assert not any(labels.startswith("gore") for name in seen.values() for labels in name)


def test_counting_goes_on_after_rows_were_dropped(counts: PolicyCounts) -> None:
    former = compiled(a_policy_set(GORE, KNIVES, WEAPONS))
    present = compiled(a_policy_set(WEAPONS))
    counts.active = lambda: former
    counts.scored(scores(former, weapons=0.7, gore=0.1, knives=0.2))
    counts.active = lambda: present
    scraped(counts)

    counts.scored(scores(former, weapons=0.7, gore=0.1, knives=0.2))
    counts.scored(scores(present, weapons=0.7))

    assert scraped(counts)["moderation_policy_score_count"] == {"weapons": 3}


def test_thresholds_are_the_default_profile_s(counts: PolicyCounts) -> None:
    stricter = Profile(thresholds={"weapons": Thresholds(0.2, 0.4)})
    never = a_policy("gore", review=0.6, block=None)
    counts.active = lambda: compiled(a_policy_set(WEAPONS, never, profiles=[stricter]))

    assert scraped(counts)["moderation_policy_threshold"] == {
        "weapons review": 0.2,
        "weapons block": 0.4,
        "gore review": 0.6,
    }


def test_without_policies_nothing_is_shown(counts: PolicyCounts) -> None:
    assert scraped(counts) == {}
