"""Executes a target of the Dockerfile without Docker: `sudo python3 deploy/try_dockerfile.py ROOT`.

Each stage gets a copy of a plain Debian root, made anew by debootstrap; COPY
copies, RUN and at last the command of the image run in a chroot, the latter as
the image's user until the image's own health check succeeds. At last it says how
many bytes of files the image has beside its base, and what the largest parts are.

What it cannot show: the base image itself (Debian's Python stands in for it) and
its size, layers, .dockerignore, a read-only root, and anything on a GPU.
"""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONTEXT = HERE.parent
DEBIAN = ["debootstrap", "--variant=minbase", "bookworm"]
PACKAGES = "python3,python3-venv,ca-certificates"
HOST_FILES = ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
HOST_VARIABLES = re.compile(
    r"(PIP_(INDEX_URL|DEFAULT_TIMEOUT|CERT)|(HTTPS?|NO)_PROXY)", re.IGNORECASE
)
HEALTHY_WITHIN_S = 60.0
ADDED = ("app", "etc/moderation")
"""What the Dockerfile adds to its base."""
PACKAGES_OF = "app/lib/python3.*/site-packages/*"
LARGEST = 8


@dataclass
class Stage:
    """One stage: its root, and what the instructions so far have set."""

    root: Path
    env: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin:/sbin"}
    )
    workdir: str = "/"
    user: str = "0:0"
    command: dict[str, list[str]] = field(default_factory=dict)

    def chroot(self, *command: str) -> list[str]:
        """A command as it has to be called to run inside."""
        moved = f"cd {shlex.quote(self.workdir)} && exec {shlex.join(command)}"
        return ["chroot", f"--userspec={self.user}", str(self.root), "/bin/sh", "-c", moved]

    def run(self, *command: str) -> None:
        """Run a command inside; raises CalledProcessError."""
        passed_on = {
            name: value for name, value in os.environ.items() if HOST_VARIABLES.fullmatch(name)
        }
        subprocess.run(self.chroot(*command), env=passed_on | self.env, check=True)


def instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Every instruction with its arguments, continuation lines joined."""
    without_comments = re.sub(r"(?m)^#.*\n", "", dockerfile)
    for line in re.sub(r"\\\n\s*", "", without_comments).splitlines():
        if line.strip():
            name, _, arguments = line.partition(" ")
            yield name, arguments.strip()


class Build:
    """Executes instructions one after the other, for the stages that a target needs."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._debian = scratch / "debian"
        self.stages: dict[str, Stage] = {}
        self._stage = Stage(self._debian)

    def prepare(self) -> None:
        """Make the plain root, with what the network of this machine needs."""
        if not self._debian.exists():
            command = [*DEBIAN[:2], f"--include={PACKAGES}", *DEBIAN[2:], str(self._debian)]
            subprocess.run(command, check=True)
        for file in HOST_FILES:
            shutil.copy(file, self._debian / file.lstrip("/"))
        python = self._debian / "usr/local/bin/python"
        if not python.exists():
            python.symlink_to("/usr/bin/python3")

    def execute(self, name: str, arguments: str) -> None:
        """One instruction; raises AttributeError on one that is not known here."""
        sys.stderr.write(f"--- {name} {arguments}\n")
        getattr(self, f"_{name.lower()}")(arguments)

    def _arg(self, arguments: str) -> None:
        """The base is Debian here, whatever its argument says."""

    def _from(self, arguments: str) -> None:
        source, _, name = arguments.partition(" AS ")
        former = self.stages.get(source)
        root = self._scratch / name
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(
            ["cp", "-a", str(former.root if former else self._debian), str(root)], check=True
        )
        self._stage = self.stages[name] = Stage(root)
        if former:
            self._stage.env = dict(former.env)
            self._stage.workdir, self._stage.user = former.workdir, former.user
            self._stage.command = dict(former.command)

    def _env(self, arguments: str) -> None:
        for assignment in shlex.split(arguments):
            name, _, value = assignment.partition("=")
            self._stage.env[name] = value.replace("$PATH", self._stage.env["PATH"])

    def _workdir(self, arguments: str) -> None:
        self._stage.workdir = arguments
        (self._stage.root / arguments.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _user(self, arguments: str) -> None:
        self._stage.user = arguments

    def _copy(self, arguments: str) -> None:
        parts = arguments.split()
        origin = CONTEXT
        if parts[0].startswith("--from="):
            origin = self.stages[parts.pop(0).removeprefix("--from=")].root
        *sources, target = parts
        place = self._stage.root / str(Path(self._stage.workdir, target)).lstrip("/")
        for source in (origin / source.lstrip("/") for source in sources):
            into = place / source.name if target.endswith("/") else place
            into.parent.mkdir(parents=True, exist_ok=True)
            command = ["cp", "-a", "--no-target-directory", str(source), str(into)]
            subprocess.run(command, check=True)

    def _run(self, arguments: str) -> None:
        self._stage.run("/bin/sh", "-c", arguments)

    def _volume(self, arguments: str) -> None:
        """Stays a directory of the root."""

    def _expose(self, arguments: str) -> None:
        """Says nothing to a chroot."""

    def _entrypoint(self, arguments: str) -> None:
        self._stage.command["ENTRYPOINT"] = json.loads(arguments)

    def _cmd(self, arguments: str) -> None:
        self._stage.command["CMD"] = json.loads(arguments)

    def _healthcheck(self, arguments: str) -> None:
        self._stage.command["HEALTHCHECK"] = json.loads(arguments.partition("CMD ")[2])


def free_port() -> int:
    """One that nobody listens on: the image shares this machine's network."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def prove(stage: Stage) -> None:
    """Start the image's command until its health check succeeds; raises if it never does."""
    command = stage.command["ENTRYPOINT"] + stage.command["CMD"]
    for port in ("MODERATION_METRICS__PORT", "MODERATION_SERVER__PORT"):
        stage.env[port] = str(free_port())
    with subprocess.Popen(stage.chroot(*command), env=stage.env) as server:
        try:
            deadline = time.monotonic() + HEALTHY_WITHIN_S
            while True:
                try:
                    stage.run(*stage.command["HEALTHCHECK"])
                    return
                except subprocess.CalledProcessError:
                    if server.poll() is not None or time.monotonic() > deadline:
                        raise
                    time.sleep(1.0)
        finally:
            server.terminate()


def size_bytes(path: Path) -> int:
    """Of all files below it; 0 if it is not there."""
    below = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sum(file.lstat().st_size for file in below)


def sizes(root: Path) -> Iterator[str]:
    """How large the image is beside its base, and its largest packages."""
    added = {name: size_bytes(root / name) for name in ADDED}
    yield f"{sum(added.values()) / 1e6:.0f} MB beside the base"
    packages = {path.name: size_bytes(path) for path in root.glob(PACKAGES_OF)}
    largest = sorted(packages, key=lambda name: -packages[name])[:LARGEST]
    for name, taken in [*added.items(), *((name, packages[name]) for name in largest)]:
        yield f"{taken / 1e6:8.1f} MB {name}"


def main(scratch: Path, target: str = "cpu") -> None:
    """Execute the stages that the target needs, prove the image, and say how large it is."""
    wanted = {"cpu": {"build", "base", "cpu"}, "cuda": {"build", "build-cuda", "base", "cuda"}}[
        target
    ]
    build = Build(scratch)
    build.prepare()
    stage = ""
    for name, arguments in instructions((CONTEXT / "Dockerfile").read_text(encoding="utf-8")):
        if name == "FROM":
            stage = arguments.partition(" AS ")[2]
        if not stage or stage in wanted:
            build.execute(name, arguments)
    if target == "cpu":
        prove(build.stages[target])
    told = [f"{target}: every step ran", *sizes(build.stages[target].root)]
    sys.stderr.write("\n".join(told) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
