"""Looks at the metrics again and again, and shows what happened in between."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from moderation.cli.exits import CommandError, Exit
from moderation.cli.observing.interval import Interval
from moderation.cli.observing.scrape import NoMetrics, Scrape, metrics_url, scraped
from moderation.cli.observing.screen import screen
from moderation.cli.output import printable, say_shown


def watch(url: str, *, interval_s: float, once: bool, most_policies: int) -> Exit:
    """Show until Ctrl-C, or one frame; raises CommandError if that one cannot be had."""
    page = metrics_url(url)
    if once:
        say_shown(_one_frame(page, interval_s, most_policies))
        return Exit.ALLOW
    frames = _frames(page, interval_s, most_policies)
    with suppress(KeyboardInterrupt), _ended_by_signals():
        if not sys.stdout.isatty():
            for frame in frames:
                say_shown(frame)
        with Live(console=Console(), screen=True, auto_refresh=False) as live:
            for frame in frames:
                live.update(frame, refresh=True)
    return Exit.ALLOW


def _one_frame(page: str, interval_s: float, most_policies: int) -> RenderableType:
    try:
        first = scraped(page)
        time.sleep(interval_s)
        return screen(Interval(first, scraped(page)), page, most_policies=most_policies)
    except NoMetrics as error:
        raise CommandError(f"{page}: {error}", Exit.UNAVAILABLE) from error


def _frames(page: str, interval_s: float, most_policies: int) -> Iterator[RenderableType]:
    """Without end; while nobody answers, the last good one with a word about it."""
    last: Scrape | None = None
    shown: RenderableType = ""
    while True:
        try:
            now = scraped(page)
            shown = screen(Interval(last, now), page, most_policies=most_policies)
            yield shown
            last = now
        except NoMetrics as error:
            told = printable(f"{page}: {error}; trying again every {interval_s:g} s")
            yield Group(Text(told, style="bold red"), shown)
        time.sleep(interval_s)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM as Ctrl-C: the terminal has to be given back as it was."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
