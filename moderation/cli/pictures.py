"""Which pictures a command line means: files as they are named, folders by their endings."""

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from moderation.cli.exits import CommandError, Exit
from moderation.cli.output import printable

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif"})


ENDINGS = ", ".join(sorted(PICTURE_SUFFIXES))
MOST_ENDINGS_TOLD = 5
MAX_PATH_LENGTH = 240
"""An id may be longer by the number of a path that is named again."""


def find_pictures(paths: Iterable[Path], *, tell_skipped: bool = False) -> list[Path]:
    """Every named file, and every picture below every named folder, in a stable order.

    `tell_skipped` says on standard error what else the folders hold. Raises CommandError
    if a path is missing or nothing is found.
    """
    paths = list(paths)
    skipped: Counter[str] = Counter()
    found = [picture for path in paths for picture in _below(path, skipped)]
    if not found:
        named = ", ".join(str(path) for path in paths)
        raise CommandError(f"no pictures ({ENDINGS}) in {named}", Exit.NO_INPUT)
    if skipped and tell_skipped:
        print(_told(skipped), file=sys.stderr)
    return found


def content_ids(pictures: Iterable[Path]) -> list[str]:
    """A content id for each: its path as it was named, the same in every run.

    Ids lead nowhere: no leading slash, no `..`. A path that is no id, or is named twice, has a
    digest or a number in its place or at its end.
    """
    ids: list[str] = []
    named: Counter[str] = Counter()
    for picture in pictures:
        inside = "/".join(part for part in picture.parts if part not in {picture.anchor, ".."})
        is_id = inside.isprintable() and 1 <= len(inside) <= MAX_PATH_LENGTH
        one = inside if is_id else f"sha256:{hashlib.sha256(os.fsencode(picture)).hexdigest()}"
        named[one] += 1
        ids.append(one if named[one] == 1 else f"{one}#{named[one]}")
    return ids


def read_picture(path: Path, *, max_bytes: int) -> bytes:
    """The file's bytes, and of a larger file just enough to see that it is too large.

    Raises OSError.
    """
    with path.open("rb") as file:
        return file.read(max_bytes + 1)


def _told(skipped: Counter[str]) -> str:
    files = "1 file" if skipped.total() == 1 else f"{skipped.total()} files"
    counts = [
        f"{count} {printable(ending) or 'without an ending'}"
        for ending, count in skipped.most_common(MOST_ENDINGS_TOLD)
    ]
    others = ["..."] if len(skipped) > MOST_ENDINGS_TOLD else []
    return (
        f"moderation: skipped {files} ({', '.join(counts + others)}): of a folder only "
        f"{ENDINGS} are taken; a file that is named is taken whatever its ending"
    )


def _below(path: Path, skipped: Counter[str]) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        for one in filter(Path.is_file, sorted(path.rglob("*"))):
            ending = one.suffix.lower()
            if ending in PICTURE_SUFFIXES:
                yield one
            else:
                skipped[ending] += 1
    else:
        raise CommandError(f"{path}: there is no such file or folder", Exit.NO_INPUT)
