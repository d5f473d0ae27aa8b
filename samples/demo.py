"""Shows the service at work: a real server, real pictures, and a policy edited while it runs.

Started by `make demo`; `make demo ARGS=--once` ends by itself.
"""

import argparse
import asyncio
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from moderation.cli.pictures import find_pictures
from moderation.cli.remote import Connection, judge_pictures
from moderation.client import ClientError, ModerationClient

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = Path("samples")
SCRATCH = Path("var/demo")
POLICIES = SCRATCH / "policies"
LOG = SCRATCH / "server.log"
PATIENCE_S = 60.0
PORT, METRICS_PORT = 50051, 9464

CATS = [SAMPLES / "cat-portrait.jpg", SAMPLES / "kitten-with-wool.jpg"]
NO_CATS = """\
id: no-cats
title: Cats
description: Today this site is for dog people.
phrases: [a cat, a kitten]
contrast: [a dog]
thresholds: {review: 0.5, block: 0.7}
"""


def main() -> None:
    """Run the demonstration from the checkout's root."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="end instead of leaving it running")
    once = parser.parse_args().once
    shutil.rmtree(SCRATCH, ignore_errors=True)
    shutil.copytree("policies", POLICIES)
    port, metrics_port = free_port(PORT), free_port(METRICS_PORT)
    with running_server(port, metrics_port) as server:
        connection = Connection(f"127.0.0.1:{port}", timeout_s=PATIENCE_S)
        with ModerationClient(connection.address, timeout_s=PATIENCE_S) as client:
            wait_until_serving(client, server)
            print(f"\n{textwrap.fill(client.status().encoder.notice, 100)}\n")
            show(find_pictures([SAMPLES]), connection)
            edit_a_policy(client, connection)
        if once:
            print(f"\nThe server is stopped now; its log is in {LOG}.")
            return
        print(
            f"\nThe server is at {connection.address}, its metrics at "
            f"http://127.0.0.1:{metrics_port}/metrics, its log in {LOG}.\n"
            f"Edit the files in {POLICIES}, and ask again:\n\n"
            f"    {Path(sys.executable).parent.relative_to(ROOT)}/moderation client "
            f"--address {connection.address} YOUR-PICTURE.jpg\n\n"
            "Press Ctrl-C to stop."
        )
        with suppress(KeyboardInterrupt):
            server.wait()


def edit_a_policy(client: ModerationClient, connection: Connection) -> None:
    """Write a policy and break it, while the server answers."""
    file = POLICIES / "no-cats.yaml"
    print(f"\nNow a policy editor saves {file}:\n\n{indented(NO_CATS)}\n")
    written = time.monotonic()
    version = client.status().policy_set.version
    file.write_text(NO_CATS, encoding="utf-8")
    while client.status().policy_set.version == version:
        time.sleep(0.01)
    print(f"It is in force after {time.monotonic() - written:.2f} s; nothing was restarted:\n")
    show(CATS, connection)

    print("\nThen the editor slips, and the review threshold exceeds the one for block:\n")
    file.write_text(NO_CATS.replace("review: 0.5", "review: 0.9"), encoding="utf-8")
    while not (problems := client.status().policy_set.last_reload_errors):
        time.sleep(0.01)
    print(indented("\n".join(problems)))
    print("\nThe last good policies stay in force:\n")
    show(CATS[:1], connection)
    file.unlink()


def show(pictures: Sequence[Path], connection: Connection) -> None:
    """Send pictures and print the table of decisions."""
    judging = judge_pictures(pictures, connection, profile="", all_verdicts=False, as_json=False)
    asyncio.run(judging)


@contextmanager
def running_server(port: int, metrics_port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The server as a process of its own; stopped at the end."""
    command = [sys.executable, "-m", "moderation", "serve", "--policies", str(POLICIES)]
    command += ["--port", str(port), "--metrics-port", str(metrics_port), "--log-format", "json"]
    with LOG.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            yield server
        finally:
            server.terminate()


def wait_until_serving(client: ModerationClient, server: subprocess.Popen[bytes]) -> None:
    """Return once requests are answered; ends the demonstration if the server ended."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(f"The server did not start:\n{LOG.read_text(encoding='utf-8')}")
        with suppress(ClientError):
            if client.status().serving:
                return
        time.sleep(0.05)
    sys.exit(f"The server is not ready after {PATIENCE_S:.0f} s; see {LOG}")


def free_port(wanted: int) -> int:
    """The wanted port, or, if something listens there, any other."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def indented(text: str) -> str:
    """The text set off from the rest."""
    return "\n".join(f"    {line}" for line in text.splitlines())


if __name__ == "__main__":
    main()
