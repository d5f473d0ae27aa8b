"""Replays a decision with an engine of this process's own."""

import asyncio
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from moderation.adapters.decision_log.reading import Query, find
from moderation.adapters.decision_log.records import moment_of
from moderation.adapters.decision_log.segments import LogUnavailable
from moderation.adapters.policy_state import PolicyState
from moderation.adapters.recent_store import RecentUnavailable, read_recent
from moderation.cli.exits import CommandError, Exit
from moderation.cli.local import NOBODY_LISTENS
from moderation.cli.output import printable, say
from moderation.core.content import Embeddings, content_digest
from moderation.core.errors import InvalidRequest, PolicySetRejected, UnjudgeableContent
from moderation.core.policy import PolicySet
from moderation.core.record import DecisionRecord, embeddings_from_text
from moderation.core.replaying import causes, differences, judge_again, unjudgeable_again
from moderation.core.scoring import CompiledPolicies, compile_policies, texts_to_embed
from moderation.engine import Engine, running_engine
from moderation.packages import state_directory
from moderation.recording import KeyUnusable, record_codec
from moderation.settings import Settings


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the encoder sees in the content, and where that is from."""

    origin: str
    embeddings: Embeddings | None
    failure: UnjudgeableContent | None = None


async def replay_decision(
    decision_id: str, directory: Path, settings: Settings, *, image: Path | None
) -> Exit:
    """Find, judge again, tell; raises CommandError."""
    record = _record(decision_id, directory, settings)
    async with running_engine(settings, NOBODY_LISTENS) as engine:
        seen = await asyncio.to_thread(_seen, record, engine, settings, image)
        is_loaded = await engine.policies.reload()
        current = engine.policies.current.policy_set if is_loaded else None
        then = _policies_of_then(record, settings)
        judged_by = then or current
        if judged_by is None:
            raise CommandError("neither policies of then nor of now can be loaded", Exit.CONFIG)
        again = await asyncio.to_thread(_again, record, seen, judged_by, engine)
        now = None
        if current is not None and current.version != judged_by.version:
            now = await asyncio.to_thread(_again, record, seen, current, engine)
    return _tell(record, again, now, seen)


def _record(decision_id: str, directory: Path, settings: Settings) -> DecisionRecord:
    try:
        query = Query(decision_id=decision_id)
        found = next(find(directory, query, record_codec(settings)), None)
    except LogUnavailable as error:
        raise CommandError(str(error), Exit.NO_INPUT) from error
    except KeyUnusable as error:
        raise CommandError(str(error), Exit.CONFIG) from error
    if found is None:
        problem = f"{printable(decision_id)}: there is no such decision in {directory}"
        raise CommandError(f"{problem}; it may have been erased, or expired", Exit.NO_INPUT)
    return found


def _seen(record: DecisionRecord, engine: Engine, settings: Settings, image: Path | None) -> _Seen:
    if image is not None:
        return _looked_at(record, engine, settings, image)
    if record.failure_code:
        problem = f"the content could not be judged ({record.failure_code})"
        raise CommandError(f"{problem}; give the picture with --image to try again", Exit.USAGE)
    if record.encoder_id != engine.encoder.encoder_id:
        problem = f"it was judged by encoder {record.encoder_id[:12]}, and this one is"
        hint = "give the picture with --image, or that encoder with --encoder"
        raise CommandError(f"{problem} {engine.encoder.encoder_id[:12]}; {hint}", Exit.USAGE)
    if record.embeddings:
        frames = record.frames_judged
        return _Seen("the record", embeddings_from_text(record.embeddings, frames=frames))
    return _Seen("recent embeddings", _recent(record, settings))


def _looked_at(record: DecisionRecord, engine: Engine, settings: Settings, image: Path) -> _Seen:
    try:
        content = image.read_bytes()  # all of it: the digest is of the whole
    except OSError as error:
        problem = f"{image}: cannot be read: {error.strerror}"
        raise CommandError(problem, Exit.NO_INPUT) from error
    digest = record_codec(settings).digest(content_digest(content))
    if digest != record.content_digest:
        problem = f"{image}: is another picture than was judged, or the digest's key is another"
        raise CommandError(f"{problem}: {digest}, not {record.content_digest}", Exit.USAGE)
    try:
        return _Seen(str(image), engine.see(content))
    except UnjudgeableContent as failure:
        return _Seen(str(image), None, failure)


def _recent(record: DecisionRecord, settings: Settings) -> Embeddings:
    try:
        corpus = read_recent(settings.recent.directory, encoder_id=record.encoder_id)
        places = [n for n, one in enumerate(corpus.content_ids) if one == record.content_id]
        return corpus.frames_of(places[-1])
    except (RecentUnavailable, IndexError) as error:
        problem = "no embedding of it was kept"
        raise CommandError(f"{problem}; give the picture with --image", Exit.USAGE) from error


def _policies_of_then(record: DecisionRecord, settings: Settings) -> PolicySet | None:
    """None if they are not kept any more."""
    state = PolicyState(state_directory(settings))
    try:
        return state.kept(record.policy_set_version)
    except PolicySetRejected:
        return None


def _again(
    record: DecisionRecord, seen: _Seen, policies: PolicySet, engine: Engine
) -> DecisionRecord | None:
    """None if these policies lack what the request named."""
    compiled = _compiled(policies, engine, moment_of(record).date())
    try:
        if seen.embeddings is None:
            assert seen.failure is not None, "what was not seen has failed"
            failure = seen.failure
            return unjudgeable_again(record, failure.code.value, failure.message, compiled)
        return judge_again(record, seen.embeddings, compiled)
    except InvalidRequest:
        return None


def _compiled(policies: PolicySet, engine: Engine, day: date) -> CompiledPolicies:
    texts = sorted(texts_to_embed(policies))
    rows = engine.texts.encode_texts(texts)
    return compile_policies(
        policies,
        encoder_id=engine.encoder.encoder_id,
        scale=engine.encoder.scale,
        embedding_by_text=dict(zip(texts, rows, strict=True)),
        day=day,
        is_starter=engine.encoder.is_starter,
    )


def _tell(
    record: DecisionRecord,
    again: DecisionRecord | None,
    now: DecisionRecord | None,
    seen: _Seen,
) -> Exit:
    say(f"recorded: {_answer(record)}, {record.decided_at}, policies {_version(record)}")
    say(f"replayed: {_answer(again)}, from {printable(seen.origin)}, policies {_version(again)}")
    if now is not None:
        say(f"by the policies of now: {_answer(now)}, policies {_version(now)}")
    different = differences(record, again) if again is not None else ("no such profile or policy",)
    if not different:
        say("the same answer")
        return Exit.ALLOW
    for cause in causes(record, again) if again is not None else ():
        say(f"changed since: {cause}")
    for difference in different:
        say(f"differs: {printable(difference)}")
    return Exit.REVIEW


def _answer(record: DecisionRecord | None) -> str:
    if record is None:
        return "no answer"
    why = record.failure_code or record.deciding_policy_id
    return f"{record.action} by {why}" if why else record.action


def _version(record: DecisionRecord | None) -> str:
    return record.policy_set_version[:12] if record is not None else "without what was asked for"
