"""The shipped dashboards are what their tables say; that their queries find data is shown live."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

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


NEEDED_TO_DRAW = [name for name in ("altair", "vl_convert") if not importlib.util.find_spec(name)]


@pytest.fixture
def somebody_else() -> Iterator[str]:
    """A web server that is no Prometheus."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def drawn(url: str, pictures: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "deploy/grafana/pictures.py", str(pictures), "--prometheus", url]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.skipif(bool(NEEDED_TO_DRAW), reason=f"not installed: {', '.join(NEEDED_TO_DRAW)}")
def test_without_a_prometheus_nothing_is_drawn_and_one_line_says_so(
    somebody_else: str, tmp_path: Path
) -> None:
    for url in ("http://127.0.0.1:1", somebody_else, "nothing"):
        done = drawn(url, tmp_path / "pictures")

        assert done.returncode == 69
        assert len(done.stderr.splitlines()) == 1
        assert url in done.stderr
