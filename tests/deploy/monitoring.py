"""A real Prometheus beside the service, with hours shortened to seconds.

Its rules are the shipped ones; only durations, and the least number of contents
of a flag-rate test, are replaced, so that faults show within a test's patience.
"""

import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
RUNBOOK = ROOT / "docs" / "operating.md"
PATIENCE_S = 90.0

WINDOWS = {
    **{"5m": "6s", "15m": "8s", "30m": "8s", "1h": "10s", "2h": "10s"},
    **{"6h": "12s", "1d": "20s", "3d": "25s", "7d": "60s"},
}
OFFSETS = {"1h": "10s", "1d": "15s"}

CONFIG = """\
global: {scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}
rule_files: [rules.yaml, alerts.yaml]
scrape_configs:
  - job_name: moderation
    file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]
"""


def missing_tools(*names: str) -> str:
    """Which of these programs are not installed, as a reason to skip."""
    absent = [name for name in names if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)} (Debian package prometheus)" if absent else ""


def rules_of(path: Path) -> list[dict[str, Any]]:
    """Every rule of a rule file, as it stands there."""
    document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def named_in_the_runbook() -> list[str]:
    """Metrics and queries of them, as somebody on call would copy them."""
    return re.findall(r"`([^`\n]*\bmoderation_\w+[^`\n]*)`", RUNBOOK.read_text(encoding="utf-8"))


def hastened(rules: str) -> str:
    """The rules with their durations shortened; raises KeyError on one that has no short form."""
    rules = re.sub(r"\[(\w+)\]", lambda found: f"[{WINDOWS[found[1]]}]", rules)
    rules = re.sub(r"offset (\w+)", lambda found: f"offset {OFFSETS[found[1]]}", rules)
    rules = re.sub(r"for: \w+", "for: 1s", rules)
    return rules.replace(
        ":moderation_judged:increase1h >= 100", ":moderation_judged:increase1h >= 20"
    )


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    url: str
    directory: Path

    def watch(self, *metrics_urls: str, staging: Sequence[str] = ()) -> None:
        """Scrape these servers, and no other, from now on; staging under a job of its own."""
        groups = [
            {"targets": [urllib.parse.urlsplit(url).netloc for url in urls], "labels": {"job": job}}
            for job, urls in (("moderation", metrics_urls), ("staging", staging))
        ]
        draft = self.directory / "targets.draft"
        draft.write_text(json.dumps(groups), encoding="utf-8")
        os.replace(draft, self.directory / "targets.json")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression gives now; values that are not numbers are left out."""
        answer = self._get("query", query=expression)
        results: list[dict[str, Any]] = answer["result"]
        return [one for one in results if one["value"][1] != "NaN"]

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        alerts = self._get("alerts")["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    def broken_rules(self) -> Mapping[str, str]:
        """What is wrong with rules that could not be evaluated, by their names."""
        rules = [rule for group in self._get("rules")["groups"] for rule in group["rules"]]
        return {rule["name"]: rule["lastError"] for rule in rules if rule.get("lastError")}

    def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            answered: dict[str, Any] = json.load(answer)["data"]
        return answered


def until(condition: Callable[[], bool], *, but: Callable[[], object]) -> None:
    """Wait until it holds; a failure shows what `but` gives."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, but()
        time.sleep(0.25)


@contextmanager
def running_prometheus(directory: Path, metrics_urls: Sequence[str]) -> Iterator[Prometheus]:
    """Start Prometheus on a free port, with the shipped rules hastened."""
    for path in (RULES, ALERTS):
        (directory / path.name).write_text(hastened(path.read_text(encoding="utf-8")))
    (directory / "prometheus.yaml").write_text(CONFIG)
    log = directory / "prometheus.log"
    command = ["prometheus", "--config.file=prometheus.yaml", "--storage.tsdb.path=data"]
    command += ["--web.listen-address=127.0.0.1:0", "--log.format=json"]
    with log.open("w") as stream:
        process = subprocess.Popen(command, cwd=directory, stdout=stream, stderr=stream)
    try:
        until(lambda: _address(log) is not None, but=log.read_text)
        running = Prometheus(f"http://{_address(log)}", directory)
        running.watch(*metrics_urls)
        yield running
    finally:
        process.terminate()
        process.wait(30)


def _address(log: Path) -> str | None:
    """Where it says that it listens; the port was chosen by the kernel."""
    found = re.search(r'"address":"(127\.0\.0\.1:[1-9]\d*)"', log.read_text())
    return found[1] if found else None
