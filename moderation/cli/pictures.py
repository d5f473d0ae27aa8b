"""Which pictures a command line means: files as they are named, folders by their endings."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from moderation.cli.exits import CommandError, Exit

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif"})


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """Every named file, and every picture below every named folder, in a stable order.

    Raises CommandError if a path is missing or nothing is found.
    """
    paths = list(paths)
    found = [picture for path in paths for picture in _below(path)]
    if not found:
        named = ", ".join(str(path) for path in paths)
        endings = ", ".join(sorted(PICTURE_SUFFIXES))
        raise CommandError(f"no pictures ({endings}) in {named}", Exit.NO_INPUT)
    return found


def read_picture(path: Path, *, max_bytes: int) -> bytes:
    """The file's bytes, and of a larger file just enough to see that it is too large.

    Raises OSError.
    """
    with path.open("rb") as file:
        return file.read(max_bytes + 1)


def _below(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        inside = (one for one in sorted(path.rglob("*")) if one.is_file())
        yield from (one for one in inside if one.suffix.lower() in PICTURE_SUFFIXES)
    else:
        raise CommandError(f"{path}: there is no such file or folder", Exit.NO_INPUT)
