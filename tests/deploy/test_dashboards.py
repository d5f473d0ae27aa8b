"""The shipped dashboards are what their tables say; that their queries find data is shown live."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.dashboards import BOARDS, panels_of, queries_of
from tests.deploy.monitoring import ROOT


@pytest.mark.skipif(
    importlib.util.find_spec("grafana_foundation_sdk") is None,
    reason="not installed: grafana-foundation-sdk (pip install '.[dashboards]')",
)
def test_the_dashboards_are_what_build_makes() -> None:
    command = [sys.executable, "deploy/grafana/build.py", "--check"]

    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.stem)
def test_every_panel_says_what_it_shows(board: Path) -> None:
    panels = panels_of(board)

    assert len(panels) > 5
    assert all(panel["description"] and panel["targets"] for panel in panels)
    assert len({panel["title"] for panel in panels}) == len(panels)


def test_a_dashboard_holds_what_goes_to_review_against_the_budget_for_it() -> None:
    queries = [query for board in BOARDS for query in queries_of(board, {}).values()]

    (used,) = (query for query in queries if "moderation_review_budget" in query)
    assert "profile:moderation_reviewed:ratio_rate1d" in used


def test_no_panel_shows_a_mean_since_the_start_of_a_server() -> None:
    queries = [query for board in BOARDS for query in queries_of(board, {}).values()]

    sums = [query for query in queries if "_seconds_sum" in query]
    assert sums
    assert all("rate(" in query for query in sums)
