"""How recorded decisions are shown, and how they are exported."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from rich.table import Table

from moderation.cli.output import printable
from moderation.core.record import DecisionRecord, RecordedVerdict

COLUMNS = (
    "decision_id",
    "decided_at",
    "tenant",
    "content_id",
    "content_digest",
    "profile",
    "policy_set_version",
    "encoder_id",
    "action",
    "deciding_policy_id",
    "score",
    "review",
    "block",
    "failure_code",
    "audited",
    "frames_judged",
    "verdicts",
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def decisions_table(records: Iterable[DecisionRecord]) -> Table:
    """The essentials, a row a decision."""
    table = Table("time", "decision", "content", "action", "why", "profile", "policies", box=None)
    for one in records:
        why = one.failure_code or one.deciding_policy_id or ("audit" if one.audited else "")
        cells = (one.decided_at[:19], one.decision_id, one.content_id, one.action, why, one.profile)
        table.add_row(*map(printable, (*cells, one.policy_set_version[:12])))
    return table


def json_line(record: DecisionRecord) -> str:
    """The whole record, in ASCII."""
    return json.dumps(asdict(record))


def csv_lines(records: Iterable[DecisionRecord]) -> Iterator[str]:
    """A heading, and a line a decision; texts that a spreadsheet would execute get a `'`."""
    yield _csv_line(COLUMNS)
    for record in records:
        yield _csv_line(_cells(record))


def _cells(record: DecisionRecord) -> list[str]:
    deciding = {one.policy_id: one for one in record.verdicts}.get(record.deciding_policy_id)
    known = asdict(record)
    known |= {"score": "", "review": "", "block": ""}
    if deciding is not None:
        known |= {"score": deciding.score, "review": deciding.review, "block": deciding.block}
    known["verdicts"] = "; ".join(_brief(one) for one in record.verdicts)
    return ["" if known[name] is None else str(known[name]) for name in COLUMNS]


def _brief(verdict: RecordedVerdict) -> str:
    return f"{verdict.policy_id} {verdict.action} {verdict.score:.4f} {verdict.mode}"


def _csv_line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    safe = [f"'{cell}" if cell.startswith(FORMULA) else cell for cell in cells]
    csv.writer(line, lineterminator="").writerow(safe)
    return line.getvalue()
