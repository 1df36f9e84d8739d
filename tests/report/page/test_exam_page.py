"""The exam page in a real browser: views hung as usual, heatmaps over their pixels, everything said and nothing run."""

from __future__ import annotations

import gc
import json
import re
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fourview.calibration import SiteCalibration
from fourview.exam import VIEWS, Box, Decision, Exam, Heatmap, Mammogram, Reading, Side, View
from fourview.ingest import read_exam
from fourview.phantom import draw_exam, write_exam
from fourview.report.meaning import RESEARCH_ONLY, what_numbers_mean
from fourview.report.page.exam_page import draw_exam_page
from tests.fake_screener import MARK, FakeScreener, small_exam
from tests.test_calibration import a_calibration

Point = tuple[float, float]
SETTINGS = {"jitter": 2, "seed": 0, "pixels": None}
SHAPE = (1003, 701)  # no multiple of anything, and large enough for heatmap cells of more than one pixel
BLOB = 30  # radius, source pixels
# Where each view's blob is, in the pixels of a file with the usual orientation.
BLOBS: Mapping[View, tuple[int, int]] = {
    View.R_CC: (330, 430),
    View.L_CC: (700, 150),
    View.R_MLO: (800, 560),
    View.L_MLO: (260, 330),
}


def _breast(view: View, *, mirrored: bool = False) -> tuple[NDArray[np.uint16], tuple[int, int]]:
    """A dim half disc at the chest wall with a bright blob; and where the blob is in the file."""
    rows, cols = np.ogrid[: SHAPE[0], : SHAPE[1]]
    depth = cols if view.usual_direction == "right" else SHAPE[1] - 1 - cols
    disc = ((rows - SHAPE[0] / 2) / 470) ** 2 + (depth / 600) ** 2 < 1
    pixels = np.where(disc, 16000 + 8 * rows + 0 * cols, 0).astype(np.uint16)
    pixels[480:506][disc[480:506]] = 2000  # black, so that the rest is grey
    row, col = BLOBS[view]
    pixels[(rows - row) ** 2 + (cols - col) ** 2 <= BLOB**2] = 60000
    if mirrored:
        return np.ascontiguousarray(pixels[:, ::-1]), (row, SHAPE[1] - 1 - col)
    return pixels, (row, col)


def _planted(
    mirrored: Sequence[View] = (), views: Sequence[View] = VIEWS
) -> tuple[Exam, Reading, dict[View, tuple[int, int]]]:
    """An exam with a blob in every view, a reading with a malignant peak on each, and where they are in the files."""
    made = {view: _breast(view, mirrored=view in mirrored) for view in views}
    faces = {view.value: ("left" if view.usual_direction == "right" else "right") for view in mirrored}
    exam = Exam.from_arrays({v.value: pixels for v, (pixels, _) in made.items()}, faces=faces, spacing_mm=0.25)  # type: ignore[arg-type]
    at = {view: place for view, (_, place) in made.items()}
    reading = FakeScreener(needs_all=False, heatmaps=False).read(exam)
    images = []
    for image in reading.images:
        box = image.frame.box_source
        rows, cols = np.ogrid[box.top : box.bottom, box.left : box.right]
        row, col = at[image.view]
        malignant = 0.95 * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * 25.0**2))
        far = 0.6 * np.exp(-((rows - SHAPE[0] / 2) ** 2 + (cols - SHAPE[1] / 2) ** 2) / (2 * 15.0**2))
        inside = {"malignant": malignant.astype(np.float32), "benign": far.astype(np.float32)}
        images.append(replace(image, heatmap=Heatmap(image.frame.source_shape, box, inside)))  # type: ignore[arg-type]
    return exam, replace(reading, images=tuple(images)), at


@dataclass(frozen=True)
class Viewer:
    """An exam page that is open in the browser."""

    page: Any

    def shot(self) -> NDArray[np.float64]:
        """(rows, cols, 3) RGB of what is on the screen."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        picture = cv2.imdecode(np.frombuffer(self.page.screenshot(), np.uint8), cv2.IMREAD_COLOR_RGB)
        return np.asarray(picture, np.float64)

    def rect(self, view: View) -> Box:
        """The image area of a view's pane on the screen."""
        box = self.page.locator(f'[data-view="{view}"] .pane-images').bounding_box()
        left, top = round(box["x"]), round(box["y"])
        return Box(top, round(box["y"] + box["height"]), left, round(box["x"] + box["width"]))

    def pane(self, view: View) -> NDArray[np.float64]:
        return self.shot()[self.rect(view).slices]

    def screen(self, view: View, place: tuple[float, float]) -> Point:
        found = self.page.evaluate("([v, r, c]) => window.fourview.panes.sourceToScreen(v, r, c)", [view, *place])
        return found["x"], found["y"]

    def blob(self, view: View) -> Point:
        """The middle of what is white in a pane, on the screen."""
        return self._middle(view, (self.pane(view).min(axis=2) > 215).astype(float))

    def red(self, view: View) -> Point:
        """The middle of what is reddest in a pane, on the screen."""
        pane = self.pane(view)
        redness = pane[..., 0] - pane[..., 1]
        assert redness.max() > 60
        return self._middle(view, np.clip(redness - 0.8 * redness.max(), 0, None))

    def _middle(self, view: View, weights: NDArray[np.float64]) -> Point:
        assert weights.sum() > 0
        rows, cols = np.indices(weights.shape) + 0.5
        rect = self.rect(view)
        x, y = (float((weights * axis).sum() / weights.sum()) for axis in (cols, rows))
        return rect.left + x, rect.top + y

    def middle(self, view: View) -> Point:
        rect = self.rect(view)
        return (rect.left + rect.right) / 2, (rect.top + rect.bottom) / 2

    def drag(self, start: Point, by: Point, *, button: str = "left") -> None:
        self.page.mouse.move(*start)
        self.page.mouse.down(button=button)
        self.page.mouse.move(start[0] + by[0] / 2, start[1] + by[1] / 2)
        self.page.mouse.move(start[0] + by[0], start[1] + by[1])
        self.page.mouse.up(button=button)


