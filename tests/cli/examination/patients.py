"""Settings of small installations for the doctor to look at, and its findings in short."""

from collections.abc import Iterable
from pathlib import Path

from moderation.cli.examination.findings import Finding, Level
from moderation.cli.flags import nested
from moderation.settings import Settings, load_settings

POLICY = """\
id: fire
title: Fire
phrases:
  - a burning house
  - a forest fire
contrast:
  - a candle
thresholds: {review: 0.99}
"""


def settings_of(**flags: object) -> Settings:
    """Settings by `section__name`."""
    return load_settings(nested({name.replace("__", "."): one for name, one in flags.items()}))


def policies_in(directory: Path, text: str = POLICY) -> Path:
    """A directory with one policy, which is made if need be."""
    directory.mkdir(exist_ok=True)
    (directory / "fire.yaml").write_text(text)
    return directory


def levels(found: Iterable[Finding]) -> list[Level]:
    """How bad each finding is, in their order."""
    return [one.level for one in found]


def worst(found: Iterable[Finding]) -> Finding:
    """The first of the worst findings, which must say where and what to do."""
    finding = max(found, key=lambda one: list(Level).index(one.level))
    assert finding.level is Level.OK or (finding.where and finding.cure)
    return finding
