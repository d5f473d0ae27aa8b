"""Draws the dashboards beside this file from a running Prometheus, where there is no Grafana.

`python deploy/grafana/pictures.py DIRECTORY --prometheus http://127.0.0.1:9090 --minutes 15`
writes one PNG a dashboard; it needs altair and vl-convert-python (the extra `report`). The
pictures show what the panels ask and how they are arranged; Grafana's own look differs.
"""

import argparse
import http.client
import json
import math
import re
import textwrap
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from PIL import Image

HERE = Path(__file__).parent
POINTS = 120
COLUMN_PX, AXIS_PX, PLOT_PX = 46, 78, 150
LETTER_PX = 5.2
"""About the width of a letter of a description."""
# How a value is written on an axis, by Grafana's name of the unit.
LABELS = {
    "short": "format(datum.value, datum.value < 1000 ? '~g' : '~s')",
    "reqps": "format(datum.value, '~g') + '/s'",
    "percentunit": "format(datum.value, '.3~p')",
    "s": "format(datum.value, '.3~s') + 's'",
    "bytes": "format(datum.value, '.3~s') + 'B'",
}
TIME = alt.X("time:T", title=None, axis=alt.Axis(format="%H:%M:%S", tickCount=4, grid=False))
MOST_NAMES = 9
Row = dict[str, Any]
Plot = alt.Chart | alt.LayerChart
UNAVAILABLE = 69
"""The exit code of this name in sysexits.h, as the commands of `moderation` have it."""


class NoAnswer(Exception):
    """Prometheus cannot be reached or refuses, or something else answers in its place."""


@dataclass(frozen=True)
class Source:
    """A Prometheus, the span of time that is drawn, and what the dashboards' variables are."""

    url: str
    start: float
    end: float
    variables: Mapping[str, str]

    def over_time(self, target: Mapping[str, Any]) -> list[Row]:
        """A query's series as rows of time, value and name."""
        step = max(1.0, (self.end - self.start) / POINTS)
        found = self._ask("query_range", target, start=self.start, end=self.end, step=step)
        return [
            {"time": at * 1000, "value": float(value), "name": _name(target, one["metric"])}
            for one in found
            for at, value in one["values"]
            if math.isfinite(float(value))
        ]

    def now(self, target: Mapping[str, Any]) -> list[Row]:
        """A query's values at the end of the span."""
        return [
            {"value": float(one["value"][1]), "name": _name(target, one["metric"])}
            for one in self._ask("query", target, time=self.end)
            if math.isfinite(float(one["value"][1]))
        ]

    def _ask(self, path: str, target: Mapping[str, Any], **span: float) -> list[dict[str, Any]]:
        query = target["expr"]
        for name, value in self.variables.items():
            query = query.replace(f"${name}", value)
        asked = urllib.parse.urlencode({"query": query, **span})
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{asked}", timeout=30) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except (OSError, http.client.HTTPException, ValueError, LookupError) as error:
            raise NoAnswer(f"{self.url} does not answer as a Prometheus: {error}") from error
        return found


def _name(target: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """The legend of a series; a version's digest is cut as nobody reads it to the end."""
    legend = target.get("legendFormat", "")
    name = re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend)
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}", r"\1", name)


def _axis(panel: Mapping[str, Any]) -> alt.Y:
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    axis = alt.Axis(labelExpr=LABELS[unit], tickCount=5, domain=False, ticks=False)
    return alt.Y("value:Q", title=None, axis=axis)


def lines(panel: Mapping[str, Any], source: Source) -> Plot:
    """Series over time; stacked areas where the panel stacks."""
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    stacks = custom.get("stacking", {}).get("mode") == "normal"
    rows = [row for target in panel["targets"] for row in source.over_time(target)]
    if not rows:
        return no_data()
    rows = _telling(rows, stacks)
    chart = alt.Chart(alt.Data(values=rows))
    if stacks:
        area = chart.mark_area(opacity=0.75)
        return area.encode(TIME, _axis(panel).stack("zero"), _color(rows, "square"))
    return chart.mark_line(strokeWidth=1.6).encode(TIME, _axis(panel), _color(rows, "stroke"))


def _telling(rows: list[Row], stacks: bool) -> list[Row]:
    """Without series that are nothing but 0, where they only make the legend longer."""
    names = {row["name"] for row in rows}
    telling = {row["name"] for row in rows if row["value"] != 0}
    if telling and (stacks or len(names) > MOST_NAMES):
        return [row for row in rows if row["name"] in telling]
    return rows


def _color(rows: Sequence[Row], symbol: str) -> alt.Color:
    legend = alt.Legend(title=None, orient="bottom", columns=3, labelLimit=140, symbolType=symbol)
    named = any(row["name"] for row in rows)
    scale = alt.Scale(scheme="tableau10")
    return alt.Color("name:N", legend=legend if named else None, scale=scale)


def number(panel: Mapping[str, Any], source: Source) -> Plot:
    """One value, large."""
    rows = source.now(panel["targets"][0])
    if not rows:
        return no_data()
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    written = LABELS[unit].replace("'~g'", "'.3~g'")
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_text(fontSize=34, fontWeight=600, color="#3b4cb8")
        .encode(text="written:N")
        .transform_calculate(written=written)
    )


