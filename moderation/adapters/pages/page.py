"""One self-contained HTML page of texts, tables and plots; the browser may fetch nothing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

import altair as alt
import vl_convert

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'"
"""What the page may do: the plotting library compiles its expressions, and nothing is loaded."""
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .25rem .75rem; text-align: left; border-bottom: 1px solid #ddd }
.plot { display: inline-block; vertical-align: top; margin: .5rem 1rem .5rem 0 }
"""
_SNIPPET = "window.vegaEmbed = vegaEmbed;"
_DRAW = """
for (const plot of document.querySelectorAll(".plot"))
  vegaEmbed(plot, JSON.parse(plot.dataset.spec), {actions: false});
"""


@dataclass(frozen=True, slots=True)
class Heading:
    """Starts a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class Rows:
    """A table."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Plot: TypeAlias = alt.Chart | alt.LayerChart
Part: TypeAlias = Heading | Paragraph | Rows | Plot


def page(title: str, parts: Sequence[Part]) -> str:
    """The whole page; with plots it carries the plotting library, about 900 kB."""
    body = "\n".join(_html(part) for part in parts)
    has_plots = any(isinstance(part, Plot) for part in parts)
    scripts = f"<script>{_library()}</script><script>{_DRAW}</script>" if has_plots else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{body}\n{scripts}</body></html>\n"
    )


def _library() -> str:
    # A script ends at the first "</script", even within one of its strings.
    return str(vl_convert.javascript_bundle(_SNIPPET)).replace("</script", "<\\/script")


def _html(part: Part) -> str:
    if isinstance(part, Heading):
        return f"<h2>{escape(part.text)}</h2>"
    if isinstance(part, Paragraph):
        return f"<p>{escape(part.text)}</p>"
    if isinstance(part, Rows):
        return _table(part)
    spec = json.dumps(part.to_dict())
    return f'<div class="plot" data-spec="{escape(spec)}"></div>'


def _table(table: Rows) -> str:
    def row(cells: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return (
        f"<table>{row(table.header, 'th')}{''.join(row(one, 'td') for one in table.rows)}</table>"
    )
