"""The shipped rules and alerts: promtool's tests of them, and that somebody knows what to do."""

import re
import subprocess
from pathlib import Path

import pytest

from moderation.adapters.prometheus.catalog import METRICS
from moderation.adapters.prometheus.families import CODES
from tests.deploy.monitoring import (
    ALERTS,
    ROOT,
    RULES,
    RUNBOOK,
    missing_tools,
    named_in_the_runbook,
    rules_of,
)

MISSING = missing_tools("promtool")
needs_promtool = pytest.mark.skipif(bool(MISSING), reason=MISSING)

CASES = sorted((ROOT / "deploy" / "prometheus" / "tests").glob("*.yaml"))
NAMES = [rule["alert"] for rule in rules_of(ALERTS)]
PARTS = re.findall(r"^### (Moderation\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)


def promtool(*arguments: object) -> None:
    command = ["promtool", *(str(argument) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_files_are_valid() -> None:
    promtool("check", "rules", "--lint-fatal", RULES, ALERTS)


@needs_promtool
@pytest.mark.slow
@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_alerts_come_and_go_as_the_cases_say(cases: Path) -> None:
    promtool("test", "rules", cases)


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_a_case_in_which_it_fires(name: str) -> None:
    cases = "".join(path.read_text(encoding="utf-8") for path in CASES)

    fires = re.search(rf"alertname: {name}\n +eval_time: \S+\n +exp_alerts:\n +- ", cases)

    assert fires, f"{name} never fires in deploy/prometheus/tests"


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_leads_to_its_part_of_the_runbook(name: str) -> None:
    (rule,) = (rule for rule in rules_of(ALERTS) if rule["alert"] == name)

    assert rule["annotations"]["runbook"] == f"docs/operating.md#{name.lower()}"
    assert name in PARTS
    assert rule["labels"]["severity"] in {"page", "ticket"}


def test_the_runbook_names_no_alert_that_is_gone() -> None:
    assert PARTS == NAMES


def test_rules_and_the_runbook_use_only_metrics_that_the_service_exposes() -> None:
    expressions = [rule["expr"] for path in (RULES, ALERTS) for rule in rules_of(path)]
    used = set(
        re.findall(r"(?<![:\w])moderation_\w+", " ".join([*expressions, *named_in_the_runbook()]))
    )

    unknown = {
        name for name in used if re.sub(r"_(total|info|bucket|count|sum)$", "", name) not in METRICS
    }

    assert used
    assert not unknown


def test_what_is_counted_by_status_code_is_counted_from_zero_on() -> None:
    expressions = " ".join(rule["expr"] for path in (RULES, ALERTS) for rule in rules_of(path))
    named = re.findall(r'\bcode=~"([A-Z_|]+)"', expressions)

    assert named
    assert {code for codes in named for code in codes.split("|")} <= set(CODES)


def test_alerts_rules_and_the_runbook_use_only_rules_that_are_recorded() -> None:
    recorded = {rule["record"] for rule in rules_of(RULES)}
    expressions = [rule["expr"] for path in (RULES, ALERTS) for rule in rules_of(path)]
    written = " ".join([*expressions, *named_in_the_runbook()])

    used = set(re.findall(r"\b(?:job|policy|profile):moderation_\w+:\w+", written))

    assert used
    assert used <= recorded
