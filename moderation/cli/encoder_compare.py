"""Gathers scores by two encoders, recorded or made now, and reports what a swap would change."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from moderation.adapters.encoder_pairs import PairsUnreadable, newest_pairing, read_pairs
from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.cli.encoder_report import Comparison, show
from moderation.cli.exits import CommandError, Exit
from moderation.cli.local import NOBODY_LISTENS, load_policies
from moderation.cli.pictures import find_pictures, read_picture
from moderation.core.comparison import Pair, Pairing, compare
from moderation.core.content import Content
from moderation.core.decision import Options
from moderation.core.errors import ModerationError, PolicySetRejected
from moderation.core.policy import PolicySet, Thresholds
from moderation.engine import Engine, running_engine
from moderation.settings import Settings

EVERY_VERDICT = Options(include_all_verdicts=True)
ID_SHOWN = 12


@dataclass(frozen=True, slots=True)
class _Judged:
    """One encoder's scores of the pictures that it could judge, by digest and policy."""

    encoder: str
    policy_set: PolicySet
    scores: Mapping[str, Mapping[str, float]]


def compare_recorded(settings: Settings, *, as_json: bool) -> Exit:
    """Report on the newest pairs that a server has recorded; raises CommandError."""
    directory = settings.shadow_encoder.directory
    try:
        every = read_pairs(directory)
        policy_set = YamlPolicySource(settings.policies.directory).load()
    except (PairsUnreadable, OSError) as error:
        raise CommandError(str(error), Exit.NO_INPUT) from error
    except PolicySetRejected as error:
        raise CommandError(str(error), Exit.CONFIG) from error
    pairs = newest_pairing(every)
    notes = []
    if len(pairs) < len(every):
        notes.append(f"left out {len(every) - len(pairs)} pairs of other encoders or policies")
    if pairs[-1].pairing.policy_set_version != policy_set.version:
        notes.append("the policies were edited since; scores are of the policies as they were")
    return _report(pairs, policy_set, notes, as_json=as_json)


async def compare_pictures(folder: Path, settings: Settings, *, as_json: bool) -> Exit:
    """Score a folder with both encoders, one after the other, and report; raises CommandError."""
    pictures = find_pictures([folder])
    old = await _judge(pictures, settings, settings.encoder.bundle)
    new = await _judge(pictures, settings, settings.shadow_encoder.bundle)
    pairing = Pairing(old.encoder, new.encoder, new.policy_set.version)
    pairs = [
        Pair(
            content,
            {policy: (score, new.scores[content][policy]) for policy, score in by.items()},
            pairing,
        )
        for content, by in old.scores.items()
        if content in new.scores
    ]
    if not pairs:
        raise CommandError(f"{folder}: none of its pictures can be judged", Exit.NO_INPUT)
    left_out = len(pictures) - len(pairs)
    notes = [f"left out {left_out} files that are the same or cannot be judged"] if left_out else []
    return _report(pairs, new.policy_set, notes, as_json=as_json)


async def _judge(pictures: Sequence[Path], settings: Settings, bundle: str) -> _Judged:
    chosen = settings.model_copy(
        update={
            "encoder": settings.encoder.model_copy(update={"bundle": bundle}),
            # The comparison is what a refusal would ask for.
            "policies": settings.policies.model_copy(update={"encoder_binding": "ignore"}),
        }
    )
    scores: dict[str, Mapping[str, float]] = {}
    async with running_engine(chosen, NOBODY_LISTENS) as engine:
        await load_policies(engine, settings.policies.directory)
        at_once = 2 * chosen.batching.max_batch_size
        for start in range(0, len(pictures), at_once):
            chunk = [_scores_of(one, engine, chosen) for one in pictures[start : start + at_once]]
            scores.update(found for found in await asyncio.gather(*chunk) if found is not None)
        name = f"{engine.encoder.name} ({engine.encoder.encoder_id[:ID_SHOWN]})"
        return _Judged(name, engine.policies.current.policy_set, scores)


async def _scores_of(
    picture: Path, engine: Engine, settings: Settings
) -> tuple[str, Mapping[str, float]] | None:
    try:
        image = await asyncio.to_thread(
            read_picture, picture, max_bytes=settings.decode.max_image_bytes
        )
        decision = await engine.moderator.moderate(Content(image, "picture"), EVERY_VERDICT)
    except (OSError, ModerationError):
        return None
    if decision.failure is not None:
        return None
    digest = hashlib.sha256(image).hexdigest()
    return digest, {verdict.policy.id: verdict.score for verdict in decision.verdicts}


def _report(
    pairs: Sequence[Pair], policy_set: PolicySet, notes: Sequence[str], *, as_json: bool
) -> Exit:
    contents = len({pair.content for pair in pairs})
    found = compare(pairs, _cuts(policy_set))
    show(Comparison(pairs[-1].pairing, contents, tuple(found), tuple(notes)), as_json=as_json)
    return Exit.ALLOW


def _cuts(policy_set: PolicySet) -> dict[tuple[str, str], Thresholds]:
    """The policies' own thresholds, and those by which profiles override them.

    Targets without a number are left out: a calibration solves them anew for each encoder.
    """
    written = {(policy.id, ""): policy.thresholds for policy in policy_set.policies} | {
        (policy_id, profile.id): thresholds
        for profile in policy_set.profiles.values()
        for policy_id, thresholds in profile.thresholds.items()
    }
    return {key: cuts for key, cuts in written.items() if isinstance(cuts, Thresholds)}
