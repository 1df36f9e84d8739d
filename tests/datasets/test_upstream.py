"""Exam lists of the published classifier and of GMIC, with masks in the image's frame and in GMIC's window."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fourview.datasets.record import ImageRecord, MaskFile, Polygon
from fourview.datasets.regions import draw_region
from fourview.datasets.upstream import DATASET
from fourview.exam import ExamError, SetupError, View
from tests.ingest.pictures import picture, write_picture

VIEWS = ("L-CC", "R-CC", "L-MLO", "R-MLO")
SEEN = {  # clusters of calcifications of the real sample, (row, col), found by eye
    "0_R-CC": [(1439, 384), (1435, 329)],
    "0_R-MLO": [(1815, 453), (1888, 389)],
}
NONE = {f"{side}_{finding}": 0 for side in ("left", "right") for finding in ("benign", "malignant")}


def exam(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"horizontal_flip": "NO", **{view: [f"{number}_{view}"] for view in VIEWS}, **more}


def write(root: Path, exams: list[dict[str, Any]]) -> Path:
    for entry in exams:
        for seed, view in enumerate(VIEWS):
            for stem in entry[view]:
                image = picture(view, seed)
                flipped = image[:, ::-1] if entry["horizontal_flip"] == "YES" else image
                write_picture(root / "images" / f"{stem}.png", np.ascontiguousarray(flipped))
    (root / "exam_list.json").write_text(json.dumps(exams))
    return root


def by_image(records: tuple[ImageRecord, ...]) -> dict[str, ImageRecord]:
    return {record.image: record for record in records}


@pytest.mark.parametrize("suffix", ["json", "pkl"])
def test_labels_go_to_the_images_of_their_breast(tmp_path: Path, suffix: str) -> None:
    label = {**NONE, "right_malignant": 1, "left_benign": 1, "malignant": 1, "benign": 1, "unknown": 0}
    exams = [exam(cancer_label=label)]
    root = write(tmp_path, exams)
    if suffix == "pkl":
        (root / "exam_list.json").unlink()
        (root / "exam_list.pkl").write_bytes(pickle.dumps(exams, protocol=4))
    listing = DATASET.find(root)
    assert listing.problems == ()
    assert "no patients" in listing.warnings[0]
    labels = {record.image: (record.malignant, record.benign) for record in listing.records}
    assert labels == {
        "0_L-CC": (False, True),
        "0_R-CC": (True, False),
        "0_L-MLO": (False, True),
        "0_R-MLO": (True, False),
    }
    first = listing.records[0]
    assert (first.label_unit, first.label_source, first.patient, first.exam) == ("breast", "biopsy", None, "0")


@pytest.mark.parametrize("more", [{}, {"cancer_label": {**NONE, "unknown": 1}}])
def test_without_a_biopsy_nothing_is_known(tmp_path: Path, more: dict[str, Any]) -> None:
    listing = DATASET.find(write(tmp_path, [exam(**more)]))
    assert {(r.malignant, r.benign, r.label_source) for r in listing.records} == {(None, None, "unknown")}


@pytest.mark.parametrize(
    ("label", "reason"),
    [({**NONE, "malignant": 1}, "says malignant 1 for the exam, but 0"), ({"malignant": 1}, "need left_"), (3, "need")],
)
def test_labels_that_contradict_themselves_are_listed(tmp_path: Path, label: Any, reason: str) -> None:
    listing = DATASET.find(write(tmp_path, [exam(cancer_label=label), exam(1)]))
    assert {record.exam for record in listing.records} == {"1"}
    assert [name for name, _ in listing.problems] == [f"0_{view}" for view in VIEWS]
    assert reason in listing.problems[0][1]


@pytest.mark.parametrize("flip", ["NO", "YES"])
def test_images_point_where_horizontal_flip_says(tmp_path: Path, flip: str) -> None:
    records = by_image(DATASET.find(write(tmp_path, [exam(horizontal_flip=flip)])).records)
    faces = DATASET.load(records["0_L-CC"]).faces
    assert faces == ("right" if flip == "NO" else "left")
    assert DATASET.load(records["0_R-CC"]).faces != faces


def test_a_flip_that_the_pixels_contradict_fails_its_image(tmp_path: Path) -> None:
    root = write(tmp_path, [exam()])
    (root / "exam_list.json").write_text(json.dumps([exam(horizontal_flip="YES")]))
    with pytest.raises(ExamError, match="horizontal_flip"):
        DATASET.load(DATASET.find(root).records[0])


def masked(root: Path, mask: np.ndarray, view: str = "R-CC", image: np.ndarray | None = None, **more: Any) -> Path:
    """An exam whose list names masks for every view, of which one is there, as in GMIC's sample."""
    names = {f"{v}_{f}_seg": [f"0_{v}_{f}"] for v in VIEWS for f in ("benign", "malignant")}
    label = {**NONE, f"{'left' if view[0] == 'L' else 'right'}_benign": 1, "unknown": 0}
    write(root, [exam(cancer_label=label, **names, **more)])
    if image is not None:
        write_picture(root / "images" / f"0_{view}.png", image)
    write_picture(root / "segmentation" / f"0_{view}_benign.png", mask)
    return root


