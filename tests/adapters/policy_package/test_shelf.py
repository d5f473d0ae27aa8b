"""Where packages are unpacked: whole or not at all, and none is forgotten that was newer."""

from pathlib import Path

import pytest

from moderation.adapters.policy_package import PackageShelf
from moderation.adapters.policy_package.sealing import Statement, state
from moderation.adapters.policy_package.shelf import shelved_as

FILES = {"a.yaml": b"a", "tests/a.yaml": b"t"}


def a_package(serial: int) -> Statement:
    return state(b"archive %d" % serial, serial=serial)


@pytest.fixture
def shelf(tmp_path: Path) -> PackageShelf:
    return PackageShelf(tmp_path / "state" / "packages")


def contents(shelf: PackageShelf) -> dict[str, bytes]:
    files = (path for path in shelf.policies.rglob("*") if path.is_file())
    return {path.relative_to(shelf.policies).as_posix(): path.read_bytes() for path in files}


def test_there_is_nothing_before_something_was_put_there(shelf: PackageShelf) -> None:
    assert shelf.newest() is None
    assert not shelf.policies.exists()


def test_the_last_that_was_put_there_is_the_current_one(shelf: PackageShelf) -> None:
    shelf.put(a_package(1), {"a.yaml": b"old", "b.yaml": b""})
    shelf.put(a_package(2), FILES)

    assert contents(shelf) == FILES
    assert shelf.newest() == shelved_as(a_package(2))


def test_nobody_else_can_look_into_it(shelf: PackageShelf, tmp_path: Path) -> None:
    shelf.put(a_package(1), FILES)

    folders = [path for path in (tmp_path / "state").rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o077 for path in folders} == {0}


def test_few_are_kept_and_the_newest_is_among_them(shelf: PackageShelf, tmp_path: Path) -> None:
    for serial in (9, 10, 11, 100):
        shelf.put(a_package(serial), FILES)

    names = sorted(path.name for path in (tmp_path / "state/packages").iterdir())
    assert [name.partition("-")[0].lstrip("0") for name in names] == ["10", "11", "100", "current"]
    assert shelf.newest() == shelved_as(a_package(100))


@pytest.mark.parametrize("spoil", ["alter", "remove", "add"])
def test_what_was_spoiled_on_the_disk_is_mended(shelf: PackageShelf, spoil: str) -> None:
    shelf.put(a_package(1), FILES)
    if spoil == "alter":
        (shelf.policies / "a.yaml").write_bytes(b"x")
    elif spoil == "remove":
        (shelf.policies / "a.yaml").unlink()
    else:
        (shelf.policies / "b.yaml").write_bytes(b"x")

    shelf.put(a_package(1), FILES)

    assert contents(shelf) == FILES


def test_what_is_as_it_should_be_is_not_written_again(shelf: PackageShelf) -> None:
    shelf.put(a_package(1), FILES)
    before = (shelf.policies / "a.yaml").stat()

    shelf.put(a_package(1), FILES)

    assert (shelf.policies / "a.yaml").stat() == before


def test_other_things_in_the_directory_are_no_packages(shelf: PackageShelf, tmp_path: Path) -> None:
    shelf.put(a_package(1), FILES)
    for name in (".new-x", "9" * 20, "9" * 20 + "-short"):
        (tmp_path / "state/packages" / name).mkdir()

    assert shelf.newest() == shelved_as(a_package(1))
