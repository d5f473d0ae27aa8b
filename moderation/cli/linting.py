"""Lints the policies' directory, and tells what was found in several forms."""

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from moderation.adapters.calibration_files import CalibrationFiles
from moderation.adapters.encoders.description import TokenLimit
from moderation.adapters.encoders.registry import describe_encoder, load_encoder
from moderation.adapters.policy_yaml.expectations import FOLDER, read_policy_tests
from moderation.adapters.policy_yaml.files import misnamed_files
from moderation.adapters.policy_yaml.places import PolicyPlaces
from moderation.adapters.policy_yaml.repairs import repair
from moderation.cli.exits import CommandError, Exit
from moderation.cli.lint_forms import ERROR, FORMS, WARNING, Told
from moderation.cli.output import say
from moderation.core.encoder import EncoderInfo
from moderation.core.errors import PolicySetRejected, Problem
from moderation.core.lint import STALE, Finding, Lint, lint
from moderation.core.policy import BindingRule, PolicySet
from moderation.core.policy_tests import PolicyTest
from moderation.core.scoring import compile_policies, texts_to_embed
from moderation.core.solving import OnStale
from moderation.loading import kept_texts
from moderation.policies import calibrated_policies
from moderation.service.binding import misfit
from moderation.service.phrases import PhraseEmbeddings
from moderation.service.ports import TextEncoder
from moderation.settings import Settings, bundle_store

REFUSED, TESTS_REFUSED = "E001", "E002"
CLEAN, FOUND = 0, 1


def run(settings: Settings, *, form: str, fix: bool, strict: bool) -> int:
    """Lint and tell; raises CommandError or BundleRejected."""
    encoder, limit = describe_encoder(
        settings.encoder.bundle, store=bundle_store(settings), device=settings.encoder.device
    )
    mended: list[Told] = []
    try:
        with _uncollected():
            if fix:
                mended = _mend(settings, encoder)
            told = look(settings, encoder, limit)
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}", Exit.SOFTWARE) from error
    for line in FORMS[form](told, mended):
        say(line)
    is_bad = any(one.level == ERROR or strict for one in told)
    return FOUND if is_bad else CLEAN


@contextmanager
def _uncollected() -> Iterator[None]:
    """Trees of a thousand files are very many objects, and none of them garbage until the end.

    To walk them again and again took a fifth to a quarter of the time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _load(settings: Settings, encoder: EncoderInfo) -> PolicySet:
    # Even where a stale one is refused, so that it hides nothing else that there is to find.
    return calibrated_policies(settings.policies.directory, encoder, OnStale.MARK).load()


def _mend(settings: Settings, encoder: EncoderInfo) -> list[Told]:
    directory = settings.policies.directory
    policies = _mended(directory, lambda: _load(settings, encoder))
    tests = _mended(directory / FOLDER, lambda: _tests(settings))
    return [
        *(Told.of_problem(REFUSED, problem, settings) for problem in policies),
        *(Told.of_problem(TESTS_REFUSED, problem, settings) for problem in tests),
    ]


def _mended(directory: Path, load: Callable[[], object]) -> list[Problem]:
    mended: list[Problem] = []
    while True:
        try:
            load()
        except PolicySetRejected as rejected:
            # What was hidden by a mistake may have a cure too; each round mends at least one.
            now = repair(directory, rejected.problems)
            mended += now
            if now:
                continue
        return mended


def _tests(settings: Settings) -> tuple[PolicyTest, ...]:
    folder = settings.policies.directory / FOLDER
    return read_policy_tests([folder]) if folder.is_dir() else ()


def look(settings: Settings, encoder: EncoderInfo, limit: TokenLimit) -> list[Told]:
    """Everything found in policies and tests, in the files' order; writes nothing into them."""
    told = look_at_policies(settings, encoder, limit)
    try:
        _tests(settings)
    except PolicySetRejected as rejected:
        told += [Told.of_problem(TESTS_REFUSED, problem, settings) for problem in rejected.problems]
    return _in_order(told)


