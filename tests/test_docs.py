"""Pages that describe the code are compared with the code."""

import ast
import os
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from moderation.adapters.log_form import LIBRARY
from moderation.adapters.prometheus.catalog import METRICS
from moderation.cli.config import markdown
from moderation.settings import Settings
from tests.e2e.test_load_balancing import BEFORE_THE_END, REQUESTS
from website.api_reference import reference
from website.metrics_page import page as metrics_page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "moderation"
SERVER_CODE = sorted({*PACKAGE.rglob("*.py")} - {*(PACKAGE / "cli").rglob("*.py")})
"""What may log; commands print."""
LEVELS = ("debug", "info", "warning", "error", "critical", "exception")
LOGGING = {"tell", *(f"{log}.{level}" for log, level in product(("log", "self._log"), LEVELS))}
"""What is called to log; `tell` stands for one that chooses its level."""
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def test_the_settings_page_lists_the_settings_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MODERATION_")]:
        monkeypatch.delenv(name)
    page = (DOCS / "settings.md").read_text(encoding="utf-8")

    assert page == markdown(Settings()) + "\n", "run `make pages`"


def test_the_api_reference_is_what_the_proto_file_says() -> None:
    page = (DOCS / "api-reference.md").read_text(encoding="utf-8")

    assert page == reference(), "run `make pages`"
    assert page.count("### ") >= 30


def test_the_metrics_page_is_what_is_said_of_the_metrics() -> None:
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")

    assert page == metrics_page(), "run `make pages`"
    assert page.count("\n| `moderation_") == len(METRICS)


def test_the_page_of_load_balancing_tells_of_what_is_tried() -> None:
    page = (DOCS / "load-balancing.md").read_text(encoding="utf-8")
    told = page.partition("## What was tried")[2].partition("\n\n`pytest -s")[0]

    assert [int(number) for number in re.findall(r"\b\d{3}\b", told)] == [REQUESTS, REQUESTS]
    assert f"after {BEFORE_THE_END} answers" in " ".join(told.split())


def test_the_page_of_log_events_lists_the_events_as_they_are() -> None:
    page = (DOCS / "logs.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \| (?:debug|info|warning|error|critical)", page, re.MULTILINE)

    logged = {event for path in SERVER_CODE for event in events_in(path)}

    assert sorted(listed) == sorted({*logged, LIBRARY})


def events_in(path: Path) -> Iterator[str]:
    """Each must be a constant; what is told through `logging` names it beside its message."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in LOGGING:
            event = ast.literal_eval(node.args[0])
            for keyword in node.keywords:
                if keyword.arg == "extra":
                    event = ast.literal_eval(keyword.value)["event"]
            assert re.fullmatch(r"[a-z_]+", event), f"{path}:{node.lineno}: {event!r} is no event"
            yield event


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)

    missing = [target for target in targets if not (page.parent / target).exists()]

    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_on_the_pages_compiles(page: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)

    for block in blocks:
        compile(block, str(page), "exec")
