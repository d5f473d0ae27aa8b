"""What the service promises about bad input and failures: 107 cases, and which test shows each.

A test names its cases by `@pytest.mark.case(numbers)`. With `--cases FILE` the outcome of each
is written as a table; a case that no test showed ends the run with an error.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

IA = "INVALID_ARGUMENT"
UJ = "unjudgeable: the profile's posture"
RE = "RESOURCE_EXHAUSTED with a time to wait"
TOO_MUCH = "RESOURCE_EXHAUSTED, by gRPC itself; to come again would be in vain"
DE = "DEADLINE_EXCEEDED"
UA = "UNAVAILABLE"
PD = "PERMISSION_DENIED"
UN = "UNAUTHENTICATED"
UI = "UNIMPLEMENTED"
OK = "judged"
NS = "NOT_SERVING, and why"
REFUSES = "does not start, and says why"
LKG = "refused at its place; the last good set stays"

GROUPS: Mapping[str, Mapping[int, tuple[str, str]]] = {
    "Image bytes": {
        1: ("no bytes", IA),
        2: ("one byte", UJ),
        3: ("text, HTML, a zip", UJ),
        4: ("a JPEG cut off", UJ),
        5: ("a PNG cut off", UJ),
        6: ("a wrong checksum", UJ),
        7: ("a PNG of 13,000 pixels a side", UJ),
        8: ("one bit a pixel, 60,000 by 40,000", UJ),
        9: ("a header that claims 2^31 pixels a side", UJ),
        10: ("no width, no height", UJ),
        11: ("a strip", UJ),
        12: ("10,000 frames", UJ),
        13: ("animated GIF, WebP and PNG within the limits", OK),
        14: ("a huge text in a PNG", UJ),
        15: ("a bomb of compressed text", UJ),
        16: ("a corrupt colour profile", OK),
        17: ("EXIF orientations 1 to 8", "judged, with equal scores"),
        18: ("CMYK and YCCK", OK),
        19: ("16 bits, alpha, a palette with transparency", OK),
        20: ("TIFF, EPS, SVG, PSD, DDS", UJ),
        21: ("a JPEG that is a zip as well", OK),
        22: ("a name that lies about the format", "the content decides"),
        23: ("a JPEG of thousands of scans", UJ),
        24: ("a corrupt HEIF or AVIF", UJ),
        25: ("a decoder's own collection of crashes", "judged or unjudgeable"),
        26: ("mutants of good pictures", "judged or unjudgeable"),
        27: ("an embedding that is no number", UJ),
        28: ("the same id twice", "judged twice alike"),
    },
    "gRPC wire": {
        29: ("bytes that are no message", IA),
        30: ("a message over the limit", TOO_MUCH),
        31: ("a bomb of gzip", TOO_MUCH),
        32: ("a length of 4 GiB", TOO_MUCH),
        33: ("an unknown method", UI),
        34: ("20 KB of metadata", TOO_MUCH),
        35: ("an unknown compression", "INTERNAL, by gRPC itself"),
        36: ("a flood of pings", "the connection ends"),
        37: ("rapid resets", "others see nothing"),
        38: ("more streams than allowed", "not opened"),
        39: ("connections that say nothing", "closed, and bounded"),
        40: ("half a message", "given up"),
        41: ("floods of SETTINGS and of headers", "others see nothing"),
        42: ("TLS to a plain port, plain text to a TLS port", UA),
        43: ("an idle stream", "ended"),
        44: ("a reader that does not read", "bounded"),
        45: ("a caller who leaves while decoding", "the place is freed"),
        46: ("a second server on the port", "does not start"),
    },
    "Load and deadlines": {
        47: ("ten times the load", RE),
        48: ("a full queue", RE),
        49: ("a deadline before its turn", f"{DE}, never encoded"),
        50: ("a deadline that has passed", DE),
        51: ("no deadline", "the server's own"),
        52: ("a tenant that floods", f"{RE} for it alone"),
        53: ("a storm of retries", "waits as long as it was told"),
        54: ("memory nearly full", RE),
        55: ("no descriptors left", f"{UA}, and recovers"),
        56: ("SIGTERM under load", "nothing lost"),
        57: ("a second SIGTERM", "ends in bounded time"),
        58: ("a killed worker", "replaced"),
    },
    "Model and GPU": {
        59: ("a file of the bundle missing", REFUSES),
        60: ("one bit flipped", REFUSES),
        61: ("a pickle", REFUSES),
        62: ("a graph of a wrong shape", REFUSES),
        63: ("a demanded GPU that is not there", REFUSES),
        64: ("a batch that does not fit the memory", "in parts, then RESOURCE_EXHAUSTED"),
        65: ("an encoder that hangs", f"{DE}, NOT_SERVING, then a restart"),
        66: ("an exchange of what judges under load", "no error, one version an answer"),
        67: ("a request before there is anything to judge by", UA),
    },
    "Policies": {
        68: ("wrong syntax", LKG),
        69: ("a key twice", LKG),
        70: ("an unknown key", LKG),
        71: ("a threshold out of range", LKG),
        72: ("no phrases", LKG),
        73: ("a bomb of aliases", LKG),
        74: ("deep nesting", LKG),
        75: ("a tag", LKG),
        76: ("a file of 20 MB", LKG),
        77: ("a half-written file", LKG),
        78: ("files that were deleted", LKG),
        79: ("a link out of the directory", LKG),
        80: ("a file that may not be read", LKG),
        81: ("1,000 reloads under load", "no answer of two versions"),
        82: ("a start without valid policies", NS),
        83: ("a restart while the source is gone", "serves the kept set, and says so"),
        84: ("an unknown policy in a request", IA),
    },
    "Security": {
        85: ("no credential", UN),
        86: ("an expired certificate, one of another authority", "the handshake fails"),
        87: ("another tenant's", PD),
        88: ("a key exchanged live", "the old one refused"),
        89: ("an address inside the network as an image's place", f"{IA}, no connection"),
        90: ("a path in an id", IA),
        91: ("control characters in an id", IA),
        92: ("a flood of labels", "bounded series"),
        93: ("secrets in shown settings or logs", "absent"),
        94: ("reflection where it is off", UI),
    },
    "Records and jobs": {
        95: ("a full disk", "answers and an alarm, or UNAVAILABLE where the log is mandatory"),
        96: ("a disk that hangs", "a bounded queue, then as configured"),
        97: ("kill -9 while writing", "no acknowledged record lost"),
        98: ("two writers", "both kept"),
        99: ("a corrupt line", "named, the rest readable"),
        100: ("a record of an older version", "read"),
        101: ("a job whose server is killed", "each item once"),
        102: ("5 corrupt in 400", "5 failures, 395 decisions"),
        103: ("an edit while policies are read", "one version"),
        104: ("a content erased", "no byte of it left"),
        105: ("a hold against retention", "the hold wins"),
        106: ("a clock that is set back", "order is kept"),
        107: ("nobody takes the measurements", "serving goes on"),
    },
}

COUNT = 107
SERVER_TESTS = "tests/e2e/"
"""Where a server runs in a process of its own; the other tests are of parts."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One test's outcome for one case."""

    test: str
    outcome: str


