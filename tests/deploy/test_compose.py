"""The laptop's compose file: what can be held against the rest without starting containers."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from moderation.settings import setting_names, variable_of
from tests.deploy.dashboards import BOARDS
from tests.deploy.monitoring import ALERTS, ROOT, RULES, missing_tools

HERE = ROOT / "deploy" / "compose"
LAPTOP = ROOT / "deploy" / "prometheus" / "laptop.yaml"
MISSING = missing_tools("promtool")


def read(name: str) -> Any:  # noqa: ANN401 - any YAML
    return YAML(typ="safe", pure=True).load((HERE / name).read_text(encoding="utf-8"))


SERVICES = read("compose.yaml")["services"]


def test_everything_that_is_mounted_exists() -> None:
    sources = [
        volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"]
    ]

    assert all((HERE / source).exists() for source in sources)
    for path in (*BOARDS, RULES, ALERTS):
        assert path in {(HERE / source).resolve() for source in sources}


def test_nothing_is_published_beyond_the_laptop() -> None:
    ports = [port for service in SERVICES.values() for port in service["ports"]]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_service_is_built_from_a_target_that_exists_and_cannot_write() -> None:
    service = SERVICES["moderation"]

    assert f" AS {service['build']['target']}\n" in (ROOT / "Dockerfile").read_text()
    assert (HERE / service["build"]["context"]).resolve() == ROOT
    assert service["read_only"] is True


def test_traces_are_sent_only_if_they_are_asked_for() -> None:
    environment = SERVICES["moderation"]["environment"]
    known = {variable_of(setting) for setting in setting_names()}

    assert environment.keys() <= known
    assert environment["MODERATION_TRACING__ENDPOINT"].endswith(":-}")
    assert SERVICES["jaeger"]["profiles"] == ["traces"]


def test_parts_find_each_other_by_their_names() -> None:
    (source,) = read("datasources.yaml")["datasources"]
    (scrape,) = read("prometheus.yaml")["scrape_configs"]

    assert source["url"].removeprefix("http://").partition(":")[0] in SERVICES
    assert scrape["static_configs"][0]["targets"][0].partition(":")[0] in SERVICES


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.parametrize("file", [HERE / "prometheus.yaml", LAPTOP], ids=lambda file: file.stem)
def test_prometheus_understands_its_file(file: Path, tmp_path: Path) -> None:
    for path in (file, RULES, ALERTS):
        shutil.copy(path, tmp_path)

    command = ["promtool", "check", "config", str(tmp_path / file.name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
