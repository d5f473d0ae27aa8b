"""Policy directories for the tests: one good policy, edits of it, and what a load of them says."""

from pathlib import Path

from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.core.errors import PolicySetRejected
from moderation.core.policy import PolicySet

GOOD = """\
id: x
title: X
phrases:
  - a gun
  - a pistol
thresholds: {review: 0.5, block: 0.8}
"""


def edited(*edits: tuple[str, str]) -> str:
    """The good policy with texts replaced; each must be there."""
    text = GOOD
    for old, new in edits:
        assert old in text, f"{old!r} is not in the policy"
        text = text.replace(old, new)
    return text


def another(policy_id: str) -> str:
    """The good policy under another id."""
    return GOOD.replace("id: x", f"id: {policy_id}")


def write(tmp_path: Path, **content_by_stem: str | bytes) -> Path:
    """A directory called policies with these files; `__` in a name stands for a hyphen."""
    directory = tmp_path / "policies"
    directory.mkdir(parents=True, exist_ok=True)
    for stem, content in content_by_stem.items():
        path = directory / f"{stem.replace('__', '-')}.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return directory


def load(directory: Path) -> PolicySet:
    """The policy set of a directory."""
    return YamlPolicySource(directory).load()


def problems(directory: Path) -> list[str]:
    """Every problem of a directory as it is shown; none if it loads."""
    try:
        load(directory)
    except PolicySetRejected as rejected:
        return [str(problem) for problem in rejected.problems]
    return []
