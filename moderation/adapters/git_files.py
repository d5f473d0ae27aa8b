"""Files as they were at a git revision, unpacked into a directory of their own."""

import io
import subprocess
import tarfile
from pathlib import Path

TIMEOUT_S = 60.0


class RevisionUnknown(Exception):
    """There is no such revision, or it does not hold the directory."""


def unpack_revision(revision: str, directory: Path, into: Path) -> Path:
    """The directory as it was at that revision, below `into`; raises RevisionUnknown."""
    if revision.startswith("-"):
        raise RevisionUnknown(f"{revision}: is no git revision")
    root = Path(_git(directory, "rev-parse", "--show-toplevel").decode().strip())
    inside = directory.resolve().relative_to(root.resolve()).as_posix()
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    archive = _git(root, "archive", "--format=tar", commit.decode().strip(), "--", inside)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(into, filter="data")
    return into / inside


def _git(directory: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(directory), *arguments]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=True)
    except FileNotFoundError as error:
        raise RevisionUnknown("git is not installed; name directories instead") from error
    except subprocess.TimeoutExpired as error:
        raise RevisionUnknown(f"git gave no answer within {TIMEOUT_S:.0f} s") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip() or "there is no such revision"
        raise RevisionUnknown(f"git {arguments[0]} {arguments[-1]}: {said[:300]}") from error
    return ended.stdout
