"""Packing: the same files give the same bytes, and nothing from elsewhere gets in."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from moderation.adapters.policy_package import pack, unpack
from moderation.adapters.policy_package.limits import Limits
from moderation.core.errors import PolicySetRejected

FILES = {
    "b.yaml": b"b",
    "a.yaml": b"a",
    "profiles.yaml": b"p",
    "lists.yaml": b"l",
    "encoder.lock": b"k",
    "tests/a.yaml": b"t",
    f"calibration/{'e' * 64}/{'p' * 64}.json": b"{}",
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write(tmp_path / "policies", FILES)


def write(directory: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


def test_everything_beside_the_policies_comes_along(directory: Path) -> None:
    assert unpack(pack(directory), "x") == FILES


def test_the_same_files_give_the_same_bytes(directory: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "elsewhere", dict(reversed(FILES.items())))
    for path in again.iterdir():
        os.utime(path, (1, 1))
        path.chmod(0o700)

    assert pack(again) == pack(directory)


def test_nothing_of_this_machine_is_in_it(directory: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(directory)), mode="r:gz") as tar:
        members = tar.getmembers()

    assert [one.name for one in members] == sorted(FILES)
    assert {(one.mtime, one.uid, one.gid, one.uname, one.gname, one.mode) for one in members} == {
        (0, 0, 0, "", "", 0o644)
    }


def test_hidden_files_stay_at_home(directory: Path) -> None:
    write(directory, {".secret": b"x", ".git/config": b"x", "tests/.new": b"x"})

    assert unpack(pack(directory), "x") == FILES


def test_a_mounted_config_map_is_packed_as_its_files(tmp_path: Path) -> None:
    directory = tmp_path / "mounted"
    write(directory, {"..2026/a.yaml": b"a"})
    (directory / "..data").symlink_to("..2026")
    (directory / "a.yaml").symlink_to("..data/a.yaml")

    assert unpack(pack(directory), "x") == {"a.yaml": b"a"}


def lead_out(directory: Path) -> None:
    (directory.parent / "secret").write_bytes(b"x")
    (directory / "c.yaml").symlink_to("../secret")


def link_a_folder(directory: Path) -> None:
    (directory / "more").symlink_to("tests")


def put_a_pipe(directory: Path) -> None:
    os.mkfifo(directory / "pipe")


def name_it_badly(directory: Path) -> None:
    (directory / "a\nb").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lead_out, "c.yaml: is a link that leads out of the directory"),
        (link_a_folder, "more: is a link to a folder"),
        (put_a_pipe, "pipe: is not a file"),
        (name_it_badly, r"'a\\nb': has a character that is not allowed"),
    ],
)
def test_what_must_not_be_packed_is_named(
    directory: Path, spoil: Callable[[Path], None], told: str
) -> None:
    spoil(directory)

    with pytest.raises(PolicySetRejected, match=told):
        pack(directory)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(files=6), "holds more than 6 files"),
        (Limits(unpacked_bytes=7), "holds more than 7 bytes"),
        (Limits(archive_bytes=100), "is larger than 100 bytes when packed; leave pictures out"),
    ],
)
def test_too_much_is_told(directory: Path, limits: Limits, told: str) -> None:
    with pytest.raises(PolicySetRejected, match=told):
        pack(directory, limits)


def test_a_directory_that_is_not_there_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pack(tmp_path / "nonesuch")
