"""Runs a bundle beside its original, on this machine, and tells the outcome."""

import json
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder
from moderation.adapters.encoders.manifest import (
    PARITY_FILE,
    REFERENCE_FILE,
    Manifest,
    ManifestError,
)
from moderation.adapters.encoders.onnx_session import onnxruntime_name
from moderation.adapters.encoders.parity import ParityReport, Reference, judge, measure
from moderation.adapters.encoders.registry import find_bundle, load_encoder
from moderation.adapters.images import DecodeLimits, PillowDecoder
from moderation.cli.exits import CommandError, Exit
from moderation.cli.pictures import find_pictures
from moderation.core.errors import BundleRejected
from moderation.settings import bundle_store, load_settings


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a bundle is compared with; without a source, with the reference inside it."""

    source: str | None = None
    revision: str | None = None
    images: Path | None = None


def verify_bundle(bundle: str, comparison: Comparison, *, store: bool, as_json: bool) -> Exit:
    """Verify and show; raises BundleRejected or CommandError if nothing can be compared."""
    directory = find_bundle(bundle, store=bundle_store(load_settings({})))
    encoder = load_encoder(str(directory), allow_unverified=True)
    manifest = Manifest.load(directory)
    if manifest.is_starter and comparison.source is None:
        print(f"{manifest.name}: every digest is right; it has no original to compare with")
        return Exit.ALLOW
    report = parity_of(encoder, manifest, _reference(directory, manifest, comparison))
    if store:
        _store(report, directory, manifest)
    show_report(report, as_json=as_json)
    return Exit.CONFIG if report.failing else Exit.ALLOW


def parity_of(encoder: OnnxDualEncoder, manifest: Manifest, reference: Reference) -> ParityReport:
    """Measure a loaded bundle with the decoder that a server would use."""
    decoder = PillowDecoder(encoder.info.pixels, DecodeLimits())
    measured = measure(encoder, reference, decoder.decode)
    return ParityReport(
        encoder_id=manifest.encoder_id,
        precision=manifest.precision,
        runtime=f"{onnxruntime_name()}, {encoder.info.device}",
        pictures=len(reference.pictures),
        texts=len(reference.texts),
        checks=judge(measured, manifest.precision),
    )


def show_report(report: ParityReport, *, as_json: bool) -> None:
    """Print a table, or JSON with each check's outcome."""
    if as_json:
        checks = [{**check.model_dump(), "passed": check.passed} for check in report.checks]
        print(json.dumps({**report.model_dump(), "checks": checks}))
        return
    table = Table("measure", "value", "required", "", box=None)
    for check in report.checks:
        outcome = "ok" if check.passed else "FAILS"
        table.add_row(check.name, f"{check.value:.6f}", f"{check.required:g}", outcome)
    Console().print(table)
    print(f"{report.pictures} pictures, {report.texts} texts, {report.precision}, {report.runtime}")


def show_bundle(bundle: str, *, as_json: bool) -> Exit:
    """Describe a bundle and show its report, without loading it; raises BundleRejected."""
    directory = find_bundle(bundle, store=bundle_store(load_settings({})))
    try:
        manifest = Manifest.load(directory)
    except ManifestError as error:
        raise BundleRejected(str(error)) from error
    report = ParityReport.load(directory) if PARITY_FILE in manifest.files else None
    if as_json:
        parity = report.model_dump() if report else None
        described = {**manifest.model_dump(), "encoder_id": manifest.encoder_id, "parity": parity}
        print(json.dumps(described))
        return Exit.ALLOW
    Console().print(_description(directory, manifest))
    if report:
        show_report(report, as_json=False)
    elif not manifest.is_starter:
        print("not verified: there is no parity report")
    return Exit.ALLOW


def _description(directory: Path, manifest: Manifest) -> Table:
    image, score = manifest.image, manifest.score
    size = sum((directory / file).stat().st_size for file in manifest.files)
    table = Table(box=None, show_header=False)
    table.add_row("name", manifest.name)
    table.add_row("encoder id", manifest.encoder_id)
    table.add_row("family", f"{manifest.family}, {manifest.precision}, {manifest.dim} dimensions")
    table.add_row("pictures", f"{image.size_px} px, {image.crop} crop, {image.interpolation}")
    table.add_row("texts", f"at most {manifest.text.max_tokens} tokens")
    table.add_row(
        "score", f"scale {score.scale:g}, bias {score.bias:g}, temperature {score.temperature:g}"
    )
    table.add_row("size", f"{size / 1e6:.0f} MB")
    for source in manifest.sources:
        table.add_row("source", f"{source.name} {source.version}, license {source.license}")
    if manifest.notice:
        table.add_row("notice", manifest.notice)
    return table


def _reference(directory: Path, manifest: Manifest, comparison: Comparison) -> Reference:
    if comparison.source is not None:
        from moderation.cli.bundle_export import reference_of

        return reference_of(
            comparison.source, revision=comparison.revision, pictures=_pictures(comparison.images)
        )
    if comparison.images is not None:
        raise CommandError("--images needs --against: the original must see them too", Exit.USAGE)
    if REFERENCE_FILE not in manifest.files:
        raise CommandError(
            f"{directory}: has no {REFERENCE_FILE} to compare with; name the model with --against",
            Exit.CONFIG,
        )
    return Reference.load(directory / REFERENCE_FILE)


def _pictures(folder: Path | None) -> list[bytes] | None:
    if folder is None:
        return None
    return [path.read_bytes() for path in find_pictures([folder])]


def _store(report: ParityReport, directory: Path, manifest: Manifest) -> None:
    try:
        report.store(directory, manifest)
    except OSError as error:
        raise CommandError(
            f"{directory}: the report cannot be stored: {error.strerror}; use --no-store",
            Exit.NO_INPUT,
        ) from error
