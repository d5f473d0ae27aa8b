"""Judges a recorded decision again, and says in what the answers differ."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from moderation.core.content import Embeddings
from moderation.core.decision import Options, decide
from moderation.core.policy import Action
from moderation.core.record import DecisionRecord, RecordedVerdict, recorded_verdict
from moderation.core.scoring import CompiledPolicies, score

SAME_SCORE = 1e-3
"""Scores that differ by less are the same: pictures that are encoded together share a sum."""


def judge_again(
    record: DecisionRecord, embeddings: Embeddings, compiled: CompiledPolicies
) -> DecisionRecord:
    """What these policies say of the content, by the profile and the options of the record.

    Raises InvalidRequest if they have no such profile, or no longer the policies asked for.
    """
    cuts = compiled.cuts[compiled.policy_set.profile(record.profile).id]
    options = Options(profile=record.profile, policy_ids=frozenset(record.policy_ids))
    scores = score(embeddings, compiled)
    outcome = decide(scores, compiled, cuts, options, content_id=record.content_id)
    return replace(
        record,
        action=outcome.action.name,
        deciding_policy_id=outcome.deciding.policy.id if outcome.deciding else "",
        verdicts=tuple(recorded_verdict(one) for one in outcome.verdicts),
        verdicts_left_out=0,
        audited=outcome.audited,
        frames_judged=len(embeddings),
        failure_code="",
        failure_message="",
        policy_set_version=compiled.policy_set.version,
        encoder_id=compiled.encoder_id,
    )


def unjudgeable_again(
    record: DecisionRecord, code: str, message: str, compiled: CompiledPolicies
) -> DecisionRecord:
    """What these policies say of content that could not be judged when it was replayed."""
    profile = compiled.policy_set.profile(record.profile)
    return replace(
        record,
        action=profile.on_unjudgeable.name,
        deciding_policy_id="",
        verdicts=(),
        verdicts_left_out=0,
        audited=False,
        frames_judged=0,
        failure_code=code,
        failure_message=message,
        policy_set_version=compiled.policy_set.version,
        encoder_id=compiled.encoder_id,
    )


def causes(record: DecisionRecord, again: DecisionRecord) -> tuple[str, ...]:
    """What was not the same when it was judged again, and may explain another answer."""
    pairs = (
        ("policy set", record.policy_set_version, again.policy_set_version),
        ("encoder", record.encoder_id, again.encoder_id),
    )
    return tuple(f"{what}: {old[:12]}, now {new[:12]}" for what, old, new in pairs if old != new)


def differences(record: DecisionRecord, again: DecisionRecord) -> tuple[str, ...]:
    """In what the answers differ, each with the recorded value first; empty if in nothing."""
    return tuple(chain(_of_answer(record, again), _of_verdicts(record, again)))


def _of_answer(record: DecisionRecord, again: DecisionRecord) -> Iterator[str]:
    pairs = (
        ("action", record.action, again.action),
        ("deciding policy", record.deciding_policy_id, again.deciding_policy_id),
        ("failure", record.failure_code, again.failure_code),
        ("audited", str(record.audited), str(again.audited)),
        ("frames judged", str(record.frames_judged), str(again.frames_judged)),
    )
    for what, old, new in pairs:
        if old != new:
            yield f"{what}: {old or 'none'}, now {new or 'none'}"


def _of_verdicts(record: DecisionRecord, again: DecisionRecord) -> Iterator[str]:
    old_by_id, new_by_id = _by_id(record), _by_id(again)
    for policy_id in sorted(old_by_id.keys() | new_by_id.keys()):
        old, new = old_by_id.get(policy_id), new_by_id.get(policy_id)
        if old is None or new is None:
            if not record.verdicts_left_out:
                yield f"{policy_id}: {_brief(old)}, now {_brief(new)}"
        elif not _is_same(old, new):
            yield f"{policy_id}: {_brief(old)}, now {_brief(new)}"


def _by_id(record: DecisionRecord) -> dict[str, RecordedVerdict]:
    return {one.policy_id: one for one in record.verdicts}


def _is_same(old: RecordedVerdict, new: RecordedVerdict) -> bool:
    settled = [(one.action, one.mode, one.review, one.block, one.calibrated) for one in (old, new)]
    return settled[0] == settled[1] and abs(old.score - new.score) < SAME_SCORE


def _brief(verdict: RecordedVerdict | None) -> str:
    if verdict is None:
        return "not among the verdicts that matter"
    block = "never" if verdict.block is None else f"{verdict.block:g}"
    shadow = (
        " (shadow)" if verdict.mode != "enforce" and verdict.action != Action.ALLOW.name else ""
    )
    cuts = f"review {verdict.review:g}, block {block}"
    return f"{verdict.action}{shadow} at {verdict.score:.4f} ({cuts})"
