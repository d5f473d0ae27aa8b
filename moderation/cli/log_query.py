"""`moderation log query` and `export`: find decisions, on the screen or for other programs."""

import sys
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.cli.flags import Config
from moderation.cli.log_flags import LogDirectory, log_directory
from moderation.cli.output import printable, say, say_table
from moderation.settings import load_settings

if TYPE_CHECKING:
    from moderation.core.record import DecisionRecord

DecisionId = Annotated[str, typer.Option("--decision-id", help="Only this decision.")]
ContentId = Annotated[str, typer.Option("--content-id", help="Only decisions on this content.")]
RequestId = Annotated[str, typer.Option("--request-id", help="Only of this request.")]
Policy = Annotated[str, typer.Option("--policy", help="Only where this policy has a verdict.")]
Action = Annotated[str, typer.Option("--action", help="Only allow, review or block.")]
Since = Annotated[str, typer.Option("--since", help="Not before: 2026-03-01, or with a time.")]
Until = Annotated[str, typer.Option("--until", help="Not after; a day alone ends as it begins.")]
ACTIONS = ("", "ALLOW", "REVIEW", "BLOCK")
SHOWN_AT_MOST = 1000


class ExportFormat(StrEnum):
    """What an export looks like."""

    CSV = "csv"
    JSONL = "jsonl"


def query(
    decision_id: DecisionId = "",
    content_id: ContentId = "",
    request_id: RequestId = "",
    policy: Policy = "",
    action: Action = "",
    since: Since = "",
    until: Until = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most decisions shown.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    log: LogDirectory = None,
    config: Config = None,
) -> int:
    """Show the last decisions that are asked for, in the order of the log."""
    from collections import deque

    from moderation.cli.log_forms import decisions_table, json_line

    wanted = (decision_id, content_id, request_id, policy, action, since, until)
    shown = deque(_found(wanted, log, config), maxlen=limit)
    if as_json:
        for record in shown:
            say(json_line(record))
    elif shown:
        say_table(decisions_table(shown))
    else:
        say("no such decision")
    return Exit.ALLOW


def export(
    decision_id: DecisionId = "",
    content_id: ContentId = "",
    request_id: RequestId = "",
    policy: Policy = "",
    action: Action = "",
    since: Since = "",
    until: Until = "",
    form: Annotated[ExportFormat, typer.Option("--format", help="Of the output.")] = (
        ExportFormat.CSV
    ),
    log: LogDirectory = None,
    config: Config = None,
) -> int:
    """Write all decisions that are asked for to standard output."""
    from moderation.cli.log_forms import csv_lines, json_line

    wanted = (decision_id, content_id, request_id, policy, action, since, until)
    found = _found(wanted, log, config)
    lines = csv_lines(found) if form is ExportFormat.CSV else map(json_line, found)
    for line in lines:
        say(line)
    return Exit.ALLOW


def _found(
    wanted: tuple[str, str, str, str, str, str, str], log: Path | None, config: Path | None
) -> "Iterator[DecisionRecord]":
    """Raises CommandError."""
    settings = load_settings({}, config)
    from moderation.adapters.decision_log.reading import Query, find
    from moderation.adapters.decision_log.segments import LogUnavailable
    from moderation.recording import KeyUnusable, record_codec

    decision_id, content_id, request_id, policy, action, since, until = wanted
    if action.upper() not in ACTIONS:
        raise CommandError(f"--action {action}: use allow, review or block", Exit.USAGE)
    query = Query(
        decision_id,
        content_id,
        policy,
        action.upper(),
        _moment("--since", since),
        _moment("--until", until),
        request_id,
    )
    directory = log_directory(log, settings)
    try:
        yield from find(directory, query, record_codec(settings), _warn)
    except LogUnavailable as error:
        raise CommandError(str(error), Exit.NO_INPUT) from error
    except KeyUnusable as error:
        raise CommandError(str(error), Exit.CONFIG) from error


def _moment(flag: str, text: str) -> datetime | None:
    if not text:
        return None
    from datetime import UTC

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        problem = f"{flag} {text}: write 2026-03-01 or 2026-03-01T12:00:00Z"
        raise CommandError(problem, Exit.USAGE) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _warn(problem: str) -> None:
    print(f"moderation: {printable(problem)}", file=sys.stderr)
