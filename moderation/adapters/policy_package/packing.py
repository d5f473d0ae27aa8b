"""Makes an archive of a directory of policies: the same files give the same bytes.

Nothing of this machine is in it: no times, owners or modes, and the files stand in order. The
archive is compressed by zlib, so that another build of it may give other bytes for the same files.
"""

import gzip
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from moderation.adapters.policy_package.limits import LIMITS, Limits, flaw_of_name
from moderation.adapters.policy_package.refusal import refused


def pack(directory: Path, limits: Limits = LIMITS) -> bytes:
    """The archive of all files below a directory; raises PolicySetRejected or OSError.

    Hidden files are left out. A link to a file below the directory is packed as that file; one
    that leads out of it is refused.
    """
    packed = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", compresslevel=9, fileobj=packed, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        total = 0
        for count, name in enumerate(_names(directory), start=1):
            content = _content(directory, name)
            total += len(content)
            if count > limits.files:
                raise refused(str(directory), f"holds more than {limits.files} files")
            if total > limits.unpacked_bytes:
                raise refused(str(directory), f"holds more than {limits.unpacked_bytes} bytes")
            member = tarfile.TarInfo(name)  # as of 1970, of nobody, to be read by all
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    if packed.tell() > limits.archive_bytes:
        message = f"is larger than {limits.archive_bytes} bytes when packed"
        raise refused(str(directory), f"{message}; leave pictures out of it")
    return packed.getvalue()


def _names(directory: Path) -> Iterator[str]:
    """Every file's, relative to the directory, in an order that depends on nothing else."""
    found: list[str] = []
    for folder, folders, files in os.walk(directory, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(folder).relative_to(directory)
        for name in folders:
            if os.path.islink(Path(folder, name)):
                message = "is a link to a folder; put the files themselves there"
                raise refused((here / name).as_posix(), message)
        found += ((here / name).as_posix() for name in files if not name.startswith("."))
    for name in sorted(found):
        if flaw := flaw_of_name(name):
            raise refused(ascii(name), flaw)
        yield name


def _content(directory: Path, name: str) -> bytes:
    root, path = (os.path.realpath(one, strict=True) for one in (directory, directory / name))
    if os.path.commonpath([root, path]) != root:
        raise refused(name, "is a link that leads out of the directory; copy the file instead")
    # Neither following a link that was put there since, nor waiting for a named pipe's writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise refused(name, "is not a file")
        return file.read()


def _raise(error: OSError) -> None:
    raise error