def _open(page: Any, folder: Path, html: str) -> Viewer:
    file = folder / "exam.html"
    file.write_text(html, encoding="utf-8")
    page.goto(file.as_uri())
    page.evaluate("() => window.fourview.ready")
    return Viewer(page)


def _show(page: Any, folder: Path, exam: Exam, reading: Reading, **options: Any) -> Viewer:
    return _open(page, folder, draw_exam_page(exam, reading, settings=SETTINGS, **options))


@pytest.fixture
def planted(page: Any, tmp_path: Path) -> Viewer:
    exam, reading, _ = _planted()
    return _show(page, tmp_path, exam, reading)


def _away(a: Point, b: Point) -> float:
    return float(np.hypot(a[0] - b[0], a[1] - b[1]))


def _moved(before: Point, after: Point) -> Point:
    return after[0] - before[0], after[1] - before[1]


# ---- hanging ----


def test_the_right_breast_hangs_on_the_left_and_cc_above_mlo(planted: Viewer) -> None:
    rects = {view: planted.rect(view) for view in VIEWS}
    for angle in ("CC", "MLO"):
        assert rects[View(f"R-{angle}")].right <= rects[View(f"L-{angle}")].left + 1
    for side in Side:
        assert rects[View(f"{side}-CC")].bottom <= rects[View(f"{side}-MLO")].top
    for view in VIEWS:
        label = planted.page.locator(f'[data-view="{view}"] h2')
        assert label.inner_text() == view.value
        box, rect = label.bounding_box(), rects[view]
        assert box["y"] + box["height"] <= rect.top + 1  # above the image, never on tissue
        lateral = box["x"] - rect.left if view.side is Side.RIGHT else rect.right - box["x"] - box["width"]
        assert 0 <= lateral < 20


@pytest.mark.parametrize(
    "mirrored", [(), VIEWS, (View.R_CC, View.L_MLO)], ids=["usual", "all mirrored", "two mirrored"]
)
def test_chest_walls_meet_in_the_middle_and_blobs_lie_where_they_are_in_the_breast(
    page: Any, tmp_path: Path, mirrored: tuple[View, ...]
) -> None:
    exam, reading, at = _planted(mirrored)
    viewer = _show(page, tmp_path, exam, reading)
    assert _is_hung(viewer)
    for view in VIEWS:
        assert _away(viewer.blob(view), viewer.screen(view, at[view])) < 2
        note = page.locator(f'[data-view="{view}"] .mirrored-note')
        assert note.is_visible() == (view in mirrored)
        fact = page.locator(
            "#panel-images .facts", has=page.get_by_role("heading", name=view.value, include_hidden=True)
        )
        assert ("stored mirrored" in (fact.text_content() or "")) == (view in mirrored)


def _is_hung(viewer: Viewer) -> bool:
    """Whether tissue touches the middle, the far side is black, and each blob is at its depth and height."""
    scales = []
    for view in VIEWS:
        pane = viewer.pane(view).max(axis=2)
        inner, outer = (-3, 3) if view.side is Side.RIGHT else (2, -4)
        tissue = pane[:, inner] > 12
        if tissue.mean() < 0.5 or pane[:, outer].max() > 12:
            return False
        rect = viewer.rect(view)
        x, y = viewer.blob(view)
        row, col = BLOBS[view]
        depth = SHAPE[1] - 0.5 - col if view.side is Side.RIGHT else col + 0.5
        wall = rect.right if view.side is Side.RIGHT else rect.left
        scales.append(abs(x - wall) / depth)
        if abs((y - (rect.top + rect.bottom) / 2) / (row + 0.5 - SHAPE[0] / 2) / scales[-1] - 1) > 0.06:
            return False
    return max(scales) / min(scales) < 1.06  # one scale for all


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('image.faces === "left" ? image.cols - edge : edge', 'image.faces === "right" ? image.cols - edge : edge'),
        ('startsWith("R") ? -1 : 1', 'startsWith("L") ? -1 : 1'),
        ("grey.drawImage(levelFor(pane, image), 0, 0,", "grey.drawImage(levelFor(pane, image), 0, 90,"),
        ("scale: fit * pane.zoom,", "scale: fit * pane.zoom * (pane.nipple > 0 ? 1.1 : 1),"),
    ],
    ids=["wall on the wrong side", "nipples inwards", "moved down", "another scale on one side"],
)
def test_the_check_of_the_hanging_notices_a_page_that_hangs_otherwise(
    page: Any, tmp_path: Path, right: str, wrong: str
) -> None:
    exam, reading, _ = _planted()
    html = draw_exam_page(exam, reading, settings=SETTINGS)
    assert html.count(right) == 1
    assert not _is_hung(_open(page, tmp_path, html.replace(right, wrong)))


