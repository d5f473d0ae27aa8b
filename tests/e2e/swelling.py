"""The server with memory that grows and shrinks when a test says so: SIGUSR1 and SIGUSR2."""

import mmap
import os
import signal

from moderation.cli.main import run

BALLAST_BYTES = int(os.environ["TEST_BALLAST_BYTES"])
held: list[mmap.mmap] = []


def swell(*_: object) -> None:
    ballast = mmap.mmap(-1, BALLAST_BYTES)
    for page in range(0, BALLAST_BYTES, mmap.PAGESIZE):
        ballast[page] = 1
    held.append(ballast)


def shrink(*_: object) -> None:
    held.pop().close()


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, swell)
    signal.signal(signal.SIGUSR2, shrink)
    run()
