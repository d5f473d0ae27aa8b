"""Files that cannot be read, must not be read, or are not what their name says."""

import os
import time
from pathlib import Path

import pytest

from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.adapters.policy_yaml.files import (
    MAX_FILE_BYTES,
    MAX_FILES,
    list_policy_files,
    read_policy_file,
)
from moderation.adapters.policy_yaml.tree import Flawed
from moderation.core.errors import PolicySetRejected
from tests.adapters.policy_yaml.writing import GOOD, another, edited, load, problems, write
from tests.adapters.users import an_open_directory, an_ordinary_user

BYTES = {
    "an empty file": (b"", ": the file is empty"),
    "a byte order mark and nothing else": (b"\xef\xbb\xbf", ": the file is empty"),
    "comments only": (b"# to be written\n", ": the file is empty"),
    "another encoding": (
        "id: x\ntitle: caf\xe9\n".encode("latin-1"),
        ":2:11: byte 0xe9 is not UTF-8; save the file as UTF-8",
    ),
    "UTF-16": (GOOD.encode("utf-16-le"), ":1:2: the control character U+0000 is not allowed"),
    "UTF-16 with its mark": (
        b"\xff\xfe" + GOOD.encode("utf-16-le"),
        ":1:1: byte 0xff is not UTF-8; save the file as UTF-8",
    ),
    "a character that ends in the middle": (
        b"id: x\ntitle: caf\xc3",
        ":2:11: byte 0xc3 is not UTF-8; save the file as UTF-8",
    ),
    "a control character": (
        b"id: x\r\ntitle: a\x07b\r\n",
        ":2:9: the control character U+0007 is not allowed; remove it",
    ),
    "half of a policy": (
        edited(("{review: 0.5, block: 0.8}", "{revi"))[:-1].encode(),
        ":6:18: is not valid YAML: expected ',' or '}', but got '<stream end>' while parsing a "
        "flow mapping that starts on line 6; the bracket on line 6 is not closed, or the file "
        "is half written",
    ),
}


@pytest.mark.parametrize(("content", "told"), BYTES.values(), ids=BYTES)
def test_bytes_that_are_no_policy_are_refused(tmp_path: Path, content: bytes, told: str) -> None:
    directory = write(tmp_path, x=content)

    (problem,) = problems(directory)

    assert problem.startswith(f"policies/x.yaml{told}")


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    directory = write(tmp_path, x=b"\xef\xbb\xbf" + GOOD.encode())

    assert load(directory).version == load(write(tmp_path / "plain", x=GOOD)).version


def test_line_ends_of_other_systems_do_no_harm(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD.replace("\n", "\r\n"))

    assert load(directory).version == load(write(tmp_path / "plain", x=GOOD)).version


def test_a_file_of_20_mb_is_refused_unread(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD)
    with (directory / "x.yaml").open("r+b") as file:
        file.truncate(20_000_000)

    started = time.process_time()
    told = problems(directory)

    assert told == [
        f"policies/x.yaml: is too large: 20000000 bytes; at most {MAX_FILE_BYTES} are allowed"
    ]
    assert time.process_time() - started < 3.0


