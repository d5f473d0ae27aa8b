"""What holds for every test."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

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
    if hasattr(config, "workerinput"):
        return
    file = config.getoption("--cases")
    if file is not None:
        config.pluginmanager.register(CaseTable(file))
    share_embeddings(config)


def share_embeddings(config: pytest.Config) -> None:
    """Let processes that tests start embed each text once: for most, that is half of a start."""
    shared = TemporaryDirectory()
    config.add_cleanup(shared.cleanup)
    os.environ["MODERATION_POLICIES__CACHE_DIRECTORY"] = shared.name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_reports(items)
