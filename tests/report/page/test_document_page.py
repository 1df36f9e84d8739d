"""The page of a report: every number is in the JSON, every text stays text; in a browser it fits, prints, goes dark."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fourview.report.document import Document, Figure, Gallery, GalleryItem, Section
from fourview.report.document_folder import write_document
from fourview.report.document_json import document_values
from fourview.report.meaning import RESEARCH_ONLY
from fourview.report.page.document_page import draw_document_page
from fourview.report.page.figure_data import MOST_POINTS
from tests.report.sample_document import BAD, sample_document

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+−-]?\d+)?")
_VOID = {"meta", "img", "br"}


@dataclass
class _Texts(HTMLParser):
    """The texts of a page by the tags and classes around them."""

    found: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(f"{tag} {dict(attrs).get('class') or ''}".strip())

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop().split()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.found.append((tuple(self.open), data.strip()))


def _plain(value: Any) -> Iterator[Any]:
    """Every number and text of a JSON value."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from _plain(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _plain(inner)
    else:  # a lone surrogate stands on the page as \\ud800
        yield value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _foreign_numbers(html: str, values: Any) -> set[str]:
    """Numbers in the tables and the headline of the page that are no number, or in no text, of the JSON.

    Numbers in cells of numbers and estimates must be numbers of the JSON, rounded as they are printed.
    """
    parser = _Texts()
    parser.feed(html)
    plain = list(_plain(values))
    numbers = [abs(v) for v in plain if isinstance(v, int | float) and not isinstance(v, bool)]
    in_texts = {token for v in plain if isinstance(v, str) for token in _NUMBER.findall(v)}
    tiny = any(v < 0.001 for v in numbers)

    def known(token: str, *, texts: bool) -> bool:
        if texts and token in in_texts:
            return True
        bare = token.replace(",", "").replace("−", "-")
        mantissa, _, exponent = bare.partition("e")
        decimals = len(mantissa.partition(".")[2])
        return any((f"{v:.{decimals}e}" if exponent else f"{v:.{decimals}f}") == bare for v in numbers)

    foreign = set()
    for around, text in parser.found:
        strict = {"td estimate", "td number", "span value", "span interval"} & set(around) and "small" not in around
        if strict or {"td", "small about", "small method", "p fact", "small"} & set(around):
            checked = text.replace("95 %", "").replace("p < 0.001", "" if tiny else "0.001")
            foreign |= {token for token in _NUMBER.findall(checked) if not known(token, texts=not strict)}
    return foreign


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "out"
    write_document(out, sample_document(), texts={"methods and more.txt".replace(" ", "_"): "text"})
    return out


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "report.html").read_text("utf-8")


def _open(page: Any, folder: Path) -> Any:
    page.goto((folder / "report.html").as_uri())
    return page


# ---- what stands on it


def test_every_number_of_tables_and_headline_is_in_the_json(folder: Path, html: str) -> None:
    values = json.loads((folder / "results.json").read_text())
    assert _foreign_numbers(html, values) == set()


def test_a_number_that_is_not_in_the_json_would_be_seen(folder: Path, html: str) -> None:
    values = json.loads((folder / "results.json").read_text())
    for place, number in (
        ('<span class="value">0.881', "0.777"),
        ("<b>0.751", "0.777"),
        ("(0.837 to 0.915)", "8.765"),
        ("1,234,567", "1,234,568"),
        ("n = 1,440 breasts", "4,441"),
        ("p = 0.203", "0.778"),
    ):
        assert place in html
        changed = html.replace(place, re.sub(_NUMBER, number, place, count=1))
        assert _foreign_numbers(changed, values) == {number}
    without = replace(sample_document(), headline=(), sections=())
    assert "0.881" in _foreign_numbers(html, document_values(without))


def test_every_headline_has_value_interval_counts_unit_method_and_warnings(html: str) -> None:
    parser = _Texts()
    parser.feed(html)
    head = " | ".join(text for around, text in parser.found if "dl headline" in around)
    counts = "n = 1,440 breasts, 61 positive, 720 clusters | Obuchowski 1997, clustered, logit"
    assert head == (
        f"AUC | 0.881 | 95 % 0.837 to 0.915 | {counts} | "
        f"AUC difference | −0.024 | 95 % −0.061 to 0.013; p < 0.001 | {counts} | "
        f"fatty | 1.000 | no interval | {counts} | no errors"
    )


def test_the_page_says_that_it_is_research(html: str) -> None:
    assert html.count(RESEARCH_ONLY) == 2


def test_no_id_stands_twice_and_every_reference_has_its_id(html: str) -> None:
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    references = re.findall(r'(?:url\(#|href="#)([^")]+)', html)
    assert len(references) > 20
    assert set(references) <= set(ids)