class CaseTable:
    """Collects which test showed which case; a plugin of pytest."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._shown: dict[int, list[Shown]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Outcomes of calls, and of fixtures that failed or skipped."""
        if report.when != "call" and report.outcome == "passed":
            return
        for key, value in report.user_properties:
            if key == "case":
                self._shown[int(str(value))].append(Shown(report.nodeid, report.outcome))

    def _missing(self) -> list[int]:
        return [number for number in range(1, COUNT + 1) if not self._shown.get(number)]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the table; a case without a test fails a run that passed."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(table_of(self._shown), encoding="utf-8")
        missing = self._missing()
        if missing and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the table is, and what no test showed."""
        missing = self._missing()
        terminalreporter.write_line(f"cases: {COUNT - len(missing)} of {COUNT}, see {self._file}")
        if missing:
            terminalreporter.write_line(f"no test showed: {', '.join(map(str, missing))}", red=True)


def table_of(shown: Mapping[int, Iterable[Shown]]) -> str:
    """The table in Markdown: number, case, answer, how many tests showed it, and one of them.

    One to a real server, if there is any.
    """
    lines = ["# Cases of bad input and failure", ""]
    for group, cases in GROUPS.items():
        lines += [f"## {group}", ""]
        lines += ["| case | | answer | tests | outcome | shown by | where |"]
        lines += ["|--:|---|---|--:|---|---|---|"]
        lines += [_row(number, *cases[number], list(shown.get(number, ()))) for number in cases]
        lines.append("")
    return "\n".join(lines)


def _row(number: int, what: str, answer: str, tests: list[Shown]) -> str:
    outcomes = {one.outcome for one in tests}
    worst = next((word for word in ("failed", "skipped", "passed") if word in outcomes), "not run")
    to_a_server = [one for one in tests if one.test.startswith(SERVER_TESTS)]
    shown_by = "server" if to_a_server else "unit" if tests else ""
    first = next(iter(to_a_server or tests), None)
    where = f"`{first.test.partition('[')[0]}`" if first else ""
    return f"| {number} | {what} | {answer} | {len(tests)} | {worst} | {shown_by} | {where} |"


def mark_reports(items: Iterable[pytest.Item]) -> None:
    """Let the report of each test carry its cases, so that they come back from other processes."""
    for item in items:
        for mark in item.iter_markers("case"):
            for number in mark.args:
                item.user_properties.append(("case", number))
