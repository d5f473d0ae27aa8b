"""From settings to what compares a policy's scores with its reference."""

import time
from collections.abc import Callable

from moderation.adapters.drift_references import SUFFIX, DriftReferences, references_of
from moderation.adapters.policy_watcher import PolicyWatcher
from moderation.core.encoder import EncoderInfo
from moderation.core.scoring import CompiledPolicies
from moderation.service.drift import DriftRules, DriftWatch
from moderation.settings import Settings


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
