"""Reads an archive into memory, within limits, and refuses whatever is no plain file in it.

It is read only after its digest was compared with what is signed. The limits are for a signer's
mistake, and for a key in the wrong hands.
"""

import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping

from moderation.adapters.policy_package.limits import LIMITS, Limits, flaw_of_name
from moderation.adapters.policy_package.refusal import refused

GZIP = 16 + zlib.MAX_WBITS
MARGIN = 2048
"""Bytes that may stand around each file in a tar."""


def unpack(archive: bytes, shown: str, limits: Limits = LIMITS) -> Mapping[str, bytes]:
    """The files' contents by name; raises PolicySetRejected."""
    content_by_name: dict[str, bytes] = {}
    folded: set[str] = set()  # names that some disks take for the same
    try:
        content = io.BytesIO(_decompressed(archive, shown, limits))
        with tarfile.open(fileobj=content, mode="r:") as tar:
            for member in _members(tar, shown, limits):
                name = member.name
                if name.casefold() in folded:
                    raise refused(shown, f"{name!a} is in it twice")
                folded.add(name.casefold())
                file = tar.extractfile(member)
                content_by_name[name] = file.read() if file else b""
    except (tarfile.TarError, ValueError) as error:
        raise refused(shown, f"is no tar archive inside: {error}") from error
    _require_files_apart(content_by_name, shown)
    return content_by_name


def _decompressed(archive: bytes, shown: str, limits: Limits) -> bytes:
    most = limits.unpacked_bytes + limits.files * MARGIN
    stream = zlib.decompressobj(GZIP)
    try:
        content = stream.decompress(archive, most)
    except zlib.error as error:
        raise refused(shown, f"is no gzip file: {error}") from error
    if stream.unconsumed_tail:
        raise refused(shown, f"would be more than {most} bytes when unpacked")
    if not stream.eof or stream.unused_data:
        raise refused(shown, "is cut off, or has something behind its end")
    return content


def _members(tar: tarfile.TarFile, shown: str, limits: Limits) -> Iterator[tarfile.TarInfo]:
    total = 0
    for count, member in enumerate(tar, start=1):
        total += member.size
        if count > limits.files:
            raise refused(shown, f"holds more than {limits.files} files")
        if total > limits.unpacked_bytes:
            raise refused(shown, f"would be more than {limits.unpacked_bytes} bytes when unpacked")
        if not member.isreg() or member.issparse():
            kind = _KINDS.get(member.type, "no plain file")
            raise refused(shown, f"{member.name!a} is {kind}; only files may be in it")
        if flaw := flaw_of_name(member.name):
            raise refused(shown, f"{member.name!a} {flaw}")
        yield member


_KINDS: Mapping[bytes, str] = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.DIRTYPE: "a folder",
}


def _require_files_apart(content_by_name: Mapping[str, bytes], shown: str) -> None:
    """No name may be a file and a folder at once."""
    for name in content_by_name:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            if (folder := "/".join(parts[:depth])) in content_by_name:
                raise refused(shown, f"{folder!a} is a file, and {name!a} below it")
