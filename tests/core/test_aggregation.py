"""Properties that every aggregation has; a new one is picked up from the table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.aggregation import AGGREGATIONS, Aggregation, Groups, Similarities

similarities = st.floats(-1.0, 1.0, width=32)
weights = st.floats(0.0, 1.0, exclude_min=True)
group = st.lists(st.tuples(similarities, weights), min_size=1, max_size=7)
groups = st.lists(group, min_size=1, max_size=5)

Group = list[tuple[float, float]]

every_aggregation = pytest.mark.parametrize(
    "aggregation", AGGREGATIONS.values(), ids=AGGREGATIONS.keys()
)


def values_of(*phrases: Group) -> Similarities:
    return np.array([[value for one in phrases for value, _ in one]], dtype=np.float32)


def aggregated(aggregation: Aggregation, *phrases: Group) -> list[float]:
    weights_by_group = [[weight for _, weight in one] for one in phrases]
    return [
        float(x) for x in aggregation(values_of(*phrases), Groups.from_weights(weights_by_group))[0]
    ]


@every_aggregation
@given(phrases=groups)
def test_results_are_bounded_by_their_inputs(
    aggregation: Aggregation, phrases: list[Group]
) -> None:
    results = aggregated(aggregation, *phrases)

    for result, one in zip(results, phrases, strict=True):
        values = values_of(one)
        assert values.min() <= result <= values.max()  # which a NaN fails too


@every_aggregation
@given(phrases=group, data=st.data())
def test_the_order_of_phrases_does_not_matter(
    aggregation: Aggregation, phrases: Group, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(phrases))

    assert aggregated(aggregation, shuffled) == pytest.approx(
        aggregated(aggregation, phrases), abs=1e-6
    )


@every_aggregation
@given(phrases=groups)
def test_a_group_is_not_changed_by_its_neighbours(
    aggregation: Aggregation, phrases: list[Group]
) -> None:
    together = aggregated(aggregation, *phrases)

    alone = [aggregated(aggregation, one)[0] for one in phrases]

    assert together == pytest.approx(alone, abs=1e-6)


@every_aggregation
@given(phrases=group, data=st.data())
def test_a_higher_similarity_never_lowers_the_result(
    aggregation: Aggregation, phrases: Group, data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, len(phrases) - 1))
    value, weight = phrases[position]
    higher = data.draw(st.floats(value, 1.0, width=32))
    raised = [*phrases[:position], (higher, weight), *phrases[position + 1 :]]

    assert aggregated(aggregation, raised)[0] >= aggregated(aggregation, phrases)[0] - 1e-6


@every_aggregation
@given(phrases=group, light=weights, heavy=weights)
def test_more_weight_on_the_best_phrase_never_lowers_the_result(
    aggregation: Aggregation, phrases: Group, light: float, heavy: float
) -> None:
    light, heavy = sorted((light, heavy))
    best = max(value for value, _ in phrases)
    others: Group = [*phrases, (phrases[0][0], 1.0)]

    lighter = aggregated(aggregation, [*others, (best, light)])[0]
    heavier = aggregated(aggregation, [*others, (best, heavy)])[0]

    assert heavier >= lighter - 1e-6


@every_aggregation
@given(value=similarities, weight=weights)
def test_a_single_phrase_counts_in_full_whatever_its_weight(
    aggregation: Aggregation, value: float, weight: float
) -> None:
    assert aggregated(aggregation, [(value, weight)]) == pytest.approx([value], abs=1e-6)


@every_aggregation
def test_frames_are_reduced_each_on_its_own(aggregation: Aggregation) -> None:
    frames = np.array([[0.1, 0.4, 0.2], [0.9, 0.3, 0.7]], dtype=np.float32)
    one_by_one = Groups.from_weights([[1.0, 1.0], [1.0]])

    both = aggregation(frames, one_by_one)

    assert both.dtype == np.float32
    assert both[0].tolist() == aggregation(frames[:1], one_by_one)[0].tolist()
    assert both[1].tolist() == aggregation(frames[1:], one_by_one)[0].tolist()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("max", 0.9), ("mean", 0.5), ("top_k_mean", 0.7), ("logsumexp", 0.8681)],
)
def test_what_each_name_means(name: str, expected: float) -> None:
    phrases = [(value, 1.0) for value in (0.9, 0.1, 0.7, 0.5, 0.3)]

    assert aggregated(AGGREGATIONS[name], phrases) == pytest.approx([expected], abs=1e-3)


def test_a_light_phrase_is_drawn_towards_the_weakest_of_its_group() -> None:
    phrases = [(-0.2, 1.0), (0.8, 0.5)]

    assert aggregated(AGGREGATIONS["max"], phrases) == pytest.approx([0.3])


def test_a_weight_however_small_stays_above_0() -> None:
    assert np.all(Groups.from_weights([[1e-300, 1.0]]).weights > 0)


@pytest.mark.parametrize("weights_by_group", [[], [[1.0], []]])
def test_a_group_without_phrases_is_refused(weights_by_group: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="at least one phrase"):
        Groups.from_weights(weights_by_group)
