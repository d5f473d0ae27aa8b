"""Unpacking: nothing but plain files with plain names gets through, and never too much."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from moderation.adapters.policy_package import unpack
from moderation.adapters.policy_package.limits import Limits
from moderation.core.errors import PolicySetRejected


def a_tar(*members: tuple[str, bytes | tarfile.TarInfo]) -> bytes:
    """With files by name, or whatever else a member is."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, what in members:
            content = what if isinstance(what, bytes) else b""
            member = tarfile.TarInfo() if isinstance(what, bytes) else what
            member.name, member.size = name, len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(written.getvalue(), mtime=0)


def a_member(kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo()
    member.type, member.linkname = kind, target
    return member


def refusal(archive: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(PolicySetRejected) as caught:
        unpack(archive, "policies.tar.gz", limits or Limits())
    (problem,) = caught.value.problems
    assert problem.file == "policies.tar.gz"
    return problem.message


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../a.yaml", "leads out"),
        ("/etc/passwd", "leads out"),
        ("tests/../../a.yaml", "leads out"),
        ("tests//a.yaml", "no plain path"),
        ("./a.yaml", "no plain path"),
        (".hidden", "is hidden"),
        ("tests/.hidden", "is hidden"),
        ("a\\b.yaml", "character that is not allowed"),
        ("c:a.yaml", "character that is not allowed"),
        ("a\x1b[2J.yaml", "character that is not allowed"),
        ("a/" * 8 + "a.yaml", "8 folders deep"),
        ("a" * 250, "longer than 240 bytes"),
    ],
)
def test_a_name_that_is_no_plain_path_is_refused(name: str, told: str) -> None:
    told_of_it = refusal(a_tar(("good.yaml", b"x"), (name, b"x")))

    assert told in told_of_it
    assert told_of_it.isprintable()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a named pipe"),
        (tarfile.DIRTYPE, "a folder"),
    ],
)
def test_whatever_is_no_plain_file_is_refused(kind: bytes, told: str) -> None:
    archive = a_tar(("a.yaml", b"x"), ("b.yaml", a_member(kind, "a.yaml")))

    assert refusal(archive) == f"'b.yaml' is {told}; only files may be in it"


@pytest.mark.parametrize("second", ["a.yaml", "A.yaml"])
def test_a_name_may_be_there_only_once(second: str) -> None:
    assert "is in it twice" in refusal(a_tar(("a.yaml", b"x"), (second, b"y")))


def test_a_file_cannot_be_a_folder_too() -> None:
    archive = a_tar(("tests", b"x"), ("tests/a.yaml", b"y"))

    assert refusal(archive) == "'tests' is a file, and 'tests/a.yaml' below it"


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(files=2), "holds more than 2 files"),
        (Limits(unpacked_bytes=2000), "would be more than 2000 bytes when unpacked"),
        (Limits(files=1, unpacked_bytes=1), "would be more than 2049 bytes when unpacked"),
    ],
)
def test_too_much_is_refused(limits: Limits, told: str) -> None:
    archive = a_tar(*((f"{n}.yaml", b"x" * 1000) for n in range(3)))

    assert refusal(archive, limits) == told


def test_a_bomb_is_not_unpacked_to_see_how_large_it_is() -> None:
    bomb = gzip.compress(bytes(50_000_000))

    assert "would be more than" in refusal(bomb, Limits(files=10, unpacked_bytes=1000))


@pytest.mark.parametrize(
    ("archive", "told"),
    [
        (b"", "is cut off"),
        (b"not gzip at all", "is no gzip file"),
        (a_tar(("a.yaml", b"x"))[:-9], "is cut off"),
        (a_tar(("a.yaml", b"x")) + b"more", "something behind its end"),
        (gzip.compress(b"x" * 600, mtime=0), "is no tar archive inside"),
    ],
    ids=["empty", "text", "cut off", "with more behind", "no tar"],
)
def test_what_is_no_archive_is_refused(archive: bytes, told: str) -> None:
    assert told in refusal(archive)


def test_a_plain_tar_by_another_program_will_do(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"x")
    with tarfile.open(tmp_path / "p.tar.gz", "w:gz", format=tarfile.GNU_FORMAT) as tar:
        tar.add(tmp_path / "a.yaml", "a.yaml")

    assert unpack((tmp_path / "p.tar.gz").read_bytes(), "x") == {"a.yaml": b"x"}
