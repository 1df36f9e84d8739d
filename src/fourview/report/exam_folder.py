"""One folder per exam: reading.json, heatmaps as PNG and as arrays, overlays, thumbnails. Whole or absent."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.calibration import SiteCalibration
from fourview.exam import FINDINGS, Box, Exam, Heatmap, Mammogram, Reading, SetupError
from fourview.report.contact_sheet import draw_thumbnail
from fourview.report.overlay import draw_overlay
from fourview.report.page.exam_page import draw_exam_page
from fourview.report.picture import Picture, png_bytes
from fourview.report.reading_json import Settings, image_keys, reading_to_json
from fourview.report.versions import package_versions
from fourview.whole_files import whole_folder

Files = Literal["all", "readings"]


def write_exam_folder(
    folder: Path,
    exam: Exam,
    reading: Reading,
    *,
    settings: Settings,
    site: SiteCalibration | None = None,
    show_ids: bool = False,
    files: Files = "all",
) -> None:
    """The folder of one exam that was read.

    site   adds calibrated numbers
    files  "all"; or "readings": only reading.json

    reading.json                            everything that the reading says
    exam.html                               the page: images as they are hung, heatmaps, readings, decisions
    heatmap_<finding>_<view>.png            16-bit grey, the size of the source image: round(p * 65535)
    heatmaps.npz                            float32, the crop only: see load_heatmaps
    features.npz                            float32, what the columns made of each image: see load_features
    overlay_<view>.png, thumbnail_<view>.png  pictures for people

    A view's second image is called <view>_2 and so on. Raises OSError; then the folder is not there.
    """
    with whole_folder(folder) as part:
        if files == "all":
            _write_pictures(part, exam, reading)
            page = draw_exam_page(
                exam, reading, settings=settings, site=site, versions=package_versions(), show_ids=show_ids
            )
            (part / "exam.html").write_text(page, encoding="utf-8")
        (part / "reading.json").write_text(reading_to_json(reading, settings, site=site, show_ids=show_ids))


def _write_pictures(part: Path, exam: Exam, reading: Reading) -> None:
    mammograms = _match_images(exam, reading)
    arrays: dict[str, NDArray[Any]] = {}
    for key, image, mammogram in zip(image_keys(reading), reading.images, mammograms, strict=True):
        if image.heatmap is not None:
            heatmap = image.heatmap
            box = heatmap.box
            arrays[f"{key}_box"] = np.array([box.top, box.bottom, box.left, box.right])
            arrays[f"{key}_shape"] = np.array(heatmap.source_shape)
            for finding in FINDINGS:
                p = heatmap.inside[finding]
                arrays[f"{key}_{finding}"] = np.ascontiguousarray(p, np.float32)
                full = np.zeros(heatmap.source_shape, np.uint16)
                full[box.slices] = to_uint16(p)
                (part / f"heatmap_{finding}_{key}.png").write_bytes(png_bytes(full))
        (part / f"overlay_{key}.png").write_bytes(png_bytes(draw_overlay(mammogram, image, reading)))
        (part / f"thumbnail_{key}.png").write_bytes(png_bytes(draw_thumbnail(mammogram, image)))
    features = {
        key: image.features
        for key, image in zip(image_keys(reading), reading.images, strict=True)
        if image.features is not None
    }
    if features:
        np.savez(part / "features.npz", **features)  # type: ignore[arg-type] # numpy types allow_pickle only
    if arrays:
        np.savez_compressed(part / "heatmaps.npz", **arrays)  # type: ignore[arg-type] # numpy types allow_pickle only


def to_uint16(p: NDArray[np.float32]) -> NDArray[np.uint16]:
    """round(p * 65535): how a heatmap is held in a 16-bit PNG; half a step is 8e-6."""
    return np.rint(p.astype(np.float64) * 65535).astype(np.uint16)


def load_heatmaps(folder: Path) -> dict[str, Heatmap]:
    """The heatmaps of an exam folder by image ("L-CC", "L-CC_2" ...), exact, in the size of the source image.

    Empty for a model that makes none. Raises SetupError if the file is damaged.
    """
    file = folder / "heatmaps.npz"
    if not file.exists():
        return {}
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            keys = [name.removesuffix("_box") for name in arrays.files if name.endswith("_box")]
            return {key: _load_heatmap(arrays, key) for key in keys}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SetupError(f"{file}: damaged ({type(error).__name__}); remove its folder") from error


def load_features(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The features of an exam folder's images by image ("L-CC", "L-CC_2" ...), (members x features,) each.

    Empty for a run that kept none. Raises SetupError if the file is damaged.
    """
    file = folder / "features.npz"
    if not file.exists():
        return {}
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return {key: np.asarray(arrays[key], np.float32) for key in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise SetupError(f"{file}: damaged ({type(error).__name__}); remove its folder") from error


def load_thumbnails(folder: Path) -> dict[str, Picture]:
    """The thumbnails of an exam folder by image, in the order of their names, RGB."""
    found = {}
    for file in sorted(folder.glob("thumbnail_*.png")):
        picture = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB)
        if picture is None:
            raise SetupError(f"{file}: damaged; remove its folder")
        found[file.stem.removeprefix("thumbnail_")] = np.asarray(picture, np.uint8)
    return found


def _load_heatmap(arrays: np.lib.npyio.NpzFile, key: str) -> Heatmap:
    rows, cols = (int(n) for n in arrays[f"{key}_shape"])
    box = Box(*(int(n) for n in arrays[f"{key}_box"]))
    inside = {finding: np.asarray(arrays[f"{key}_{finding}"], np.float32) for finding in FINDINGS}
    if any(p.shape != (box.height, box.width) for p in inside.values()):
        raise ValueError("a map does not fit its box")
    return Heatmap((rows, cols), box, inside)


def _match_images(exam: Exam, reading: Reading) -> list[Mammogram]:
    """The mammogram of each image of the reading, by view and name."""
    by_name = {(m.view, m.name): m for m in exam.mammograms}
    return [by_name[image.view, image.name] for image in reading.images]
