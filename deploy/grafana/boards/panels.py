"""What a dashboard is made of, and the shapes that its queries share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

JOB = 'job=~"$job"'
ONE = f'{JOB}, policy="$policy"'
RATE = "$__rate_interval"
MODERATE = f'{JOB}, method="/moderation.v1.ModerationService/Moderate"'


@dataclass(frozen=True)
class Panel:
    """One panel: a query is an expression and the legend of its series."""

    title: str
    description: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    kind: str = "lines"
    span: int = 8


@dataclass(frozen=True)
class Board:
    """One dashboard: rows of panels by their titles."""

    title: str
    description: str
    rows: Mapping[str, Sequence[Panel]]
    picks_policy: bool = False


def rate_by(label: str, metric: str, matchers: str = JOB) -> tuple[str, str]:
    """The rate of a counter, summed over servers, by one label."""
    return f"sum by ({label}) (rate({metric}{{{matchers}}}[{RATE}]))", f"{{{{{label}}}}}"


def quantiles(metric: str, matchers: str = JOB) -> list[tuple[str, str]]:
    """Median, p90 and p99 of a histogram over all servers."""
    return [
        (
            f"histogram_quantile({share}, sum by (le) "
            f"(rate({metric}_bucket{{{matchers}}}[{RATE}])))",
            name,
        )
        for share, name in ((0.5, "median"), (0.9, "p90"), (0.99, "p99"))
    ]


def mean(metric: str, by: str = "", *, over: str = RATE) -> str:
    """The mean of a histogram over all servers, of what came in so long a time."""
    grouped = f"by ({by}) " if by else ""
    total, count = (
        f"sum {grouped}(rate({metric}_{part}{{{JOB}}}[{over}]))" for part in ("sum", "count")
    )
    return f"{total} / {count}"
