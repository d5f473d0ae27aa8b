"""Lints the policies' directory, and tells what was found in several forms."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache

from moderation.adapters.calibration_files import CalibrationFiles
from moderation.adapters.encoders.description import TokenLimit
from moderation.adapters.encoders.registry import describe_encoder, load_encoder
from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.adapters.policy_yaml.files import misnamed_files
from moderation.adapters.policy_yaml.places import PolicyPlaces
from moderation.adapters.policy_yaml.repairs import repair
from moderation.cli.exits import CommandError, Exit
from moderation.cli.lint_forms import ERROR, FORMS, WARNING, Told
from moderation.cli.output import say
from moderation.core.encoder import EncoderInfo
from moderation.core.errors import PolicySetRejected
from moderation.core.lint import Finding, Lint, lint
from moderation.core.policy import PolicySet
from moderation.core.scoring import compile_policies, texts_to_embed
from moderation.core.solving import OnStale
from moderation.loading import kept_texts
from moderation.service.calibrating import CalibratedPolicies
from moderation.service.phrases import PhraseEmbeddings
from moderation.service.ports import TextEncoder
from moderation.settings import Settings, bundle_store

REFUSED = "E001"
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
    directory = settings.policies.directory
    return CalibratedPolicies(
        YamlPolicySource(directory),
        CalibrationFiles(directory, encoder.scale),
        encoder.encoder_id,
        OnStale.MARK,
    ).load()


def _mend(settings: Settings, encoder: EncoderInfo) -> list[Told]:
    mended: list[Told] = []
    while True:
        try:
            _load(settings, encoder)
        except PolicySetRejected as rejected:
            # What was hidden by a mistake may have a cure too; each round mends at least one.
            now = repair(settings.policies.directory, rejected.problems)
            mended += [Told.of_problem(REFUSED, problem, settings) for problem in now]
            if now:
                continue
        return mended


def look(settings: Settings, encoder: EncoderInfo, limit: TokenLimit) -> list[Told]:
    """Everything found, in the files' order; writes nothing into them."""
    try:
        policy_set = _load(settings, encoder)
        found = _findings(policy_set, settings, encoder, limit)
    except PolicySetRejected as rejected:
        return [Told.of_problem(REFUSED, problem, settings) for problem in rejected.problems]
    places = PolicyPlaces(settings.policies.directory)
    told = []
    for one in found:
        file, place = places.find(one.policy_id, one.key, one.text)
        told.append(
            Told.at(
                settings,
                file=file,
                line=place.line,
                column=place.column,
                code=one.code,
                level=WARNING,
                message=_message(one),
                cure=one.cure,
            )
        )
    told += [
        Told.at(
            settings,
            file=name,
            line=0,
            column=0,
            code="W114",
            level=WARNING,
            message="is not read: its name must end in .yaml or .yml",
            cure=f"rename it to {name.rsplit('.', 1)[0]}, or remove it",
        )
        for name in misnamed_files(settings.policies.directory)
    ]
    return sorted(told, key=lambda one: (one.file, one.line, one.column, one.code))


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


def _message(finding: Finding) -> str:
    return f"{finding.key} {finding.text!r}: {finding.message}" if finding.text else finding.message
