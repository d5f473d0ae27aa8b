"""What most likely went wrong where YAML cannot be read: the parser's words, said for people.

The parser stops where it no longer understands, often a line below the mistake, so
hints look at the lines themselves.
"""

import re
from collections.abc import Mapping, Sequence

from ruamel.yaml.error import MarkedYAMLError

NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
_GLUED_KEY = re.compile(r"\s*(- )?[\w-]+:(?!//)[^\s/]")
"""`id:x`, which is a text; `https://...` is one on purpose."""
_KEY = re.compile(r"\s+[\w-]+:(\s|$)")
_COMPLETE = re.compile(r"\s*(- )?[\w-]+:\s+[^\s#]")

_HINTS: Mapping[str, str] = {
    r"found character '\t'": "indent with spaces, not with tabs",
    "that cannot start any token": "put a text that begins with it in quotes",
    "mapping values are not allowed": "put a text that contains ': ' in quotes",
    "<stream end>": "a bracket or a quote is not closed, or the file is only half written",
    "unexpected end of stream": "a quote is not closed, or the file is only half written",
    "expected <block end>": "is this line indented like those above it?",
    "expected '<document start>'": "is this line indented like those above it?",
    "could not find expected ':'": "does the line above it end a key without ': '?",
}


def is_glued_key(line: str) -> bool:
    """Whether this looks like a key whose value begins right after the colon."""
    return _GLUED_KEY.match(line) is not None


def hint_for(problem: str, error: MarkedYAMLError, text: str) -> str:
    """A hint that begins with a semicolon, or nothing."""
    mark = error.problem_mark or error.context_mark
    lines = text.splitlines()
    if mark is not None:
        hint = _hint_in(_around(lines, mark.line), problem) or _unclosed(error, problem)
        if hint:
            return f"; {hint}"
    return next((f"; {hint}" for sign, hint in _HINTS.items() if sign in problem), "")


Numbered = tuple[int, str]


def _around(lines: Sequence[str], place: int) -> list[Numbered]:
    """The line where the parser stopped and the last one above it that is not blank."""
    above = [n for n in range(min(place, len(lines))) if lines[n].strip()][-1:]
    return [(n + 1, lines[n]) for n in (*above, place) if n < len(lines)]


def _hint_in(around: Sequence[Numbered], problem: str) -> str:
    for number, line in around:
        if NO_BREAK_SPACE in line:
            return f"line {number} contains a no-break space; type an ordinary one in its place"
        if is_glued_key(line):
            return f"put a space after the colon on line {number}"
    if "mapping values" in problem and len(around) > 1:
        (upper, complete), (lower, line) = around
        if _COMPLETE.match(complete) and _KEY.match(line) and _indent(line) > _indent(complete):
            return f"line {lower} is indented further than line {upper}; begin both alike"
    return ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _unclosed(error: MarkedYAMLError, problem: str) -> str:
    opening = error.context_mark
    mark = error.problem_mark
    if opening is None or mark is None or not problem.startswith("expected ',' or"):
        return ""
    if "<stream end>" not in problem and opening.line == mark.line:
        return ""
    return f"the bracket on line {opening.line + 1} is not closed, or the file is half written"
