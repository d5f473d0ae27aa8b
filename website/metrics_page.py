"""Writes the page of metrics from what is said of each where they are made.

`python -m website.metrics_page > docs/metrics.md`
"""

import sys
from collections.abc import Iterable

from moderation.adapters.prometheus.catalog import METRICS, Described

HEAD = """\
# Metrics

Made from [metrics.toml](../moderation/adapters/prometheus/metrics.toml) by `make pages`; do not
edit.

At `http://METRICS_HOST:METRICS_PORT/metrics`, a port of its own; `/ready` beside it is 200 while
`moderation_ready` is 1, and 503 otherwise. It takes 32 connections at once, and hangs up on one
that sends no request, or does not read its answer, for 5 s. Base units, `_total` on counters.
Labels are small closed sets: no ids, no texts of callers. The label `policy` holds the policies in
force; the series of one that was removed, or is `off`, vanish at the next scrape. Closed sets are
there from the start, at 0; of `moderation_rpcs_total` for each method OK and the codes that alerts
count.
"""
COLUMNS = ("metric", "type", "labels", "unit", "meaning", "when to worry")
TAIL = """\
With several [workers](operating.md#several-processes-on-one-machine) there is still one page,
shown by their supervisor. Counters and histograms are the sums of all, those of workers that died
included; one that is killed takes with it what it counted since it was last asked: 2 s in the
ordinary case, 10 s with very many policies. Amounts such as `moderation_in_flight` and memory are
sums too, with the supervisor's own memory. `moderation_ready` is 1 only while every worker that
listens answers requests; what is wrong with one worker shows as wrong.

Beside these, the Python client library's own `process_*` and `python_*` metrics: memory, CPU, file
descriptors, garbage collection. They leave the decoding processes out, which have metrics of their
own above.
"""


def page() -> str:
    """All of docs/metrics.md."""
    rows = [_row(COLUMNS), "|" + "---|" * len(COLUMNS), *map(_described, METRICS.values())]
    return "\n".join([HEAD, *rows, "", TAIL])


def _described(one: Described) -> str:
    labels = ", ".join(one.labels)
    return _row((f"`{one.name}`", one.type, labels, one.unit, one.meaning, one.worry))


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(page())
