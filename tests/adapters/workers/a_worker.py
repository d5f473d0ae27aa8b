"""A process at the other end of a supervisor's line, which behaves as a test has it.

python -m tests.adapters.workers.a_worker BEHAVIOUR [DETAIL] SOCKET_NUMBER
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from moderation.adapters.workers import wire
from moderation.adapters.workers.link import SupervisorLink

GONE = 3
COUNTS = [["moderation_rpcs", "counter", "RPCs.", [["moderation_rpcs_total", {}, 7.0]]]]
MANY = [["x", "counter", "X.", [["x_total", {"policy": f"p{n}"}, float(n)] for n in range(20_000)]]]


def hang() -> object:
    time.sleep(600)
    return []


SNAPSHOTS: dict[str, Callable[[], object]] = {"hang": hang, "many": lambda: MANY}


async def serve(connection: socket.socket, behaviour: str, detail: str) -> int:
    """Until the supervisor has gone, or asks for the end as often as the behaviour needs."""
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    heard: list[int] = []

    def stop() -> None:
        heard.append(signal.SIGTERM)
        if behaviour == "count" and len(heard) == 2:
            Path(detail, str(os.getpid())).touch()
        if behaviour != "stay" and len(heard) >= (2 if behaviour == "count" else 1):
            ended.set_result(0)

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    async with SupervisorLink(
        connection,
        snapshot=SNAPSHOTS.get(behaviour, lambda: COUNTS),
        on_gone=lambda: ended.set_result(GONE),
    ) as link:
        encoder = {"encoder": "starter", "encoder_id": "e", "device": "CPU", "notice": "Starter."}
        link.tell(wire.LISTENING, tls=False, **encoder)
        link.tell(wire.SERVING)
        if behaviour == "waver":
            link.tell(wire.NOT_SERVING)
        code = await ended
    os._exit(code)  # what hangs in a thread would be waited for


if __name__ == "__main__":
    behaviour, detail = sys.argv[1], sys.argv[2]
    line = socket.socket(fileno=int(sys.argv[-1]))
    order = wire.receive(line)
    if behaviour == "exit":
        sys.exit(int(detail))
    if behaviour == "die" or (behaviour == "die_if" and order["worker"] == int(detail)):
        os.kill(os.getpid(), signal.SIGKILL)
    asyncio.run(serve(line, behaviour, detail))
