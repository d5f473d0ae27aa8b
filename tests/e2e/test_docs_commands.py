"""The pages do what they say: their commands are executed, in order, in a copy of the checkout.

Ports are the only change: a page's usual ones are replaced by those of a server of its own, since
several tests may run at once.
"""

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.documents import PAGES, ROOT, SHOWN, TYPED, Block, Mark, blocks_of, shows
from tests.e2e.server import STATE, Server, inherited, running_server

pytestmark = pytest.mark.e2e

COPIED = ("policies", "samples", "protos")
PATIENCE_S = 10.0
RUN_S = 60.0
USUAL_ADDRESS, USUAL_METRICS = "127.0.0.1:50051", "127.0.0.1:9464"
# `moderation` as it is on a reader's path; a command that would ask the usual port asks ours.
WRAPPER = """\
#!/bin/sh
case "$1 $*" in
  *--address*) ;;
  client*|status*) set -- "$@" --address "$SERVER_ADDRESS" ;;
esac
exec "{python}" -m moderation "$@"
"""
RUN_PAGES = [page for page in PAGES if any(block.run is not None for block in blocks_of(page))]


class Reader:
    """Follows a page to the letter, in a copy of the checkout."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self._home = home
        self._stack = stack
        self._server: Server | None = None
        self._written = ""

    def follow(self, block: Block) -> None:
        """Do what the marks of a block say."""
        for mark in block.marks:
            if mark.verb == "write":
                self._write(block, mark)
            elif mark.verb == "run":
                self._run(block, mark.words)
            elif mark.verb == "output":
                assert shows(block.text, self._written), f"{block.where}: got {self._written}"

    def _write(self, block: Block, mark: Mark) -> None:
        path, _, source = mark.words.partition(", from ")
        target = self._home / path
        target.parent.mkdir(parents=True, exist_ok=True)
        text = block.text.encode()
        target.write_bytes((self._home / source).read_bytes() if source else text)

    def _run(self, block: Block, words: str) -> None:
        wishes = words.split(", ")
        if "server" in wishes:
            command = shlex.split(block.command, comments=True)
            assert command[:2] == ["moderation", "serve"], block.where
            self._start_server(*command[2:])
            return
        if "with a server" in wishes and self._server is None:
            self._start_server()
        folder = next((wish.removeprefix("in ") for wish in wishes if wish.startswith("in ")), "")
        code = next((int(wish[5:]) for wish in wishes if wish.startswith("exit ")), 0)
        self._execute(block, code, ROOT / folder if folder else self._home)

    def _execute(self, block: Block, code: int, folder: Path) -> None:
        """A running server may need a moment until it has taken over what was written before."""
        deadline = time.monotonic() + (PATIENCE_S if self._server else 0.0)
        while True:
            done = self._executed(block, folder)
            self._written = done.stdout + done.stderr
            if done.returncode == code and shows(block.expected, self._written):
                return
            assert time.monotonic() < deadline, f"{block.where}: {done.returncode} {self._written}"

    def _executed(self, block: Block, folder: Path) -> "subprocess.CompletedProcess[str]":
        text = block.command
        if self._server:
            text = text.replace(USUAL_ADDRESS, self._server.address)
            text = text.replace(USUAL_METRICS, urlsplit(self._server.metrics_url).netloc)
        shell = ["bash", "-e", "-c", text]
        return subprocess.run(
            [sys.executable, "-c", text] if block.language == "python" else shell,
            cwd=folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )

    def _environment(self) -> dict[str, str]:
        return {
            **inherited(),
            "PATH": f"{self._home / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(self._home / "cache"),
            "COLUMNS": "160",
            "SERVER_ADDRESS": self._server.address if self._server else "",
            STATE: str(self._home / "state"),
        }

    def _start_server(self, *flags: str) -> None:
        started = running_server(
            None if "--package" in flags else self._home / "policies",
            *flags,
            state=self._home / "state",
            folder=self._home,
            env={"PYTHONPATH": str(ROOT)},
        )
        self._server = self._stack.enter_context(started)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of what commands read, under version control as a clone is."""
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name)
    wrapper = tmp_path / "bin" / "moderation"
    wrapper.parent.mkdir()
    wrapper.write_text(WRAPPER.format(python=sys.executable))
    wrapper.chmod(0o755)
    author = ["-c", "user.name=reader", "-c", "user.email=reader@localhost"]
    for command in (["init", "-q"], ["add", *COPIED], [*author, "commit", "-q", "-m", "clone"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


@pytest.fixture
def reader(home: Path) -> Iterator[Reader]:
    with ExitStack() as stack:
        yield Reader(home, stack)


@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_says(page: Path, reader: Reader) -> None:
    if page.stem == "other-languages" and not (ROOT / "examples/node/node_modules").exists():
        pytest.skip("not installed: the packages of examples/node (npm ci --ignore-scripts)")

    for block in blocks_of(page):
        reader.follow(block)


def test_the_demonstration_ends_well(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "samples/demo.py", "--once"],
        cwd=home,
        env={**inherited(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "It is in force after" in done.stdout
    assert "The last good policies stay in force" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_is_executed_or_says_why_not(page: Path) -> None:
    blocks = list(blocks_of(page))

    assert [one.where for one in blocks if one.language not in TYPED | SHOWN] == []
    assert [one.where for one in blocks if one.language in TYPED and not _is_explained(one)] == []


def _is_explained(block: Block) -> bool:
    reasons = [mark.words for mark in block.marks if mark.verb == "not run"]
    return block.run is not None or any(reasons)


@pytest.mark.parametrize("written", ["one  two 12 ms\nthree", "zero\none two 7 ms\nx\nthree"])
def test_what_a_page_shows_is_found_in_what_was_written(written: str) -> None:
    assert shows("one two 29 ms\n...\nthree", written)
    assert not shows("three\none two 29 ms", written)
    assert not shows("one two 29 ms four", written)
