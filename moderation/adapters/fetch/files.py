"""Reads images below allowed folders, and nothing else."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from moderation.core.errors import InvalidRequest
from moderation.core.image_uri import FIELD, ImageUri

OUTSIDE = "is not below a folder that the service reads from"
UNREADABLE = "there is no readable file of that name"


class FileReader:
    """Whoever can write below a root decides what is read there: keep untrusted people out."""

    def __init__(self, roots: Sequence[Path], *, max_bytes: int) -> None:
        self._roots = [root.resolve() for root in roots]
        self._max_bytes = max_bytes

    def read(self, place: ImageUri) -> bytes:
        """The file, or one byte more than is allowed of it; raises InvalidRequest.

        The path is judged after every link in it was followed. What lies outside is answered
        alike whether it exists or not.
        """
        try:
            path = Path(os.path.realpath(unquote(place.target)))
        except ValueError as error:  # a null byte
            raise InvalidRequest(FIELD, OUTSIDE) from error
        if not any(path.is_relative_to(root) for root in self._roots):
            raise InvalidRequest(FIELD, OUTSIDE)
        try:
            return self._content(path)
        except OSError as error:
            raise InvalidRequest(FIELD, UNREADABLE) from error

    def _content(self, path: Path) -> bytes:
        # A pipe would be waited for, and a link put there since would lead elsewhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InvalidRequest(FIELD, UNREADABLE)
            return file.read(self._max_bytes + 1)
