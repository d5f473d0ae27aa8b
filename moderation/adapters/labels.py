"""Labels from a CSV or JSON Lines file; every mistake is told with its file and line.

Columns, or keys: `policy`, `violating`, and `image` (a path, relative to the file)
or `content_id`. Others are left alone: labelling tools export more than is needed here.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moderation.core.errors import LabelsRejected, Problem
from moderation.core.labels import Label

MAX_FILE_BYTES = 256 * 2**20
MAX_PROBLEMS = 50

_ANSWERS: Mapping[str, bool] = {
    **dict.fromkeys(("yes", "true", "1"), True),
    **dict.fromkeys(("no", "false", "0"), False),
}
_REQUIRED = ("policy", "violating")
_CONTENTS = ("image", "content_id")


class _Unreadable(Exception):
    """A line, or the whole file, cannot be read; its message is for the user."""


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    value_by_key: Mapping[str, Any]
    problem: str = ""
    """Why the line has no values, if it has none."""


def read_labels(path: Path) -> tuple[Label, ...]:
    """The labels of a file, in its order; raises LabelsRejected with every problem found."""
    try:
        rows = _rows_reader(path)(_text(path))
        labels, problems = _labels(path, rows)
    except _Unreadable as error:
        raise LabelsRejected((Problem(str(path), 0, 0, str(error)),)) from error
    if problems:
        raise LabelsRejected(_shortened(path, problems))
    if not labels:
        raise LabelsRejected((Problem(str(path), 0, 0, "holds no label"),))
    return tuple(labels)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _Unreadable(f"is larger than {MAX_FILE_BYTES} bytes; split it")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _Unreadable(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _Unreadable(f"is not UTF-8 (byte {error.start}); save it as UTF-8") from error


def _rows_reader(path: Path) -> Callable[[str], Iterator[_Row]]:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise _Unreadable(f"has an unknown ending; use one of {', '.join(_READERS)}")
    return reader


def _csv_rows(text: str) -> Iterator[_Row]:
    header_line = text.partition("\n")[0]
    # Spreadsheets separate by semicolons where the comma is the decimal point.
    delimiter = ";" if ";" in header_line and "," not in header_line else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if problem := _header_problem(header):
            raise _Unreadable(f"line 1: {problem}")
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                problem = f"has {len(cells)} columns, the header has {len(header)}"
                yield _Row(reader.line_num, {}, problem)
            else:
                yield _Row(reader.line_num, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise _Unreadable(f"line {reader.line_num}: is not valid CSV: {error}") from error


def _header_problem(header: list[str]) -> str:
    missing = [name for name in _REQUIRED if name not in header]
    if missing or not any(name in header for name in _CONTENTS):
        return f"must name the columns image (or content_id), policy, violating; got {header}"
    repeated = sorted({name for name in header if header.count(name) > 1})
    return f"names the columns {repeated} more than once" if repeated else ""


def _json_rows(text: str) -> Iterator[_Row]:
    for line, written in enumerate(text.split("\n"), start=1):
        if not written.strip():
            continue
        try:
            value = json.loads(written)
        except (ValueError, RecursionError) as error:
            yield _Row(line, {}, f"is not valid JSON: {error}")
            continue
        is_object = isinstance(value, dict)
        yield _Row(line, value if is_object else {}, "" if is_object else "must be a JSON object")


_READERS: Mapping[str, Callable[[str], Iterator[_Row]]] = {
    ".csv": _csv_rows,
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
}


def _labels(path: Path, rows: Iterator[_Row]) -> tuple[list[Label], list[Problem]]:
    first_by_subject: dict[tuple[tuple[bool, str], str], int] = {}
    labels: list[Label] = []
    problems: list[Problem] = []
    for row in rows:
        try:
            label = _label(row, path.parent)
            subject = (label.subject, label.policy_id)
            first = first_by_subject.setdefault(subject, row.line)
            if first != row.line:
                # Counted twice it would look like more evidence than there is.
                raise _Unreadable(f"the same content and policy are on line {first}; remove one")
            labels.append(label)
        except _Unreadable as error:
            problems.append(Problem(str(path), row.line, 1, str(error)))
    return labels, problems


def _label(row: _Row, directory: Path) -> Label:
    if row.problem:
        raise _Unreadable(row.problem)
    named = [key for key in _CONTENTS if row.value_by_key.get(key)]
    if len(named) != 1:
        raise _Unreadable("must have an image or a content_id, and not both")
    is_image = named[0] == "image"
    content = _required_text(row, named[0])
    return Label(
        content=str(directory / content) if is_image else content,
        policy_id=_required_text(row, "policy"),
        is_violating=_answer(row.value_by_key.get("violating")),
        is_image=is_image,
        line=row.line,
    )


def _required_text(row: _Row, key: str) -> str:
    value = row.value_by_key.get(key)
    text = value.strip() if isinstance(value, str) else ""
    if not text or not text.isprintable():
        raise _Unreadable(f"{key}: must be a printable text, got {_shown(value)}")
    return text


def _answer(value: object) -> bool:
    answer = _ANSWERS.get(str(value).strip().lower())
    if answer is None:
        raise _Unreadable(f"violating: must be yes or no, got {_shown(value)}")
    return answer


def _shown(value: object) -> str:
    return "nothing" if value is None or value == "" else ascii(value)[:60]


def _shortened(path: Path, problems: list[Problem]) -> tuple[Problem, ...]:
    if len(problems) <= MAX_PROBLEMS:
        return tuple(problems)
    more = f"has {len(problems) - MAX_PROBLEMS} more problems; mend these first"
    return (*problems[:MAX_PROBLEMS], Problem(str(path), 0, 0, more))
