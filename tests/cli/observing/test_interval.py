"""Rates and quantiles of what happened between two looks."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from moderation.cli.observing.interval import Interval
from moderation.cli.observing.scrape import Labels, Scrape

BUCKETS = tuple(float(edge) for edge in np.linspace(0.1, 10, 100))


def scrape_of(registry: CollectorRegistry, at: float) -> Scrape:
    values: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            values.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return Scrape(at, at, values)


def a_scrape(at: float, **counters: Mapping[str, float]) -> Scrape:
    """Counters with one label, `kind`."""
    return Scrape(
        at,
        at,
        {
            name: {frozenset({("kind", kind)}): value for kind, value in values.items()}
            for name, values in counters.items()
        },
    )


def test_a_rate_is_what_a_counter_rose_by_in_a_second() -> None:
    interval = Interval(a_scrape(10, calls={"a": 5, "b": 7}), a_scrape(12, calls={"a": 9, "b": 7}))

    assert interval.rate("calls") == 2.0
    assert interval.rates("calls", "kind") == {"a": 2.0, "b": 0.0}
    assert interval.rate("calls", kind="b") == 0.0
    assert interval.rate("nothing") == 0.0


def test_a_counter_that_fell_was_begun_anew_and_one_that_is_new_began_at_0() -> None:
    interval = Interval(a_scrape(0, calls={"a": 100}), a_scrape(1, calls={"a": 3, "b": 4}))

    assert interval.rates("calls", "kind") == {"a": 3.0, "b": 4.0}


def test_without_a_first_look_it_is_since_the_start() -> None:
    interval = Interval(None, a_scrape(20, calls={"a": 100}))

    assert (interval.seconds, interval.rate("calls")) == (20, 5.0)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99])
def test_quantiles_of_the_interval_alone_are_as_exact_as_the_buckets(share: float) -> None:
    registry = CollectorRegistry()
    seconds = Histogram("seconds", "Of calls.", buckets=BUCKETS, registry=registry)
    for _ in range(5000):
        seconds.observe(9.9)  # before the first look
    first = scrape_of(registry, 0)
    observed = np.random.default_rng(1).gamma(2.0, 1.0, size=2000)
    for one in observed:
        seconds.observe(one)
    interval = Interval(first, scrape_of(registry, 1))

    found = interval.quantile(share, "seconds")

    assert found == pytest.approx(np.quantile(observed, share), abs=0.15)
    assert interval.mean("seconds") == pytest.approx(observed.mean())


def test_what_lies_beyond_the_last_bucket_is_told_as_its_edge() -> None:
    registry = CollectorRegistry()
    Histogram("seconds", "Of calls.", buckets=(1, 2), registry=registry).observe(50)

    found = Interval(None, scrape_of(registry, 1)).quantile(0.5, "seconds")

    assert found == 2.0
    assert not math.isinf(found)


def test_where_nothing_happened_there_is_no_mean_and_no_quantile() -> None:
    registry = CollectorRegistry()
    Histogram("seconds", "Of calls.", registry=registry)
    Counter("calls", "All of them.", registry=registry)
    interval = Interval(None, scrape_of(registry, 1))

    assert interval.quantile(0.5, "seconds") is interval.mean("seconds") is None
    assert interval.quantile(0.5, "nothing") is None