def spot(view: str, shape: tuple[int, int] = (240, 180)) -> np.ndarray:
    """An image whose one pixel value of 60000 marks the lesion: rows 61 to 83, 30 to 47 pixels from the chest wall."""
    image = np.zeros(shape, np.uint16)
    image[: picture(view).shape[0], : picture(view).shape[1]] = picture("L-CC")
    image[61:84, 30:48] = 60000
    return image if view[0] == "L" else np.ascontiguousarray(image[:, ::-1])


@pytest.mark.parametrize("view", VIEWS)
def test_masks_in_the_window_of_gmic_come_back_to_the_pixels_that_they_outline(tmp_path: Path, view: str) -> None:
    window = np.zeros((2944, 1920), np.uint8)
    first = (2944 - 240) // 2 if view.endswith("CC") else 0  # padded at both ends, or at the bottom
    window[first + 61 : first + 84, 30:48] = 255
    window[first + 100 : first + 103, 60:63] = 255  # a speck of the drawing tool
    listing = DATASET.find(masked(tmp_path, window, view, spot(view)))
    assert listing.problems == ()
    record = by_image(listing.records)[f"0_{view}"]
    assert [lesion.lesion for lesion in record.lesions] == [f"0_{view}_benign_1"]
    assert record.lesions[0].pathology == "benign"
    region = record.lesions[0].region
    assert isinstance(region, Polygon)
    image = DATASET.load(record)
    assert (draw_region(region, image.pixels.shape) == (image.pixels == 60000)).all()
    assert sum(len(record.lesions) for record in listing.records) == 1


def test_in_an_image_larger_than_the_window_the_best_centre_says_where_it_is(tmp_path: Path) -> None:
    image = spot("L-CC", (3200, 2000))
    window = np.zeros((2944, 1920), np.uint8)
    centre = (1500, 970)  # the window begins at row 28, column 10
    window[61 - 28 : 84 - 28, 30 - 10 : 48 - 10] = 255
    root = masked(tmp_path, window, "L-CC", image, best_center={"L-CC": [centre]})
    region = by_image(DATASET.find(root).records)["0_L-CC"].lesions[0].region
    assert region is not None
    assert (draw_region(region, image.shape) == (image == 60000)).all()
    listing = DATASET.find(masked(tmp_path, window, "L-CC", image))
    assert "need best_center" in listing.problems[0][1]
    assert by_image(listing.records)["0_L-CC"].lesions == ()


def test_masks_of_the_images_size_are_taken_as_they_are(tmp_path: Path) -> None:
    mask = (spot("R-MLO") == 60000).astype(np.uint8) * 255
    record = by_image(DATASET.find(masked(tmp_path, mask, "R-MLO", spot("R-MLO"))).records)["0_R-MLO"]
    assert isinstance(record.lesions[0].region, MaskFile)
    image = DATASET.load(record)
    assert (draw_region(record.lesions[0].region, image.pixels.shape) == (image.pixels == 60000)).all()


