"""Where packages are unpacked: whole or not at all, and none is forgotten that was newer."""

import threading
from concurrent.futures import ThreadPoolExecutor
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


def test_an_older_one_does_not_take_the_place_of_what_another_process_put_there(
    shelf: PackageShelf,
) -> None:
    shelf.put(a_package(2), FILES)
    shelf.put(a_package(1), {"a.yaml": b"old"})

    assert contents(shelf) == FILES


def test_several_put_the_same_there_at_once_and_readers_miss_nothing(shelf: PackageShelf) -> None:
    start = threading.Barrier(4, timeout=30)

    def put_and_read(_: int) -> list[dict[str, bytes]]:
        found = []
        for serial in range(1, 21):
            start.wait()
            shelf.put(a_package(serial), {**FILES, "serial": b"%d" % serial})
            found.append(contents(shelf))
        return found

    with ThreadPoolExecutor(4) as executor:
        everything = list(executor.map(put_and_read, range(4)))

    for found in everything:
        assert [one["serial"] for one in found] == [b"%d" % serial for serial in range(1, 21)]
        assert all(one.keys() == {*FILES, "serial"} for one in found)


def test_other_things_in_the_directory_are_no_packages(shelf: PackageShelf, tmp_path: Path) -> None:
    shelf.put(a_package(1), FILES)
    for name in (".new-x", "9" * 20, "9" * 20 + "-short"):
        (tmp_path / "state/packages" / name).mkdir()

    assert shelf.newest() == shelved_as(a_package(1))
