"""From settings to what is followed: the policies' edits, and drift from their references."""

import time
from collections.abc import Callable
from pathlib import Path

from moderation.adapters.calibration_files import SUFFIX as CALIBRATION_SUFFIX
from moderation.adapters.calibration_files import directory_of
from moderation.adapters.drift_references import SUFFIX, DriftReferences, references_of
from moderation.adapters.policy_state import PIN_SUFFIXES
from moderation.adapters.policy_watcher import PolicyWatcher
from moderation.adapters.policy_yaml.expectations import FOLDER as TESTS_FOLDER
from moderation.core.encoder import EncoderInfo
from moderation.core.scoring import CompiledPolicies
from moderation.service.drift import DriftRules, DriftWatch
from moderation.service.ports import ChangeFeed
from moderation.settings import Settings


def policy_feeds(
    settings: Settings, encoder: EncoderInfo, state: Path, package: ChangeFeed | None
) -> tuple[ChangeFeed, ...]:
    """What tells of edits: of pins below `state`, and of a package or else of files."""
    directory, recheck_s = settings.policies.directory, settings.policies.recheck_s
    pins = PolicyWatcher(state, recheck_s=recheck_s, suffixes=PIN_SUFFIXES)
    if package is not None:
        return pins, package
    calibrations, tests = directory_of(directory, encoder.encoder_id), directory / TESTS_FOLDER
    return (
        PolicyWatcher(directory, recheck_s=recheck_s),
        PolicyWatcher(calibrations, recheck_s=recheck_s, suffixes=(CALIBRATION_SUFFIX,)),
        pins,
        *([PolicyWatcher(tests, recheck_s=recheck_s)] if settings.policies.require_tests else []),
    )


def drift_watch(
    settings: Settings, encoder: EncoderInfo, active: Callable[[], CompiledPolicies | None]
) -> DriftWatch:
    """Counts nothing until it follows the references."""
    return DriftWatch(
        DriftReferences(settings.policies.directory),
        encoder=encoder,
        rules=DriftRules(settings.drift.window_s, settings.drift.min_scores),
        active=active,
        clock=time.monotonic,
    )


async def follow_references(watch: DriftWatch, settings: Settings, encoder: EncoderInfo) -> None:
    """Read the references now and whenever they change, until this is cancelled."""
    policies = settings.policies
    directory = references_of(policies.directory, encoder.encoder_id)
    feed = PolicyWatcher(directory, recheck_s=policies.recheck_s, suffixes=(SUFFIX,))
    async with feed:
        await watch.follow(feed)
