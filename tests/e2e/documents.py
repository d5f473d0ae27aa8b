"""What the pages ask a reader to type, and the marks that say what a test does with it.

A mark is a comment right before a block, so that readers of the page do not see it:

<!-- run -->                    it is executed and ends with 0
<!-- run: exit 1 -->            it ends with 1 on purpose
<!-- run: with a server -->     one is started before, unless one runs
<!-- run: in FOLDER -->         it is executed there
<!-- run: server -->            it starts the server, which runs to the end of the page
<!-- output -->                 what the block before has written; `...` stands for anything
<!-- write: PATH -->            it is written to a file
<!-- write: PATH, from FILE --> the file is copied, before the block is executed
<!-- not run: REASON -->        it is not executed
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
TYPED = frozenset({"sh", "console", "python"})
"""Languages of blocks that a reader types or copies, and which therefore need a mark."""
SHOWN = frozenset({"yaml", "text", "go"})
"""Languages of blocks that may stand without one."""
MARK = re.compile(r"<!-- (run|not run|output|write)(?:: (.+?))? -->")


@dataclass(frozen=True)
class Mark:
    """One comment: what to do, and the words after the colon."""

    verb: str
    words: str


@dataclass(frozen=True)
class Block:
    """A fenced block with the marks before it."""

    where: str
    language: str
    text: str
    marks: tuple[Mark, ...]

    @property
    def run(self) -> str | None:
        """How it is executed; None if it is not."""
        return next((mark.words for mark in self.marks if mark.verb == "run"), None)

    @property
    def command(self) -> str:
        """What is typed: in a console, the lines after a prompt."""
        if self.language != "console":
            return self.text
        return "\n".join(re.findall(r"^\$ (.*)$", self.text, re.MULTILINE))

    @property
    def expected(self) -> str:
        """What a console shows after the command."""
        if self.language != "console":
            return ""
        return "\n".join(line for line in self.text.splitlines() if not line.startswith("$ "))


def blocks_of(page: Path) -> Iterator[Block]:
    """Every fenced block of a page, in order."""
    marks: list[Mark] = []
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "html_block":
            found = MARK.findall(token.content)
            marks += [Mark(verb, words) for verb, words in found]
        elif token.type == "fence":
            line = token.map[0] + 1 if token.map else 0
            yield Block(f"{page.name}:{line}", token.info.strip(), token.content, tuple(marks))
            marks = []
        elif marks:
            raise ValueError(f"{page.name}: {marks} stands before no block")


def shows(expected: str, written: str) -> bool:
    """Whether every line that a page shows was written, in that order.

    Space between words and times in milliseconds may differ.
    """
    lines = [_pattern(line) for line in expected.splitlines() if line.strip() not in ("", "...")]
    return re.search(".*".join(lines), _plain(written), re.DOTALL) is not None


def _plain(text: str) -> str:
    return re.sub(r"\d+ ms", "N ms", " ".join(text.split()))


def _pattern(line: str) -> str:
    return ".*?".join(re.escape(part) for part in _plain(line).split("..."))
