"""What a command line means by contents to try policies on, as their embeddings."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from moderation.adapters.corpus_file import SUFFIX, CorpusUnusable, load_corpus
from moderation.adapters.recent_store import RecentUnavailable, read_recent
from moderation.cli.exits import CommandError, Exit
from moderation.cli.output import printable
from moderation.cli.pictures import find_pictures, read_picture
from moderation.core.content import Embeddings
from moderation.core.corpus import Corpus
from moderation.core.errors import UnjudgeableContent
from moderation.engine import Engine
from moderation.settings import Settings


async def contents_of(
    on: Sequence[Path], recent: Path | None, engine: Engine, settings: Settings
) -> Corpus | None:
    """Pictures, files of embeddings, or what a server kept; None if nothing is named or kept.

    Raises CommandError.
    """
    if not on:
        return _kept(recent, engine, settings)
    stored = [path for path in on if path.suffix == SUFFIX]
    pictures = [path for path in on if path.suffix != SUFFIX]
    contents: list[tuple[str, Embeddings]] = []
    for path in stored:
        corpus = _stored(path, engine.encoder.encoder_id)
        contents += [(one, corpus.frames_of(n)) for n, one in enumerate(corpus.content_ids)]
    if pictures:
        contents += await _seen(find_pictures(pictures, tell_skipped=True), engine, settings)
    return Corpus.from_contents(contents, dim=engine.encoder.dim)


def _kept(recent: Path | None, engine: Engine, settings: Settings) -> Corpus | None:
    directory = recent or settings.recent.directory
    try:
        return read_recent(
            directory,
            encoder_id=engine.encoder.encoder_id,
            max_age_s=settings.recent.max_age_s,
            now=time.time(),
        )
    except RecentUnavailable as error:
        if recent is None:
            return None
        raise CommandError(str(error), Exit.NO_INPUT) from error


def _stored(path: Path, encoder_id: str) -> Corpus:
    try:
        return load_corpus(path, encoder_id=encoder_id)
    except (CorpusUnusable, OSError) as error:
        raise CommandError(str(error), Exit.NO_INPUT) from error


async def _seen(
    pictures: Sequence[Path], engine: Engine, settings: Settings
) -> list[tuple[str, Embeddings]]:
    waiting = iter(pictures)
    seen: dict[Path, Embeddings] = {}

    async def work() -> None:
        for path in waiting:  # shared: each worker takes the next one
            try:
                seen[path] = await embeddings_of(path, engine, settings)
            except UnjudgeableContent as error:
                # It gets the profile's posture under either policy set.
                print(printable(f"moderation: {path}: left out: {error}"), file=sys.stderr)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2 * settings.batching.max_batch_size):
            tasks.create_task(work())
    return [(str(path), seen[path]) for path in pictures if path in seen]


async def embeddings_of(path: Path, engine: Engine, settings: Settings) -> Embeddings:
    """A picture's frames; raises CommandError if it cannot be read, and UnjudgeableContent."""
    try:
        image = await asyncio.to_thread(
            read_picture, path, max_bytes=settings.decode.max_image_bytes
        )
    except OSError as error:
        raise CommandError(f"{path}: cannot be read: {error.strerror}", Exit.NO_INPUT) from error
    return (await engine.contents.encode(image)).embeddings
