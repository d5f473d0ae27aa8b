"""Files as an ordinary user meets them: root may read everything, and containers test as root."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

NOBODY = 65534


@contextmanager
def an_open_directory() -> Iterator[Path]:
    """A temporary directory that every user can reach, unlike pytest's."""
    with TemporaryDirectory() as temporary:
        Path(temporary).chmod(0o755)
        yield Path(temporary)


@contextmanager
def an_ordinary_user() -> Iterator[None]:
    """Run as nobody, in every thread, if we are root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)
