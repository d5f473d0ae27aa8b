"""Shows what became of each picture: one rendering, whoever judged."""

import json
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from moderation.cli.exits import Exit, exit_for
from moderation.cli.output import printable, say, say_table
from moderation.v1 import moderation_pb2 as pb

COLUMNS = ("picture", "decision", "policy", "score", "best phrase", "time")
STYLE_BY_ACTION = {"allow": "green", "review": "yellow", "block": "red"}
MOST_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Judged:
    """A picture, by its place among those asked for, and its Decision or what hindered it."""

    place: int
    decision: pb.Decision | None = None
    problem: str = ""
    exit_code: Exit = Exit.NO_INPUT
    """What the command ends with because of a problem."""


async def report(
    judged: AsyncIterator[Judged], pictures: Sequence[Path], *, as_json: bool, all_verdicts: bool
) -> Exit:
    """Show every outcome, and tell the exit code.

    JSON lines appear as pictures are judged; the table at the end, in the order asked for.
    """
    outcomes: list[Judged] = []
    with _progress_bar() as progress:
        task = progress.add_task("judging", total=len(pictures))
        async for one in judged:
            outcomes.append(_brief(one) if as_json else one)
            if as_json:
                say(json_line(one, pictures[one.place]))
            progress.advance(task)
    if not as_json:
        say_table(_table(outcomes, pictures, all_verdicts=all_verdicts))
    return exit_of(outcomes)


def exit_of(outcomes: Sequence[Judged]) -> Exit:
    """The strictest action, unless a picture went unjudged: then nothing vouches for the whole."""
    problems = [one.exit_code for one in outcomes if one.decision is None]
    if problems:
        return max(problems)
    return exit_for(one.decision.action for one in outcomes if one.decision is not None)


def json_line(judged: Judged, picture: Path) -> str:
    """One JSON object: the Decision as the proto file describes it, and the picture."""
    line: dict[str, object] = {"picture": str(picture)}
    if judged.decision is None:
        line["error"] = judged.problem
    else:
        line |= as_dict(judged.decision)
    return json.dumps(line)


def as_dict(message: Message) -> dict[str, object]:
    """The message under the names of the proto file, fields that are zero or empty included."""
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def rows(judged: Judged, picture: Path, *, all_verdicts: bool) -> Iterator[tuple[str, ...]]:
    """The table's rows for one picture: a row, or one for each verdict."""
    name, decision = printable(str(picture)), judged.decision
    if decision is None:
        yield (name, "error", printable(judged.problem), "", "", "")
        return
    took = f"{decision.timings.total.ToNanoseconds() / 1e6:.0f} ms"
    action = _action(decision.action) + (" (audit)" if decision.audited else "")
    if decision.HasField("failure"):
        yield (name, action, _failure(decision.failure), "", "", took)
        return
    deciding = _deciding(decision)
    if deciding is None:
        yield (name, action, "", "", "", took)
        return
    yield (name, action, *_verdict_cells(deciding), took)
    if all_verdicts:
        for verdict in decision.verdicts:
            if verdict is not deciding:
                yield ("", _action(verdict.action), *_verdict_cells(verdict), "")


def compare(score: float, threshold: float) -> str:
    """`0.87 >= 0.80`, with as many digits as it takes to see the difference."""
    sign = ">=" if score >= threshold else "<"
    digits = 2
    while digits < MOST_DIGITS and score != threshold:
        if f"{score:.{digits}f}" != f"{threshold:.{digits}f}":
            break
        digits += 1
    return f"{score:.{digits}f} {sign} {threshold:.{digits}f}"


def _brief(judged: Judged) -> Judged:
    """Without the verdicts: a long run must not gather what it has printed already."""
    if judged.decision is None:
        return judged
    return Judged(judged.place, pb.Decision(action=judged.decision.action))


def _table(outcomes: Sequence[Judged], pictures: Sequence[Path], *, all_verdicts: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, overflow="fold", justify="right" if column == "time" else "left")
    for one in sorted(outcomes, key=lambda outcome: outcome.place):
        for row in rows(one, pictures[one.place], all_verdicts=all_verdicts):
            table.add_row(*(Text(cell, style=STYLE_BY_ACTION.get(cell, "")) for cell in row))
    return table


def _verdict_cells(verdict: pb.Verdict) -> tuple[str, str, str]:
    blocked = verdict.action == pb.ACTION_BLOCK
    threshold = verdict.block_threshold if blocked else verdict.review_threshold
    shadow = " (shadow)" if verdict.mode == pb.MODE_SHADOW else ""
    phrase = verdict.phrases[0].text if verdict.phrases else ""
    return (
        printable(verdict.policy_id) + shadow,
        compare(verdict.score, threshold),
        printable(phrase),
    )


def _deciding(decision: pb.Decision) -> pb.Verdict | None:
    """The verdict that decided; for an ALLOW the one that came nearest to acting."""
    acting = [verdict for verdict in decision.verdicts if verdict.mode != pb.MODE_SHADOW]
    named = [verdict for verdict in acting if verdict.policy_id == decision.deciding_policy_id]
    return next(iter([*named, *acting, *decision.verdicts]), None)


def _failure(failure: pb.Failure) -> str:
    code = pb.FailureCode.Name(failure.code).removeprefix("FAILURE_CODE_").lower()
    return printable(f"{code}: {failure.message}")


def _action(action: pb.Action) -> str:
    return pb.Action.Name(action).removeprefix("ACTION_").lower()


def _progress_bar() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    )