def test_whole_images_hang_like_breasts(planted: Viewer) -> None:
    corner = (0, SHAPE[1] - 1)
    assert planted.screen(View.L_MLO, corner)[1] < planted.rect(View.L_MLO).top  # the fit shows the breast
    planted.page.get_by_role("button", name="Whole").click()
    assert _is_hung(planted)
    x, y = planted.screen(View.L_MLO, corner)
    rect = planted.rect(View.L_MLO)
    assert rect.left < x < rect.right
    assert rect.top < y < rect.bottom


def test_all_panes_share_one_scale_in_millimetres(page: Any, tmp_path: Path) -> None:
    fine = np.zeros((800, 600), np.uint16)
    fine[100:700, :400] = 3000
    fine[300:330, 100:130] = 9000
    coarse = fine[::2, ::2].copy()
    mammograms = tuple(
        Mammogram(pixels, view, view.value, "right", spacing_mm=spacing)
        for view, pixels, spacing in ((View.L_CC, fine, 0.1), (View.L_MLO, coarse, 0.2))
    )
    exam = Exam("c" * 16, mammograms)
    viewer = _show(page, tmp_path, exam, FakeScreener(needs_all=False).read(exam))
    lengths = [
        _away(viewer.screen(View.L_CC, (0, 0)), viewer.screen(View.L_CC, (0, 200))),
        _away(viewer.screen(View.L_MLO, (0, 0)), viewer.screen(View.L_MLO, (0, 100))),
    ]
    assert lengths[0] == pytest.approx(lengths[1])
    assert "no common scale" not in page.locator(".share").inner_text()


def test_a_view_that_the_exam_lacks_has_an_empty_pane_and_an_unread_side_says_so(page: Any, tmp_path: Path) -> None:
    exam = small_exam(views=(View.R_CC, View.R_MLO))
    _show(page, tmp_path, exam, FakeScreener(needs_all=False).read(exam))
    for view in (View.L_CC, View.L_MLO):
        assert page.locator(f'[data-view="{view}"]').inner_text().split("\n")[-1] == f"no {view} in this exam"
    assert page.locator('[data-card="Left breast"]').inner_text().split() == ["Left", "breast", "not", "read"]
    assert "not read" not in page.locator('[data-card="Right breast"]').inner_text()
    page.keyboard.press("2")  # nothing to show alone
    assert page.locator('[data-view="R-CC"]').is_visible()


def test_of_two_images_of_a_view_one_is_shown_at_a_time(page: Any, tmp_path: Path) -> None:
    exam, _, at = _planted()
    images = {m.view.value: [m.pixels] for m in exam.mammograms}
    images["L-CC"].append(np.ascontiguousarray(images["L-CC"][0][::-1]))
    exam = Exam.from_arrays(images, spacing_mm=0.25)
    viewer = _show(page, tmp_path, exam, FakeScreener().read(exam))
    row, col = at[View.L_CC]
    assert _away(viewer.blob(View.L_CC), viewer.screen(View.L_CC, (row, col))) < 2
    before = viewer.pane(View.R_CC)
    page.get_by_role("button", name="2/2", exact=True).click()
    page.wait_for_function("""() => document.querySelector('[data-view="L-CC"] .loading').hidden""")
    assert _away(viewer.blob(View.L_CC), viewer.screen(View.L_CC, (SHAPE[0] - 1 - row, col))) < 2
    assert page.get_by_role("button", name="2/2", exact=True).get_attribute("aria-pressed") == "true"
    assert np.array_equal(before, viewer.pane(View.R_CC))
    assert "L-CC#1" in (page.locator("#panel-images").text_content() or "")


def test_an_image_that_was_not_read_is_shown_and_says_so(page: Any, tmp_path: Path) -> None:
    exam, reading, at = _planted()
    reading = replace(reading, images=tuple(i for i in reading.images if i.view is not View.L_MLO))
    viewer = _show(page, tmp_path, exam, reading)
    assert page.locator('[data-view="L-MLO"] .unread-note').is_visible()
    assert not page.locator('[data-view="R-MLO"] .unread-note').is_visible()
    assert _away(viewer.blob(View.L_MLO), viewer.screen(View.L_MLO, at[View.L_MLO])) < 2


