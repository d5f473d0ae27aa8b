"""The shipped dashboards as Grafana would read them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.deploy.monitoring import ROOT

PROFILE = "  default:\n"
BOARDS = sorted((ROOT / "deploy" / "grafana").glob("*.json"))


def state_a_review_budget(policies: Path, share: float) -> None:
    """In the default profile, for the panel about it; the shipped profiles state none."""
    profiles = policies / "profiles.yaml"
    written = profiles.read_text(encoding="utf-8")
    assert written.count(PROFILE) == 1
    stated = written.replace(PROFILE, f"{PROFILE}    review_budget: {share}\n")
    profiles.write_text(stated, encoding="utf-8")


def panels_of(board: Path) -> list[dict[str, Any]]:
    """Every panel but the rows that group them."""
    panels: list[dict[str, Any]] = json.loads(board.read_text(encoding="utf-8"))["panels"]
    return [panel for panel in panels if panel["type"] != "row"]


def queries_of(board: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Every query with its variables filled in, by the panel and the query's letter."""
    queries = {}
    for panel in panels_of(board):
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in variables.items():
                expression = expression.replace(f"${name}", value)
            queries[f"{panel['title']}: {target['refId']}"] = expression
    return queries
