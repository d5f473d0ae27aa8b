"""The real command, run as a user's shell would."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PYTHONPATH = os.pathsep.join(sys.path)


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    exit_code: int
    out: str
    err: str


async def moderation(
    *arguments: str | Path, env: Mapping[str, str] | None = None, options: tuple[str, ...] = ()
) -> Ended:
    """Run `moderation` with these arguments to its end; `options` are the interpreter's."""
    process = await started(*arguments, env=env, options=options)
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def started(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    options: tuple[str, ...] = (),
    stderr: int = PIPE,
) -> Process:
    """Start `moderation` with these arguments."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *options,
        "-m",
        "moderation",
        *map(str, arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": PYTHONPATH, **(env or {})},
    )


async def shell(script: str) -> Ended:
    """Run a bash script in which `$MODERATION` is the command."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        script,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env={
            **os.environ,
            "PYTHONPATH": PYTHONPATH,
            "MODERATION": f"{sys.executable} -m moderation",
        },
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())
