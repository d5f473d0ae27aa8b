"""Mends mistakes for which there is one safe way: misspelt keys, and repeated phrases."""

import re
from collections import Counter
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

from moderation.adapters.policy_yaml.document import read_document
from moderation.adapters.policy_yaml.tree import ListNode, Place, ScalarNode, quoted
from moderation.core.errors import Problem

_MISSPELT = re.compile(r"unknown key '([^']+)'; did you mean (\S+)\?")
_REPEATED = re.compile(r": (?P<quoted>.*) is already on line \d+; remove one of them$")


def repair(directory: Path, problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Mend what can be mended in the files of a directory; answers what was. Raises OSError.

    A repeated phrase is removed if it has a line to itself; the first one stays.
    """
    by_name: dict[str, list[Problem]] = {}
    for problem in problems:
        by_name.setdefault(Path(problem.file).name, []).append(problem)
    mended: list[Problem] = []
    for name, here in by_name.items():
        path = directory / name
        if path.is_file() and not path.is_symlink():
            mended += _repair_file(path, here)
    return tuple(mended)


def _repair_file(path: Path, problems: list[Problem]) -> list[Problem]:
    try:
        # Lines end where YAML ends them; str.splitlines knows seven more ends.
        lines = StringIO(path.read_bytes().decode("utf-8"), newline="").readlines()
    except UnicodeDecodeError:
        return []  # which is a problem of its own
    mended = []
    meant = Counter(_meant(problem) for problem in problems)
    # From the end, so that the places of what comes before stay right.
    for problem in sorted(problems, key=lambda one: (one.line, one.column), reverse=True):
        if meant[_meant(problem)] > 1:
            continue  # two keys that would become the same one
        if 0 < problem.line <= len(lines) and _mend(lines, problem):
            mended.append(problem)
    if mended:
        unfinished = path.with_name(f".{path.name}.unfinished")
        unfinished.write_bytes("".join(lines).encode("utf-8"))
        unfinished.chmod(path.stat().st_mode)
        unfinished.replace(path)
    return mended[::-1]


def _meant(problem: Problem) -> tuple[str, str] | Problem:
    """Where a misspelt key stands, and what it was meant to be; another problem itself."""
    misspelt = _MISSPELT.search(problem.message)
    return (problem.message[: misspelt.start()], misspelt[2]) if misspelt else problem


def _mend(lines: list[str], problem: Problem) -> bool:
    line, start = lines[problem.line - 1], problem.column - 1
    if misspelt := _MISSPELT.search(problem.message):
        wrong, right = misspelt.groups()
        if line[start : start + len(wrong)] != wrong:
            return False
        lines[problem.line - 1] = line[:start] + right + line[start + len(wrong) :]
        return True
    repeated = _REPEATED.search(problem.message)
    if repeated and _quoted_item(line, problem.column) == repeated["quoted"]:
        # A text that goes on below would leave its rest behind.
        following = lines[problem.line] if problem.line < len(lines) else ""
        indent = len(line) - len(line.lstrip())
        if not following.strip() or len(following) - len(following.lstrip()) <= indent:
            del lines[problem.line - 1]
            return True
    return False


def _quoted_item(line: str, column: int) -> str:
    """The text that is the one item on a line, as messages quote it."""
    root = read_document(line).root
    item = root.items[0] if isinstance(root, ListNode) and root.items else None
    if not isinstance(item, ScalarNode) or item.place != Place(1, column):
        return ""
    return quoted(" ".join(str(item.value).split()))
