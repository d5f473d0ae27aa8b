"""Reading below allowed folders: nothing outside, however it is named."""

import os
from pathlib import Path

import pytest

from moderation.adapters.fetch import FileReader
from moderation.core.errors import InvalidRequest
from moderation.core.image_uri import image_uri_from

MAX_BYTES = 100


@pytest.fixture
def root(tmp_path: Path) -> Path:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a b.png").write_bytes(b"picture")
    (tmp_path / "secret").write_bytes(b"secret")
    return inside


def read(root: Path, path: str) -> bytes:
    return sized(root, path)[0]


def sized(root: Path, path: str) -> tuple[bytes, list[int]]:
    """The file, and what was told of its size before it was read."""
    told: list[int] = []
    reader = FileReader([root], max_bytes=MAX_BYTES)
    return reader.read(image_uri_from(f"file://{path}"), told.append), told


def test_a_file_below_the_folder_is_read(root: Path) -> None:
    assert sized(root, f"{root}/a%20b.png") == (b"picture", [7])


def test_no_more_is_read_than_tells_that_it_is_too_large(root: Path) -> None:
    (root / "large").write_bytes(b"x" * 1000)

    image, told = sized(root, f"{root}/large")

    assert (len(image), told) == (MAX_BYTES + 1, [MAX_BYTES + 1])


def test_a_link_within_the_folder_is_followed(root: Path) -> None:
    (root / "link").symlink_to("a b.png")

    assert read(root, f"{root}/link") == b"picture"


@pytest.mark.parametrize("path", ["/../secret", "/%2e%2e/secret", "/link", "/../nothing", "/.."])
def test_what_is_outside_is_refused_whether_it_is_there_or_not(root: Path, path: str) -> None:
    (root / "link").symlink_to(root.parent / "secret")

    with pytest.raises(InvalidRequest, match="not below a folder"):
        read(root, f"{root}{path}")


def test_a_folder_that_begins_alike_is_another_one(root: Path) -> None:
    beside = root.with_name("inside-too")
    beside.mkdir()
    (beside / "x").write_bytes(b"x")

    with pytest.raises(InvalidRequest, match="not below a folder"):
        read(root, f"{beside}/x")


def test_what_is_no_readable_file_is_told(root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "folder").mkdir()

    for name in ("nothing", "pipe", "folder", "x%00y"):
        with pytest.raises(InvalidRequest, match=r"no readable file|not below"):
            read(root, f"{root}/{name}")
