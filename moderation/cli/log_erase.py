"""`moderation log erase`: remove what was kept of a content, wherever that is."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from moderation.cli.exits import CommandError, Exit
from moderation.cli.flags import Config
from moderation.cli.log_flags import LogDirectory, log_directory
from moderation.cli.output import say
from moderation.settings import Settings, load_settings

SHA256 = "sha256:"
Wanted: TypeAlias = Sequence[tuple[str, bool]]
"""Content ids, and whether each is only how ids begin."""


def erase(
    content_ids: Annotated[
        list[str] | None,
        typer.Option("--content-id", help="Content id, whole; may be repeated."),
    ] = None,
    prefixes: Annotated[
        list[str] | None,
        typer.Option(
            "--content-id-prefix",
            help="How content ids begin, such as a person's user-17/; may be repeated.",
        ),
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="The picture, to find what is kept by its digest.")
    ] = None,
    log: LogDirectory = None,
    config: Config = None,
) -> int:
    """Overwrite decisions on contents, their embeddings and scores; a server may be running."""
    settings = load_settings({}, config)
    wanted = _wanted(content_ids or [], prefixes or [])
    from moderation.adapters.decision_log.records import RecordUnreadable

    try:
        digests, damaged = _erase_records(wanted, log_directory(log, settings), settings)
        _erase_embeddings(wanted, settings.recent.directory)
        shown = [] if image is None else [image.read_bytes()]
        _erase_pairs(digests, shown, settings.shadow_encoder.directory)
        _erase_cached(digests, shown, settings.cache.directory)
    except (OSError, RecordUnreadable) as error:
        raise CommandError(str(error), Exit.SOFTWARE) from error
    if damaged:
        told = "\n".join(f"{place}: holds such an id too, and is damaged" for place in damaged)
        raise CommandError(f"{told}\nremove what is left there by hand", Exit.SOFTWARE)
    return Exit.ALLOW


def _wanted(content_ids: list[str], prefixes: list[str]) -> Wanted:
    if not content_ids and not prefixes:
        raise CommandError("say what to erase: --content-id or --content-id-prefix", Exit.USAGE)
    if "" in prefixes:
        raise CommandError("--content-id-prefix is empty: every id begins so", Exit.USAGE)
    return [(one, False) for one in content_ids] + [(one, True) for one in prefixes]


def _erase_records(
    wanted: Wanted, directory: Path, settings: Settings
) -> tuple[set[str], list[str]]:
    """The contents' digests, as the log had them, and damaged lines that hold the ids."""
    from moderation.adapters.decision_log.erasing import erase_content
    from moderation.engine import utc_now
    from moderation.recording import record_codec

    codec, digests, records = record_codec(settings), set[str](), 0
    damaged: list[str] = []
    for content_id, is_prefix in wanted:
        erased = erase_content(directory, content_id, codec, utc_now(), is_prefix=is_prefix)
        records += erased.records
        digests |= erased.content_digests
        damaged += map(str, erased.damaged)
    say(f"{records} decisions erased in {directory}")
    return digests, damaged


def _erase_embeddings(wanted: Wanted, directory: Path) -> None:
    from moderation.adapters.recent_store import erase_recent

    if directory.is_dir():
        frames = sum(erase_recent(directory, name, is_prefix=prefix) for name, prefix in wanted)
        say(f"{frames} embeddings overwritten in {directory}")


def _erase_pairs(digests: set[str], images: list[bytes], directory: Path) -> None:
    from moderation.adapters.encoder_pairs import erase_pairs
    from moderation.service.shadowing import short_digest

    if not directory.is_dir():
        return
    contents = {short_digest(one) for one in _known(digests, images)}
    say(f"{erase_pairs(directory, contents)} pairs of scores overwritten in {directory}")
    _tell_if_keyed(digests, images, "scores")


def _erase_cached(digests: set[str], images: list[bytes], directory: str) -> None:
    from moderation.adapters.embedding_store import erase_embeddings

    if not directory or not Path(directory).is_dir():
        return
    erased = erase_embeddings(Path(directory), _known(digests, images))
    say(f"{erased} embeddings overwritten in {directory}")
    _tell_if_keyed(digests, images, "embedding")


def _known(digests: set[str], images: list[bytes]) -> Iterator[bytes]:
    """The sha256 of each content, where the log has it in plain or there is the picture."""
    from moderation.core.content import content_digest

    for one in digests:
        if one.startswith(SHA256):
            yield bytes.fromhex(one.removeprefix(SHA256))
    yield from map(content_digest, images)


def _tell_if_keyed(digests: set[str], images: list[bytes], what: str) -> None:
    if any(not one.startswith(SHA256) for one in digests) and not images:
        say(f"the log's digests are keyed: name the picture with --image to find its {what}")