# ---- heatmaps ----


@pytest.mark.parametrize("mirrored", [(), (View.R_CC, View.L_MLO)], ids=["usual", "mirrored"])
def test_a_peak_of_the_heatmap_lies_over_its_pixel_also_after_zoom_and_pan(
    page: Any, tmp_path: Path, mirrored: tuple[View, ...]
) -> None:
    exam, reading, at = _planted(mirrored)
    viewer = _show(page, tmp_path, exam, reading)
    blobs = {view: viewer.blob(view) for view in VIEWS}
    page.keyboard.press("h")
    for view in VIEWS:
        assert _away(viewer.red(view), blobs[view]) < 2.5
        assert _away(viewer.red(view), viewer.screen(view, at[view])) < 2.5
    for view in (View.R_CC, View.L_MLO):
        page.keyboard.press("0")
        page.mouse.move(*viewer.screen(view, at[view]))
        page.mouse.wheel(0, -500)
        viewer.drag(viewer.middle(view), (40, 25))
        moved = viewer.screen(view, at[view])
        assert _away(moved, blobs[view]) > 30
        assert _away(viewer.red(view), moved) < 3
        page.keyboard.press("h")
        assert _away(viewer.blob(view), moved) < 3
        page.keyboard.press("h")


def test_the_check_of_the_heatmap_notices_one_that_is_drawn_elsewhere(page: Any, tmp_path: Path) -> None:
    exam, reading, at = _planted()
    html = draw_exam_page(exam, reading, settings=SETTINGS)
    wrong = html.replace("heatCanvas(image), left, top,", "heatCanvas(image), left + 20, top,")
    assert wrong != html
    viewer = _open(page, tmp_path, wrong)
    page.keyboard.press("h")
    assert _away(viewer.red(View.L_CC), viewer.screen(View.L_CC, at[View.L_CC])) > 4


def test_heatmaps_are_off_at_first_and_the_finding_and_the_opacity_are_chosen(planted: Viewer) -> None:
    page = planted.page

    def colours() -> tuple[float, float]:
        pane = planted.pane(View.L_CC)
        return float((pane[..., 0] - pane[..., 1]).max()), float((pane[..., 1] - pane[..., 0]).max())

    assert max(colours()) < 8
    page.get_by_role("button", name="Heatmap").click()
    full = colours()
    assert min(full) > 60
    page.get_by_role("button", name="Malignant", exact=True).click()
    assert colours()[0] == full[0]
    assert colours()[1] < 8
    page.keyboard.press("b")
    assert colours()[0] < 8
    assert colours()[1] > 60
    page.keyboard.press("a")
    assert colours() == full
    page.locator("#opacity").fill("40")
    assert 0.3 < colours()[0] / full[0] < 0.5
    page.locator("#opacity").fill("0")
    assert max(colours()) < 8
    page.locator("#opacity").fill("100")
    page.keyboard.press("h")
    assert max(colours()) < 8
    assert page.locator("#heat").get_attribute("aria-pressed") == "false"


def test_the_readout_names_pixels_of_the_file_and_the_heatmaps_there(page: Any, tmp_path: Path) -> None:
    exam, reading, at = _planted((View.R_CC,))
    viewer = _show(page, tmp_path, exam, reading)
    for view in (View.R_CC, View.L_MLO):
        viewer.page.mouse.move(*viewer.screen(view, at[view]))
        text = page.locator("#readout").inner_text()
        found = re.fullmatch(rf"{view} +row (\d+), col (\d+) +· +malignant ([\d.]+) +· +benign ([\d.]+)", text)
        assert found is not None, text
        assert abs(int(found[1]) - at[view][0]) <= 4
        assert abs(int(found[2]) - at[view][1]) <= 4
        assert float(found[3]) == pytest.approx(0.95, abs=0.02)
        assert float(found[4]) < 0.02
    page.mouse.move(viewer.rect(View.L_CC).right - 3, viewer.rect(View.L_CC).top + 3)
    assert page.locator("#readout").inner_text().endswith("outside the image")


def test_a_model_without_heatmaps_says_so(page: Any, tmp_path: Path) -> None:
    exam = small_exam()
    _show(page, tmp_path, exam, FakeScreener(heatmaps=False).read(exam))
    assert page.locator(".no-heatmaps").is_visible()
    assert page.locator("#heat").count() == 0
    assert "makes no heatmaps" in page.locator(".places").inner_text()
    for key in "hmbn":
        page.keyboard.press(key)  # nothing to show, and no error


