"""Builds the dashboards beside this file: `python deploy/grafana/build.py`, or `--check` them.

Needs grafana-foundation-sdk. What the panels show is said in
boards/, how they look is said here.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from boards import BOARDS, JOB, Board, Panel
from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, stat, timeseries
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

HERE = Path(__file__).parent
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


def lines() -> Any:  # noqa: ANN401 - a builder of the SDK, as below
    """Lines over time with a legend beneath."""
    legend = (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    return timeseries.Panel().draw_style(GraphDrawStyle.LINE).fill_opacity(8).legend(legend)


def stack() -> Any:  # noqa: ANN401
    """Areas on top of each other: parts of a whole."""
    return (
        lines().fill_opacity(40).stacking(common.StackingConfig().mode(StackingMode.NORMAL)).min(0)
    )


KINDS: Mapping[str, Callable[[], Any]] = {
    "lines": lines,
    "stack": stack,
    "number": stat.Panel,
    "bars": bargauge.Panel,
    "heatmap": heatmap.Panel,
}


def built_panel(panel: Panel) -> Any:  # noqa: ANN401
    """The panel as the SDK knows it."""
    builder = KINDS[panel.kind]().title(panel.title).description(panel.description)
    builder = builder.datasource(SOURCE).unit(panel.unit).span(panel.span).height(8)
    for position, (expression, legend) in enumerate(panel.queries):
        query = Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + position))
        if panel.kind == "heatmap":
            query = query.format(PromQueryFormat.HEATMAP)
        if panel.kind == "bars":
            query = query.instant()
        builder = builder.with_target(query)
    return builder


def picker(name: str, label: str, query: str) -> Any:  # noqa: ANN401
    """A variable whose values come from a label."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def built(name: str, board: Board) -> str:
    """The dashboard as JSON."""
    builder = (
        dashboard.Dashboard(board.title)
        .uid(f"moderation-{name}")
        .description(board.description)
        .tags(["moderation"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        )
        .with_variable(
            picker("job", "Job", "label_values(moderation_ready, job)")
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    )
    if board.picks_policy:
        query = f"label_values(moderation_policy_threshold{{{JOB}}}, policy)"
        builder = builder.with_variable(picker("policy", "Policy", query))
    for title, panels in board.rows.items():
        builder = builder.with_row(dashboard.Row(title))
        for panel in panels:
            builder = builder.with_panel(built_panel(panel))
    return json.dumps(builder.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the dashboards, or with --check say which of them are not up to date."""
    outdated = 0
    for name, board in BOARDS.items():
        path, wanted = HERE / f"{name}.json", built(name, board)
        if "--check" not in arguments:
            path.write_text(wanted, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != wanted:
            sys.stderr.write(f"{path.name} is not what build.py makes; run it\n")
            outdated += 1
    return min(outdated, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