def test_two_figures_of_the_same_plot_keep_their_own_ids() -> None:
    svg = sample_document().figures[0].svg
    parts = Figure("a", "A", svg), Figure("b", "B", svg)
    html = draw_document_page(Document("evaluation", "T", (), (Section("s", "S", parts),)))
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_plots_take_the_colours_of_the_page_but_texts_in_them_do_not() -> None:
    svg = '<svg width="9"><text style="fill: #1b2127">#1b2127 id="x" fill: #0072b2</text></svg>'
    document = Document("evaluation", "T", (), (Section("s", "S", (Figure("a", "A & B", svg),)),))
    html = draw_document_page(document)
    assert '<svg role="img" aria-label="Figure 1: A &amp; B." width="9">' in html
    assert '<text style="fill: var(--text)">#1b2127 id="x" fill: #0072b2</text>' in html


def test_short_lines_are_listed_and_long_ones_are_said_to_be_in_the_json() -> None:
    def drawn(points: int) -> str:
        data = {"curve": {"x": np.linspace(0, 1, points), "y": np.full(points, 0.125)}}
        figure = Figure("a", "A", "<svg></svg>", data=data)
        return draw_document_page(Document("evaluation", "T", (), (Section("s", "S", (figure,)),)))

    assert drawn(MOST_POINTS).count('<td class="number">0.125</td>') == MOST_POINTS
    assert "numbers of this figure are in" not in drawn(MOST_POINTS)
    assert "0.125" not in drawn(MOST_POINTS + 1)
    assert "numbers of this figure are in" in drawn(MOST_POINTS + 1)


def test_estimates_of_a_figure_are_listed_with_their_names(html: str) -> None:
    forest = html[html.index('id="figure-3"') : html.index('id="figure-4"')]
    assert "<bdi>AUC</bdi></td>" in forest
    assert "(0.837 to 0.915)" in forest
    assert "no errors" in forest


def test_only_links_relative_to_the_report_are_links() -> None:
    links = (
        "../run/exam.html",
        "a%20b.html",
        "javascript:alert(1)",
        "//a.org",
        "/etc",
        "\\\\a\\b",
        "http://a.org",
        None,
    )
    items = tuple(GalleryItem(f"item {k}", (), link) for k, link in enumerate(links))
    html = draw_document_page(Document("evaluation", "T", (), (Section("s", "S", (Gallery("g", "G", items),)),)))
    found = re.findall(r'<h4>(?:<a href="([^"]*)">|<bdi>)item', html)
    assert found == ["../run/exam.html", "a%20b.html", "", "", "", "", "", ""]


def test_a_picture_that_is_no_picture_is_refused() -> None:
    item = GalleryItem("one", (), None, (("L-CC", b"<svg onload='x'>"),))
    with pytest.raises(ValueError, match="need PNG or JPEG"):
        draw_document_page(Document("evaluation", "T", (), (Section("s", "S", (Gallery("g", "G", (item,)),)),)))


def test_a_document_of_nothing_but_a_title_is_a_page() -> None:
    html = draw_document_page(Document("calibration", "Only a title", (), ()))
    assert "<bdi>Only a title</bdi>" in html
    for absent in ("Methods", "checklist</h2>", "Settings", "The plots"):
        assert absent not in html.partition("</style>")[2].partition("<script>")[0]


# ---- in a browser


def test_hostile_texts_stay_text(page: Any, folder: Path) -> None:
    _open(page, folder)
    page.wait_for_timeout(100)
    assert page.evaluate("window.pwned") is None
    assert page.locator("img").count() == 2
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    shown = page.inner_text("h1")
    assert shown.startswith("Evaluation </script><img src=x onerror='window.pwned=1'> $\\frac{1 &")
    assert "{{7*7}}" in shown
    assert page.locator("h4 a").count() == 1


