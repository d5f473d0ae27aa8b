"""Names and bytes of policy files, within limits; symbolic links must stay inside the directory.

A link is allowed because Kubernetes mounts a ConfigMap as links through
`..data`; a link to the outside is not, so that who may write policies cannot
have other files of the machine quoted in an error message.
"""

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from moderation.adapters.policy_yaml.tree import Flaw, Flawed, Place

SUFFIXES = (".yaml", ".yml")
MAX_FILES = 5_000
MAX_FILE_BYTES = 256 * 1024
"""The YAML parser takes about 2 s for a megabyte; 256 KiB hold more than 4,000 phrases."""

_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\ufeff"
)


def list_policy_files(directory: Path) -> list[str]:
    """Names of the policy files in a stable order; raises Flawed.

    Hidden names are left out: editors, git and Kubernetes keep their own things there.
    """
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError as error:
        raise Flawed(Flaw(None, "there is no such directory")) from error
    except OSError as error:
        message = f"cannot be read as a directory: {error.strerror}"
        raise Flawed(Flaw(None, message)) from error
    found = [name for name in names if name.lower().endswith(SUFFIXES) and name[0] != "."]
    if not found:
        raise Flawed(Flaw(None, f"there is no policy file (*{', *'.join(SUFFIXES)}) in it"))
    if len(found) > MAX_FILES:
        message = f"holds {len(found)} files; at most {MAX_FILES} are allowed"
        raise Flawed(Flaw(None, message))
    return found


def misnamed_files(directory: Path) -> list[str]:
    """Names such as `cats.yaml.txt`, which some editors make of the one that was asked for."""
    wrong = tuple(f"{suffix}.txt" for suffix in SUFFIXES)
    names = (path.name for path in directory.iterdir())
    return sorted(name for name in names if name.lower().endswith(wrong) and name[0] != ".")


def fingerprint(directory: Path) -> Mapping[str, tuple[int, ...]]:
    """By name, what tells one state of the policy files from another without reading them."""
    return {name: _identity(directory, name) for name in list_policy_files(directory)}


def state_of_files(directory: Path, others: Iterable[str]) -> Mapping[str, tuple[int, ...]] | str:
    """`fingerprint`, and the same of other files beside these; why there is none, if so."""
    try:
        found = fingerprint(directory)
    except Flawed as error:
        return str(error)
    return {**found, **{name: _identity(directory, name) for name in others}}


def stem_of(name: str) -> str:
    """The name without its ending; unchanged if it is not a policy file's."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in SUFFIXES else name


def read_policy_file(directory: Path, name: str) -> bytes:
    """A policy file's bytes; raises Flawed."""
    try:
        return _read_inside(directory, name)
    except FileNotFoundError as error:
        message = "is a link to a file that does not exist"
        if not os.path.islink(directory / name):
            message = "was deleted while it was being read"
        raise Flawed(Flaw(None, message)) from error
    except IsADirectoryError as error:
        raise _not_a_file() from error
    except OSError as error:
        raise Flawed(Flaw(None, f"cannot be read: {error.strerror}")) from error


def decode(content: bytes) -> str:
    """The text of a file, without a byte order mark; raises Flawed."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        readable = content[: error.start].decode("utf-8-sig")
        message = f"byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise Flawed(Flaw(_place_after(readable), message)) from error
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        message = f"the control character U+{ord(unprintable[0]):04X} is not allowed; remove it"
        raise Flawed(Flaw(_place_after(text[: unprintable.start()]), message))
    return text


def _identity(directory: Path, name: str) -> tuple[int, ...]:
    try:
        # Of the file itself, where the name is a link; pathlib would take longer than the call.
        status = os.stat(f"{directory}/{name}")
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _read_inside(directory: Path, name: str) -> bytes:
    path = f"{directory}/{name}"
    if os.path.islink(path):
        path = _target_inside(directory, name)
    with open(path, "rb", opener=_opener) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise _not_a_file()
        is_small = status.st_size <= MAX_FILE_BYTES
        content = file.read(MAX_FILE_BYTES + 1) if is_small else b""
    size = max(status.st_size, len(content))  # it may have grown since it was measured
    if size > MAX_FILE_BYTES:
        message = f"is too large: {size} bytes; at most {MAX_FILE_BYTES} are allowed"
        raise Flawed(Flaw(None, message))
    return content


def _target_inside(directory: Path, name: str) -> str:
    root = os.path.realpath(directory, strict=True)
    path = os.path.realpath(directory / name, strict=True)
    if os.path.commonpath([root, path]) != root:
        raise Flawed(Flaw(None, "is a link that leads out of the directory; copy the file instead"))
    return path


def _opener(path: str, flags: int) -> int:
    # Not following a link that was put there since; not waiting for a named pipe's writer.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _not_a_file() -> Flawed:
    return Flawed(Flaw(None, "is not a file; a policy is one YAML file"))


def _place_after(text: str) -> Place:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return Place(len(lines), len(lines[-1]) + 1)
