"""Runs a policy diff with an encoder of this process's own, and shows it."""

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from moderation.cli.comparison import as_dict, lines, tables
from moderation.cli.corpora import contents_of
from moderation.cli.exits import CommandError, Exit
from moderation.cli.output import say, say_table
from moderation.cli.policy_sources import load_named
from moderation.core.errors import InvalidRequest, PolicySetRejected
from moderation.engine import Engine, running_engine, utc_now
from moderation.service.policy_diff import Comparison, PolicyComparer
from moderation.service.telemetry import FanOutTelemetry
from moderation.settings import Settings

NOBODY_LISTENS = FanOutTelemetry()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be compared, on what, and how it is to be told."""

    old: str
    new: str
    on: tuple[Path, ...]
    recent: Path | None
    profile: str
    as_json: bool
    html: Path | None


async def compare(settings: Settings, wanted: Wanted) -> Exit:
    """Load, compare, show; raises CommandError or BundleRejected."""
    async with running_engine(settings, NOBODY_LISTENS) as engine:
        old = load_named(wanted.old, settings, engine.encoder)
        new = load_named(wanted.new, settings, engine.encoder)
        corpus = await contents_of(wanted.on, wanted.recent, engine, settings)
        with ThreadPoolExecutor(os.cpu_count()) as executor:
            comparer = _comparer(engine, executor)
            run = partial(
                comparer.compare, old.policy_set, new.policy_set, corpus, profile=wanted.profile
            )
            try:
                comparison = await asyncio.to_thread(run)
            except InvalidRequest as error:
                raise CommandError(str(error), Exit.USAGE) from error
            except PolicySetRejected as error:
                raise CommandError(str(error), Exit.CONFIG) from error
    _show(comparison, wanted)
    return Exit.ALLOW


def _comparer(engine: Engine, executor: ThreadPoolExecutor) -> PolicyComparer:
    day = utc_now().date()
    return PolicyComparer(encoder=engine.encoder, texts=engine.texts, executor=executor, day=day)


def _show(comparison: Comparison, wanted: Wanted) -> None:
    if wanted.as_json:
        say(json.dumps(as_dict(comparison, wanted.old, wanted.new)))
    else:
        for line in lines(comparison, wanted.old, wanted.new):
            say(line)
        for title, table in tables(comparison):
            say(f"\n{title}")
            say_table(table)
    if wanted.html is not None:
        _write_page(comparison, wanted, wanted.html)


def _write_page(comparison: Comparison, wanted: Wanted, path: Path) -> None:
    try:
        from moderation.adapters.pages.policy_diff import policy_diff_page
    except ImportError as error:
        message = "--html needs altair and vl-convert: pip install 'moderation[report]'"
        raise CommandError(message, Exit.CONFIG) from error
    try:
        path.write_text(policy_diff_page(comparison, wanted.old, wanted.new), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", Exit.SOFTWARE) from error
    if not wanted.as_json:
        say(f"\nwritten: {path}")
