"""The real command, run as a user's shell would."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    exit_code: int
    out: str
    err: str


async def moderation(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    options: tuple[str, ...] = (),
) -> Ended:
    """Run `moderation` with these arguments; the loop goes on meanwhile."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *options,
        "-m",
        "moderation",
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(env or {})},
        cwd=cwd,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())