@pytest.mark.parametrize("width", [1024, 1366, 1920])
def test_nothing_is_wider_than_the_window(page: Any, folder: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    _open(page, folder)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = page.evaluate(
        """(width) => [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, svg, sup")
            && e.getBoundingClientRect().right > width + 1).map(e => e.tagName + "." + e.className)""",
        width,
    )
    assert beyond == []


@pytest.mark.parametrize("width", [1024, 1920])
def test_texts_of_plots_are_readable_and_stay_inside_them(page: Any, folder: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    _open(page, folder)
    outside, smallest = page.evaluate(
        """() => {
            const outside = [];
            let smallest = Infinity;
            for (const svg of document.querySelectorAll("svg")) {
                const frame = svg.getBoundingClientRect();
                const scale = frame.width / svg.viewBox.baseVal.width;
                for (const text of svg.querySelectorAll("text")) {
                    const box = text.getBoundingClientRect();
                    smallest = Math.min(smallest, scale * parseFloat(getComputedStyle(text).fontSize));
                    if (box.left < frame.left - 1 || box.right > frame.right + 1
                        || box.top < frame.top - 1 || box.bottom > frame.bottom + 1) outside.push(text.textContent);
                }
            }
            return [outside, smallest];
        }"""
    )
    assert outside == []
    assert smallest > 8


def test_every_link_of_the_page_leads_to_a_file_beside_it(page: Any, folder: Path) -> None:
    _open(page, folder)
    links = page.locator("footer a").evaluate_all("links => links.map(a => a.getAttribute('href'))")
    assert len(links) == 3 + 6
    assert all((folder / link).is_file() for link in links)
    anchors = page.locator(".contents a").evaluate_all("links => links.map(a => a.getAttribute('href').slice(1))")
    assert [page.locator(f"#{anchor}").count() for anchor in anchors] == [1] * 6


def _text_colours(page: Any) -> tuple[str, str]:
    """Of the page and of the first text in a plot."""
    return tuple(page.evaluate(
        """() => [getComputedStyle(document.body).color, getComputedStyle(document.querySelector("svg text")).fill]"""
    ))  # fmt: skip


def test_plots_follow_light_and_dark(page: Any, folder: Path) -> None:
    page.emulate_media(color_scheme="light")
    light = _text_colours(_open(page, folder))
    page.emulate_media(color_scheme="dark")
    dark = _text_colours(page)
    assert light[0] == light[1]
    assert dark[0] == dark[1]
    assert light != dark
    for _ in range(2):  # auto -> light -> dark
        page.click("[data-theme-toggle]")
        page.emulate_media(color_scheme="light")
    assert _text_colours(page) == dark


def test_paper_is_white_with_dark_plots_whatever_the_screen_shows(page: Any, folder: Path) -> None:
    page.emulate_media(color_scheme="dark")
    _open(page, folder)
    line = "getComputedStyle(document.documentElement).getPropertyValue('--plot-1').trim()"
    assert page.evaluate(line) == "#5ba8e5"
    page.emulate_media(color_scheme="dark", media="print")
    assert _text_colours(page) == ("rgb(0, 0, 0)", "rgb(0, 0, 0)")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(line) == "#0072b2"
    assert not page.locator("[data-copy]").is_visible()
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")


def test_the_methods_paragraph_is_copied_or_at_least_selected(page: Any, folder: Path) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    _open(page, folder)
    page.click("[data-copy]")
    page.wait_for_function("document.querySelector('[data-copy]').textContent !== 'Copy'")
    assert page.inner_text("[data-copy]") == "Copied"
    assert page.evaluate("navigator.clipboard.readText()").startswith("AUC was measured per breast.\n\n</script>")
    page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject(new Error('refused')))")
    page.click("[data-copy]")
    page.wait_for_function("document.querySelector('[data-copy]').textContent === 'Selected'")
    assert page.evaluate("getSelection().toString()").startswith("AUC was measured per breast.")


def test_the_checklist_is_grouped_and_says_what_is_left_to_the_authors(page: Any, folder: Path) -> None:
    _open(page, folder)
    guidelines = page.locator("#checklist h3").all_inner_texts()
    assert guidelines == ["CLAIM 2024", "TRIPOD+AI"]
    answers = [
        table.locator("tbody td:last-child").all_inner_texts() for table in page.locator("#checklist table").all()
    ]
    assert answers == [["in the title", "for the authors"], ["for the authors"]]


def test_warnings_stand_before_the_numbers_and_texts(page: Any, folder: Path) -> None:
    _open(page, folder)
    assert page.locator(".report-head .notice li").all_inner_texts()[0] == "Read this first."
    section = page.locator("#section-2")
    assert "All positives lie in one half." in section.locator(".notice").inner_text()
    assert section.locator("h2 + .notice").count() == 1
    areas = section.locator("#table-1")
    assert areas.locator("sup").all_inner_texts() == ["a", "b", "a", "b"]  # at two rows, and below
    assert "few positives: 7" in areas.locator(".below").inner_text()


def test_values_that_are_no_numbers_are_no_numbers_on_the_page(page: Any, folder: Path) -> None:
    _open(page, folder)
    cells = page.locator("#table-4 tbody tr td:last-child").all_inner_texts()
    assert cells == ["–", "−∞", "", "yes"]
    assert BAD[:9] in page.inner_text("#table-4 h3")