def test_masks_that_fit_nowhere_are_listed_and_the_image_is_kept(tmp_path: Path) -> None:
    listing = DATASET.find(masked(tmp_path / "size", np.full((100, 100), 255, np.uint8)))
    assert len(listing.records) == 4
    assert "found a mask of (100, 100)" in listing.problems[0][1]
    beyond = np.zeros((2944, 1920), np.uint8)
    beyond[1400:1500, 500:600] = 255  # right of an image of 180 columns
    listing = DATASET.find(masked(tmp_path / "beyond", beyond))
    assert "leaves it" in listing.problems[0][1]
    uncropped = {"window_location": {"R-CC": [(0, 3000, 0, 1800)]}}
    listing = DATASET.find(masked(tmp_path / "uncropped", beyond, **uncropped))
    assert "window_location" in listing.problems[0][1]


def test_an_outline_in_a_breast_without_that_finding_is_a_warning(tmp_path: Path) -> None:
    root = masked(tmp_path, (spot("R-CC") == 60000).astype(np.uint8) * 255)
    entry = json.loads((root / "exam_list.json").read_text())
    entry[0]["cancer_label"]["right_benign"] = 0
    (root / "exam_list.json").write_text(json.dumps(entry))
    warnings = by_image(DATASET.find(root).records)["0_R-CC"].warnings
    assert warnings == ("a benign finding is outlined, but cancer_label says none",)


def test_missing_images_are_a_problem_of_their_exam(tmp_path: Path) -> None:
    root = write(tmp_path, [exam(), exam(1)])
    (root / "images/0_L-CC.png").unlink()
    listing = DATASET.find(root)
    assert len(listing.records) == 7
    ((name, reason),) = listing.problems
    assert name == "0"
    assert "0_L-CC" in reason


def test_an_image_in_two_exams_is_taken_once(tmp_path: Path) -> None:
    listing = DATASET.find(write(tmp_path, [exam(), exam() | {"L-CC": ["1_L-CC"]}]))
    assert len(listing.records) == 5
    assert {name for name, _ in listing.problems} == {"0_R-CC", "0_L-MLO", "0_R-MLO"}


def test_a_folder_without_a_list_or_with_several_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("[1, 2]")
    (tmp_path / "broken.json").write_text("[")
    with pytest.raises(SetupError, match=r"found none; broken\.json: cannot be read"):
        DATASET.find(tmp_path)
    write(tmp_path, [exam()])
    assert len(DATASET.find(tmp_path).records) == 4
    (tmp_path / "second.json").write_text(json.dumps([exam()]))
    with pytest.raises(SetupError, match=r"found exam_list\.json, second\.json"):
        DATASET.find(tmp_path)


class _Program:
    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return Path.write_text, (Path("was_run"), "")  # type: ignore[return-value]


def test_a_pickle_that_would_run_a_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "exam_list.pkl").write_bytes(pickle.dumps([exam(extra=_Program())], protocol=4))
    with pytest.raises(SetupError, match="need lists, text and numbers only"):
        DATASET.find(tmp_path)


def test_the_real_sample_of_gmic_has_its_outlines_around_the_calcifications(shared: Path) -> None:
    listing = DATASET.find(shared / "data/nyu_sample_exams")
    records = by_image(listing.records)
    assert list(records) == ["0_L-CC", "0_R-CC", "0_L-MLO", "0_R-MLO"]
    assert [name for name, _ in listing.problems] == ["1", "2", "3"]  # listed, but not in the sample
    assert {name: len(record.lesions) for name, record in records.items()} == {
        "0_L-CC": 0,
        "0_R-CC": 1,
        "0_L-MLO": 0,
        "0_R-MLO": 1,
    }
    for name, record in records.items():
        assert (record.malignant, record.benign) == (False, name.startswith("0_R"))
        if not record.lesions:
            continue
        image = DATASET.load(record)
        assert (image.view, image.faces) == (View(name[2:]), "left")
        region = record.lesions[0].region
        assert region is not None
        inside = draw_region(region, image.pixels.shape)
        blurred = cv2.GaussianBlur(image.pixels.astype(np.float32), (0, 0), 2)
        for row, col in SEEN[name]:
            assert blurred[row, col] > 1.25 * np.median(image.pixels[row - 60 : row + 60, col - 60 : col + 60]), name
        rows, cols = zip(*SEEN[name], strict=True)
        assert inside[rows, cols].all(), name
        for turned in (inside[::-1], inside[:, ::-1]):
            assert not turned[rows, cols].all(), name
