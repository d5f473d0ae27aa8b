"""Makes metrics by name, with what metrics.toml says of them, and no other."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
SUFFIX_BY_TYPE = {"counter": "_total", "info": "_info"}


@dataclass(frozen=True, slots=True)
class Described:
    """One metric, of however many series."""

    family: str
    """Its name without the suffix that its type gives it."""
    type: str
    unit: str
    """What its value is a number of."""
    meaning: str
    """Markdown, as is `worry`; without a capital letter and a full stop."""
    worry: str = ""
    """When to look at it, if ever."""
    labels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As it is asked for."""
        return self.family + SUFFIX_BY_TYPE.get(self.type, "")

    @property
    def text(self) -> str:
        """What it means as one plain sentence."""
        plain = LINK.sub(r"\1", self.meaning).replace("`", "")
        return f"{plain[0].upper()}{plain[1:]}."


def _read() -> Mapping[str, Described]:
    text = (files(__package__) / "metrics.toml").read_text(encoding="utf-8")
    return {
        family: Described(family, **{**told, "labels": tuple(told.get("labels", ()))})
        for family, told in tomllib.loads(text).items()
    }


METRICS = _read()
"""By family, in the order in which they are listed."""


def counter(family: str, registry: CollectorRegistry) -> Counter:
    """Counts up."""
    one = METRICS[family]
    return Counter(family, one.text, one.labels, registry=registry)


def gauge(family: str, registry: CollectorRegistry) -> Gauge:
    """Goes up and down."""
    one = METRICS[family]
    return Gauge(family, one.text, one.labels, registry=registry)


def histogram(family: str, registry: CollectorRegistry, buckets: Sequence[float]) -> Histogram:
    """Counts observations by their size."""
    one = METRICS[family]
    return Histogram(family, one.text, one.labels, registry=registry, buckets=buckets)


def counter_family(family: str, value: float | None = None) -> CounterMetricFamily:
    """What a collector gives; with a `value` it has no labels."""
    one = METRICS[family]
    return CounterMetricFamily(family, one.text, value, None if value is not None else one.labels)


def gauge_family(family: str, value: float | None = None) -> GaugeMetricFamily:
    """What a collector gives; with a `value` it has no labels."""
    one = METRICS[family]
    return GaugeMetricFamily(family, one.text, value, None if value is not None else one.labels)


def histogram_family(family: str) -> HistogramMetricFamily:
    """What a collector gives."""
    one = METRICS[family]
    return HistogramMetricFamily(family, one.text, labels=one.labels)


class LateInfo:
    """An info from when there is something to say; before, it would be a 1 without a label."""

    def __init__(self, family: str, registry: CollectorRegistry) -> None:
        one = METRICS[family]
        self._info = Info(family, one.text, registry=None)
        self._registry = registry
        self._is_shown = False

    def info(self, labels: Mapping[str, str]) -> None:
        """Say this instead of what was said before."""
        self._info.info(dict(labels))
        if not self._is_shown:
            self._registry.register(self._info)
            self._is_shown = True
