"""A page is one file: nothing in it escapes, and nothing has to be fetched."""

import json
import re
from html import unescape

import altair as alt

from moderation.adapters.pages.page import Heading, Paragraph, Rows, page

HOSTILE = "</script><img src=x onerror=alert(1)>"


def a_plot(title: str = "plot") -> alt.Chart:
    chart = alt.Chart(alt.Data(values=[{"x": 1}]), title=title)
    points: alt.Chart = chart.mark_point().encode(x="x:Q")
    return points


def without_library(html: str) -> str:
    return re.sub(r"<script>.*?</script", "", html, flags=re.DOTALL)


def test_texts_and_tables_are_shown_as_they_are() -> None:
    html = page("A & B", [Heading(HOSTILE), Paragraph("1 < 2"), Rows(("a",), ((HOSTILE,),))])

    assert "<title>A &amp; B</title>" in html
    assert "1 &lt; 2" in html
    assert "<img" not in html


def test_a_page_without_plots_has_no_script() -> None:
    assert "<script" not in page("A", [Paragraph("text")])


def test_a_plot_travels_whole_inside_the_page() -> None:
    plot = a_plot(HOSTILE)

    html = without_library(page("A", [plot]))

    (spec,) = re.findall(r'data-spec="([^"]*)"', html)
    assert json.loads(unescape(spec)) == plot.to_dict()
    assert "<img" not in html


def test_the_library_comes_once_and_cannot_end_its_script() -> None:
    html = page("A", [a_plot(), a_plot()])

    assert html.count("<script>") == html.count("</script") == 2
    assert len(html) < 2_000_000


def test_the_browser_may_fetch_nothing() -> None:
    html = without_library(page("A", [a_plot()]))

    assert "Content-Security-Policy\" content=\"default-src 'none'" in html
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=", html)
