"""Exports a model, verifies the bundle, and only then gives it its place."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, get_args

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from export.pretrained.errors import ExportError
from moderation.adapters.encoders.manifest import REFERENCE_FILE, Manifest
from moderation.adapters.encoders.parity import ParityReport, Precision, Reference
from moderation.adapters.encoders.registry import load_encoder
from moderation.cli.bundle_verify import parity_of, show_report
from moderation.cli.exits import CommandError, Exit

if TYPE_CHECKING:
    from export.pretrained.bundle import Pretrained

PRECISIONS: tuple[Precision, ...] = get_args(Precision)


Tell = Callable[[str], None]
"""Told of each step as it begins: the long ones take minutes."""


class Original(Protocol):
    """A model that can be written as a bundle."""

    def write(self, directory: Path, *, precision: Precision, name: str, tell: Tell) -> Manifest:
        """Write everything but the parity report, and tell of each step; raises ExportError."""
        ...


def export_bundle(
    source: str, out: Path, *, precision: str, revision: str | None, name: str | None
) -> Exit:
    """Write a bundle with its report; raises CommandError and leaves nothing behind."""
    wanted = _precision(precision)
    if out.exists():
        raise CommandError(f"{out}: exists already; name another directory", Exit.USAGE)
    called = name or source.rstrip("/").rpartition("/")[2]
    with steps() as tell:
        tell(f"loading {source}")
        original = _load(source, revision)
        try:
            report = write_verified(original, out, precision=wanted, name=called, tell=tell)
        except ExportError as error:
            raise CommandError(str(error), Exit.CONFIG) from error
    print(f"{out}: encoder {report.encoder_id[:12]}")
    return Exit.CONFIG if report.failing else Exit.ALLOW


def write_verified(
    original: Original, out: Path, *, precision: Precision, name: str, tell: Tell
) -> ParityReport:
    """Write, measure, and only then move into place; int8 that fails becomes fp32.

    Raises ExportError.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        made = Path(scratch) / "bundle"
        report = _write(original, made, precision, name, tell)
        show_report(report, as_json=False)
        if report.failing and precision == "int8":
            print("int8 is not accurate enough with this model; falling back to fp32")
            shutil.rmtree(made)
            report = _write(original, made, "fp32", name, tell)
            show_report(report, as_json=False)
        made.rename(out)
    return report


@contextmanager
def steps() -> Iterator[Tell]:
    """Show the step under way and its time on a terminal; elsewhere one line for each step."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step: print(step, file=sys.stderr)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:

        def tell(step: str) -> None:
            for task in progress.task_ids:
                progress.update(task, total=1, completed=1)
            progress.add_task(step, total=None)

        yield tell


def reference_of(source: str, *, revision: str | None, pictures: list[bytes] | None) -> Reference:
    """What the original model makes of these pictures, or of the drawn ones."""
    original = _load(source, revision)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / REFERENCE_FILE
        made = original.reference if pictures is None else original.reference_for(pictures)
        made.save(path)
        return Reference.load(path)


def _write(
    original: Original, directory: Path, precision: Precision, name: str, tell: Tell
) -> ParityReport:
    directory.mkdir()
    called = f"{name}-{precision}"
    manifest = original.write(directory, precision=precision, name=called, tell=tell)
    tell("comparing with the original")
    encoder = load_encoder(str(directory), allow_unverified=True)
    report = parity_of(encoder, manifest, Reference.load(directory / REFERENCE_FILE))
    report.store(directory, manifest)
    return report


def _load(source: str, revision: str | None) -> "Pretrained":
    try:
        from export.pretrained.bundle import Pretrained
        from export.pretrained.source import Checkpoint
    except ImportError as error:
        raise CommandError(
            f"exporting needs more packages ({error.name} is missing): "
            "`pip install moderation[export]`",
            Exit.CONFIG,
        ) from error
    try:
        return Pretrained.load(Checkpoint.find(source, revision=revision))
    except ExportError as error:
        raise CommandError(str(error), Exit.CONFIG) from error


def _precision(name: str) -> Precision:
    for precision in PRECISIONS:
        if precision == name:
            return precision
    raise CommandError(
        f"unknown precision {name!r}; use one of {', '.join(PRECISIONS)}", Exit.USAGE
    )