def test_a_hot_place_is_centred_and_ringed_when_it_is_chosen(page: Any, tmp_path: Path) -> None:
    exam, reading, at = _planted((View.R_CC,))
    viewer = _show(page, tmp_path, exam, reading)
    buttons = page.locator("[data-place]")
    values = [float(text) for text in page.locator("[data-place] .value").all_inner_texts()]
    assert values == sorted(values, reverse=True)
    assert buttons.count() == 8
    for view in (View.R_CC, View.L_MLO):
        row, col = at[view]
        place = page.locator("[data-place]", has_text=f"row {row}, col {col}")
        assert "0.950" in place.inner_text()
        assert view.value in place.inner_text()
        place.click()
        assert _away(viewer.screen(view, (row, col)), viewer.middle(view)) < 1
        assert _away(viewer.blob(view), viewer.middle(view)) < 3  # the heatmap is off: this is the blob itself
        x, y = (round(n) for n in viewer.middle(view))
        ring = viewer.shot()[y - 2 : y + 3, x + 20 : x + 34]
        assert (ring[..., 0] - ring[..., 1]).max() > 100
        assert page.locator("[data-place][aria-current=true]").inner_text() == place.inner_text()
    buttons.nth(5).focus()
    page.keyboard.press("Enter")
    assert buttons.nth(5).get_attribute("aria-current") == "true"
    page.keyboard.press("n")
    assert buttons.nth(6).get_attribute("aria-current") == "true"


# ---- moving ----


