"""Runs policy tests with an encoder of this process's own, and shows what failed."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.table import Table

from moderation.adapters.corpus_file import save_corpus
from moderation.adapters.policy_yaml.expectations import FOLDER, read_policy_tests
from moderation.adapters.recent_store import RecentUnavailable, read_recent
from moderation.cli.exits import CommandError, Exit
from moderation.cli.local import load_policies
from moderation.cli.output import printable, say, say_table
from moderation.cli.pictures import read_picture
from moderation.core.content import Embeddings
from moderation.core.corpus import Corpus
from moderation.core.errors import PolicySetRejected
from moderation.core.policy_tests import PolicyTest, Subject, TestOutcome, failed, run_tests
from moderation.engine import Engine, running_engine
from moderation.rehearsal import embeddings_of_tests, stored_path
from moderation.service.policy_tests import (
    StoredEmbeddings,
    SubjectEmbeddings,
    as_mapping,
    shown_subject,
)
from moderation.service.telemetry import FanOutTelemetry
from moderation.settings import Settings

PASSED, FAILED = 0, 1
NOBODY_LISTENS = FanOutTelemetry()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tests are to be run, and how the outcome is to be told."""

    files: tuple[Path, ...]
    show_all: bool
    as_json: bool
    junit: Path | None
    update: bool
    recent: Path | None


async def run(settings: Settings, wanted: Wanted) -> int:
    """Run, show, write; raises CommandError or BundleRejected."""
    paths = wanted.files or (settings.policies.directory / FOLDER,)
    tests = _read(paths)
    # Tests that block an activation must not hide what they would say of it.
    unblocked = settings.model_copy(
        update={"policies": settings.policies.model_copy(update={"require_tests": False})}
    )
    async with running_engine(unblocked, NOBODY_LISTENS) as engine:
        await load_policies(engine, settings.policies.directory)
        folder = paths[0] if paths[0].is_dir() else paths[0].parent
        stored = embeddings_of_tests(folder, engine.encoder.encoder_id)
        if stored.flaw and not wanted.update:
            flaw = f"moderation: {stored.flaw}; it is not used, and --update makes it anew"
            print(printable(flaw), file=sys.stderr)
        embeddings = _embeddings(engine, settings, _with_recent(stored, settings, wanted, engine))
        started = time.perf_counter()
        outcomes = await asyncio.to_thread(_outcomes, tests, embeddings, engine)
        seconds = time.perf_counter() - started
    _show(outcomes, seconds, wanted)
    if wanted.update:
        _store(stored, embeddings.found, engine)
    return FAILED if failed(outcomes) else PASSED


def _read(paths: Sequence[Path]) -> tuple[PolicyTest, ...]:
    for path in paths:
        if not path.exists():
            raise CommandError(f"{path}: there is no such file or folder", Exit.NO_INPUT)
    try:
        tests = read_policy_tests(paths, shown=str)  # as one can open it from here
    except PolicySetRejected as rejected:
        raise CommandError(str(rejected), Exit.CONFIG) from rejected
    if not tests:
        named = ", ".join(str(path) for path in paths)
        raise CommandError(f"there is no test in {named}", Exit.NO_INPUT)
    return tests


def _embeddings(engine: Engine, settings: Settings, stored: StoredEmbeddings) -> SubjectEmbeddings:
    read = partial(read_picture, max_bytes=settings.decode.max_image_bytes)
    return SubjectEmbeddings(engine.see, engine.texts, lambda path: read(Path(path)), stored)


def _with_recent(
    stored: StoredEmbeddings, settings: Settings, wanted: Wanted, engine: Engine
) -> StoredEmbeddings:
    if not wanted.update:
        return stored
    directory = wanted.recent or settings.recent.directory
    try:
        corpus = read_recent(directory, encoder_id=engine.encoder.encoder_id)
    except RecentUnavailable as error:
        if wanted.recent is not None:
            raise CommandError(str(error), Exit.NO_INPUT) from error
        return stored
    recent = {f"embedding:{name}": frames for name, frames in as_mapping(corpus).items()}
    return replace(stored, by_name={**stored.by_name, **recent})


