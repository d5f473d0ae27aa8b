"""The clock: whether it can be right, whether it runs evenly, and whether a server agrees with it.

Decisions, expiries, holds and dates in policies all go by the wall clock.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from moderation.cli.examination.findings import Finding, broken, doubtful, good
from moderation.cli.examination.running import ask_metrics
from moderation.settings import Settings

EARLIEST, LATEST = 2026, 2100
WATCHED_S = 0.2
MOST_UNEVEN_S = 0.05
MOST_SKEW_S = 3.0
"""The server's answer is to the second, and takes a moment."""
CURE = "let chrony, systemd-timesyncd or the host keep the time"


def look(settings: Settings) -> Iterator[Finding]:
    """See Check."""
    yield year(time.time())
    yield evenness(time.time, time.monotonic, time.sleep)
    yield from _skew(settings)


def year(now: float) -> Finding:
    """`now` in seconds of the epoch."""
    moment = datetime.fromtimestamp(now, UTC)
    said = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    if not EARLIEST <= moment.year < LATEST:
        return broken(f"it says {said}", "wall clock", CURE)
    return good(f"it says {said}", "wall clock")


def evenness(
    wall: Callable[[], float], monotonic: Callable[[], float], sleep: Callable[[float], None]
) -> Finding:
    """Both clocks have to go on by as much, unless one is being set."""
    before = wall() - monotonic()
    sleep(WATCHED_S)
    jump = wall() - monotonic() - before
    if abs(jump) > MOST_UNEVEN_S:
        what = f"it jumped by {jump:+.2f} s within {WATCHED_S} s"
        return doubtful(what, "wall clock", CURE)
    return good("it runs as evenly as the monotonic clock", "wall clock")


def _skew(settings: Settings) -> Iterator[Finding]:
    answer = ask_metrics(settings)
    if answer is None or not answer.is_ours or answer.said_at is None:
        return
    where = f"metrics.port {settings.metrics.host}:{settings.metrics.port}"
    skew_s = (answer.said_at - datetime.now(UTC)).total_seconds()
    if abs(skew_s) > MOST_SKEW_S:
        yield doubtful(f"the server that runs here is {skew_s:+.0f} s away", where, CURE)
    else:
        yield good("the server that runs here agrees", where)
