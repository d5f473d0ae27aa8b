"""Judges pictures with an engine of this process's own."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path

from moderation.adapters.grpc.convert import decision_to_proto
from moderation.cli.exits import CommandError, Exit
from moderation.cli.output import printable
from moderation.cli.pictures import content_ids, read_picture
from moderation.cli.report import Judged, report
from moderation.client.streaming import as_judged
from moderation.core.content import Content
from moderation.core.decision import Options
from moderation.core.errors import InvalidRequest, ModerationError, Problem
from moderation.engine import Engine, running_engine
from moderation.service.lanes import Priority
from moderation.service.telemetry import FanOutTelemetry
from moderation.settings import Settings

NOBODY_LISTENS = FanOutTelemetry()


async def check_pictures(
    pictures: Sequence[Path],
    settings: Settings,
    *,
    profile: str,
    all_verdicts: bool,
    as_json: bool,
) -> Exit:
    """Load encoder and policies, judge, report; raises CommandError or BundleRejected."""
    options = Options(profile=profile, include_all_verdicts=all_verdicts)
    async with running_engine(settings, NOBODY_LISTENS) as engine:
        await load_policies(engine, settings.policies.directory)
        if engine.encoder.notice and sys.stderr.isatty():
            print(printable(engine.encoder.notice), file=sys.stderr)
        async with aclosing(judged_by_engine(engine, pictures, options, settings)) as judged:
            return await report(judged, pictures, as_json=as_json, all_verdicts=all_verdicts)


async def judged_by_engine(
    engine: Engine, pictures: Sequence[Path], options: Options, settings: Settings
) -> AsyncGenerator[Judged, None]:
    """Each picture's outcome as soon as it is known, two batches at a time."""
    judge = partial(_judge, engine, options=options, max_bytes=settings.decode.max_image_bytes)
    # Canaries and audits are drawn by the id: it must not depend on what else is judged.
    named = enumerate(zip(pictures, content_ids(pictures), strict=True))
    in_flight = 2 * settings.batching.max_batch_size
    outcomes = as_judged(judge, named, max_in_flight=in_flight)
    async with aclosing(outcomes):
        async for outcome in outcomes:
            yield outcome


async def load_policies(engine: Engine, directory: Path) -> None:
    """Load the policies of the directory; raises CommandError with every problem found."""
    if not await engine.policies.reload():
        raise _rejection(engine.policies.status.problems, directory)


def _rejection(problems: Sequence[Problem], directory: Path) -> CommandError:
    told = [str(problem) for problem in problems]
    if any(not problem.line and "/" not in problem.file for problem in problems):  # no file
        where = f"policies were looked for in {directory.absolute()}"
        told.append(f"{where}; set --policies or MODERATION_POLICIES__DIRECTORY")
    return CommandError("\n".join(told), Exit.CONFIG)


async def _judge(
    engine: Engine, named: tuple[int, tuple[Path, str]], *, options: Options, max_bytes: int
) -> Judged:
    place, (picture, content_id) = named
    try:
        image = await asyncio.to_thread(read_picture, picture, max_bytes=max_bytes)
        decision = await engine.moderator.moderate(
            Content(image, content_id), options, priority=Priority.BULK
        )
    except OSError as error:
        return Judged(place, problem=f"cannot be read: {error.strerror}")
    except InvalidRequest as error:
        if error.field.startswith("options."):
            raise CommandError(str(error), Exit.USAGE) from error
        return Judged(place, problem=str(error))
    except ModerationError as error:
        return Judged(place, problem=str(error), exit_code=Exit.SOFTWARE)
    return Judged(place, decision_to_proto(decision))