def test_linked_panes_move_mirrored_and_unlinked_ones_stay(planted: Viewer) -> None:
    centre = (SHAPE[0] // 2, SHAPE[1] // 2)
    before = {view: planted.screen(view, centre) for view in VIEWS}
    planted.drag(planted.middle(View.R_CC), (-30, 12))
    for view in VIEWS:
        dx, dy = _moved(before[view], planted.screen(view, centre))
        assert dx == pytest.approx(-30 if view.side is Side.RIGHT else 30, abs=1)
        assert dy == pytest.approx(12, abs=1)
    planted.page.keyboard.press("l")
    before = {view: planted.screen(view, centre) for view in VIEWS}
    planted.drag(planted.middle(View.R_CC), (20, 0))
    moves = {view: _moved(before[view], planted.screen(view, centre)) for view in VIEWS}
    assert moves.pop(View.R_CC) == pytest.approx((20, 0), abs=1)
    assert all(move == (0, 0) for move in moves.values())


def test_the_wheel_zooms_around_the_pointer_and_mirrored_in_linked_panes(planted: Viewer) -> None:
    right, left = (300.0, 300.0), (300.0, SHAPE[1] - 1 - 300.0)  # the same depth, the same height
    start, other = planted.screen(View.R_CC, right), planted.screen(View.L_CC, left)
    step = _away(planted.screen(View.R_CC, (300, 310)), start)
    planted.page.mouse.move(*start)
    planted.page.mouse.wheel(0, -200)
    assert _away(planted.screen(View.R_CC, right), start) < 1
    assert _away(planted.screen(View.L_CC, left), other) < 1.5
    assert _away(planted.screen(View.R_CC, (300, 310)), start) > 1.2 * step
    planted.page.mouse.dblclick(*planted.middle(View.L_MLO))
    assert _away(planted.screen(View.R_CC, (300, 310)), planted.screen(View.R_CC, right)) == pytest.approx(step)


def test_keys_move_zoom_and_maximise(planted: Viewer) -> None:
    page = planted.page
    fit = planted.screen(View.L_CC, (0, 0))
    page.mouse.move(*planted.middle(View.L_CC))
    page.keyboard.press("ArrowLeft")
    assert planted.screen(View.L_CC, (0, 0)) == pytest.approx((fit[0] + 40, fit[1]))
    page.keyboard.press("+")
    assert planted.screen(View.L_CC, (0, 0)) != pytest.approx((fit[0] + 40, fit[1]))
    page.keyboard.press("0")
    assert planted.screen(View.L_CC, (0, 0)) == pytest.approx(fit)
    area = {view: planted.rect(view) for view in VIEWS}
    for number, view in enumerate((View.R_CC, View.L_CC, View.R_MLO, View.L_MLO), 1):
        page.keyboard.press(str(number))
        assert planted.rect(view).width > 1.9 * area[view].width
        assert page.locator(".pane:visible").count() == 1
        page.keyboard.press("Escape")
        assert planted.rect(view) == area[view]
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_the_crop_box_is_drawn_on_request(planted: Viewer) -> None:
    def cyan() -> int:
        pane = planted.pane(View.L_CC)
        return int((pane[..., 2] - pane[..., 0] > 80).sum())

    planted.page.keyboard.press("w")  # so that all of the box is inside the pane
    assert cyan() == 0
    planted.page.get_by_role("button", name="Crop").click()
    assert cyan() > 400
    planted.page.keyboard.press("c")
    assert cyan() == 0


# ---- grey window ----


def test_the_grey_window_moves_by_drag_keys_and_sliders_and_comes_back(planted: Viewer) -> None:
    page = planted.page

    def tissue() -> float:
        return float(planted.pane(View.L_CC)[100:200, 5:60].mean())

    first = planted.pane(View.L_CC)
    start = tissue()
    planted.drag(planted.middle(View.L_CC), (0, -60), button="right")
    assert tissue() > start + 15  # upwards is brighter
    page.keyboard.press("r")
    assert np.array_equal(planted.pane(View.L_CC), first)
    page.keyboard.down("Shift")
    planted.drag(planted.middle(View.L_CC), (0, 30))
    page.keyboard.up("Shift")
    assert tissue() < start - 5
    page.get_by_role("button", name="Reset").click()
    page.locator("#width").fill("40")
    narrow = planted.pane(View.L_CC)
    assert not np.array_equal(narrow, first)
    page.locator("#level").fill("-30")
    assert tissue() > narrow[100:200, 5:60].mean() + 15
    page.keyboard.press("r")
    page.keyboard.press(".")
    assert not np.array_equal(planted.pane(View.L_CC), first)
    page.keyboard.press("r")
    page.keyboard.press("i")
    inverted = planted.pane(View.L_CC)
    inside = np.s_[120:180, 10:50]
    assert np.allclose(inverted[inside] + first[inside], 255, atol=2)


# ---- what is said ----


def test_scores_their_spread_and_what_they_mean_are_on_the_first_screen(page: Any, tmp_path: Path) -> None:
    exam = small_exam()
    reading = FakeScreener().read(exam)
    _show(page, tmp_path, exam, reading)
    boxes = {}
    for side, title in ((Side.RIGHT, "Right breast"), (Side.LEFT, "Left breast")):
        score = reading.breasts[side]
        card = page.locator(f'[data-card="{title}"]')
        assert card.locator(".p").all_inner_texts() == [f"{score.malignant:.3f}", f"{score.benign:.3f}"]
        assert f"rests on {side}-CC, {side}-MLO" in card.inner_text()
        assert "sd 0.020, 2 windows" in card.inner_text()
        boxes[side] = card.bounding_box()
        dots = [
            float(x)
            for x in card.locator(".strip.malignant circle").evaluate_all("n => n.map(d => +d.cx.baseVal.value)")
        ]
        assert dots == pytest.approx([4 + 200 * 0.1, 4 + 200 * 0.225], abs=0.06)
    assert boxes[Side.RIGHT]["x"] + boxes[Side.RIGHT]["width"] < boxes[Side.LEFT]["x"]
    for selector, text in (
        (".research", RESEARCH_ONLY),
        (".meaning", what_numbers_mean([None])),
        (".marks", MARK),
        (".precision", "fp32"),
    ):
        element = page.locator(selector)
        assert text in element.inner_text()
        box = element.bounding_box()
        assert box["y"] + box["height"] <= 768
    page.emulate_media(media="print")
    for selector in (".research", ".meaning", ".marks", "#panel-images", "#panel-run", ".places ol"):
        assert page.locator(selector).is_visible(), selector


def test_members_have_a_row_each_and_heads_count_the_same(page: Any, tmp_path: Path) -> None:
    exam = small_exam()
    reading = FakeScreener().read(exam)
    other = tuple(replace(head, member=1, p=0.5 if head.head == "CC" else 0.7) for head in reading.heads)
    reading = replace(reading, heads=reading.heads + other, members=2)
    _show(page, tmp_path, exam, reading)
    rows = page.locator('[data-card="Left breast"] .strip.benign circle').evaluate_all(
        "n => n.map(d => [d.cy.baseVal.value, d.cx.baseVal.value])"
    )
    assert len({y for y, _ in rows}) == 2
    assert [x for _, x in rows[2:]] == pytest.approx([4 + 200 * 0.6] * 2)
    assert "a row per member" in page.locator(".meaning").inner_text()


def test_calibrated_numbers_and_operating_points_stand_beside_the_raw_ones(page: Any, tmp_path: Path) -> None:
    exam = small_exam()
    reading = FakeScreener().read(exam)
    right, left = (reading.breasts[side].malignant for side in (Side.RIGHT, Side.LEFT))
    between = (right + left) / 2
    point = a_calibration().operating_points[0].model_copy(update={"threshold": between})
    site = SiteCalibration(a_calibration(operating_points=(point,)), {"malignant": 0.005})
    _show(page, tmp_path, exam, reading, site=site)
    for side, title in ((Side.RIGHT, "Right breast"), (Side.LEFT, "Left breast")):
        score = reading.breasts[side]
        card = page.locator(f'[data-card="{title}"]')
        assert card.locator(".p").first.inner_text() == f"{score.malignant:.3f}"
        (shown,) = card.locator(".calibrated").all_inner_texts()  # malignant only
        number, words = shown.split(" ", 1)
        assert float(number) == pytest.approx(site.calibrate(score)["malignant"], rel=0.05)
        assert words == "calibrated for a prevalence of 0.5 %"
        marks = [f"at or above recall (threshold {between:.3g})"] if score.malignant >= between else []
        assert card.locator(".point").all_inner_texts() == marks
    assert page.locator(".point").count() == 1
    assert "calibrated for: a prevalence of 0.5 % (malignant)" in page.locator(".meaning").inner_text()
    page.get_by_role("tab", name="Provenance").click()
    facts = page.locator("#panel-run").inner_text()
    assert site.calibration.calibration_hash in facts
    assert "fitted for a prevalence of 10 %, shown for 0.5 %" in facts


def test_single_image_models_have_a_score_per_image(page: Any, tmp_path: Path) -> None:
    exam = small_exam()
    reading = FakeScreener(unit="image").read(exam)
    _show(page, tmp_path, exam, reading)
    for image in reading.images:
        assert image.score is not None
        card = page.locator(f'[data-card="{image.view}"]')
        assert card.locator(".p").first.inner_text() == f"{image.score.malignant:.3f}"
        assert card.locator(".strip.malignant circle").count() == 2
    places = {view: page.locator(f'[data-card="{view}"]').bounding_box() for view in VIEWS}
    assert places[View.R_CC]["x"] < places[View.L_CC]["x"]
    assert places[View.R_CC]["y"] == places[View.L_CC]["y"] < places[View.R_MLO]["y"]
    assert "mean over its images" in page.locator('[data-card="Left breast"]').inner_text()


def test_decisions_files_warnings_and_provenance_are_all_there(page: Any, tmp_path: Path) -> None:
    exam, reading, _ = _planted()
    decision = Decision("grey scale", "inverted", "PhotometricInterpretation")
    exam = replace(exam, mammograms=tuple(replace(m, decisions=(*m.decisions, decision)) for m in exam.mammograms))
    reading = replace(
        reading,
        warnings=("look at this",),
        left_out=(("scout.dcm", "no mammogram"),),
        label="study 7",
        engine="torch 9",
    )
    _show(page, tmp_path, exam, reading, versions={"numpy": "9.9"})
    assert "look at this" in page.locator(".warnings").inner_text()
    assert "scout.dcm no mammogram" in page.locator(".left-out").inner_text()
    page.get_by_role("tab", name="Images").click()
    facts = page.locator("#panel-images").inner_text()
    for text in ("PhotometricInterpretation", "1003 rows × 701 columns, uint16", "0.25 mm", "faces left", "largest:"):
        assert text in facts
    page.keyboard.press("ArrowRight")  # from tab to tab
    run = page.locator("#panel-run").inner_text()
    assert page.locator("#panel-images").is_hidden()
    for text in (reading.exam_id, reading.weights_hash, "torch 9", "fp32", "jitter", "default", "9.9", "0.002"):
        assert text in run
    assert "study 7" not in page.content()
    _show(page, tmp_path, exam, reading, show_ids=True)
    assert "study 7" in page.locator("h1").inner_text()


def test_texts_from_outside_are_shown_and_never_run(page: Any, tmp_path: Path) -> None:
    bad = "<img src=x onerror=window.bad=1>\"'</script><script>window.bad=1</script>\u2028{{7*7}}\udcff"
    exam = small_exam()
    first = replace(exam.mammograms[0], name=bad, decisions=(Decision(bad, bad, bad),), warnings=(bad,))
    exam = replace(exam, mammograms=(first, *exam.mammograms[1:]), exam_id=bad, label=bad)
    reading = FakeScreener(unit="image").read(exam)
    reading = replace(reading, warnings=(bad,), marks=(bad,), left_out=((bad, bad),), engine=bad, model=bad)
    html = draw_exam_page(exam, reading, settings={bad: bad}, versions={bad: bad}, show_ids=True)
    viewer = _open(page, tmp_path, html)
    assert page.evaluate("() => window.bad") is None
    assert page.locator("img").count() == 0
    assert page.locator(".marks").inner_text().startswith("<img src=x onerror=window.bad=1>\"'</script>")
    assert "{{7*7}}\\udcff" in page.locator(".warnings").inner_text()
    assert viewer.pane(View.R_CC).max() > 200
    handlers = (
        "() => [...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames()).filter((n) => /^on/.test(n))"
    )
    assert page.evaluate(handlers) == []


def test_the_data_of_the_page_cannot_end_its_script() -> None:
    exam, reading, _ = _planted()
    html = draw_exam_page(exam, reading, settings=SETTINGS)
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, flags=re.DOTALL)
    assert not set("<>&") & set(block)
    assert [image["view"] for image in json.loads(block)["images"]] == ["R-CC", "L-CC", "R-MLO", "L-MLO"]


