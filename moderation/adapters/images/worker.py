"""The decoding process: takes images from a socket, gives pixels back, and can do little else.

    python -m moderation.adapters.images.worker SOCKET_NUMBER LIMITS

It has no files and no network, for it may open nothing any more. It ends when its owner does:
at the end of the socket, or when a decoding has taken too long.
"""

import json
import math
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from moderation.adapters.images import wire
from moderation.adapters.images.decoder import DECODERS, PillowDecoder
from moderation.adapters.images.landlock import forbid_the_rest
from moderation.adapters.images.limits import DecodeLimits
from moderation.core.content import PixelSpec
from moderation.core.errors import UnjudgeableContent

OUT_OF_MEMORY = 3
"""The exit code where there was not even memory for an answer."""

OWNER_S = 1.0
"""The owner ends what takes too long. So much later the process does so itself: it has no owner."""

KILLED_FIRST = "500"
"""When the machine's memory runs out, the kernel takes this process rather than the service."""

NOTHING = (0, 0)
REHEARSED_MODES = ("RGB", "RGBA", "P", "L", "I;16")


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What a decoding process may take: seconds an image, and address space in all."""

    timeout_s: float
    max_memory_bytes: int


def main(socket_number: int, limits: WorkerLimits, decode_limits: DecodeLimits) -> None:
    """Decode until the owner has gone."""
    # The owner ends this process when it stops, after what is under way: signals to a whole group
    # of processes come too early for that.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    rehearse(decode_limits)
    with socket.socket(fileno=socket_number) as connection:
        give_up_rights(limits)
        wire.send_ready(connection)
        try:
            serve(connection, decode_limits, limits.timeout_s)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)  # at once, for the owner asks why when the socket ends


def serve(connection: socket.socket, decode_limits: DecodeLimits, timeout_s: float) -> None:
    """Answer tasks, one after the other, until there are no more."""
    with suppress(EOFError, ConnectionError):
        while True:
            spec, image = wire.receive_task(connection)
            limit_time(timeout_s)
            _answer(connection, PillowDecoder(spec, decode_limits), image)
            signal.setitimer(signal.ITIMER_REAL, 0)
            del image  # it need not stay until the next one is here


def _answer(connection: socket.socket, decoder: PillowDecoder, image: bytearray) -> None:
    try:
        frames = decoder.decode(bytes(image))
    except UnjudgeableContent as refusal:
        wire.send_refusal(connection, refusal)
    else:
        wire.send_pixels(connection, frames)


def limit_time(timeout_s: float) -> None:
    """Have the kernel end this process if the next image takes too long."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed_s = math.ceil(used.ru_utime + used.ru_stime + timeout_s + OWNER_S)
    resource.setrlimit(resource.RLIMIT_CPU, (allowed_s, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_REAL, timeout_s + OWNER_S)


def rehearse(decode_limits: DecodeLimits) -> None:
    """Decode a small picture of every sort, for what is imported only then has to be read now."""
    decoder = PillowDecoder(PixelSpec(8), decode_limits)
    for image_format in DECODERS:
        for mode in REHEARSED_MODES:
            file = BytesIO()
            with suppress(OSError):  # not every format has every mode
                Image.new(mode, (64, 64)).save(file, image_format)
                decoder.decode(file.getvalue())
    with suppress(UnjudgeableContent):
        decoder.decode(b"no picture")


def give_up_rights(limits: WorkerLimits) -> None:
    """Bound memory, and open, write and start nothing from now on; it cannot be taken back."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write(KILLED_FIRST)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, sys.stderr.fileno())  # libraries complain there about damaged files
    os.close(silent)
    forbid_the_rest()
    memory = limits.max_memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, NOTHING)  # it would hold the picture
    resource.setrlimit(resource.RLIMIT_FSIZE, NOTHING)
    resource.setrlimit(resource.RLIMIT_NPROC, NOTHING)
    # What is open stays open, but there is no number left for a further file or socket.
    resource.setrlimit(resource.RLIMIT_NOFILE, NOTHING)


if __name__ == "__main__":
    given = json.loads(sys.argv[2])
    main(int(sys.argv[1]), WorkerLimits(**given["process"]), DecodeLimits(**given["images"]))
