"""Runs a calibration on an engine of this process's own, and tells what came of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.table import Table

from moderation.adapters.calibration_files import CalibrationFiles
from moderation.adapters.labels import read_labels
from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.cli.corpora import contents_of
from moderation.cli.exits import CommandError, Exit
from moderation.cli.output import printable, say, say_table
from moderation.cli.pictures import read_picture
from moderation.core.calibration import ThresholdTarget
from moderation.core.content import Embeddings
from moderation.core.corpus import Corpus
from moderation.core.encoder import EncoderInfo
from moderation.core.errors import LabelsRejected, PolicySetRejected
from moderation.core.labels import Label, LabelledScores
from moderation.engine import Engine, running_engine
from moderation.service.calibrate import (
    CalibratedPolicy,
    Copies,
    CurveFitter,
    Method,
    Scorer,
    calibrate,
    copies_among,
    misfits,
    require_policies,
)
from moderation.service.looking import look_at
from moderation.service.telemetry import FanOutTelemetry
from moderation.settings import Settings

ALL_PROVED = 0
SOME_REFUSED = 1
NOBODY_LISTENS = FanOutTelemetry()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a calibration is to be made of, and what is to be made of it."""

    labels: Path
    method: Method
    targets: tuple[ThresholdTarget, ...]
    html: Path | None
    is_dry: bool
    stored: tuple[Path, ...] = ()
    """Files of embeddings in which content ids are looked up; none means what a server kept."""


async def run(settings: Settings, wanted: Wanted) -> int:
    """Calibrate, report, write; raises CommandError."""
    try:
        fitter = _fitter()
        policy_set = YamlPolicySource(settings.policies.directory).load()
        labels = read_labels(wanted.labels)
        require_policies(labels, policy_set, file=str(wanted.labels))
        async with running_engine(settings, NOBODY_LISTENS) as engine:
            scorer = Scorer.of(policy_set, engine.encoder, engine.texts)
            scores = await _scores(engine, scorer, labels, settings, wanted)
    except PolicySetRejected as error:
        raise CommandError(str(error), Exit.CONFIG) from error
    except LabelsRejected as error:
        raise CommandError(str(error), Exit.NO_INPUT) from error
    outcomes = calibrate(scorer, scores, fitter, method=wanted.method, targets=wanted.targets)
    _tell(outcomes)
    _write(outcomes, engine, settings, wanted)
    return ALL_PROVED if all(one.is_whole for one in outcomes) else SOME_REFUSED


async def check(settings: Settings) -> int:
    """List calibrations that no longer fit; raises CommandError."""
    try:
        policy_set = YamlPolicySource(settings.policies.directory).load()
        async with running_engine(settings, NOBODY_LISTENS) as engine:
            encoder_id = engine.encoder.encoder_id
            files = CalibrationFiles(settings.policies.directory, engine.encoder.scale)
            found = files.load(encoder_id)
            others = set(files.encoder_ids()) - {encoder_id}
    except PolicySetRejected as error:
        raise CommandError(str(error), Exit.CONFIG) from error
    for other in sorted(others):
        say(printable(f"calibration/{other}: is for another encoder, and not used"))
    problems = misfits(policy_set, found)
    for problem in problems:
        say(printable(problem))
    say(f"{len(found)} calibrations for encoder {encoder_id[:12]}, {len(problems)} problems")
    return SOME_REFUSED if problems else ALL_PROVED


def _fitter() -> CurveFitter:
    try:
        from moderation.adapters.calibration_fit import CrossValidatedFitter
    except ImportError as error:
        message = "calibrating needs scikit-learn: pip install 'moderation[calibrate]'"
        raise CommandError(message, Exit.CONFIG) from error
    return CrossValidatedFitter()


async def _scores(
    engine: Engine, scorer: Scorer, labels: Sequence[Label], settings: Settings, wanted: Wanted
) -> dict[str, LabelledScores]:
    read = partial(read_picture, max_bytes=settings.decode.max_image_bytes)
    has_ids = not all(label.is_image for label in labels)
    corpus = await contents_of(wanted.stored, None, engine, settings) if has_ids else None
    seen = await look_at(
        labels,
        encoder=engine.contents,
        read=lambda path: read(Path(path)),
        stored={} if corpus is None else corpus_by_id(corpus),
        in_flight=2 * settings.batching.max_batch_size,
        file=str(wanted.labels),
    )
    copies = copies_among(labels, seen, file=str(wanted.labels))
    _tell_copies(copies)
    again = {(one.subject, one.policy_id) for same in copies for one in same.others}
    return scorer.scores_of(
        [label for label in labels if (label.subject, label.policy_id) not in again], seen
    )


def _tell_copies(copies: Sequence[Copies]) -> None:
    if not copies:
        return
    again = sum(len(one.others) for one in copies)
    labels = "1 label is" if again == 1 else f"{again} labels are"
    first, other = copies[0].first, copies[0].others[0]
    say(
        f"{labels} of a picture that was labelled before and did not count again, "
        f"such as line {other.line}, the same as line {first.line}"
    )


def corpus_by_id(corpus: Corpus) -> dict[str, Embeddings]:
    """Each content's embeddings; of an id that was stored more than once, the latest."""
    return {one: corpus.frames_of(number) for number, one in enumerate(corpus.content_ids)}


def _tell(outcomes: Sequence[CalibratedPolicy]) -> None:
    columns = ("policy", "violating", "benign", "curve", "log loss", "target", "threshold")
    table = Table(*columns, "proved (95 %)", "errors", box=None)
    for outcome in outcomes:
        for row in _rows(outcome):
            table.add_row(*row)
    say_table(table)
    for outcome in outcomes:
        if outcome.refusal:
            say(printable(f"{outcome.policy_id}: no calibration: {outcome.refusal}"))
        for refused in outcome.refused:
            say(printable(f"{outcome.policy_id}: refused: {refused}"))


def _rows(outcome: CalibratedPolicy) -> Iterator[tuple[str, ...]]:
    counts = (str(outcome.scores.n_violating), str(outcome.scores.n_benign))
    if outcome.calibration is None or outcome.fitted is None:
        yield (outcome.policy_id, *counts, "none", *[""] * 5)
        return
    method = outcome.calibration.method
    curve = (method, f"{outcome.fitted.log_loss[method]:.3f}")
    if not outcome.calibration.solved:
        yield (outcome.policy_id, *counts, *curve, *[""] * 4)
    for solved in outcome.calibration.solved:
        proof = (f"{solved.bound:.4f}", f"{solved.errors} of {solved.count}")
        target = (str(solved.target), f"{solved.threshold:.6f}")
        yield (outcome.policy_id, *counts, *curve, *target, *proof)


def _write(
    outcomes: Sequence[CalibratedPolicy], engine: Engine, settings: Settings, wanted: Wanted
) -> None:
    files = CalibrationFiles(settings.policies.directory, engine.encoder.scale)
    try:
        for outcome in outcomes:
            if outcome.calibration is not None and not wanted.is_dry:
                say(f"written: {files.save(outcome.calibration)}")
        if wanted.html is not None:
            _write_page(wanted.html, outcomes, engine.encoder)
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}", Exit.SOFTWARE) from error


def _write_page(path: Path, outcomes: Sequence[CalibratedPolicy], encoder: EncoderInfo) -> None:
    try:
        from moderation.adapters.pages.calibration import calibration_page
    except ImportError as error:
        message = "--html needs altair and vl-convert: pip install 'moderation[report]'"
        raise CommandError(message, Exit.CONFIG) from error
    path.write_text(calibration_page(outcomes, encoder), encoding="utf-8")
    say(f"written: {path}")