def look_at_policies(settings: Settings, encoder: EncoderInfo, limit: TokenLimit) -> list[Told]:
    """Everything found in the policies alone, in the files' order."""
    try:
        policy_set = _load(settings, encoder)
        found = _findings(policy_set, settings, encoder, limit)
        orphans = list(_orphans(policy_set, settings, encoder))
    except PolicySetRejected as rejected:
        return [Told.of_problem(REFUSED, problem, settings) for problem in rejected.problems]
    return _in_order(
        [
            *_at_their_places(found, settings),
            *_binding(policy_set, settings, encoder),
            *_misnamed(settings),
            *orphans,
        ]
    )


def _in_order(told: Iterable[Told]) -> list[Told]:
    return sorted(told, key=lambda one: (one.file, one.line, one.column, one.code))


def _at_their_places(found: Iterable[Finding], settings: Settings) -> Iterator[Told]:
    places = PolicyPlaces(settings.policies.directory)
    for one in found:
        file, place = places.find(one.policy_id, one.key, one.text)
        yield Told.at(
            settings,
            file=file,
            line=place.line,
            column=place.column,
            cure=one.cure,
            **_judged(one, settings),
        )


def _misnamed(settings: Settings) -> Iterator[Told]:
    for name in misnamed_files(settings.policies.directory):
        yield Told.at(
            settings,
            file=name,
            line=0,
            column=0,
            code="W114",
            level=WARNING,
            message="is not read: its name must end in .yaml or .yml",
            cure=f"rename it to {name.rsplit('.', 1)[0]}, or remove it",
        )


def _orphans(policy_set: PolicySet, settings: Settings, encoder: EncoderInfo) -> Iterator[Told]:
    files = CalibrationFiles(settings.policies.directory, encoder.scale)
    policy_ids = {policy.id for policy in policy_set.policies}
    for policy_id in sorted(files.load(encoder.encoder_id).keys() - policy_ids):
        path = files.path_of(policy_id, encoder.encoder_id)
        yield Told.at(
            settings,
            file=str(path.relative_to(settings.policies.directory)),
            line=0,
            column=0,
            code="W116",
            level=WARNING,
            message=f"there is no policy {policy_id!r} for this calibration",
            cure="remove the file, or put the policy back",
        )


def _binding(policy_set: PolicySet, settings: Settings, encoder: EncoderInfo) -> Iterator[Told]:
    rule = BindingRule(settings.policies.encoder_binding)
    problem = misfit(policy_set, encoder, rule)
    if problem and rule is BindingRule.REFUSE:
        yield Told.of_problem(REFUSED, problem, settings)
    elif problem:
        yield Told.of_problem("W115", problem, settings, level=WARNING)


def _findings(
    policy_set: PolicySet, settings: Settings, encoder: EncoderInfo, limit: TokenLimit
) -> tuple[Finding, ...]:
    @cache  # it is asked for with every batch of texts that is not kept yet
    def loaded() -> TextEncoder:
        return load_encoder(
            settings.encoder.bundle,
            store=bundle_store(settings),
            device=settings.encoder.device,
            allow_unverified=settings.encoder.allow_unverified,
        )

    texts = kept_texts(settings, encoder, loaded)
    phrases = PhraseEmbeddings(texts, texts)
    phrases.embed(texts_to_embed(policy_set), active=frozenset())
    compiled = compile_policies(
        policy_set,
        encoder_id=encoder.encoder_id,
        scale=encoder.scale,
        embedding_by_text=phrases.by_text,
    )
    return lint(Lint(compiled, encoder, limit.count_cut, datetime.now(UTC).date()))


def _judged(finding: Finding, settings: Settings) -> dict[str, str]:
    message = finding.message
    if finding.text:
        message = f"{finding.key} {finding.text!r}: {message}"
    if finding.code == STALE and OnStale(settings.policies.stale_calibration) is OnStale.REFUSE:
        message = f"{message}, which policies.stale_calibration refuses"
        return {"code": REFUSED, "level": ERROR, "message": message}
    return {"code": finding.code, "level": WARNING, "message": message}
