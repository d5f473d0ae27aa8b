"""A pipeline that uploads pictures all the while, and what can go wrong with it."""

import itertools
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from moderation.client import Action, ModerationClient

ROOT = Path(__file__).parents[2]
CAT = (ROOT / "samples" / "cat-portrait.jpg").read_bytes()
WINE = (ROOT / "samples" / "wine-bottle-and-glass.jpg").read_bytes()
JPEG_START = b"\xff\xd8"
PAUSE_S = 0.05
BURST = 48


def another_copy(picture: bytes, number: int) -> bytes:
    """The same JPEG with a comment of its own: the service remembers embeddings by the bytes."""
    if not picture.startswith(JPEG_START):
        return picture
    comment = number.to_bytes(8, "big")
    length = (len(comment) + 2).to_bytes(2, "big")
    return JPEG_START + b"\xff\xfe" + length + comment + picture.removeprefix(JPEG_START)


class Load:
    """Uploads pictures one after the other, in turn, until it is stopped."""

    def __init__(self, address: str) -> None:
        self.pictures: Sequence[bytes] = (CAT, WINE)
        self._address = address
        self._numbers = itertools.count()
        self._stop = threading.Event()

    def run(self) -> None:
        """Upload until stopped; whatever the service answers, the next picture follows."""
        with ModerationClient(self._address, timeout_s=5, on_unavailable=Action.REVIEW) as client:
            for number in itertools.count():
                if self._stop.wait(PAUSE_S):
                    return
                picture = self.pictures[number % len(self.pictures)]
                client.moderate(another_copy(picture, next(self._numbers)))

    def burst(self) -> None:
        """Far more pictures at once than the service has room for."""
        with (
            ModerationClient(self._address, timeout_s=5, on_unavailable=Action.REVIEW) as client,
            ThreadPoolExecutor(BURST) as pool,
        ):
            list(
                pool.map(
                    client.moderate, [another_copy(CAT, next(self._numbers)) for _ in range(BURST)]
                )
            )

    def stop(self) -> None:
        """End after the picture that is under way."""
        self._stop.set()


@contextmanager
def running_load(address: str) -> Iterator[Load]:
    """Keep the service busy in the background."""
    load = Load(address)
    thread = threading.Thread(target=load.run)
    thread.start()
    try:
        yield load
    finally:
        load.stop()
        thread.join()
