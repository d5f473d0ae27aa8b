"""A directory as it was at a revision, by the real git."""

import subprocess
from pathlib import Path

import pytest

from moderation.adapters.git_files import RevisionUnknown, unpack_revision


def git(directory: Path, *arguments: str) -> None:
    author = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    command = ["git", "-C", str(directory), *author, *arguments]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """A directory within a repository, changed since its only commit."""
    directory = tmp_path / "repository" / "my policies"
    directory.mkdir(parents=True)
    (directory / "a.yaml").write_text("old")
    git(directory.parent, "init", "-q")
    git(directory.parent, "add", ".")
    git(directory.parent, "commit", "-qm", "first")
    (directory / "a.yaml").write_text("new")
    return directory


def test_files_are_those_of_the_revision(policies: Path, tmp_path: Path) -> None:
    unpacked = unpack_revision("HEAD", policies, tmp_path / "scratch")

    assert (unpacked / "a.yaml").read_text() == "old"
    assert (policies / "a.yaml").read_text() == "new"


@pytest.mark.parametrize("revision", ["nonsense", "HEAD~7", "--output=x", "-h", ""])
def test_what_is_no_revision_is_told(policies: Path, tmp_path: Path, revision: str) -> None:
    with pytest.raises(RevisionUnknown):
        unpack_revision(revision, policies, tmp_path / "scratch")

    assert not list(policies.glob("*x*"))


def test_a_directory_that_the_revision_lacks_is_told(policies: Path, tmp_path: Path) -> None:
    later = policies.parent / "later"
    later.mkdir()

    with pytest.raises(RevisionUnknown, match="later"):
        unpack_revision("HEAD", later, tmp_path / "scratch")


def test_a_directory_without_git_is_told(tmp_path: Path) -> None:
    with pytest.raises(RevisionUnknown, match="not a git repository"):
        unpack_revision("HEAD", tmp_path, tmp_path / "scratch")


def test_a_machine_without_git_is_told(
    policies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(RevisionUnknown, match="git is not installed"):
        unpack_revision("HEAD", policies, tmp_path / "scratch")
