"""Takes the pages at the root of the repository into the site, and the files that pages link to.

Links are written so that they work in the repository; here they are turned so that they
work in the site as well, which has the files as text and knows no folders.
"""

import os.path
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
ROOT_PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
LINK = re.compile(r"\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not below docs/."""
    for name in ROOT_PAGES:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    sources = {_source(file.src_uri) for file in files.documentation_pages()}
    linked = {target for source in sources for target in _targets(source)}
    for path in sorted(path for path in linked if _is_copied(path)):
        files.append(File.generated(config, _copy_uri(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of one page."""
    del config, files
    here = PurePosixPath(page.file.src_uri).parent

    def turned(found: re.Match[str]) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        path = _in_repository(_source(page.file.src_uri), target)
        if (ROOT / path).is_dir():
            return text
        return f"[{text}]({os.path.relpath(_site_uri(path), here)}{anchor})"

    return LINK.sub(turned, markdown)


def _source(uri: str) -> Path:
    return ROOT / uri if uri in ROOT_PAGES else ROOT / "docs" / uri


def _targets(source: Path) -> Iterator[PurePosixPath]:
    for _, target, _ in LINK.findall(source.read_text(encoding="utf-8")):
        yield _in_repository(source, target)


def _in_repository(source: Path, target: str) -> PurePosixPath:
    path = os.path.normpath(source.parent / target)
    return PurePosixPath(os.path.relpath(path, ROOT))


def _is_copied(path: PurePosixPath) -> bool:
    return (ROOT / path).is_file() and _site_uri(path) == _copy_uri(path)


def _site_uri(path: PurePosixPath) -> str:
    if str(path) in ROOT_PAGES:
        return str(path)
    return str(path.relative_to("docs")) if path.is_relative_to("docs") else _copy_uri(path)


def _copy_uri(path: PurePosixPath) -> str:
    """As text, which browsers show, whatever the file is called."""
    return f"files/{path}.txt"
