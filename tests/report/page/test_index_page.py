"""The index page in a real browser, over folders that real batches wrote."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fourview.batch import BatchResult, ScreenOptions, screen_batch
from fourview.exam import VIEWS, Exam, ExamError, Reading, View
from fourview.report.meaning import RESEARCH_ONLY, what_numbers_mean
from fourview.report.page import index_page
from fourview.report.page.index_page import draw_index_page
from fourview.report.readings import Failure, Row, Summary
from tests.fake_screener import MARK, FakeScreener, MemoryFound, MemorySource, small_exam

IDS = tuple(letter * 16 for letter in "abcdefgh")
SHOWN = "tr[data-place]"
BAD = "</script><img src=x onerror='window.pwned=1'><!--\u2028{{7*7}}"


@dataclass(frozen=True)
class Run:
    """A batch's folder with its index.html, and what the page was drawn from."""

    out: Path
    result: BatchResult
    record: dict[str, Any]

    @property
    def url(self) -> str:
        return (self.out / "index.html").as_uri()

    @property
    def html(self) -> str:
        return (self.out / "index.html").read_text()

    def rows(self) -> list[dict[str, str]]:
        with (self.out / "readings.csv").open(newline="") as stream:
            return list(csv.DictReader(stream))


def _run(out: Path, sources: Sequence[MemorySource], *, stop_at: int | None = None, **options: Any) -> Run:
    class Stops(FakeScreener):
        def read(self, exam: Exam, *more: Any) -> Reading:
            if len(self.seen) == stop_at:
                raise KeyboardInterrupt
            return super().read(exam, *more)

    unit, show_ids = options.get("unit", "breast"), options.get("show_ids", False)
    found = MemoryFound(tuple(sources), left_out=options.get("left_out", ()))
    screener = Stops(unit=unit, needs_all=False)
    result = screen_batch(found, screener, out, options=ScreenOptions(show_ids=show_ids))
    record = json.loads((out / "run.json").read_text())
    return Run(out, result, record)


