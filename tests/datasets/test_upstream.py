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
from fourview.datasets.upstream_masks import read_regions
from fourview.exam import ExamError, SetupError, View, hash_label
from fourview.ingest.sources import IngestOptions
from fourview.ingest.upstream_list import find_upstream
from fourview.store.prepare import prepare
from fourview.store.prepare_image import CropSettings
from fourview.store.store import Store
from tests.datasets.unreadable import make_unreadable
from tests.ingest.pictures import picture, write_picture
from tests.ingest.synthetic_dicom import breast, mammogram_dataset, save

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
    assert (listing.problems, listing.warnings) == ((), ())
    labels = {record.image: (record.malignant, record.benign) for record in listing.records}
    assert labels == {
        "0_L-CC": (False, True),
        "0_R-CC": (True, False),
        "0_L-MLO": (False, True),
        "0_R-MLO": (True, False),
    }
    first = listing.records[0]
    assert (first.label_unit, first.label_source, first.patient, first.exam) == (
        "breast",
        "biopsy",
        None,
        hash_label("0"),
    )


@pytest.mark.parametrize("more", [{}, {"cancer_label": {**NONE, "unknown": 1}}])
def test_without_a_biopsy_nothing_is_known(tmp_path: Path, more: dict[str, Any]) -> None:
    listing = DATASET.find(write(tmp_path, [exam(**more)]))
    assert {(r.malignant, r.benign, r.label_source) for r in listing.records} == {(None, None, "unknown")}


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ({**NONE, "malignant": 1}, "says malignant 1 for the exam, but 0"),
        ({"malignant": 1}, "need left_"),
        (3, "need"),
        ({**NONE, "left_benign": 1, "unknown": 1}, "says unknown 1 and left_benign 1, need unknown 0, or 1 where no"),
        ({**NONE, "unknown": "no"}, "says unknown 'no', need unknown 0, or 1"),
    ],
)
def test_labels_that_contradict_themselves_are_listed(tmp_path: Path, label: Any, reason: str) -> None:
    listing = DATASET.find(write(tmp_path, [exam(cancer_label=label), exam(1)]))
    assert {record.exam for record in listing.records} == {hash_label("1")}
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
    entry[0]["cancer_label"]["unknown"] = 1
    (root / "exam_list.json").write_text(json.dumps(entry))
    warnings = by_image(DATASET.find(root).records)["0_R-CC"].warnings
    assert warnings == ("a benign finding is outlined, but cancer_label says that nothing is known",)


def test_missing_images_are_a_problem_of_their_exam(tmp_path: Path) -> None:
    root = write(tmp_path, [exam(), exam(1)])
    (root / "images/0_L-CC.png").unlink()
    listing = DATASET.find(root)
    assert len(listing.records) == 7
    ((name, reason),) = listing.problems
    assert name == "0"
    assert "0_L-CC" in reason


def test_an_image_in_two_exams_is_taken_for_neither(tmp_path: Path) -> None:
    listing = DATASET.find(write(tmp_path, [exam(), exam() | {"L-CC": ["1_L-CC"]}]))
    assert [record.image for record in listing.records] == ["0_L-CC", "1_L-CC"]
    assert [name for name, _ in listing.problems] == ["0_R-CC", "0_L-MLO", "0_R-MLO"] * 2
    assert listing.problems[0][1] == (
        "the list names one file for 2 images (R-CC of exam 0, R-CC of exam 1_L-CC 0_R-CC 0_L-MLO 0_R-MLO), need one "
        "image per file"
    )


def test_an_image_in_two_views_and_one_under_two_names_are_taken_for_none(tmp_path: Path) -> None:
    listing = DATASET.find(write(tmp_path / "views", [exam() | {"R-MLO": ["0_L-CC"]}]))
    assert {record.image for record in listing.records} == {"0_R-CC", "0_L-MLO"}
    assert "one file for 2 images (L-CC of exam 0, R-MLO of exam 0)" in dict(listing.problems)["0_L-CC"]
    root = write(tmp_path / "links", [exam(), exam(1)])
    (root / "images/1_R-CC.png").unlink()
    (root / "images/1_R-CC.png").symlink_to(root / "images/0_R-CC.png")
    listing = DATASET.find(root)
    assert len(listing.records) == 6
    assert {name for name, _ in listing.problems} == {"0_R-CC", "1_R-CC"}


