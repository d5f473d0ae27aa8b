"""`moderation calibrate`: probabilities and thresholds from labels, or refusals with reasons."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.cli.flags import Bundle, Config, Device, Policies, nested
from moderation.settings import load_settings

if TYPE_CHECKING:
    from moderation.core.calibration import ThresholdTarget

UNHURRIED_QUEUE = 4096


def calibrate(
    labels: Annotated[
        Path | None,
        typer.Argument(
            help="CSV or JSON Lines: image (or content_id), policy, violating.",
            show_default=False,
        ),
    ] = None,
    policies: Policies = None,
    encoder: Bundle = None,
    device: Device = None,
    method: Annotated[
        Literal["auto", "platt", "isotonic"],
        typer.Option(help="Curve; auto takes the better one on unseen contents."),
    ] = "auto",
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Solve this too, beside the policies' own targets: max_fpr=0.005, min_recall=0.9.",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a report with plots here.", show_default=False)
    ] = None,
    stored: Annotated[
        list[Path] | None,
        typer.Option(
            "--embeddings",
            help="File of embeddings that content ids mean; else those that a server kept.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write no calibration.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only list calibrations that no longer fit.")
    ] = False,
    config: Config = None,
) -> int:
    """Learn probabilities and thresholds from labels; writes policies/calibration/.

    Ends with 0 if everything asked for was proved or, with --check, still fits, else with 1.
    """
    flags = {
        "policies.directory": policies,
        "encoder.bundle": encoder,
        "encoder.device": device,
        "batching.max_queue_size": UNHURRIED_QUEUE,
    }
    settings = load_settings(nested(flags), config)
    targets = tuple(_target(written) for written in target or ())
    if check == (labels is not None):
        raise CommandError("give a file of labels, or --check and none", Exit.USAGE)
    from moderation.cli import calibration
    from moderation.service.calibrate import Method

    if labels is None:
        return asyncio.run(calibration.check(settings))
    curve = Method(method)
    wanted = calibration.Wanted(labels, curve, targets, html, dry_run, tuple(stored or ()))
    return asyncio.run(calibration.run(settings, wanted))


def _target(written: str) -> "ThresholdTarget":
    from moderation.core.calibration import TargetKind, ThresholdTarget

    kind, _, rate = written.partition("=")
    try:
        return ThresholdTarget(TargetKind(kind.strip()), float(rate))
    except ValueError as error:
        message = f"--target {written!r}: write max_fpr=RATE or min_recall=RATE, 0 < RATE < 1"
        raise CommandError(message, Exit.USAGE) from error
