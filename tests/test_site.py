"""The site builds without a warning, and asks nobody but its own server for anything."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="not installed: mkdocs-material")

ROOT = Path(__file__).parents[1]
# What a browser fetches by itself, by element; links that a reader may follow are not among them.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
EXTERNAL = re.compile(r"^(https?:)?//")


class Fetches(HTMLParser):
    """Collects what a page fetches from other machines."""

    def __init__(self) -> None:
        super().__init__()
        self.external: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        address = values.get(FETCHED.get(tag, "")) or ""
        is_fetched = values.get("rel") != "canonical"
        if is_fetched and EXTERNAL.match(address):
            self.external.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict"]
    done = subprocess.run(
        [*command, "--site-dir", str(built)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return built


def test_every_page_is_in_the_site(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}

    assert pages <= {path.stem for path in site.glob("*.html")}
    assert (site / "index.html").exists()


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        fetches = Fetches()
        fetches.feed(page.read_text(encoding="utf-8"))

        assert fetches.external == [], page.name


def test_styles_fetch_nothing_from_elsewhere(site: Path) -> None:
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]

    assert styles
    assert not [found for style in styles for found in re.findall(r"url\(.?https?:", style)]


def test_links_to_files_of_the_repository_lead_to_copies(site: Path) -> None:
    page = (site / "api.html").read_text(encoding="utf-8")

    assert 'href="files/protos/moderation/v1/moderation.proto.txt"' in page
    assert (site / "files/protos/moderation/v1/moderation.proto.txt").exists()
