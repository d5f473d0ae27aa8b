"""Reads images below allowed folders, and nothing else."""

import asyncio
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from moderation.core.errors import InvalidRequest
from moderation.core.image_uri import FIELD, ImageUri
from moderation.service.ports import Expect

OUTSIDE = "is not below a folder that the service reads from"
UNREADABLE = "there is no readable file of that name"


class FileReader:
    """Whoever can write below a root decides what is read there: keep untrusted people out."""

    def __init__(self, roots: Sequence[Path], *, max_bytes: int) -> None:
        self._roots = [root.resolve() for root in roots]
        self._max_bytes = max_bytes

    async def fetch(self, place: ImageUri, expect: Expect) -> bytes:
        """As `read`, on a thread; `expect` is called on the event loop."""
        soon = asyncio.get_running_loop().call_soon_threadsafe
        return await asyncio.to_thread(self.read, place, lambda n: soon(expect, n))

    def read(self, place: ImageUri, expect: Expect) -> bytes:
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
            return self._content(path, expect)
        except OSError as error:
            raise InvalidRequest(FIELD, UNREADABLE) from error

    def _content(self, path: Path, expect: Expect) -> bytes:
        # A pipe would be waited for, and a link put there since would lead elsewhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise InvalidRequest(FIELD, UNREADABLE)
            n_bytes = min(status.st_size, self._max_bytes + 1)
            expect(n_bytes)
            return file.read(n_bytes)  # and no more, where it grew since
