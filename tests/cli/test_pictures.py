from pathlib import Path

import pytest

from moderation.cli.exits import CommandError, Exit
from moderation.cli.pictures import content_ids, find_pictures, read_picture
from moderation.core.content import Content


def test_a_named_file_is_taken_whatever_its_ending(tmp_path: Path) -> None:
    file = tmp_path / "upload.bin"
    file.touch()

    assert find_pictures([file]) == [file]


def test_a_folder_gives_its_pictures_in_order_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "folder.png").mkdir()
    for name in ("b.PNG", "a.jpg", "deep/c.webp", "notes.txt", "deep/d.gif", "e.jpeg"):
        (tmp_path / name).touch()

    found = [str(path.relative_to(tmp_path)) for path in find_pictures([tmp_path])]

    assert found == ["a.jpg", "b.PNG", "deep/c.webp", "deep/d.gif", "e.jpeg"]


def test_what_a_folder_holds_besides_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.jpg", "b.HEIC", "c.heic", "README"):
        (tmp_path / name).touch()

    find_pictures([tmp_path], tell_skipped=True)

    told = capsys.readouterr().err
    assert "skipped 3 files (2 .heic, 1 without an ending): of a folder only .gif" in told


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no such file") as raised:
        find_pictures([tmp_path / "gone.jpg"])

    assert raised.value.exit_code is Exit.NO_INPUT


def test_a_folder_without_pictures_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()

    with pytest.raises(CommandError, match=r"no pictures \(\.gif, \.jpeg") as raised:
        find_pictures([tmp_path])

    assert raised.value.exit_code is Exit.NO_INPUT


def test_of_a_file_that_is_too_large_no_more_is_read_than_shows_it(tmp_path: Path) -> None:
    file = tmp_path / "huge.jpg"
    with file.open("wb") as sparse:
        sparse.truncate(10 * 2**30)

    assert len(read_picture(file, max_bytes=1000)) == 1001


def test_a_picture_s_id_is_its_path_as_it_was_named() -> None:
    pictures = [Path("uploads/a.jpg"), Path("./b.jpg"), Path("/srv/c.jpg"), Path("../up/d.jpg")]

    assert content_ids(pictures) == ["uploads/a.jpg", "b.jpg", "srv/c.jpg", "up/d.jpg"]


def test_every_id_is_of_its_own_and_one_that_the_service_takes() -> None:
    odd = ["x" * 250, "line\nbreak", "bad\udcff.jpg", "a.jpg", "../a.jpg", "/a.jpg"]

    ids = content_ids(Path(name) for name in odd)

    assert len(set(ids)) == len(odd)
    assert ids[3:] == ["a.jpg", "a.jpg#2", "a.jpg#3"]
    assert [Content(b"bytes", one).content_id for one in ids] == ids