def test_two_files_of_one_name_are_both_refused(tmp_path: Path) -> None:
    root = write(tmp_path, [exam() | {"L-CC": ["a/0_L-CC", "b/0_L-CC"]}])
    listing = DATASET.find(root)
    assert len(listing.records) == 3
    assert listing.problems == (("0_L-CC", "the list names 2 files 0_L-CC, need names that are unique"),) * 2


def test_an_exam_that_the_list_repeats_word_for_word_is_taken_once(tmp_path: Path) -> None:
    listing = DATASET.find(write(tmp_path, [exam(), exam(1), exam()]))
    assert len(listing.records) == 8
    ((_, reason),) = listing.problems
    assert reason == "exam_list.json holds this exam twice, word for word: it is taken once"


def test_what_the_list_names_and_the_folder_lacks_is_counted(tmp_path: Path) -> None:
    root = masked(tmp_path, (spot("R-CC") == 60000).astype(np.uint8) * 255)
    (root / "images/0_L-CC.png").unlink()
    images, masks = DATASET.find(root).warnings
    assert images == "images: the list names 4, 3 are there, 1 are not (0_L-CC): is the set complete?"
    assert masks == (
        "masks: the list names 8, 1 are there, 7 are not, 1 of them of findings that cancer_label has "
        "(0_R-MLO_benign): findings that cannot be seen, or the set is not complete"
    )


def test_pictures_that_the_list_does_not_name_are_counted(tmp_path: Path) -> None:
    root = write(tmp_path, [exam()])
    for stem in ("7_L-CC", "7_R-CC"):
        write_picture(root / "images" / f"{stem}.png", picture("L-CC"))
    assert DATASET.find(root).warnings == ("pictures: 2 are there that the list does not name (7_L-CC, 7_R-CC)",)


def test_hdf5_files_of_the_images_are_named_and_heatmaps_are_none_of_them(tmp_path: Path) -> None:
    root = write(tmp_path, [exam()])
    (root / "images/0_L-CC.png").rename(root / "images/0_L-CC.hdf5")
    (root / "images/0_R-CC.hdf5").write_bytes(b"")
    (root / "heatmap_malignant").mkdir()
    (root / "heatmap_malignant/0_L-MLO.hdf5").write_bytes(b"")
    warnings = DATASET.find(root).warnings
    assert warnings[1:] == (
        "images: 1 are there only as HDF5, which is not read (0_L-CC)",
        "images: 1 are there as HDF5 too, which is not read (0_R-CC)",
    )


def test_a_mask_that_is_there_or_named_twice_outlines_nothing(tmp_path: Path) -> None:
    mask = (spot("R-CC") == 60000).astype(np.uint8) * 255
    root = masked(tmp_path / "there", mask)
    write_picture(root / "other" / "0_R-CC_benign.png", mask)
    listing = DATASET.find(root)
    record = by_image(listing.records)["0_R-CC"]
    assert (record.lesions, record.malignant, record.benign) == ((), False, True)
    assert record.warnings == ("no benign region: found 2 masks 0_R-CC_benign.png in or below the folder, need 1",)
    assert listing.problems == (("0_R-CC benign", f"{record.warnings[0][18:]}; the image is kept without this region"),)
    named = masked(tmp_path / "named", mask, **{"R-MLO": ["0_R-MLO"]})
    entry = json.loads((named / "exam_list.json").read_text())
    entry[0]["L-CC_malignant_seg"] = ["0_R-CC_benign"]
    (named / "exam_list.json").write_text(json.dumps(entry))
    records = by_image(DATASET.find(named).records)
    said = "the list names the mask 0_R-CC_benign 2 times, need one image and finding each"
    assert records["0_R-CC"].warnings == (f"no benign region: {said}",)
    assert records["0_L-CC"].warnings == (f"no malignant region: {said}",)


def test_fewer_masks_than_images_of_a_view_are_refused(tmp_path: Path) -> None:
    listing = DATASET.find(write(tmp_path, [exam(**{"R-CC": ["0_R-CC", "0_R-CC-b"], "R-CC_benign_seg": ["0_mask"]})]))
    assert len(listing.records) == 5
    assert [name for name, _ in listing.problems] == ["0_R-CC benign", "0_R-CC-b benign"]
    assert "R-CC_benign_seg names 1 masks for 2 images, need one each" in listing.problems[0][1]