def test_the_page_may_ask_nobody(browser: Any, tmp_path: Path) -> None:
    exam = small_exam()
    context = browser.new_context()  # not `page`: what this test provokes would fail it
    page = context.new_page()
    _show(page, tmp_path, exam, FakeScreener().read(exam))
    for attempt, directive in (
        ("fetch('https://fourview.invalid/').catch(() => 0)", "connect-src"),
        ("new Image().src = 'https://fourview.invalid/a.png'", "img-src"),
        ("document.head.append(Object.assign(document.createElement('script'), {src: 'x.js'}))", "script-src-elem"),
    ):
        refused = f"""() => new Promise((done) => {{
            document.addEventListener("securitypolicyviolation", (e) => done(e.violatedDirective), {{ once: true }});
            {attempt};
        }})"""
        assert page.evaluate(refused) == directive
    context.close()


# ---- looks ----


def test_colours_follow_the_system_and_the_button_and_images_stay_on_black(planted: Viewer) -> None:
    page = planted.page

    def corner() -> float:
        return float(planted.shot()[-30:, -3:].mean())

    assert corner() > 200
    page.emulate_media(color_scheme="dark")
    assert corner() < 60
    toggle = page.locator("[data-theme-toggle]")
    toggle.click()
    assert corner() > 200
    toggle.click()
    page.emulate_media(color_scheme="light")
    assert corner() < 60
    assert planted.pane(View.R_CC)[:-50, :20].max() < 3
    toggle.click()
    assert corner() > 200
    assert planted.pane(View.R_CC)[:-50, :20].max() < 3


