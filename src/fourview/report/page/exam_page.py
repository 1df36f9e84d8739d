"""One exam as a page: the four views as they are hung, heatmaps, readings and every decision. One HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fourview.calibration import SiteCalibration
from fourview.exam import FINDINGS, Exam, Finding, HeadScore, ImageReading, Mammogram, Reading, Score, Side, View
from fourview.report.meaning import RESEARCH_ONLY, what_numbers_mean
from fourview.report.overlay import COLOURS, SHOWN_FROM, STRENGTH
from fourview.report.page.calibrated import CalibratedText, calibration_facts, describe_calibrated
from fourview.report.page.hot_places import HotPlace, find_apart_px, find_hot_places, in_source_px
from fourview.report.page.page_image import PageImage, encode_images, make_cells, make_page_image, pack_bytes, to_base64
from fourview.report.page.strips import window_means
from fourview.report.page.template import fill_template, own_text, script_json
from fourview.report.reading_json import Settings, hash_settings

HANGING: tuple[View, ...] = (View.R_CC, View.L_CC, View.R_MLO, View.L_MLO)  # row by row, the right breast on the left
SHOWN_FINDINGS: tuple[Finding, ...] = ("malignant", "benign")
MOST_LEFT_OUT = 200  # files that the page lists; reading.json has all
_SIDES = {Side.RIGHT: "Right breast", Side.LEFT: "Left breast"}


@dataclass(frozen=True, eq=False)
class _Shown:
    """One image of the exam on its page. image is None where the model did not read it."""

    mammogram: Mammogram
    image: ImageReading | None
    pixels: PageImage
    number: int  # of the images of its view, from 1
    of: int

    @property
    def title(self) -> str:
        view = self.mammogram.view.value
        return view if self.of == 1 else f"{view} {self.number}/{self.of}"

    @property
    def mirrored(self) -> bool:
        """The file holds it the other way round than it is hung."""
        return self.mammogram.faces != self.mammogram.view.usual_direction


@dataclass(frozen=True)
class _Strip:
    """One score with its spread; members holds (window, p) per member."""

    finding: Finding
    p: float
    sd_windows: float
    sd_members: float
    members: tuple[tuple[tuple[int, float], ...], ...]
    calibrated: CalibratedText


@dataclass(frozen=True)
class _Card:
    """What is said about one breast or one image. Without strips: it was not read, and `note` says why."""

    side: Side
    title: str
    note: str
    strips: tuple[_Strip, ...]
    mean: tuple[tuple[Finding, float], ...] = ()


@dataclass(frozen=True)
class _Place:
    image: int
    title: str
    place: HotPlace


def draw_exam_page(
    exam: Exam,
    reading: Reading,
    *,
    settings: Settings,
    site: SiteCalibration | None = None,
    versions: Mapping[str, str] | None = None,
    show_ids: bool = False,
    budget_bytes: int = 14_000_000,
) -> str:
    """exam.html: everything about one exam in one file that asks for nothing else.

    exam          with its pixels; images that `reading` does not know are shown as not read
    settings      that the reading was made with
    site          makes calibrated numbers and operating points stand beside the scores
    versions      of the packages that made it
    show_ids      whether the study id or name stands on the page
    budget_bytes  of the page: images are reduced until it is smaller
    """
    shown = list(_shown_images(exam, reading))
    places = _places(shown, apart_px=find_apart_px(reading))
    maps = {
        f"map-{number}-{finding}": make_cells(s.image.heatmap.inside[finding])
        for number, s in enumerate(shown)
        if s.image is not None and s.image.heatmap is not None
        for finding in FINDINGS
    }
    values: dict[str, Any] = {
        "style": own_text("theme.css") + own_text("exam.css"),
        "script": own_text("theme.js") + own_text("exam.js"),
        "research_only": RESEARCH_ONLY,
        "meaning": what_numbers_mean([None if site is None else str(site)]),
        "reading": reading,
        "label": reading.label if show_ids else "",
        "hanging": HANGING,
        "shown": shown,
        "cards": list(_cards(reading, shown, site)),
        "calibration": [] if site is None else list(calibration_facts(site)),
        "places": places,
        "heatmaps": bool(maps),
        "radius_px": find_apart_px(reading),
        "colours": {finding: "#{:02x}{:02x}{:02x}".format(*COLOURS[finding]) for finding in SHOWN_FINDINGS},
        "shown_from": SHOWN_FROM,
        "strength": STRENGTH,
        "left_out": reading.left_out[:MOST_LEFT_OUT],
        "more_left_out": max(0, len(reading.left_out) - MOST_LEFT_OUT),
        "provenance": list(_provenance(reading, settings, show_ids=show_ids)),
        "settings": {name: "default" if value is None else value for name, value in settings.items()},
        "versions": versions or {},
        "data": script_json(_data(shown, places, maps)),
        "payloads": {name: pack_bytes(cells) for name, cells in maps.items()},
    }
    without_images = fill_template("exam.html.jinja", share_text="", jpegs=[], **values)
    room = (budget_bytes - len(without_images.encode()) - 2000) * 3 // 4  # base64 makes four bytes of three
    jpegs, share = encode_images([s.pixels.grey for s in shown], budget_bytes=room)
    share_text = _share_text(share, common_mm=_common_mm(shown))
    return fill_template("exam.html.jinja", share_text=share_text, jpegs=map(to_base64, jpegs), **values)


def _shown_images(exam: Exam, reading: Reading) -> Iterator[_Shown]:
    """Every image of the exam, in the order of the hanging."""
    read = {(image.view, image.name): image for image in reading.images}
    for view in HANGING:
        of_view = exam.views.get(view, ())
        for number, mammogram in enumerate(of_view, 1):
            image = read.get((view, mammogram.name))
            pixels = make_page_image(mammogram, image.frame.box_source if image else None)
            yield _Shown(mammogram, image, pixels, number, len(of_view))


def _common_mm(shown: Sequence[_Shown]) -> bool:
    """Whether all images know their pixel size, so that they can be shown at one scale in mm."""
    return all(s.mammogram.spacing_mm is not None for s in shown)


def _share_text(share: float, *, common_mm: bool) -> str:
    """What of the files the page shows."""
    size = "the file's full resolution" if share == 1 else f"{max(1, round(share * 100))} % of the file's resolution"
    scale = "" if common_mm else "; pixel size unknown, no common scale in mm"
    return f"for looking, not for diagnosis: {size}, 8 bits{scale}"


def _places(shown: Sequence[_Shown], *, apart_px: float) -> list[_Place]:
    """The hottest places of all images, largest first."""
    found = []
    for number, s in enumerate(shown):
        if s.image is None or s.image.heatmap is None:
            continue
        radius = in_source_px(apart_px, s.image.frame)
        for finding in SHOWN_FINDINGS:
            places = find_hot_places(s.image.heatmap, finding, radius_px=radius)
            found += [_Place(number, s.title, place) for place in places]
    return sorted(found, key=lambda p: -p.place.value)


def _cards(reading: Reading, shown: Sequence[_Shown], site: SiteCalibration | None) -> Iterator[list[_Card]]:
    """The readings in rows, as the images are hung: right before left; breasts, or breasts and then their images."""
    yield [_breast_card(side, title, reading, site) for side, title in _SIDES.items()]
    if reading.unit == "image":
        for angle in ("CC", "MLO"):
            yield [_image_card(s, reading, site) for s in shown if s.mammogram.view.angle == angle]


def _breast_card(side: Side, title: str, reading: Reading, site: SiteCalibration | None) -> _Card:
    score = reading.breasts.get(side)
    if score is None:
        return _Card(side, title, "not read", ())
    if reading.unit == "image":
        mean = tuple((finding, float(getattr(score, finding))) for finding in SHOWN_FINDINGS)
        return _Card(side, title, "mean over its images", (), mean)
    heads = [head for head in reading.heads if head.side is side]
    return _Card(side, title, f"rests on {', '.join(dict.fromkeys(score.views))}", _strips(score, heads, site))


def _image_card(s: _Shown, reading: Reading, site: SiteCalibration | None) -> _Card:
    side = s.mammogram.view.side
    if s.image is None or s.image.score is None:
        return _Card(side, s.title, "not read by this model", ())
    heads = [head for head in reading.heads if head.images == (s.image.name,) and head.side is side]
    return _Card(side, s.title, s.image.name, _strips(s.image.score, heads, site))


def _strips(score: Score, heads: Sequence[HeadScore], site: SiteCalibration | None) -> tuple[_Strip, ...]:
    return tuple(
        _Strip(
            finding,
            float(getattr(score, finding)),
            float(getattr(score, f"{finding}_sd_windows")),
            float(getattr(score, f"{finding}_sd_members")),
            tuple(tuple(said.items()) for said in window_means(heads, finding).values()),
            describe_calibrated(score, finding, site),
        )
        for finding in SHOWN_FINDINGS
    )


def _provenance(reading: Reading, settings: Settings, *, show_ids: bool) -> Iterator[tuple[str, str]]:
    yield "exam", reading.exam_id
    if show_ids and reading.label:
        yield "study id or name", reading.label
    yield "model", reading.model
    yield "weights hash", reading.weights_hash
    yield "members", str(reading.members)
    yield "windows per image", str(reading.windows)
    yield "engine", reading.engine or "unknown"
    yield "precision", reading.precision
    yield "settings hash", hash_settings(settings)


def _data(shown: Sequence[_Shown], places: Sequence[_Place], maps: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's script works on."""
    return {
        "common_mm": _common_mm(shown),
        "shown_from": SHOWN_FROM,
        "strength": STRENGTH,
        "colours": {finding: COLOURS[finding] for finding in FINDINGS},
        "images": [_image_data(number, s, maps) for number, s in enumerate(shown)],
        "places": [
            {
                "image": p.image,
                "finding": p.place.finding,
                "value": p.place.value,
                "row": p.place.row,
                "col": p.place.col,
            }
            for p in places
        ],
    }


def _image_data(number: int, s: _Shown, maps: Mapping[str, Any]) -> dict[str, Any]:
    rows, cols = s.mammogram.pixels.shape
    crop = None if s.image is None else s.image.frame.box_source
    heat = None
    if s.image is not None and s.image.heatmap is not None:
        box = s.image.heatmap.box
        cells = maps[f"map-{number}-{FINDINGS[0]}"].shape
        heat = {"top": box.top, "left": box.left, "height": box.height, "width": box.width, "cells": list(cells)}
    return {
        "view": s.mammogram.view.value,
        "rows": rows,
        "cols": cols,
        "faces": s.mammogram.faces,
        "mirrored": s.mirrored,
        "spacing_mm": s.mammogram.spacing_mm,
        "held": list(s.pixels.held),
        "shown": list(s.pixels.shown),
        "read": s.image is not None,
        "crop": None if crop is None else [crop.top, crop.bottom, crop.left, crop.right],
        "heat": heat,
    }