@pytest.mark.parametrize("shape", [(240, 180), (2944, 1920)])
def test_an_inverted_mask_outlines_nothing_and_its_image_says_so(tmp_path: Path, shape: tuple[int, int]) -> None:
    mask = np.full(shape, 255, np.uint8)
    mask[100:120, 60:90] = 0
    listing = DATASET.find(masked(tmp_path, mask, "R-MLO", spot("R-MLO")))
    record = by_image(listing.records)["0_R-MLO"]
    assert record.lesions == ()
    (warning,) = record.warnings
    assert warning.startswith("no benign region: 0_R-MLO_benign.png: found a mask over 9")
    assert "is it inverted?" in listing.problems[0][1]


def test_a_mask_that_cannot_be_read_costs_its_image_the_outline_only(tmp_path: Path) -> None:
    root = masked(tmp_path, (spot("R-CC") == 60000).astype(np.uint8) * 255)
    make_unreadable(root / "segmentation/0_R-CC_benign.png")
    listing = DATASET.find(root)
    assert len(listing.records) == 4
    ((name, said),) = listing.problems
    assert name == "0_R-CC benign"
    assert said.startswith("0_R-CC_benign.png: the mask cannot be read (Input/output error)")


def test_an_image_that_cannot_be_read_is_said_without_its_path(tmp_path: Path) -> None:
    write_picture(tmp_path / "mask.png", np.ones((9, 9), np.uint8))
    with pytest.raises(ExamError, match=r"^its image cannot be read \(Input/output error\)"):
        read_regions(tmp_path / "mask.png", make_unreadable(tmp_path / "1.png"), view=View.L_CC, faces="right")


def named_after_a_patient(root: Path) -> Path:
    """An exam of DICOM files that are called as their patient, with masks, a picture not named, and one gone."""
    dicom = {"PatientName": "Janeway^Kathryn", "PatientID": "4711"}
    root.mkdir()
    for view, side in (("L-CC", "L"), ("R-CC", "R")):
        tags = {"ImageLaterality": side, "PatientOrientation": None, **dicom}
        image = breast(faces="right" if side == "L" else "left")
        save(mammogram_dataset(image, **tags), root / f"Janeway_{view}.dcm")
    for name in ("Janeway_L-CC_benign", "Janeway_old", "a/Janeway_R-CC_benign", "b/Janeway_R-CC_benign"):
        write_picture(root / f"{name}.png", np.full((240, 180), 255, np.uint8))
    views = {view: [f"Janeway_{view}"] for view in ("L-CC", "R-CC", "L-MLO")}
    masks = {f"{view}_benign_seg": [f"Janeway_{view}_benign"] for view in views}
    (root / "list.json").write_text(json.dumps([{"horizontal_flip": "NO", "R-MLO": [], **views, **masks}]))
    return root


def test_nothing_that_is_shown_names_a_patient(tmp_path: Path) -> None:
    root = named_after_a_patient(tmp_path / "set")
    listing = DATASET.find(root)
    texts = f"{listing.problems} {listing.warnings} {[(r.image, r.exam, r.warnings) for r in listing.records]}"
    assert len(listing.records) == 2
    assert len(listing.problems) == 3  # L-MLO is not there, one mask covers everything, one is there twice
    assert len(listing.warnings) == 3  # an image and a mask are not there, a picture is not named
    assert [word for word in ("janeway", "kathryn", "4711") if word in texts.lower()] == []
    (root / "Janeway_L-CC.dcm").unlink()
    (root / "Janeway_R-CC.dcm").write_bytes(b"none")
    for record in listing.records:
        with pytest.raises(ExamError) as raised:
            DATASET.load(record)
        assert "janeway" not in str(raised.value).lower()


def test_images_and_exams_are_called_as_in_readings_of_the_same_list(tmp_path: Path) -> None:
    root = named_after_a_patient(tmp_path / "set")
    content = json.loads((root / "list.json").read_text())
    (read,) = find_upstream(content, root / "list.json", IngestOptions()).exams
    records = DATASET.find(root).records
    assert [f"{record.image}.dcm" for record in records] == [image.name for image in read.images]
    assert {(record.exam, record.patient) for record in records} == {(read.exam_id, read.patient_key)}


def test_the_store_has_no_file_name_with_a_patient_in_it(tmp_path: Path) -> None:
    root = named_after_a_patient(tmp_path / "set")
    prepare(DATASET, root, tmp_path / "store", crop=CropSettings(iterations=5, buffer_px=5))
    table = Store.open(tmp_path / "store").manifest
    assert table["file"].to_list() == table["image"].to_list()
    for file in (tmp_path / "store").rglob("*.*"):
        assert not file.is_file() or b"janeway" not in file.read_bytes().lower(), file.name
    assert "janeway" not in str(table.rows()).lower()


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