def test_a_bomb_of_aliases_is_refused_without_growing(tmp_path: Path) -> None:
    lines = ["title: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"k{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    started = time.process_time()
    told = problems(write(tmp_path, x="\n".join(lines)))

    assert "policies/x.yaml:1:8: the anchor &a0 is not allowed; remove it" in told
    assert "policies/x.yaml:2:10: the alias *a0 is not allowed; write the value out" in told
    assert time.process_time() - started < 3.0


@pytest.mark.parametrize("unit", ["[", "{", "- ", "? ", "a: ", "!", "&a ", "*a ", '"', "'", "|\n"])
def test_the_largest_file_of_one_sign_is_refused_in_bounded_time(tmp_path: Path, unit: str) -> None:
    content = (unit * MAX_FILE_BYTES)[:MAX_FILE_BYTES]

    started = time.process_time()
    told = problems(write(tmp_path, x=content))

    assert told
    assert time.process_time() - started < 30.0


def test_links_within_the_directory_are_followed_as_kubernetes_makes_them(tmp_path: Path) -> None:
    directory = tmp_path / "policies"
    (directory / "..2024_01_31").mkdir(parents=True)
    (directory / "..2024_01_31" / "x.yaml").write_text(GOOD)
    (directory / "..data").symlink_to("..2024_01_31")
    (directory / "x.yaml").symlink_to("..data/x.yaml")

    assert [policy.id for policy in load(directory).policies] == ["x"]


def test_a_directory_that_is_a_link_itself_is_read(tmp_path: Path) -> None:
    write(tmp_path, x=GOOD)
    (tmp_path / "current").symlink_to("policies")

    assert len(load(tmp_path / "current").policies) == 1


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret.yaml", "../policies-2/x.yaml"])
def test_a_link_out_of_the_directory_is_refused_unread(tmp_path: Path, target: str) -> None:
    (tmp_path / "secret.yaml").write_text("password: [")
    write(tmp_path, x=GOOD).joinpath("y.yaml").symlink_to(target)
    (tmp_path / "policies-2").mkdir()
    (tmp_path / "policies-2" / "x.yaml").write_text(GOOD)

    assert problems(tmp_path / "policies") == [
        "policies/y.yaml: is a link that leads out of the directory; copy the file instead"
    ]


def test_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD)
    (directory / "y.yaml").symlink_to("z.yaml")

    assert problems(directory) == ["policies/y.yaml: is a link to a file that does not exist"]


def test_a_link_to_itself_is_told(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD)
    (directory / "y.yaml").symlink_to("y.yaml")

    assert problems(directory) == [
        "policies/y.yaml: cannot be read: Too many levels of symbolic links"
    ]


def test_a_directory_with_a_policy_s_name_is_told(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD)
    (directory / "y.yaml").mkdir()

    assert problems(directory) == ["policies/y.yaml: is not a file; a policy is one YAML file"]


def test_a_pipe_with_a_policy_s_name_is_told_and_not_waited_for(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD)
    os.mkfifo(directory / "y.yaml")

    assert problems(directory) == ["policies/y.yaml: is not a file; a policy is one YAML file"]


def test_a_file_that_may_not_be_read_is_told() -> None:
    with an_open_directory() as temporary:
        directory = write(temporary, x=GOOD, y=another("y"))
        (directory / "y.yaml").chmod(0)

        with an_ordinary_user():
            told = problems(directory)

    assert told == ["policies/y.yaml: cannot be read: Permission denied"]


def test_no_directory_is_told(tmp_path: Path) -> None:
    assert problems(tmp_path / "policies") == ["policies: there is no such directory"]


def test_a_file_in_place_of_the_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "policies").write_text(GOOD)

    assert problems(tmp_path / "policies") == [
        "policies: cannot be read as a directory: Not a directory"
    ]


def test_a_directory_without_policies_is_told(tmp_path: Path) -> None:
    assert problems(write(tmp_path)) == ["policies: there is no policy file (*.yaml, *.yml) in it"]


def test_too_many_files_are_refused_unread(tmp_path: Path) -> None:
    directory = write(tmp_path)
    for number in range(MAX_FILES + 1):
        (directory / f"{number}.yaml").touch()

    assert problems(directory) == [
        f"policies: holds {MAX_FILES + 1} files; at most {MAX_FILES} are allowed"
    ]


def test_a_deleted_file_takes_its_policy_with_it(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD, y=another("y"))
    source = YamlPolicySource(directory)
    source.load()

    (directory / "y.yaml").unlink()

    assert [policy.id for policy in source.load().policies] == ["x"]


def test_a_file_that_vanishes_between_listing_and_reading_is_told(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD)
    (name,) = list_policy_files(directory)
    (directory / name).unlink()

    with pytest.raises(Flawed, match=r"^was deleted while it was being read$"):
        read_policy_file(directory, name)


def test_no_path_of_the_machine_is_told(tmp_path: Path) -> None:
    directory = write(tmp_path, x="id: [", y=b"\xff")
    (directory / "z.yaml").symlink_to(tmp_path / "nothing.yaml")

    told = problems(directory)

    assert len(told) == 3
    assert not any(str(tmp_path) in problem for problem in told)


@pytest.mark.parametrize("name", [b"two\nlines.yaml", b"\xff.yaml", b"\x1b[31m.yaml"])
def test_an_odd_file_name_is_told_on_one_printable_line(tmp_path: Path, name: bytes) -> None:
    directory = write(tmp_path, x=GOOD)
    Path(os.fsdecode(os.fsencode(directory) + b"/" + name)).write_text(GOOD)

    with pytest.raises(PolicySetRejected) as caught:
        YamlPolicySource(directory).load()

    assert all(str(problem).isprintable() for problem in caught.value.problems)