def bars(panel: Mapping[str, Any], source: Source) -> Plot:
    """One value for each name, the largest first."""
    rows = [row for target in panel["targets"] for row in source.now(target)]
    rows = [row for row in rows if row["value"] > 0]
    if not rows:
        return no_data()
    # Names are written above their bars, within the plot: beside them they would take its place.
    order = [row["name"] for row in sorted(rows, key=lambda row: -row["value"])]
    names = alt.Y("name:N", sort=order, title=None, axis=None, scale=alt.Scale(paddingInner=0.6))
    value = alt.X("value:Q", title=None, axis=alt.Axis(tickCount=4))
    chart = alt.Chart(alt.Data(values=rows)).encode(x=value, y=names)
    texts = chart.mark_text(align="left", dx=4, dy=-10, fontSize=10).encode(
        x=alt.value(0), text="name:N"
    )
    return chart.mark_bar() + texts


def heatmap(panel: Mapping[str, Any], source: Source) -> Plot:
    """How many fell into each bucket; Prometheus counts all below its bound."""
    rows = [row for target in panel["targets"] for row in source.over_time(target)]
    width = (source.end - source.start) / POINTS * 1000
    buckets = list(_buckets(rows, width))
    if not buckets:
        return no_data()
    cells = alt.Chart(alt.Data(values=buckets)).mark_rect()
    legend = alt.Legend(title="contents", orient="bottom", gradientLength=180, gradientThickness=8)
    count = alt.Color("count:Q", legend=legend, scale=alt.Scale(scheme="blues"))
    low = alt.Y("low:Q", title=None, scale=alt.Scale(domain=[0, 1]))
    return cells.encode(TIME, low, alt.X2("until:T"), alt.Y2("high:Q"), count)


def _buckets(rows: Sequence[Row], width: float) -> Iterator[Row]:
    ordered = sorted(rows, key=lambda row: (row["time"], float(row["name"])))
    for at, column in groupby(ordered, key=lambda row: row["time"]):
        low, below = 0.0, 0.0
        for row in column:
            high, count = min(1.0, float(row["name"])), row["value"] - below
            if count > 0 and high > low:
                yield {"time": at, "until": at + width, "low": low, "high": high, "count": count}
            low, below = high, row["value"]


def no_data() -> Plot:
    """Said in place of an empty plot, as Grafana does."""
    told = alt.Chart(alt.Data(values=[{}])).mark_text(fontSize=13, color="#8a8a8a")
    return told.encode(text=alt.value("no data"))


DRAWN: Mapping[str, Callable[[Mapping[str, Any], Source], Plot]] = {
    "timeseries": lines,
    "stat": number,
    "bargauge": bars,
    "heatmap": heatmap,
}


def drawn(panel: Mapping[str, Any], source: Source) -> Plot:
    """One panel with its title and what Grafana tells of it on request, as wide as there."""
    is_number = panel["type"] == "stat"
    whole = panel["gridPos"]["w"] * COLUMN_PX
    width = whole - AXIS_PX
    room = whole if is_number else width
    title = alt.TitleParams(
        panel["title"],
        subtitle=textwrap.wrap(panel["description"], int(room / LETTER_PX)),
        anchor="start",
        fontSize=13,
        subtitleFontSize=10,
        subtitleColor="#6a6a6a",
    )
    chart = DRAWN[panel["type"]](panel, source)
    return chart.properties(width=width, height=48 if is_number else PLOT_PX, title=title)


def board_spec(board: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """A whole dashboard as one picture for vega-lite."""
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    rows = [
        alt.hconcat(
            *(drawn(panel, source) for panel in row), bounds="flush", spacing=AXIS_PX
        ).resolve_scale(color="independent")
        for _, row in groupby(panels, key=lambda panel: panel["gridPos"]["y"])
    ]
    whole = alt.vconcat(*rows).resolve_scale(color="independent")
    title = alt.TitleParams(board["title"], anchor="start", fontSize=18, offset=14)
    whole = whole.properties(title=title, background="white", padding=16)
    spec: dict[str, Any] = whole.configure_view(stroke="#e5e5e5").to_dict()
    return spec


def draw_boards(directory: Path, source: Source) -> None:
    """Write one PNG for each dashboard."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in sorted(HERE.glob("*.json")):
        spec = board_spec(json.loads(path.read_text(encoding="utf-8")), source)
        picture = Image.open(BytesIO(vl_convert.vegalite_to_png(spec, scale=1)))
        # 128 colours are enough for plots, and a third of the bytes.
        picture.convert("RGB").quantize(128).save(directory / f"{path.stem}.png", optimize=True)


def main() -> None:
    """Draw what a Prometheus holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--policy", default="alcohol", help="for the rows about one policy")
    parser.add_argument("--rate", default="1m", help="over what time rates are taken")
    given = parser.parse_args()
    now = time.time()
    variables = {"__rate_interval": given.rate, "__range": f"{round(60 * given.minutes)}s"}
    variables |= {"job": ".*", "policy": given.policy}
    source = Source(given.prometheus, now - 60 * given.minutes, now, variables)
    try:
        draw_boards(given.directory, source)
    except NoAnswer as error:
        parser.exit(UNAVAILABLE, f"{error}\n")


if __name__ == "__main__":
    main()
