"""What holds for every test."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.cases import CaseTable, mark_reports

# Before any test imports onnxruntime, which would report its use to its makers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

pytest.register_assert_rewrite("tests.contracts")

# A shared machine may be slow without any example being so.
settings.register_profile("moderation", deadline=None, max_examples=60)
settings.load_profile("moderation")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=Path, metavar="FILE", help="write the table of cases to FILE")


def pytest_configure(config: pytest.Config) -> None:
    file = config.getoption("--cases")
    if file is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(CaseTable(file))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_reports(items)