def _exam(exam_id: str, *, seed: int = 0, left: int = 1, right: int = 1, **changes: Any) -> Exam:
    """Darker by these divisors on either side, so that the fake's numbers differ."""
    exam = small_exam(exam_id, seed=seed, views=changes.pop("views", VIEWS))
    dimmed = tuple(
        replace(
            m, name=f"{exam_id[0]}_{m.view}.png", pixels=(m.pixels // (left if m.view.side == "L" else right)).copy()
        )
        for m in exam.mammograms
    )
    return replace(exam, mammograms=dimmed, **changes)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Six exams that were read (one with a left breast only), two that failed, and files that were left out."""
    a, b, c, d, e, f, g, h = IDS
    sources = (
        MemorySource(a, _exam(a, left=2, right=5)),
        MemorySource(b, ExamError("R-CC b.dcm: truncated pixels, found 3 of 12 MB")),
        MemorySource(c, _exam(c, left=3, right=2, warnings=("pixel spacing is unknown", "odd orientation tag"))),
        MemorySource(d, _exam(d, views=(View.L_CC, View.L_MLO), left=4)),
        MemorySource(e, _exam(e, left=6, right=7), left_out=(("scout.dcm", "tomosynthesis slice"),)),
        MemorySource(f, ExamError("no breast found in L-MLO")),
        MemorySource(g, _exam(g, left=1, right=3, warnings=("pixel spacing is unknown",))),
        MemorySource(h, _exam(h, left=9, right=8)),
    )
    out = tmp_path_factory.mktemp("mixed")
    return _run(out, sources, left_out=(("notes.txt", "not an image"), ("b.zip", "damaged: no end record")))


def _exams(page: Any) -> list[str]:
    """First letters of the exams that are shown, in order."""
    return [text[0] for text in page.locator(f"{SHOWN} td.id").all_inner_texts()]


def _cells(page: Any, key: str) -> list[float | None]:
    """The numbers of a column as shown; None where there is none."""
    keys = page.locator("#exams thead [data-key]").evaluate_all("heads => heads.map(h => h.dataset.key)")
    first_row = ["number", "exam", "views", "warnings", "marks", "status"]
    numbers = [k for k in keys if k not in first_row]
    at = 3 + numbers.index(key)
    texts = page.locator(SHOWN).evaluate_all(
        "(rows, at) => rows.map(r => r.className.includes('failed') ? '–' : r.cells[at].innerText)", at
    )
    return [None if text == "–" else float(text) for text in texts]


def _head(page: Any, key: str) -> Any:
    return page.locator(f"th[data-key={key}] button")


def _shown(page: Any) -> str:
    return str(page.locator("#shown").inner_text())


def test_every_exam_has_a_row_in_input_order(page: Any, mixed: Run) -> None:
    page.goto(mixed.url)
    assert _exams(page) == list("abcdefgh")
    assert page.locator(f"{SHOWN} td.place").all_inner_texts() == list("12345678")
    assert _shown(page) == "8 exams"
    facts = page.locator(".facts").inner_text()
    for text in ("6 read, 2 failed", "Files left out\n3", "fake", "feed" * 4, "fake 1.0 on cpu", "exams/s", "UTC"):
        assert text in facts
    assert page.locator("#status").inner_text() == "finished"
    assert page.locator("#unfinished").count() == 0


def test_the_right_breast_stands_before_the_left_one(page: Any, mixed: Run) -> None:
    page.goto(mixed.url)
    columns = page.locator("#exams thead tr:nth-child(2) th").evaluate_all(
        "heads => heads.sort((a, b) => a.getBoundingClientRect().x - b.getBoundingClientRect().x).map(h => h.innerText)"
    )
    assert columns == ["R", "L", "larger", "sd", "R", "L"]
    row = page.locator(SHOWN).first.locator("td.number").all_inner_texts()[:6]
    by_side = {r["side"]: r for r in mixed.rows() if r["exam"] == IDS[0]}
    right, left = by_side["R"], by_side["L"]
    assert float(left["p_malignant"]) > 2 * float(right["p_malignant"])
    expected = [right["p_malignant"], left["p_malignant"], left["p_malignant"], left["malignant_sd_windows"]]
    expected += [right["p_benign"], left["p_benign"]]
    assert row == [f"{float(p):.4f}" for p in expected]


def test_thumbnails_hang_with_the_right_breast_on_the_viewers_left(page: Any, mixed: Run) -> None:
    page.goto(mixed.url)
    pictures = page.locator(SHOWN).first.locator("img")
    pictures.last.evaluate("async picture => { picture.loading = 'eager'; await picture.decode(); }")
    found = pictures.evaluate_all(
        "all => all.sort((a, b) => a.getBoundingClientRect().x - b.getBoundingClientRect().x)"
        ".map(p => [p.getAttribute('src'), p.naturalWidth > 0])"
    )
    folder = f"exams/{IDS[0]}"
    assert found == [[f"{folder}/thumbnail_{view}.png", True] for view in ("R-CC", "L-CC", "R-MLO", "L-MLO")]
    left_only = page.locator(SHOWN).nth(3)
    assert left_only.locator("img").count() == 2
    assert left_only.locator(".slot").evaluate_all("all => all.map(s => s.className.includes('empty'))") == [
        True, False, True, False,
    ]  # fmt: skip


def test_a_missing_thumbnail_leaves_an_empty_slot(browser: Any, tmp_path: Path) -> None:
    run = _run(tmp_path, [MemorySource(IDS[0])])
    (tmp_path / "exams" / IDS[0] / "thumbnail_R-CC.png").unlink()
    opened = browser.new_page()  # Chromium notes the missing file in its console
    opened.goto(run.url)
    opened.wait_for_function("() => document.querySelectorAll('#exams img').length === 3")
    assert opened.locator(".slot").first.get_attribute("class") == "slot R empty"
    opened.close()


def test_every_number_sorts_both_ways_and_missing_ones_come_last(page: Any, mixed: Run) -> None:
    page.goto(mixed.url)
    for key in ("right_malignant", "left_malignant", "larger", "sd", "right_benign", "left_benign"):
        before = _cells(page, key)
        numbers = sorted(p for p in before if p is not None)
        missing = [None] * (len(before) - len(numbers))
        assert len(missing) >= 2
        head = page.locator(f"th[data-key={key}]")
        head.locator("button").click()
        assert _cells(page, key) == [*reversed(numbers), *missing]
        assert head.get_attribute("aria-sort") == "descending"
        head.locator("button").click()
        assert _cells(page, key) == [*numbers, *missing]
        assert head.get_attribute("aria-sort") == "ascending"
        assert page.locator("th[aria-sort=none]").count() == 11
        head.locator("button").click()
        assert _cells(page, key) == before
        assert page.locator("th[aria-sort=none]").count() == 12


def test_texts_and_counts_sort_too_and_equal_rows_keep_their_order(page: Any, mixed: Run) -> None:
    page.goto(mixed.url)
    _head(page, "status").click()
    assert _exams(page) == list("bfacdegh")
    _head(page, "status").click()
    assert _exams(page) == list("acdeghbf")
    _head(page, "warnings").click()
    assert _exams(page) == list("cgadehbf")
    _head(page, "exam").click()
    _head(page, "exam").click()
    assert _exams(page) == list("hgfedcba")
    _head(page, "views").focus()
    page.keyboard.press("Enter")
    assert _exams(page) == list("daceghbf")
    page.keyboard.press("Space")
    assert _exams(page) == list("aceghdbf")


def test_the_filter_finds_ids_states_warnings_reasons_and_files(page: Any, mixed: Run) -> None:
    page.goto(mixed.url)
    texts = {
        "cccc": "c",
        "failed": "bf",
        "PIXEL spacing": "cg",
        "truncated": "b",
        "spacing odd": "c",
        "h_R-CC.png": "h",
        "nothing has this": "",
    }
    for text, exams in texts.items():
        page.keyboard.press("/")
        page.keyboard.type(text)
        page.wait_for_function(_SHOWS, arg=len(exams))
        assert _exams(page) == list(exams)
        assert _shown(page).startswith(f"{len(exams)} of 8 exams")
        if not exams:
            assert "No exam fits the filter" in page.locator("#exams tbody").inner_text()
        page.keyboard.press("Escape")
        assert _exams(page) == list("abcdefgh")
        page.keyboard.press("Escape")  # out of the box


_SHOWS = "count => document.querySelectorAll('tr[data-place]').length === count"


def test_quick_filters_and_the_least_p_malignant(page: Any, mixed: Run) -> None:
    page.goto(mixed.url)
    for name, exams in {
        "read": "acdegh",
        "failed": "bf",
        "warnings": "cg",
        "marks": "acdegh",
        "all": "abcdefgh",
    }.items():
        button = page.locator(f"[data-show={name}]")
        assert button.inner_text().split()[-1] == str(len(exams))
        button.click()
        assert _exams(page) == list(exams)
        assert button.get_attribute("aria-pressed") == "true"
        assert page.locator("[data-show][aria-pressed=true]").count() == 1
    largest = {
        exam: max(float(row["p_malignant"]) for row in rows)
        for exam, rows in itertools.groupby(
            (row for row in mixed.rows() if row["status"] == "read"), lambda row: row["exam"]
        )
    }
    least = sorted(largest.values())[3] - 1e-5
    page.fill("#least", f"{least:.6f}")
    page.press("#least", "Tab")
    assert _exams(page) == [exam[0] for exam, p in largest.items() if p >= least]
    assert len(_exams(page)) == 3
    assert "2 failed hidden" in _shown(page)  # an exam without a number must not be forgotten
    page.click("#clear")
    assert _exams(page) == list("abcdefgh")
    assert page.input_value("#least") == ""


def test_failures_are_rows_with_their_whole_reason_and_left_out_files_a_list(page: Any, mixed: Run) -> None:
    page.goto(mixed.url)
    failed = page.locator("tr.failed")
    assert [text.split("\n")[0] for text in failed.locator("td.reason").all_inner_texts()] == [
        "R-CC b.dcm: truncated pixels, found 3 of 12 MB",
        "no breast found in L-MLO",
    ]
    assert "bbbb.dcm" in failed.first.inner_text()
    assert failed.first.locator("a").count() == 0  # there is no folder to link to
    assert page.locator("#left-out tbody tr").evaluate_all(
        "rows => rows.map(r => [...r.cells].map(c => c.innerText))"
    ) == [
        ["notes.txt", "–", "not an image"],
        ["b.zip", "–", "damaged: no end record"],
        ["scout.dcm", IDS[4], "tomosynthesis slice"],
    ]


def test_a_long_reason_is_readable_in_full(page: Any, tmp_path: Path) -> None:
    reason = "found " + "a word and " * 60 + "x" * 300
    page.goto(_run(tmp_path, [MemorySource(IDS[0], ExamError(reason))]).url)
    cell = page.locator("td.reason")
    assert reason in cell.inner_text()
    assert cell.evaluate("cell => cell.scrollWidth <= cell.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_links_are_relative_and_lead_to_files_that_exist(page: Any, mixed: Run) -> None:
    page.goto(mixed.url)
    links = page.locator("a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert {f"exams/{IDS[0]}/exam.html", f"exams/{IDS[0]}/reading.json", "readings.csv", "run.json"} <= set(links)
    assert [link for link in links if not (mixed.out / link).is_file()] == []
    page.locator(f"{SHOWN} td.id a").first.click()
    assert page.title() == f"Exam {IDS[0]} · fourview"
    page.go_back()
    page.locator("#left-out a").click()
    assert page.title() == f"Exam {IDS[4]} · fourview"


def test_warnings_and_marks_are_told_on_demand_and_marks_above_the_table(page: Any, mixed: Run) -> None:
    page.goto(mixed.url)
    assert page.locator("#marks").inner_text().split() == [*MARK.split(), "6", "of", "6", "exams", "read"]
    assert page.locator("tr.details").count() == 0
    button = page.locator(f"{SHOWN}:nth-child(3) button.warnings")
    assert button.inner_text() == "2"
    button.click()
    told = page.locator("tr.details").inner_text()
    for text in ("pixel spacing is unknown", "odd orientation tag", MARK, "c_R-CC.png"):
        assert text in told
    assert button.get_attribute("aria-expanded") == "true"
    button.click()
    assert page.locator("tr.details").count() == 0


def test_what_the_numbers_mean_is_in_sight(page: Any, mixed: Run) -> None:
    page.goto(mixed.url)
    meaning = page.locator("#meaning")
    assert meaning.inner_text() == f"{RESEARCH_ONLY}. {what_numbers_mean((None,))}"
    box = meaning.bounding_box()
    assert box["y"] + box["height"] < page.locator("#exams").bounding_box()["y"] < 400


def test_the_keyboard_moves_opens_and_shows(page: Any, mixed: Run) -> None:
    page.goto(mixed.url)

    def focused() -> str:
        return str(page.evaluate("document.activeElement.querySelector('td.place')?.innerText"))

    page.keyboard.press("j")
    assert focused() == "1"
    for key, place in {"ArrowDown": "2", "j": "3", "k": "2", "ArrowUp": "1", "End": "8", "Home": "1"}.items():
        page.keyboard.press(key)
        assert focused() == place
    page.keyboard.press("Space")
    assert MARK in page.locator("tr.details").inner_text()
    page.keyboard.press("j")
    page.keyboard.press("Enter")  # a failed exam has no page
    assert page.title().startswith("fourview run")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/exam.html")
    assert page.title() == f"Exam {IDS[2]} · fourview"
    page.go_back()
    assert page.locator("tr.current td.place").inner_text() == "3"  # back where one was
    page.keyboard.press("/")
    page.keyboard.type("j")
    assert page.input_value("#filter") == "j"


def test_a_link_holds_the_filter_and_the_order(page: Any, mixed: Run) -> None:
    page.goto(mixed.url)
    page.fill("#filter", "spacing")
    page.press("#filter", "Tab")
    page.click("[data-show=warnings]")
    page.fill("#least", "0.01")
    page.press("#least", "Tab")
    _head(page, "right_benign").click()
    wanted, link = _exams(page), page.url
    assert wanted == list("cg")
    _head(page, "right_benign").click()
    assert _exams(page) == list("gc")
    page.reload()
    assert _exams(page) == list("gc")
    assert page.input_value("#filter") == "spacing"
    assert page.input_value("#least") == "0.01"
    assert page.locator("[data-show=warnings]").get_attribute("aria-pressed") == "true"
    page.goto("about:blank")
    page.goto(link)
    assert _exams(page) == wanted
    page.evaluate("location.hash = 'show=failed&sort=__proto__&least=x&page=-4'")
    page.wait_for_function(_SHOWS, arg=2)
    assert _exams(page) == list("bf")


def test_texts_from_outside_are_inert(page: Any, tmp_path: Path) -> None:
    exam = small_exam(IDS[0])
    exam = replace(exam, warnings=(BAD,), mammograms=tuple(replace(m, name=f"{BAD}{m.view}") for m in exam.mammograms))
    sources = [
        MemorySource(IDS[0], exam, label=BAD, left_out=((BAD, BAD),)),
        MemorySource(IDS[1], ExamError(BAD), label=BAD),
    ]
    run = _run(tmp_path, sources, left_out=((BAD, BAD),), show_ids=True)
    page.goto(run.url)
    page.locator("button.warnings").click()
    assert page.evaluate("window.pwned") is None
    assert page.locator("img:not([src^='exams/'])").count() == 0
    assert page.locator("script").count() == 2
    text = BAD.replace("\u2028", "\n")
    shown = page.locator("body").evaluate("body => body.innerText").replace("\u2028", "\n")
    assert shown.count(text) >= 10
    assert "49" not in page.locator("tr.failed").inner_text()
    assert "<img" not in run.html


def test_a_name_that_is_no_text_can_be_written(tmp_path: Path) -> None:
    failures = [Failure("file", "", "scan_\udcff.dcm", "not an image"), Failure("exam", IDS[0], "\udcff.dcm", "broken")]
    html = draw_index_page((), failures, record={"status": "finished"}, populations=(), unit="breast")
    (tmp_path / "index.html").write_text(html, encoding="utf-8")
    assert "scan_\\udcff.dcm" in html


def test_the_page_stands_on_its_own(mixed: Run) -> None:
    assert re.findall(r"(?:https?:)?//[\w.]+\.\w+", mixed.html) == []
    assert re.findall(r"<(?:link|iframe|object|base)\b|@import|url\(", mixed.html) == []
    assert re.findall(r"<[^>]+\son\w+\s*=", mixed.html) == []
    assert "default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'" in mixed.html


def test_study_names_are_shown_only_on_request(page: Any, tmp_path: Path) -> None:
    sources = [
        MemorySource(IDS[0], _exam(IDS[0]), label="study-10", left_out=(("x.dcm", "scout"),)),
        MemorySource(IDS[1], _exam(IDS[1]), label="study-9"),
        MemorySource(IDS[2], ExamError("broken"), label="study-77"),
    ]
    quiet, loud = _run(tmp_path / "quiet", sources), _run(tmp_path / "loud", sources, show_ids=True)
    assert "study-" not in quiet.html
    page.goto(quiet.url)
    assert page.locator("th[data-key=label]").count() == 0
    page.goto(loud.url)
    assert page.locator(f"{SHOWN} td.label").all_inner_texts() == ["study-10", "study-9", "study-77"]
    _head(page, "label").click()
    assert page.locator(f"{SHOWN} td.label").all_inner_texts() == ["study-9", "study-10", "study-77"]
    page.fill("#filter", "study-77")
    page.press("#filter", "Tab")
    assert _exams(page) == ["c"]


def test_an_interrupted_run_says_so(page: Any, tmp_path: Path) -> None:
    run = _run(tmp_path, [MemorySource(exam_id) for exam_id in IDS], stop_at=3)
    page.goto(run.url)
    assert page.locator("#status").inner_text() == "interrupted"
    banner = page.locator("#unfinished")
    assert banner.inner_text() == (
        "This run was interrupted: 5 of 8 exams were not tried. The same command with --resume goes on."
    )
    assert banner.bounding_box()["y"] < 100
    assert "3 read, 0 failed, 5 remaining" in page.locator(".facts").inner_text()
    assert _exams(page) == list("abc")


@pytest.mark.parametrize(
    ("status", "says"),
    [("stopped", "stopped by an error: 2 of 2"), ("running", "still going"), ("melted", "the status 'melted'")],
)
def test_any_other_end_is_told_too(status: str, says: str) -> None:
    record = {"status": status, "exams": {"remaining": 2}}
    html = draw_index_page((), (), record=record, populations=(None,), unit="breast")
    assert says in html.replace("&#39;", "'")


def test_a_run_without_exams_with_failures_only_and_with_one_exam(page: Any, tmp_path: Path) -> None:
    page.goto(_run(tmp_path / "none", []).url)
    assert "There are no exams in this run." in page.locator("#exams tbody").inner_text()
    assert "0 read, 0 failed" in page.locator(".facts").inner_text()
    assert page.locator("#marks, #left-out, #pager:visible").count() == 0
    page.goto(_run(tmp_path / "failed", [MemorySource(i, ExamError(f"cut {i[0]}")) for i in IDS[:3]]).url)
    assert _exams(page) == list("abc")
    assert page.locator("td.reason").count() == 3
    page.goto(_run(tmp_path / "one", [MemorySource(IDS[0])]).url)
    assert (_exams(page), _shown(page)) == (["a"], "1 exam")


def test_an_exam_that_is_in_the_input_twice_keeps_both_places(page: Any, tmp_path: Path) -> None:
    page.goto(_run(tmp_path, [MemorySource(letter * 16) for letter in "abac"]).url)
    assert _exams(page) == list("abac")
    assert page.locator("tr.failed td.place").all_inner_texts() == ["3"]
    assert "twice" in page.locator("tr.failed").inner_text()


def test_single_image_weights_show_the_means_of_upstream_csv_and_each_image_on_demand(
    page: Any, tmp_path: Path
) -> None:
    run = _run(tmp_path, [MemorySource(IDS[0], _exam(IDS[0], left=2, right=3))], unit="image")
    page.goto(run.url)
    assert "mean p_malignant" in page.locator("#exams thead").inner_text()
    assert "the mean over its images" in page.locator("#meaning").inner_text()
    with (run.out / "upstream.csv").open(newline="") as stream:
        upstream = next(csv.DictReader(stream))
    assert page.locator(f"{SHOWN} td.number").all_inner_texts()[:2] == [
        upstream["right_malignant"],
        upstream["left_malignant"],
    ]
    page.keyboard.press("j")
    page.keyboard.press("Space")
    images = page.locator("tr.details tbody tr").evaluate_all(
        "rows => rows.map(r => [...r.cells].map(c => c.innerText))"
    )
    by_view = {row["view"]: row for row in run.rows()}
    assert images == [
        [view, f"{float(by_view[view]['p_malignant']):.4f}", "0.0000", f"{float(by_view[view]['p_benign']):.4f}"]
        for view in ("R-CC", "L-CC", "R-MLO", "L-MLO")
    ]


def test_the_sd_is_that_of_the_larger_number(page: Any, tmp_path: Path) -> None:
    summary = _many(1)[0][0]
    breasts = {"L": (0.7, 0.05), "R": (0.2, 0.01)}
    rows: list[Row] = []
    for row in summary.readings:
        p, sd = breasts[str(row["side"])]
        rows.append({**row, "p_malignant": p, "malignant_sd_windows": sd})
    (tmp_path / "index.html").write_text(_draw([replace(summary, readings=tuple(rows))], [], pages=False))
    page.goto((tmp_path / "index.html").as_uri())
    assert page.locator(f"{SHOWN} td.number").all_inner_texts()[:4] == ["0.2000", "0.7000", "0.7000", "0.0500"]


def test_a_run_that_writes_readings_only_links_to_them(page: Any, mixed: Run) -> None:
    html = draw_index_page(
        mixed.result.summaries, mixed.result.failures, record=mixed.record, populations=(), unit="breast", pages=False
    )
    file = mixed.out / "readings_only.html"
    file.write_text(html)
    page.goto(file.as_uri())
    assert page.locator(f"{SHOWN} td.id a").first.get_attribute("href") == f"exams/{IDS[0]}/reading.json"
    assert page.locator("img").count() == 0
    assert page.locator("tr.failed").first.evaluate(
        "row => row.getBoundingClientRect().width === row.closest('table').tHead.getBoundingClientRect().width"
    )
    file.unlink()


@pytest.mark.parametrize("show_ids", [False, True])
def test_the_table_fits_a_laptop(page: Any, mixed: Run, show_ids: bool) -> None:
    result = mixed.result
    html = draw_index_page(
        result.summaries, result.failures, record=mixed.record, populations=(), unit="breast", show_ids=show_ids
    )
    file = mixed.out / "fits.html"
    file.write_text(html)
    page.goto(file.as_uri())
    for width in (1366, 1024):
        page.set_viewport_size({"width": width, "height": 400})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        cut = page.locator(f"{SHOWN} td.number").evaluate_all(
            "all => all.filter(c => c.scrollWidth > c.clientWidth).length"
        )
        assert cut == 0  # no number touches its neighbour
        page.evaluate("window.scrollTo(0, scrollY + document.querySelector('#exams').getBoundingClientRect().top + 50)")
        bar, head = page.locator("#bar").bounding_box(), page.locator("#exams thead").bounding_box()
        assert bar["y"] == 0
        assert head["y"] == pytest.approx(bar["height"], abs=0.1)  # rows do not show between the two
    file.unlink()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_readable_and_a_click_changes_them(page: Any, mixed: Run, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(mixed.url)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0] < 128")
    assert dark == (scheme == "dark")
    contrasts = page.evaluate(
        _CONTRAST, ["#meaning", "#shown", "td.reason", "td.place", "td.larger", "#marks", ".pill"]
    )
    assert min(contrasts) >= 4.5
    seen = set()
    for _ in range(3):
        seen.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.click("[data-theme-toggle]")
    assert len(seen) == 2


_CONTRAST = """selectors => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return selectors.map((selector) => {
    const element = document.querySelector(selector);
    const behind = [];
    for (let e = element; e; e = e.parentElement) behind.unshift(getComputedStyle(e).backgroundColor);
    const [a, b] = [light(paint(behind)), light(paint([...behind, getComputedStyle(element).color]))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
}"""


def test_print_holds_every_row_that_the_filter_shows(page: Any, tmp_path: Path) -> None:
    summaries, failures, _ = _many(250)
    file = tmp_path / "index.html"
    file.write_text(_draw(summaries, failures, pages=False))
    page.goto(file.as_uri())
    assert page.locator(SHOWN).count() == 100
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator(SHOWN).count() == 250
    assert not page.locator("#bar").is_visible()
    assert page.locator("th[data-key=larger] button").is_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator(SHOWN).count() == 100


# ---- thousands


def _many(count: int) -> tuple[list[Summary], list[Failure], list[str]]:
    """A made-up run: every 50th exam failed, every 9th has a warning."""
    rng = random.Random(7)
    summaries, failures, order = [], [], []
    for number in range(count):
        exam = hashlib.sha256(str(number).encode()).hexdigest()[:16]
        order.append(exam)
        if number % 50 == 7:
            failures.append(
                Failure("exam", exam, f"1.2.840.{number}.dcm", f"R-CC 1.2.840.{number}.dcm: truncated pixels")
            )
            continue
        rows: tuple[Row, ...] = tuple(
            {
                "exam": exam,
                "side": side,
                "p_benign": rng.random(),
                "p_malignant": rng.random() ** 5,
                "malignant_sd_windows": rng.random() / 20,
                "exam_label": "secret",
            }
            for side in "LR"
        )
        images = tuple((view.value, f"1.2.840.113619.2.{number}.{at}.dcm") for at, view in enumerate(VIEWS))
        warnings = (f"R-CC 1.2.{number}.dcm: pixel spacing is unknown",) if number % 9 == 0 else ()
        summaries.append(Summary(exam, (MARK,), warnings, images, rows, ("", "", "", "")))
    return summaries, failures, order


def _draw(summaries: Sequence[Summary], failures: Sequence[Failure], **options: Any) -> str:
    record = {"status": "finished", "model": {"name": "fake"}, "exams": {"remaining": 0}}
    return draw_index_page(summaries, failures, record=record, populations=(None,), unit="breast", **options)


def test_of_twenty_thousand_exams_only_a_page_of_rows_is_drawn(page: Any, tmp_path: Path) -> None:
    summaries, failures, order = _many(20_000)
    file = tmp_path / "index.html"
    file.write_text(_draw(summaries, failures, order=order, pages=False))
    assert file.stat().st_size < 10_000_000
    page.goto(file.as_uri())
    assert page.locator(SHOWN).count() == 100
    assert page.locator("#page").inner_text() == "1 / 200"
    for key in ("exam", "warnings"):
        _head(page, key).click()
        assert page.locator(SHOWN).count() == 100, key  # only a page of rows is ever drawn
    _head(page, "larger").click()
    highest = sorted((max(float(row["p_malignant"] or 0) for row in s.readings) for s in summaries), reverse=True)
    assert _cells_without_pictures(page) == [f"{p:.4f}" for p in highest[:100]]
    page.click("#after")
    assert _cells_without_pictures(page) == [f"{p:.4f}" for p in highest[100:200]]
    page.keyboard.press("]")
    assert page.locator("#page").inner_text() == "3 / 200"
    page.reload()
    assert page.locator("#page").inner_text() == "3 / 200"
    page.locator(SHOWN).last.click()
    page.keyboard.press("j")
    assert page.locator("#page").inner_text() == "4 / 200"  # a row further is the next page
    page.click("[data-show=failed]")
    assert _shown(page) == "400 of 20,000 exams"


def _cells_without_pictures(page: Any) -> list[str]:
    return [str(text) for text in page.locator(f"{SHOWN} td.larger").all_inner_texts()]


def test_above_the_most_exams_failed_ones_and_the_highest_are_listed_and_the_rest_is_counted(
    page: Any, tmp_path: Path
) -> None:
    summaries, failures, order = _many(300)
    file = tmp_path / "index.html"
    file.write_text(_draw(summaries, failures, order=order, most_exams=50, pages=False))
    page.goto(file.as_uri())
    told = page.locator("#not-listed").inner_text()
    assert "250 of 300 exams are not listed here" in told
    assert "all 6 failed exams and the 44 with the highest p_malignant" in told
    assert "readings.csv" in told
    assert _shown(page) == "50 listed exams"
    highest = sorted((max(float(row["p_malignant"] or 0) for row in s.readings) for s in summaries), reverse=True)
    shown = page.locator(f"{SHOWN}:not(.failed) td.larger").all_inner_texts()
    assert sorted(shown, reverse=True) == [f"{p:.4f}" for p in highest[:44]]
    places = [int(text) for text in page.locator(f"{SHOWN} td.place").all_inner_texts()]
    assert places == sorted(places)
    assert places[-1] > 200  # the place in the run, not in the list
    file.write_text(_draw(summaries, failures, order=order, most_exams=4, pages=False))
    page.reload()
    assert "4 of 6 failed exams and none that were read" in page.locator("#not-listed").inner_text()


def test_long_file_names_do_not_swell_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    summaries, failures, _ = _many(60)
    assert "113619" in _draw(summaries, failures)
    monkeypatch.setattr(index_page, "MOST_NAMES", 100)
    html = _draw(summaries, failures)
    assert "113619" not in html
    assert "1.2.840.7.dcm" in html  # the files of a failed exam stay


def test_many_left_out_files_are_counted_by_reason_and_cut(page: Any, tmp_path: Path) -> None:
    failures = [Failure("file", "", f"{n}.txt", "not an image" if n % 3 else "damaged") for n in range(3000)]
    file = tmp_path / "index.html"
    file.write_text(_draw((), failures))
    page.goto(file.as_uri())
    assert page.locator("#left-out .reasons li").all_inner_texts() == ["2,000 not an image", "1,000 damaged"]
    assert not page.locator("#left-out table").is_visible()
    page.click("#left-out summary")
    assert page.locator("#left-out tbody tr").count() == 2000
    assert "1,000 more are in failures.csv" in page.locator("#left-out").inner_text()