def _outcomes(
    tests: Sequence[PolicyTest], embeddings: SubjectEmbeddings, engine: Engine
) -> tuple[TestOutcome, ...]:
    seen = embeddings.of({test.subject: None for test in tests})
    return run_tests(tests, seen, engine.policies.current, is_starter=engine.encoder.is_starter)


def _store(stored: StoredEmbeddings, found: Mapping[str, Embeddings], engine: Engine) -> None:
    encoder = engine.encoder
    path = stored_path(stored.folder, encoder.encoder_id)
    contents = stored.updated(found, _named(stored.folder))
    corpus = Corpus.from_contents(sorted(contents.items()), dim=encoder.dim)
    try:
        save_corpus(path, corpus, encoder_id=encoder.encoder_id)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", Exit.SOFTWARE) from error


def _named(folder: Path) -> list[Subject] | None:
    """What the files of a folder name, also those that were not run; None if one is broken."""
    try:
        return [test.subject for test in read_policy_tests([folder])]
    except PolicySetRejected:
        return None


def _show(outcomes: Sequence[TestOutcome], seconds: float, wanted: Wanted) -> None:
    if wanted.as_json:
        for outcome in outcomes:
            say(json.dumps(_as_dict(outcome)))
    else:
        _show_table(outcomes, seconds, show_all=wanted.show_all)
    if wanted.junit is not None:
        try:
            wanted.junit.write_text(junit_report(outcomes, seconds), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{wanted.junit}: {error.strerror}", Exit.SOFTWARE) from error


def _show_table(outcomes: Sequence[TestOutcome], seconds: float, *, show_all: bool) -> None:
    shown = [one for one in outcomes if show_all or one.has_failed]
    if shown:
        table = Table("test", "of", "outcome", box=None)
        for one in shown:
            told = "; ".join(one.complaints) or _kind(one)
            table.add_row(*map(printable, (_place(one), shown_subject(one.test.subject), told)))
        say_table(table)
    counts = {kind: 0 for kind in ("passed", "failed", "skipped")}
    for one in outcomes:
        counts[_kind(one)] += 1
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    say(f"{told} in {seconds:.2f} s")


def _kind(outcome: TestOutcome) -> str:
    if outcome.is_skipped:
        return "skipped"
    return "failed" if outcome.has_failed else "passed"


def _place(outcome: TestOutcome) -> str:
    test = outcome.test
    return f"{test.file}:{test.line}:{test.column}"


def _as_dict(outcome: TestOutcome) -> dict[str, object]:
    test = outcome.test
    return {
        "file": test.file,
        "line": test.line,
        "column": test.column,
        "kind": test.subject.kind.value,
        "name": test.subject.name,
        "profile": test.profile,
        "outcome": _kind(outcome),
        "complaints": list(outcome.complaints),
    }


def junit_report(outcomes: Sequence[TestOutcome], seconds: float) -> str:
    """The outcomes in the form that build servers read."""
    failures = str(len(failed(outcomes)))
    facts = {"name": "policies", "tests": str(len(outcomes)), "failures": failures}
    suite = ET.Element("testsuite", {**facts, "errors": "0", "time": f"{seconds:.3f}"})
    for outcome in outcomes:
        name = printable(shown_subject(outcome.test.subject))
        case = ET.SubElement(suite, "testcase", classname=outcome.test.file, name=name)
        if outcome.is_skipped:
            ET.SubElement(case, "skipped")
        if outcome.has_failed:
            told = printable("; ".join(outcome.complaints))
            ET.SubElement(case, "failure", message=told).text = f"{_place(outcome)}: {told}"
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suite, encoding="unicode")
