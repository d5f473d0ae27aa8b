"""One look at a metrics page, as Prometheus would take it."""

import time
import urllib.error
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import TypeAlias
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from moderation.cli.asking import page_at, why_not
from moderation.cli.exits import CommandError, Exit

Labels: TypeAlias = frozenset[tuple[str, str]]

PATH = "/metrics"
TIMEOUT_S = 5.0
OURS = "moderation_build_info"


class NoMetrics(Exception):
    """Nobody answers there, or with something else than this service's metrics."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """The values of a page by name and labels, and when it was read."""

    at: float
    """By a monotonic clock, in seconds."""
    age_s: float
    """How long the server had been running."""
    values: Mapping[str, Mapping[Labels, float]]

    def only(self, name: str) -> float | None:
        """The value of a metric without labels; None if there is none."""
        return self.values.get(name, {}).get(frozenset())

    def facts(self, name: str) -> Mapping[str, str]:
        """The labels of an info metric; none if there is none."""
        return dict(next(iter(self.values.get(name, {})), frozenset()))

    def by(self, name: str, label: str) -> dict[str, float]:
        """The values of a metric by one label, summed over the others."""
        return summed(self.values.get(name, {}), label)


def summed(values: Mapping[Labels, float], label: str) -> dict[str, float]:
    """Values by one label, summed over the others."""
    found: dict[str, float] = defaultdict(float)
    for labels, value in values.items():
        found[dict(labels).get(label, "")] += value
    return dict(found)


def metrics_url(url: str) -> str:
    """The page's address, also where only the server's was given; raises CommandError."""
    parts = urlsplit(url if "//" in url else f"http://{url}")
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise CommandError(f"--url {url}: write http://HOST:PORT{PATH}", Exit.USAGE)
    return parts._replace(path=PATH if parts.path in {"", "/"} else parts.path).geturl()


def scraped(url: str) -> Scrape:
    """Read the page; raises NoMetrics."""
    try:
        page, _ = page_at(url, timeout_s=TIMEOUT_S)
        values: dict[str, dict[Labels, float]] = defaultdict(dict)
        for family in text_string_to_metric_families(page.decode()):
            for sample in family.samples:
                values[sample.name][frozenset(sample.labels.items())] = sample.value
    except urllib.error.HTTPError as error:
        error.close()
        raise NoMetrics(f"it answers with HTTP {error.code}") from error
    except urllib.error.URLError as error:
        reason = error.reason
        raise NoMetrics(why_not(reason if isinstance(reason, OSError) else error)) from error
    except (OSError, HTTPException) as error:
        raise NoMetrics(why_not(error)) from error
    except ValueError as error:
        raise NoMetrics("what answers there shows no metrics") from error
    if OURS not in values:
        raise NoMetrics("what answers there is no server of this service")
    started = values["process_start_time_seconds"].get(frozenset(), time.time())
    return Scrape(time.monotonic(), max(0.0, time.time() - started), values)
