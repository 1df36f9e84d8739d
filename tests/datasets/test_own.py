"""Your own folder and CSV: every column, every way of marking a lesion, and what is wrong by line."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fourview.datasets.own import DATASET
from fourview.datasets.own_headers import NamedImage, compare_patients
from fourview.datasets.own_table import KNOWN, LINE, NEEDS, SOURCES, UNITS
from fourview.datasets.record import ImageRecord
from fourview.datasets.regions import draw_region
from fourview.exam import ExamError, SetupError, Side, View, hash_label
from fourview.ingest.identity import patient_key
from fourview.store.prepare import prepare
from fourview.store.prepare_image import CropSettings
from fourview.store.selection import Selection
from fourview.store.splits import make_split
from fourview.store.store import Store
from tests.datasets.csv_rows import write_rows
from tests.datasets.unreadable import make_unreadable
from tests.ingest.pictures import write_picture
from tests.ingest.synthetic_dicom import breast, mammogram_dataset, save

ROWS, COLS = slice(61, 84), slice(30, 48)  # of the lesion in a left breast


def pixels() -> np.ndarray:
    image = breast()
    image[ROWS, COLS] = 4000
    return image


def write(root: Path, rows: list[dict[str, object]]) -> Path:
    """The images of the rows (left breasts as PNG) and labels.csv."""
    for row in rows:
        write_picture(root / str(row["file"]), pixels())
    write_rows(root / "labels.csv", rows)
    return root


def row(file: str = "a/1.png", **more: object) -> dict[str, object]:
    return {"file": file, "patient": "p1", "exam": "e1", "side": "L", "view": "CC", **more}


def only(root: Path) -> ImageRecord:
    listing = DATASET.find(root)
    assert listing.problems == ()
    (record,) = listing.records
    return record


def test_every_column_arrives(tmp_path: Path) -> None:
    columns = {
        "malignant": "yes", "benign": "1", "high_risk": "TRUE", "label_unit": "Breast", "label_source": "registry",
        "birads": "4B", "density": "c", "age": "61", "vendor": "ACME", "date": "2020-01-31", "split": "Validation",
        "spacing_mm": "0.07", "site": "north",
    }  # fmt: skip
    record = only(write(tmp_path, [row(**columns)]))
    assert (record.patient, record.exam) == (patient_key("p1"), hash_label("e1"))
    assert (record.image, record.view) == ("a/1.png", View.L_CC)
    assert (record.malignant, record.benign, record.birads, record.density) == (True, True, "4b", "C")
    assert (record.high_risk, record.label_unit, record.label_source) == (True, "breast", "registry")
    assert (record.age, record.vendor, record.date, record.split) == (61, "ACME", "2020-01-31", "validation")
    assert record.more == {"site": "north"}
    assert DATASET.load(record).spacing_mm == 0.07


def test_the_words_of_pathology_reports_are_handed_on(tmp_path: Path) -> None:
    record = only(write(tmp_path, [row(pathology_terms="DCIS; cyst")]))
    assert record.more == {"pathology": "DCIS;cyst"}
    assert (record.label_unit, record.label_source) == ("breast", "biopsy")
    prepare(DATASET, tmp_path, tmp_path.parent / f"{tmp_path.name}_store", crop=CropSettings(iterations=5, buffer_px=5))
    (prepared,) = Store.open(tmp_path.parent / f"{tmp_path.name}_store").manifest.iter_rows(named=True)
    assert (prepared["status"], prepared["malignant"], prepared["benign"]) == ("prepared", True, True)


def test_three_columns_are_enough(tmp_path: Path) -> None:
    root = write(tmp_path, [{"file": "1.png", "side": "left", "view": "L-CC"}])
    listing = DATASET.find(root)
    (record,) = listing.records
    assert (record.patient, record.exam, record.side, record.angle) == (None, hash_label("1.png"), Side.LEFT, "CC")
    assert (record.malignant, record.benign) == (None, None)
    assert (record.label_unit, record.label_source, record.high_risk) == ("image", "unknown", False)


def test_masks_boxes_and_circles_lie_on_the_pixels_that_they_mark(tmp_path: Path) -> None:
    box = {"lesion": "box", "kind": "mass", "pathology": "malignant", "top": 61, "bottom": 84, "left": 30, "right": 48}
    circle = {"lesion": "disc", "row": 72.5, "col": 38.5, "radius": 8}
    root = write(tmp_path, [row("a/1.png", **box), row("a/1.png", **circle), row(lesion="mask", mask="masks/1.png")])
    mask = np.zeros((240, 180), np.uint8)
    mask[ROWS, COLS] = 255
    write_picture(root / "masks/1.png", mask)
    record = only(root)
    assert [lesion.lesion for lesion in record.lesions] == ["box", "disc", "mask"]
    assert (record.lesions[0].kind, record.lesions[0].pathology) == ("mass", "malignant")
    assert (record.lesions[1].kind, record.lesions[1].pathology) == ("other", "unknown")
    image = DATASET.load(record)
    lesion = image.pixels == 4000
    for found, whole in zip(record.lesions, (True, False, True), strict=True):
        assert found.region is not None
        drawn = draw_region(found.region, image.pixels.shape)
        assert lesion[drawn].all()
        assert not whole or (drawn == lesion).all()


def test_a_row_without_lesion_columns_has_no_lesion_and_one_with_a_kind_has(tmp_path: Path) -> None:
    root = write(tmp_path, [row("1.png"), row("2.png", kind="distortion", pathology="benign")])
    first, second = DATASET.find(root).records
    assert first.lesions == ()
    assert second.lesions[0].region is None
    assert second.lesions[0].kind == "distortion"


def test_rows_of_one_image_that_contradict_each_other_are_named_by_line(tmp_path: Path) -> None:
    rows = [row("1.png", malignant=1), row("2.png", malignant=0), row("1.png", malignant=0)]
    listing = DATASET.find(write(tmp_path, rows))
    assert [record.image for record in listing.records] == ["2.png"]
    ((name, reason),) = listing.problems
    assert name == "1.png"
    assert reason == "line 4: malignant is '0', line 2 of the same image says '1'; need one value"


def test_an_exam_of_several_patients_is_listed(tmp_path: Path) -> None:
    rows = [row("1.png"), row("2.png", patient="p2"), row("3.png", patient="p3", exam="e3")]
    listing = DATASET.find(write(tmp_path, rows))
    assert [record.image for record in listing.records] == ["3.png"]
    assert [reason for _, reason in listing.problems] == [
        "line 2: the rows of this exam name different patients, need one",
        "line 3: the rows of this exam name different patients, need one",
    ]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"side": "both"}, "found side 'both'"),
        ({"side": "R", "view": "L-CC"}, "need one side in both"),
        ({"view": ""}, "need L or R, CC or MLO"),
        ({"malignant": "perhaps"}, "found malignant 'perhaps'"),
        ({"birads": "7"}, "birads '7'"),
        ({"density": "E"}, "density 'E'"),
        ({"age": "old"}, "found age 'old'"),
        ({"split": "holdout"}, "found split 'holdout'"),
        ({"spacing_mm": "0"}, "found spacing_mm '0'"),
        ({"kind": "lump"}, "found kind 'lump'"),
        ({"top": 3, "bottom": 2, "left": 1, "right": 9}, "found a box without"),
        ({"top": 3, "bottom": 5}, "found a box without"),
        ({"row": 5, "col": 5}, "found a circle without"),
        ({"row": 5, "col": 5, "radius": 0}, "found a circle without"),
        ({"row": 5, "col": 5, "radius": 2, "top": 1, "bottom": 2, "left": 1, "right": 2}, "several regions"),
        ({"mask": "none.png"}, "found the mask 'none.png'"),
        ({"mask": "../secret.png"}, "found the mask '../secret.png'"),
        ({"mask": "m" * 300}, "need a picture that is there"),
        ({"mask": "a\0b.png"}, "need a picture that is there"),
        ({"mask": "masks\\1.png"}, "need / between folders"),
        ({"malignant": 0, "pathology": "malignant"}, "malignant is 0, but the lesion of this line is malignant"),
        ({"benign": 0, "pathology": "benign"}, "benign is 0, but the lesion of this line is benign"),
        ({"high_risk": "maybe"}, "found high_risk 'maybe', need 1, 0 or nothing"),
        ({"high_risk": 1}, "high_risk is 1, but benign is not; need benign 1"),
        ({"high_risk": 1, "benign": 0}, "high_risk is 1, but benign is not; need benign 1"),
        ({"label_unit": "lesion"}, "found label_unit 'lesion', need image, breast, exam, patient or nothing"),
        ({"label_source": "me"}, "found label_source 'me', need biopsy, birads, registry, unknown or nothing"),
        ({"label_unit": "patient", "patient": "", "exam": "e2"}, "found label_unit 'patient', but no patient"),
        (
            {"label_unit": "exam", "exam": "e2", "pathology_terms": "cyst"},
            "found label_unit 'exam', but pathology_terms are of the breast",
        ),
    ],
)
def test_what_is_wrong_in_a_row_is_said_with_its_line(tmp_path: Path, wrong: dict[str, object], reason: str) -> None:
    listing = DATASET.find(write(tmp_path, [row("1.png"), row("2.png", **wrong)]))
    assert [record.image for record in listing.records] == ["1.png"]
    ((name, said),) = listing.problems
    assert name == "2.png"
    assert said.startswith("line 3: ")
    assert reason in said


def test_a_lesion_named_twice_in_an_image_is_listed(tmp_path: Path) -> None:
    listing = DATASET.find(write(tmp_path, [row(lesion="1"), row(lesion="1", kind="mass")]))
    assert "the same lesion" in listing.problems[0][1]


def test_rows_without_images_and_images_without_rows_are_listed(tmp_path: Path) -> None:
    root = write(tmp_path, [row("1.png"), row("2.png")])
    (root / "1.png").rename(root / "3.png")
    write_rows(root / "labels.csv", [row("1.png"), row("2.png"), row("../2.png"), row("")])
    listing = DATASET.find(root)
    assert [record.image for record in listing.records] == ["2.png"]
    assert dict(listing.problems) == {
        "1.png": "line 2: the table names it, but it is not there",
        "../2.png": "line 4: found file '../2.png', need a path below the folder",
        "line 5": "line 5: no file, need a path below the folder",
        "3.png": "labels.csv does not name it",
    }


def test_nothing_that_is_shown_names_a_patient(tmp_path: Path) -> None:
    anna = {"patient": "Anna-4711"}
    rows = [
        row("anna/1.png", **anna, lesion="ANNA 1"), row("anna/2.png", **anna, birads="4711"),
        row("3.png", **anna, mask="4711.png"), row("4.png", **anna), row("4.png", patient="Berta", exam="e1"),
        row("5.png", patient="Berta", exam="Berta 1"), row("6.png", patient="Carla", exam="Berta 1"),
        row("7.png", patient="Dora", exam="e7", side="dora"),
    ]  # fmt: skip
    root = write(tmp_path, [*rows, row("Carla.png")])
    write_rows(root / "labels.csv", rows)
    listing = DATASET.find(root)
    assert len(listing.problems) == 8  # all seven files, since exam e1 has a row of Berta's too, and Carla.png
    write_rows(root / "labels.csv", [one for one in rows if one["file"] != "4.png"])
    listing = DATASET.find(root)
    (record,) = listing.records
    assert (record.patient, record.exam) == (patient_key("Anna-4711"), hash_label("e1"))
    assert (record.image[:5], record.path) == ("file-", root / "anna/1.png")
    record.path.write_bytes(b"none")
    with pytest.raises(ExamError) as raised:
        DATASET.load(record)
    texts = f"{listing.problems} {record.lesions} {record.image} {raised.value}".lower()
    assert len(listing.problems) == 7
    assert [word for word in ("anna", "4711", "berta", "carla", "dora") if word in texts] == []
    assert "found side '...'" in texts


def test_rows_of_one_image_with_several_patients_quote_none(tmp_path: Path) -> None:
    rows = [row("1.png", exam=""), row("1.png", exam="", patient="p2")]
    listing = DATASET.find(write(tmp_path, rows))
    assert listing.problems == (("1.png", "line 3: another patient than in line 2 of the same image; need one value"),)


def test_all_images_of_a_breast_have_all_its_terms(tmp_path: Path) -> None:
    terms = ("DCIS; cyst", "", "Cyst;fibroadenoma")
    rows = [row(f"{at}.png", pathology_terms=term) for at, term in enumerate(terms)]
    rows += [row("right.png", side="R"), row("later.png", exam="e2"), row("0.png", lesion="2", pathology_terms="")]
    records = {record.image: record for record in DATASET.find(write(tmp_path, rows)).records}
    assert {records[f"{at}.png"].more["pathology"] for at in range(3)} == {"DCIS;cyst;fibroadenoma"}
    assert {records[f"{at}.png"].label_unit for at in range(3)} == {"breast"}
    assert (records["right.png"].more, records["later.png"].more) == ({}, {})
    assert records["right.png"].label_unit == "image"


def test_labels_that_contradict_each_other_in_a_breast_with_terms_are_named_by_line(tmp_path: Path) -> None:
    rows = [row("1.png", malignant=1, pathology_terms="DCIS"), row("2.png", malignant=0), row("3.png", side="R")]
    listing = DATASET.find(write(tmp_path, rows))
    assert [record.image for record in listing.records] == ["3.png"]
    said = "line 3: malignant is 0, line 2 of the same breast says 1; need one value"
    assert listing.problems == (("1.png", said), ("2.png", said))
    write_rows(tmp_path / "labels.csv", [row("1.png", pathology_terms="DCIS"), row("2.png", malignant=0), rows[2]])
    listing = DATASET.find(tmp_path)
    terms = "line 2 of the same breast has the pathology_terms 'DCIS'"
    said = f"line 3: malignant is 0, but {terms}; need malignant 1 or blank"
    assert listing.problems == (("1.png", said), ("2.png", said))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            {"malignant": 1, "pathology_terms": "cyst; scar"},
            "line 2: malignant is 1, but line 2 of the same breast has the pathology_terms 'cyst', 'scar'; "
            "need malignant 0 or blank, or a malignant term",
        ),
        (
            {"malignant": 0, "pathology_terms": "cyst; Invasive ductal carcinoma"},
            "line 2: malignant is 0, but line 2 of the same breast has the pathology_terms "
            "'Invasive ductal carcinoma'; need malignant 1 or blank",
        ),
        ({"benign": 0, "pathology_terms": "LCIS"}, "line 2: benign is 0, but line 2 of the same breast has the"),
        (
            {"high_risk": 0, "pathology_terms": "cyst; LCIS"},
            "line 2: high_risk is 0, but line 2 of the same breast has the pathology_terms 'LCIS'; need high_risk 1",
        ),
        (
            {"high_risk": 1, "pathology_terms": "cyst"},
            "line 2: high_risk is 1, but line 2 of the same breast has the pathology_terms 'cyst'; need high_risk 0",
        ),
        ({"benign": 1, "pathology_terms": "DCIS"}, "line 2: benign is 1, but line 2 of the same breast has the"),
        ({"malignant": 1, "pathology_terms": "normal"}, "'normal'; need malignant 0 or blank, or a malignant term"),
        (
            {"pathology": "malignant", "pathology_terms": "cyst"},
            "line 2: the lesion is malignant, but line 2 of the same breast has the pathology_terms 'cyst'; "
            "need another pathology, or a malignant term",
        ),
    ],
)
def test_labels_that_the_terms_contradict_are_refused_with_the_whole_breast(
    tmp_path: Path, labels: dict[str, object], said: str
) -> None:
    rows = [row("1.png", **labels), row("2.png", view="MLO"), row("3.png", side="R")]
    listing = DATASET.find(write(tmp_path, rows))
    assert [record.image for record in listing.records] == ["3.png"]
    assert [name for name, _ in listing.problems] == ["1.png", "2.png"]
    assert all(said in reason for _, reason in listing.problems)


def test_labels_that_agree_with_the_terms_hold_for_the_breast_and_the_terms_fill_the_blanks(tmp_path: Path) -> None:
    rows = [
        row("1.png", malignant=1, pathology_terms="DCIS; LCIS"), row("2.png"),
        row("3.png", exam="e2", malignant=0, pathology_terms="cyst"),
        row("4.png", exam="e3", malignant=1, pathology_terms="hamartoma"),
    ]  # fmt: skip
    listing = DATASET.find(write(tmp_path, rows))
    assert listing.problems == ()
    found = {record.image: (record.malignant, record.benign, record.high_risk) for record in listing.records}
    assert found == {
        "1.png": (True, True, True),
        "2.png": (True, True, True),
        "3.png": (False, True, False),
        "4.png": (True, None, False),
    }
    assert {record.label_unit for record in listing.records} == {"breast"}
    assert [record.warnings for record in listing.records][3] == ("unknown pathology term: hamartoma",)


LABELLED = [
    ("breast", {"side": "L", "view": "MLO"}),
    ("exam", {"side": "R"}),
    ("patient", {"exam": "e2"}),
]


@pytest.mark.parametrize(("unit", "second"), LABELLED)
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"malignant": 1}, "says 1"),
        ({"malignant": 1, "label_unit": "image"}, "says 1"),
        ({"malignant": "", "pathology": "malignant"}, "has a malignant lesion"),
    ],
)
def test_labels_of_one_breast_exam_or_patient_must_agree(
    tmp_path: Path, unit: str, second: dict[str, object], more: dict[str, object], said: str
) -> None:
    whole = {"label_unit": unit}
    rows = [
        row("1.png", malignant=0, **whole),
        row("2.png", **(whole | second | more)),
        row("3.png", patient="p3", exam="e3"),
    ]
    listing = DATASET.find(write(tmp_path, rows))
    assert [record.image for record in listing.records] == ["3.png"]
    reason = f"line 2: malignant is 0, line 3 of the same {unit} {said}; need one value"
    assert listing.problems == (("1.png", reason), ("2.png", reason))


@pytest.mark.parametrize(("unit", "second"), LABELLED)
def test_a_finding_in_the_rest_of_the_woman_contradicts_no_label_of_an_image(
    tmp_path: Path, unit: str, second: dict[str, object]
) -> None:
    rows = [row("1.png", malignant=0), row("2.png", malignant=1, label_unit=unit, **second)]
    listing = DATASET.find(write(tmp_path, rows))
    assert listing.problems == ()
    assert {r.image: (r.malignant, r.label_unit) for r in listing.records} == {
        "1.png": (False, "image"),
        "2.png": (True, unit),
    }


def test_a_finding_somewhere_in_the_exam_contradicts_no_label_of_a_breast(tmp_path: Path) -> None:
    breast_without, exam_with = {"malignant": 0, "label_unit": "breast"}, {"malignant": 1, "label_unit": "exam"}
    listing = DATASET.find(write(tmp_path, [row("1.png", **breast_without), row("2.png", view="MLO", **exam_with)]))
    assert ([record.malignant for record in listing.records], listing.problems) == ([False, True], ())


def test_without_names_of_exams_the_images_of_a_patient_and_date_are_one(tmp_path: Path) -> None:
    days = {"a": "2020-01-31", "b": "2022-02-01", "c": "2020-01-31"}
    views = [(side, view) for side in "LR" for view in ("CC", "MLO")]
    rows: list[dict[str, object]] = [
        {"file": f"{name}_{side}_{view}.png", "patient": name, "side": side, "view": view, "date": day}
        for name, day in days.items() for side, view in views
    ]  # fmt: skip
    rows += [{**rows[0], "file": "a_later.png", "date": "2022-01-31"}]
    listing = DATASET.find(write(tmp_path / "set", rows))
    assert (listing.problems, listing.warnings) == ((), ())
    exams = Counter(record.exam for record in listing.records)
    assert sorted(exams.values()) == [1, 4, 4, 4]
    assert exams[hash_label(f"{patient_key('a')} 2020-01-31")] == 4  # of the patient's key: ids can be guessed
    for row_ in rows:
        image = pixels() if row_["side"] == "L" else np.ascontiguousarray(pixels()[:, ::-1])
        write_picture(tmp_path / "set" / str(row_["file"]), image)
    crop = CropSettings(iterations=5, buffer_px=5)
    prepare(DATASET, tmp_path / "set", tmp_path / "store", crop=crop, selection=Selection("four-views"))
    table = Store.open(tmp_path / "store").manifest
    assert table.filter(status="excluded")["image"].to_list() == ["a_later.png"]
    parts = make_split(table, by_date=True, fractions=(0.67, 0.33))
    assert Counter(parts.parts.values()) == {"train": 8, "test": 4}
    assert parts.left_out == {}


@pytest.mark.parametrize("blank", ["patient", "date"])
def test_an_image_that_names_no_exam_nor_patient_and_date_is_one_of_its_own_and_the_set_says_so(
    tmp_path: Path, blank: str
) -> None:
    rows = [row(f"{at}.png", exam="", view=view, date="2020-01-31") for at, view in enumerate(("CC", "MLO"))]
    rows = [{**one, blank: ""} for one in rows]
    listing = DATASET.find(write(tmp_path, [*rows, row("named.png")]))
    assert len({record.exam for record in listing.records}) == 3
    assert listing.warnings == (
        "2 of 3 images name neither exam nor patient and date: each counts as an exam of its own, which "
        "--require four-views does not take",
    )


def dicom_set(root: Path, images: list[tuple[str, str | None]], **tags: object) -> Path:
    """A DICOM image per (patient of the table, patient id of the header); each is an exam: 0.dcm in line 2 ..."""
    root.mkdir(exist_ok=True)
    for at, (_, patient_id) in enumerate(images):
        save(mammogram_dataset(pixels(), PatientID=patient_id, PatientName="", **tags), root / f"{at}.dcm")
    write_rows(root / "labels.csv", [row(f"{at}.dcm", patient=p, exam=f"e{at}") for at, (p, _) in enumerate(images)])
    return root


def test_one_header_id_under_several_patients_refuses_all_their_images_and_names_the_lines(tmp_path: Path) -> None:
    images = [("A1", "4711"), ("A1", "4711"), ("A2", "4711"), ("A3", "815"), ("A2", "816"), ("", "4711")]
    root = dicom_set(tmp_path, images)
    write_picture(root / "other.png", pixels())  # of A2 too: under A2 she may still be in another part than as A1
    (root / "labels.csv").write_text((root / "labels.csv").read_text() + "other.png,A2,e9,L,CC\n")
    listing = DATASET.find(root)
    assert [record.image for record in listing.records] == ["3.dcm", "5.dcm"]
    said = (
        "2 patients of the table (lines 2-3 and line 4) have one patient id in the headers of these files; "
        "need one patient in these lines, or other ids in the headers"
    )
    lines = {"0.dcm": 2, "1.dcm": 3, "2.dcm": 4, "4.dcm": 6, "other.png": 8}
    assert dict(listing.problems) == {name: f"line {line}: {said}" for name, line in lines.items()}
    assert "4711" not in str(listing)


def test_a_patient_with_several_header_ids_is_a_warning(tmp_path: Path) -> None:
    listing = DATASET.find(dicom_set(tmp_path, [("A1", "4711"), ("A1", "815"), ("A2", "816"), ("A2", None)]))
    assert (len(listing.records), listing.problems) == (4, ())
    (said,) = listing.warnings
    assert said.startswith("DICOM headers: 1 patients of the table have several patient ids (lines 2-3): right where")
    assert "4711" not in str(listing)


@pytest.mark.parametrize(
    ("images", "shared"),
    [
        ([("A1", "ANONYMOUS"), ("A2", "ANONYMOUS"), ("A3", "815")], 2),
        ([("A1", "0000"), ("A2", "0000"), ("A2", "815")], 2),
        ([(f"A{at}", "4711") for at in range(3)], 3),
        ([*((f"A{at}", "4711") for at in range(6)), *((f"B{at}", f"9{at}") for at in range(54))], 6),
    ],
)
def test_a_header_id_that_looks_like_a_dummy_refuses_nothing_and_is_said(
    images: list[tuple[str, str]], shared: int
) -> None:
    who = compare_patients(NamedImage(patient, line, word) for line, (patient, word) in enumerate(images, 2))
    assert who.refused == {}
    assert who.warnings == (
        f"DICOM headers: {shared} patients of the table share patient ids that look like dummies: whose an image is, "
        "the table alone says",
    )


@pytest.mark.parametrize(
    "images",
    [
        [("A1", "4711"), ("A2", "4711")],
        [*((f"A{at}", "4711") for at in range(5)), ("B1", "815")],
        [*((f"A{at}", "4711") for at in range(6)), *((f"B{at}", f"9{at}") for at in range(55))],  # a name per exam
    ],
)
def test_a_header_id_of_few_patients_is_no_dummy(images: list[tuple[str, str]]) -> None:
    who = compare_patients(NamedImage(patient, line, word) for line, (patient, word) in enumerate(images, 2))
    assert set(who.refused) == {patient for patient, word in images if word == "4711"}


def test_header_ids_that_are_blank_say_nothing(tmp_path: Path) -> None:
    listing = DATASET.find(dicom_set(tmp_path, [("A1", None), ("A2", ""), ("A3", " ")]))
    assert (len(listing.records), listing.problems, listing.warnings) == (3, (), ())


def test_a_broken_dicom_file_fails_when_it_is_read_and_stops_nothing(tmp_path: Path) -> None:
    root = dicom_set(tmp_path, [("A1", "4711"), ("A2", "815"), ("A3", "816")])
    (root / "0.dcm").write_bytes((root / "0.dcm").read_bytes()[:300])
    make_unreadable(root / "1.dcm")
    first, second, third = DATASET.find(root).records
    for record in (first, second):
        with pytest.raises(ExamError):
            DATASET.load(record)
    assert DATASET.load(third).view is View.L_CC


def test_a_file_name_that_the_header_s_patient_is_in_is_not_shown(tmp_path: Path) -> None:
    names = ("janeway_1.dcm", "2.dcm")
    for name, patient in zip(names, ("Janeway^Kathryn", "Seven^Annika"), strict=True):
        save(mammogram_dataset(pixels(), PatientID=name[-5], PatientName=patient), tmp_path / name)
    save(mammogram_dataset(pixels()), tmp_path / "annika_not_named.dcm")
    write_rows(tmp_path / "labels.csv", [row(name, patient=f"A{at}", exam="") for at, name in enumerate(names)])
    listing = DATASET.find(tmp_path)
    first, second = listing.records
    assert (first.image[:5], second.image) == ("file-", "2.dcm")
    assert [name[:5] for name, _ in listing.problems] == ["file-"]


def test_the_page_explains_every_column_and_the_words_of_the_labels() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    text, _, table = page.partition("## Your own folder")[2].partition("| columns | |\n|---|---|\n")
    rows = [line.split("|")[1:3] for line in table.partition("\n\n")[0].splitlines()]
    explained = {name for cell, _ in rows for name in re.findall(r"\w+", cell) if name != "or"}
    assert explained == KNOWN - {LINE, *NEEDS}
    assert set(NEEDS) <= set(re.findall(r"`(\w+)`", text))
    (words,) = [said for cell, said in rows if "label_unit" in cell]
    assert {*UNITS, *SOURCES} <= set(re.findall(r"\w+", words))


def test_a_message_about_a_mask_does_not_show_the_patient_in_its_name(tmp_path: Path) -> None:
    root = write(tmp_path, [row("1.png", patient="Anna", mask="anna_mask.png")])
    write_picture(root / "anna_mask.png", np.full((240, 180), 255, np.uint8))
    (record,) = DATASET.find(root).records
    assert record.lesions[0].region is not None
    with pytest.raises(ExamError, match="found a mask over 100") as raised:
        draw_region(record.lesions[0].region, (240, 180))
    assert "anna" not in str(raised.value).lower()


def test_a_mask_that_covers_too_much_costs_the_image_its_outline_only(tmp_path: Path) -> None:
    root = write(tmp_path / "set", [row("1.png", mask="m.png", lesion="l1")])
    mask = np.full((240, 180), 255, np.uint8)
    mask[ROWS, COLS] = 0
    write_picture(root / "m.png", mask)
    prepare(DATASET, root, tmp_path / "store", crop=CropSettings(iterations=5, buffer_px=5))
    (prepared,) = Store.open(tmp_path / "store").manifest.iter_rows(named=True)
    assert (prepared["status"], prepared["lesions"][0]["mask"]) == ("prepared", None)
    assert any(
        said.startswith("lesion l1: no mask: m.png: found a mask over 99.0% of the image")
        for said in prepared["warnings"]
    )


def test_one_file_under_two_names_is_taken_once(tmp_path: Path) -> None:
    root = write(tmp_path, [row("p2.png")])
    (root / "link.png").symlink_to(root / "p2.png")
    write_rows(root / "labels.csv", [row("p2.png"), row("./p2.png"), row("link.png")])
    listing = DATASET.find(root)
    assert [record.image for record in listing.records] == ["p2.png"]
    assert listing.problems == tuple(
        (name, f"line {line}: the same file as in line 2, need each file once")
        for name, line in (("./p2.png", 3), ("link.png", 4))
    )


def test_names_that_no_file_can_have_are_problems_of_their_rows(tmp_path: Path) -> None:
    root = write(tmp_path, [row("1.png")])
    (root / "a.png").symlink_to(root / "b.png")
    (root / "b.png").symlink_to(root / "a.png")
    wrong = ["x" * 300, "a.png", "a\0b.png", "a\\1.png"]
    write_rows(root / "labels.csv", [row("1.png"), *(row(name) for name in wrong), row(""), row("")])
    listing = DATASET.find(root)
    assert [record.image for record in listing.records] == ["1.png"]
    assert dict(listing.problems) == {
        **{name: f"line {line}: the table names it, but it is not there" for line, name in enumerate(wrong[:3], 3)},
        "a\\1.png": "line 6: found file 'a\\\\1.png', need / between folders",
        "line 7": "line 7: no file, need a path below the folder",
        "line 8": "line 8: no file, need a path below the folder",
    }


def test_pictures_of_other_kinds_are_listed_too(tmp_path: Path) -> None:
    root = write(tmp_path, [row("1.png")])
    names = ["2.jpg", "3.JPEG", "4.tif", "5.tiff"]
    for name in names:
        (root / name).write_bytes(b"")
    said = "not named; and of a kind that is not read"
    assert DATASET.find(root).problems == tuple((name, said) for name in names)


def test_the_tags_of_dicom_files_must_name_the_same_side(tmp_path: Path) -> None:
    save(mammogram_dataset(pixels()), tmp_path / "1.dcm")
    write_rows(tmp_path / "labels.csv", [row("1.dcm", side="L")])
    assert DATASET.load(only(tmp_path)).view is View.L_CC
    write_rows(tmp_path / "labels.csv", [row("1.dcm", side="R")])
    with pytest.raises(Exception, match="side"):
        DATASET.load(only(tmp_path))


def test_the_table_is_labels_csv_or_the_only_one(tmp_path: Path) -> None:
    root = write(tmp_path, [row()])
    (root / "labels.csv").rename(root / "My table.csv")
    assert only(root).image == "a/1.png"
    (root / "other.csv").write_text("file\n")
    with pytest.raises(SetupError, match="found 2 CSV files"):
        DATASET.find(root)
    (root / "other.csv").unlink()
    (root / "My table.csv").unlink()
    with pytest.raises(SetupError, match="found 0 CSV files"):
        DATASET.find(root)
    with pytest.raises(SetupError, match="no such folder"):
        DATASET.find(root / "none")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("file,side\n1.png,L\n", "no column view"),
        ("file,side,view\n1.png,L\n", "line 2: found 2 cells, need 3"),
        ("file,side,view\n1.png,L,CC,CC\n", "line 2: found 4 cells, need 3"),
        ("", "an empty table"),
        ("file;side;view\n1.png;L;CC\n", "need commas"),
        ('"file";"side";"view"\n"1.png";"L";"CC"\n', "need commas"),
        ('file,side,view\n"1.png,L,CC\n', "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(SetupError, match=reason):
        DATASET.find(tmp_path)


def test_the_real_samples_are_read_with_their_labels(shared: Path) -> None:
    listing = DATASET.find(shared / "data/nyu_sample_exams")
    assert len(listing.records) == 10
    assert [name for name, _ in listing.problems] == [
        "gmic_segmentation/0_R-CC_benign.png",
        "gmic_segmentation/0_R-MLO_benign.png",
    ]
    labels = {record.image: (record.malignant, record.benign) for record in listing.records}
    assert labels["gmic_exam0/0_R-MLO.png"] == (False, True)
    assert labels["dmv_cnn_partial/1_R_CC.png"] == (True, False)
    assert labels["birads_density_exam/L-CC.png"] == (None, None)
    assert listing.records[0].more["gmic_published_benign"] == "0.1356"
    faces = {record.image: DATASET.load(record).faces for record in listing.records}
    assert faces["gmic_exam0/0_R-CC.png"] == "left"
    assert faces["birads_density_exam/R-CC.png"] == "right"  # this exam is stored mirrored


def test_free_columns_do_not_name_the_patient(tmp_path: Path) -> None:
    root = write(tmp_path, [row("1.png", patient="Anna Meier", comment="Mrs MEIER asked", site="north")])
    (record,) = DATASET.find(root).records
    assert dict(record.more) == {"comment": "...", "site": "north"}
