"""Tables, files and pixels as every importer reads them."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

from fourview.crop import crop_breast
from fourview.datasets import DATASETS
from fourview.datasets.reading import load_record
from fourview.datasets.record import ImageRecord
from fourview.datasets.tables import files_below, find_one, number_of, read_sheet, read_table, side_of, stream_table
from fourview.exam import ExamError, SetupError, Side
from fourview.ingest import read_exam
from tests.datasets.drawn_film import LABEL, SPACING_MM, draw_film
from tests.ingest.pictures import picture, write_picture
from tests.ingest.synthetic_dicom import breast, mammogram_dataset, save


def record(path: Path, **changes: Any) -> ImageRecord:
    values: dict[str, Any] = {"side": Side.LEFT, "angle": "CC", **changes}
    return ImageRecord("a-set", "p", "e", path.stem, path, **values)


def write_text(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_every_set_is_listed_under_its_own_name() -> None:
    assert {"mini-mias", "inbreast", "ddsm", "mini-ddsm", "cbis-ddsm", "cmmd"} <= set(DATASETS)
    for name, dataset in DATASETS.items():
        assert name == dataset.name
        assert dataset.terms
        assert dataset.source
        assert dataset.read_here


def test_headers_and_cells_lose_blanks_and_line_ends_and_blank_rows_go(tmp_path: Path) -> None:
    table = write_text(tmp_path / "t.csv", '\ufeffname;Mass \n a ;" x\n"\n;\nb\n')
    assert read_table(table, separator=";", needs=["name", "Mass"]) == [
        {"name": "a", "Mass": "x"},
        {"name": "b", "Mass": ""},
    ]


def test_notes_in_another_encoding_do_not_hide_the_labels(tmp_path: Path) -> None:
    table = write_text(tmp_path / "t.csv", "name,note\na,observação\n", "latin-1")
    assert read_table(table)[0] == {"name": "a", "note": "observação"}


def test_a_header_that_some_copies_write_otherwise_is_renamed(tmp_path: Path) -> None:
    table = write_text(tmp_path / "t.csv", "breast density\n3\n")
    assert read_table(table, needs=["breast_density"], renamed={"breast density": "breast_density"}) == [
        {"breast_density": "3"}
    ]


def test_only_the_columns_that_are_asked_for_are_kept_and_others_may_repeat(tmp_path: Path) -> None:
    table = write_text(tmp_path / "t.csv", ",id,tag,note,tag\n0,a,1,x,2\n1,b\n")
    assert read_table(table, needs=["id"], keep=["note", "absent"]) == [
        {"id": "a", "note": "x"},
        {"id": "b", "note": ""},
    ]
    assert read_table(table, needs=["id"], keep=()) == [{"id": "a"}, {"id": "b"}]


@pytest.mark.parametrize("read", [read_table, stream_table])
def test_a_wide_table_is_never_in_memory_as_a_whole(tmp_path: Path, read: Callable[..., Iterable[Any]]) -> None:
    line = ",".join(f"cell {i:04d}" for i in range(150))
    table = write_text(tmp_path / "t.csv", ",".join(f"c{i}" for i in range(150)) + "\n" + f"{line}\n" * 2000)
    tracemalloc.start()
    try:
        assert sum(len(row) for row in read(table, needs=["c3"], keep=["c7"])) == 4000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < table.stat().st_size  # 3.0 MB; every cell of every row takes 24 MB


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,view\na,CC\n", "no column side; found name, view"),
        ("name,side,name\na,L,b\n", "the column name is there twice"),
        ("name,side\na,L,more\n", "row 2: found 3 cells, the header has 2"),
        ("", "an empty table"),
    ],
)
def test_a_changed_table_stops_with_what_was_found(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        read_table(write_text(tmp_path / "t.csv", text), needs=["name", "side"])


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"labels\.csv: cannot be read"):
        read_table(tmp_path / "labels.csv")


def test_without_a_reader_of_excel_files_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    with pytest.raises(SetupError, match=r"t\.xls: reading Excel files needs the package fastexcel"):
        read_sheet(tmp_path / "t.xls", "Sheet1")


def test_only_the_named_sheet_is_ever_turned_into_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_sheet(name: str, **options: Any) -> Any:
        asked.append((name, options))
        rows = [["File Name", "Mass "], ["22678622.0", "X"], [None, None]]
        return SimpleNamespace(to_polars=lambda: pl.DataFrame(rows, orient="row"))

    workbook = SimpleNamespace(load_sheet=load_sheet)
    monkeypatch.setitem(sys.modules, "fastexcel", SimpleNamespace(read_excel=lambda path: workbook))
    rows = read_sheet(tmp_path / "t.xls", "Sheet1", needs=["File Name"])
    assert rows == [{"File Name": "22678622", "Mass": "X"}]
    assert [name for name, _ in asked] == ["Sheet1"]


def test_numbers_and_sides_of_cells() -> None:
    assert number_of("66.0") == 66
    assert number_of("-") is None
    assert (side_of(" left "), side_of("R"), side_of("B")) == (Side.LEFT, Side.RIGHT, None)


def test_a_file_is_found_two_folders_down_in_any_case(tmp_path: Path) -> None:
    deep = tmp_path / "archive" / "release"
    deep.mkdir(parents=True)
    write_text(deep / "Labels.CSV", "x")
    assert find_one(tmp_path, "labels.xls", "labels.csv", need="labels") == deep / "Labels.CSV"
    write_text(tmp_path / "labels.csv", "x")
    assert find_one(tmp_path, "labels.csv", need="labels") == tmp_path / "labels.csv"


def test_two_copies_of_a_set_are_refused_and_none_is_said(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_text(tmp_path / name / "t.csv", "x")
    with pytest.raises(SetupError, match=r"t\.csv lies in several folders \(a, b\)"):
        find_one(tmp_path, "t.csv", need="the table")
    with pytest.raises(SetupError, match=r"no u\.csv in .* need the table"):
        find_one(tmp_path, "u.csv", need="the table")
    with pytest.raises(SetupError, match="no such folder"):
        find_one(tmp_path / "absent", "u.csv", need="the table")


def test_files_below_a_folder_come_in_order_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", ".c.png", "d.txt"):
        write_text(tmp_path / name, "x")
    assert [path.name for path in files_below(tmp_path, ".png")] == ["a.PNG", "b.png"]


def test_dicom_is_read_as_ingest_reads_it(tmp_path: Path) -> None:
    path = save(mammogram_dataset(), tmp_path / "a.dcm")
    expected = read_exam(path).mammograms[0]
    found = load_record(record(path, spacing_mm=0.3))
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert (found.faces, found.view, found.pixel_mode) == (expected.faces, expected.view, "stored")
    assert found.spacing_mm == 0.1  # the file's own, where it has one


def test_headers_without_side_view_and_spacing_take_them_from_the_set(tmp_path: Path) -> None:
    stripped = {"ViewPosition": None, "ImageLaterality": None, "PatientOrientation": "CC", "ImagerPixelSpacing": None}
    stripped |= {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "PresentationIntentType": None}
    path = save(mammogram_dataset(breast(faces="left"), **stripped), tmp_path / "a.dcm")
    found = load_record(record(path, side=Side.RIGHT, angle="MLO", spacing_mm=0.07))
    assert (found.view, found.faces, found.spacing_mm, found.warnings) == ("R-MLO", "left", 0.07, ())


def test_a_header_that_says_ml_where_the_set_says_mlo_is_a_warning(tmp_path: Path) -> None:
    path = save(mammogram_dataset(ViewPosition="ML"), tmp_path / "a.dcm")
    found = load_record(record(path, angle="MLO"))
    assert found.view == "L-MLO"
    assert "the set says MLO, the tags: view ML is neither CC nor MLO" in found.warnings


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"ImageLaterality": "R", "PatientOrientation": None}, "the set says side L, ImageLaterality says R"),
        ({"ViewPosition": "MLO"}, "the set says L-CC, the tags say L-MLO"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "For Processing"),
        ({"PatientOrientation": ["P", "R"]}, "the pixels show it facing right"),
    ],
)
def test_a_header_that_contradicts_the_set_is_refused(tmp_path: Path, tags: dict[str, Any], said: str) -> None:
    path = save(mammogram_dataset(**tags), tmp_path / "a.dcm")
    with pytest.raises(ExamError, match=f"L-CC a: .*{said}"):
        load_record(record(path))


def test_a_mirrored_picture_is_refused_unless_the_set_says_so_or_pixels_may_decide(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", picture("R-CC"))  # faces left, listed as a left breast
    with pytest.raises(ExamError, match=r"L-CC a: .*the pixels show it facing left"):
        load_record(record(path))
    assert load_record(record(path), faces="left", faces_source="the set").faces == "left"
    decided = load_record(record(path), mirrored_auto=True)
    assert decided.faces == "left"
    np.testing.assert_array_equal(decided.pixels, picture("R-CC"))  # never turned


def test_pgm_and_png_copies_of_a_film_are_the_same_pixels(tmp_path: Path) -> None:
    pixels = (picture("L-CC") >> 4).astype(np.uint8)
    png, pgm = (write_picture(tmp_path / f"a{end}", pixels) for end in (".png", ".pgm"))
    np.testing.assert_array_equal(load_record(record(png)).pixels, load_record(record(pgm)).pixels)


def test_jpeg_is_taken_only_of_sets_that_are_published_so(tmp_path: Path) -> None:
    pixels = (picture("L-CC") >> 4).astype(np.uint8)
    path = write_picture(tmp_path / "a.jpg", pixels)
    with pytest.raises(ExamError, match=r"a\.jpg is neither DICOM, PNG nor PGM"):
        load_record(record(path))
    found = load_record(record(path), jpeg=True)
    assert found.pixels.dtype == np.uint8
    assert any(decision.value.endswith("lossy") for decision in found.decisions)
    grey_as_colour = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(found.pixels, grey_as_colour)


@pytest.mark.parametrize("end", [".png", ".dcm"])
def test_of_a_film_all_but_the_breast_is_0_only_where_the_set_holds_films(tmp_path: Path, end: str) -> None:
    drawn, path = draw_film(), tmp_path / f"a{end}"
    if end == ".png":
        write_picture(path, drawn.pixels)
    else:
        spacing = {"ImagerPixelSpacing": [SPACING_MM, SPACING_MM]}
        save(mammogram_dataset(drawn.pixels.astype(np.uint16) * 16, **spacing), path)
    whole = load_record(record(path, spacing_mm=SPACING_MM))
    film = load_record(record(path, spacing_mm=SPACING_MM), film=True)
    assert whole.pixels[LABEL].all()
    assert not film.pixels[LABEL].any()
    np.testing.assert_array_equal(film.pixels[drawn.breast], whole.pixels[drawn.breast])
    assert [decision.topic for decision in film.decisions].count("film") == 1
    assert "film" not in [decision.topic for decision in whole.decisions]
    assert (film.faces, film.spacing_mm) == ("right", SPACING_MM)
    shares = [crop_breast(one, iterations=20).pixels.size / drawn.pixels.size for one in (whole, film)]
    assert shares[0] == 1
    assert shares[1] < 0.7


def test_a_film_without_a_plausible_breast_is_read_whole_with_a_warning(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(80, 100, (300, 200)).astype(np.uint8)
    found = load_record(record(write_picture(tmp_path / "a.png", pixels)), film=True)
    np.testing.assert_array_equal(found.pixels, pixels)
    assert [said for said in found.warnings if said.startswith("the film is left as it is: the breast fills the film")]


@pytest.mark.parametrize("damage", ["cut", "colour"])
def test_a_cut_or_coloured_jpeg_is_refused(tmp_path: Path, damage: str) -> None:
    pixels = np.dstack([picture("L-CC") >> 4] * 3).astype(np.uint8)
    if damage == "colour":
        pixels[:40, :40, 2] = 255
    path = write_picture(tmp_path / "a.jpg", pixels)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ExamError, match="cut off" if damage == "cut" else "colour JPEG"):
        load_record(record(path), jpeg=True)


def test_missing_files_and_other_views_are_said(tmp_path: Path) -> None:
    with pytest.raises(ExamError, match=r"L-CC a: a\.png is not there"):
        load_record(record(tmp_path / "a.png"))
    with pytest.raises(ExamError, match="a: L FB is no CC or MLO view"):
        load_record(record(tmp_path / "a.png", angle="FB"))