@pytest.mark.parametrize(("width", "height"), [(1024, 700), (1366, 768), (1920, 1080)])
def test_images_and_readings_fit_the_window(page: Any, tmp_path: Path, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    exam, reading, _ = _planted((View.R_CC,))
    reading = replace(reading, model="a model with a very long name " * 9, marks=("a mark " * 9,) * 2)
    viewer = _show(page, tmp_path, exam, reading)
    size = page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert size == [width, height]
    for view in VIEWS:
        rect = viewer.rect(view)
        assert rect.bottom <= height
        assert rect.height > height / 4
    side = page.locator(".side").bounding_box()
    for title in ("Right breast", "Left breast"):
        box = page.locator(f'[data-card="{title}"]').bounding_box()
        assert box["y"] + box["height"] < height
        assert side["x"] < box["x"]
        assert box["x"] + box["width"] <= side["x"] + side["width"]
        for number in page.locator(f'[data-card="{title}"] .p').all():
            inner = number.bounding_box()
            assert inner["x"] + inner["width"] <= box["x"] + box["width"] + 1
    assert viewer.rect(View.L_CC).right <= side["x"] + 1
    for button in page.locator(".tools button, .top button").all():
        box = button.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


# ---- sizes ----


def test_a_page_stays_within_its_budget_and_says_what_it_shows(page: Any, tmp_path: Path) -> None:
    exam, reading, at = _planted()
    rng = np.random.default_rng(0)
    noisy = tuple(
        replace(m, pixels=np.where(m.pixels > 0, m.pixels // 2 + rng.integers(0, 9000, SHAPE), 0).astype(np.uint16))
        for m in exam.mammograms
    )
    exam = replace(exam, mammograms=noisy)
    large = draw_exam_page(exam, reading, settings=SETTINGS)
    assert "full resolution, 8 bits" in large
    small = draw_exam_page(exam, reading, settings=SETTINGS, budget_bytes=400_000)
    assert len(small.encode()) <= 400_000 < len(large.encode())
    viewer = _open(page, tmp_path, small)
    share = re.search(r"(\d+) % of the file's resolution", page.locator(".share").inner_text())
    assert share is not None
    assert 5 <= int(share[1]) < 100
    page.keyboard.press("h")
    for view in VIEWS:
        assert _away(viewer.red(view), viewer.screen(view, at[view])) < 2.5


@pytest.mark.slow
def test_a_full_size_exam_with_noise_stays_under_15_megabytes() -> None:
    rng = np.random.default_rng(0)
    rows, cols = np.ogrid[:4096, :3328]
    disc = ((rows - 2048) / 1900) ** 2 + (cols / 2600) ** 2 < 1
    pixels = np.where(disc, rng.normal(20000, 4000, disc.shape).clip(1, 65535), 0).astype(np.uint16)
    images = {v.value: pixels if v.usual_direction == "right" else pixels[:, ::-1].copy() for v in VIEWS}
    exam = Exam.from_arrays(images, spacing_mm=0.07)
    html = draw_exam_page(exam, FakeScreener().read(exam), settings=SETTINGS)
    assert 5_000_000 < len(html.encode()) < 15_000_000


def test_a_phantom_exam_read_from_dicom_is_shown(page: Any, tmp_path: Path) -> None:
    drawn = draw_exam(np.random.default_rng(5), scale=0.125)
    write_exam(drawn, tmp_path / "dicom")
    exam = read_exam(tmp_path / "dicom")
    viewer = _show(page, tmp_path, exam, FakeScreener().read(exam))
    for view in VIEWS:
        pane = viewer.pane(view).max(axis=2)
        inner, outer = (slice(-8, -2), slice(0, 8)) if view.side is Side.RIGHT else (slice(2, 8), slice(-8, None))
        assert pane[:-30, inner].mean() > 10 * pane[:-30, outer].mean()
    assert page.locator("[data-place]").count() >= 4


def test_nothing_holds_an_exam_after_its_page_is_drawn() -> None:
    """A batch would keep every exam until Python looks for cycles."""
    exam = small_exam()
    reading = FakeScreener().read(exam)
    gone = weakref.ref(exam.mammograms[0])
    gc.disable()
    try:
        draw_exam_page(exam, reading, settings={})
        del exam, reading
        assert gone() is None
    finally:
        gc.enable()
