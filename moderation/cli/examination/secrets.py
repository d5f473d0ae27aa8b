"""Files with keys and certificates: there, readable for the service, and for nobody else."""

from collections.abc import Iterator
from pathlib import Path

from moderation.cli.config import value_of
from moderation.cli.examination.findings import Finding, Level, broken, doubtful, good
from moderation.core.errors import KeysRejected
from moderation.settings import Settings, setting_names

FILE = "_file"
KEY = "key"
KEYS_FILE = "identity.keys_file"
PUBLIC_KEYS = "package.public_keys"
FOR_OTHERS = 0o077


def look(settings: Settings) -> Iterator[Finding]:
    """Every file that a setting names."""
    named = [
        (name, Path(str(value_of(settings, name))))
        for name in setting_names()
        if name.endswith(FILE) and value_of(settings, name)
    ]
    named += [(PUBLIC_KEYS, path) for path in settings.package.key_files]
    for name, path in named:
        found = _file(name, path)
        yield found
        if name == KEYS_FILE and found.level is not Level.FAIL:
            yield from _keys(path)
    if not named:
        yield good("no setting names a file with a key or a certificate")


def _file(setting: str, path: Path) -> Finding:
    where = f"{setting} {path}"
    try:
        content, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        return broken(f"cannot be read: {error.strerror}", where, "mend the path or its rights")
    if not content.strip():
        return broken("is empty", where, "write the key or certificate into it")
    if KEY in setting and setting != PUBLIC_KEYS and mode & FOR_OTHERS:
        rights = f"{mode & 0o777:o}"
        cure = f"chmod 600 {path}, and let it belong to the service's user"
        return doubtful(f"other users can get at the key (mode {rights})", where, cure)
    return good("can be read", where)


def _keys(path: Path) -> Iterator[Finding]:
    """Whether a start would take the keys of callers."""
    from moderation.identity import keys_source

    try:
        ring = keys_source(path).load().ring
    except KeysRejected as error:
        for problem in error.problems:
            cure = "mend the file; a running server goes by its last good keys"
            yield broken(str(problem), f"{KEYS_FILE} {path}", cure)
        return
    yield good(f"holds {len(ring.keys)} keys", f"{KEYS_FILE} {path}")
