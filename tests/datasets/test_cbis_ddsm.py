"""CBIS-DDSM: the counts of its real tables, its real crops and masks, and both download layouts in miniature."""

from __future__ import annotations

import csv
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from fourview.datasets.cbis_ddsm import DATASET
from fourview.datasets.cbis_files import SeriesFile, find_mask, is_mask
from fourview.datasets.cbis_tables import cross_type_patients, disputed_findings, patient_of, read_abnormalities
from fourview.datasets.mask_files import read_grey, read_mask
from fourview.datasets.record import ImageRecord, MaskFile
from fourview.exam import ExamError, SetupError, Side
from fourview.store.prepare import prepare
from fourview.store.prepare_image import CropSettings
from fourview.store.store import Store
from tests.datasets.cbis_miniature import Miniature, film, spot


@pytest.fixture
def small(tmp_path: Path) -> Miniature:
    return Miniature(tmp_path / "cbis")


def only(records: tuple[ImageRecord, ...]) -> ImageRecord:
    assert len(records) == 1
    return records[0]


@pytest.mark.parametrize(
    ("kind", "split", "expected"),
    [
        # rows, MALIGNANT, BENIGN, without callback, images, malignant images, patients, malignant patients,
        # abnormalities, of these in both views, CC rows, MLO rows, other pathology in the other view
        ("mass", "train", (1318, 637, 577, 104, 1231, 602, 691, 346, 782, 536, 607, 711, 2)),
        ("mass", "test", (378, 147, 194, 37, 361, 145, 201, 85, 223, 155, 177, 201, 1)),
        ("calcification", "train", (1546, 544, 528, 474, 1227, 509, 602, 276, 856, 690, 739, 807, 3)),
        ("calcification", "test", (326, 129, 130, 67, 284, 119, 151, 67, 189, 137, 149, 177, 0)),
    ],
)
def test_the_real_tables_have_their_published_counts(
    shared: Path, kind: str, split: str, expected: tuple[int, ...]
) -> None:
    everything, problems = read_abnormalities(shared / "data/cbis_ddsm_labels")
    assert not problems
    rows = [row for row in everything if (row.kind, row.split) == (kind, split)]
    words = Counter(row.word for row in rows)
    views = Counter(row.angle for row in rows)
    findings = defaultdict(set)
    for row in rows:
        findings[row.finding].add(row.angle)
    assert expected == (
        len(rows),
        words["MALIGNANT"],
        words["BENIGN"],
        words["BENIGN_WITHOUT_CALLBACK"],
        len({row.image_series for row in rows}),
        len({row.image for row in rows if row.word == "MALIGNANT"}),
        len({row.patient for row in rows}),
        len({row.patient for row in rows if row.word == "MALIGNANT"}),
        len(findings),
        sum(len(angles) == 2 for angles in findings.values()),
        views["CC"],
        views["MLO"],
        len(disputed_findings(rows)),
    )


def test_the_real_tables_overlap_as_published(shared: Path) -> None:
    rows, _ = read_abnormalities(shared / "data/cbis_ddsm_labels")
    assert len(rows) == 3568
    assert len({row.patient for row in rows}) == 1566
    kinds = defaultdict(set)
    for row in rows:
        kinds[row.image].add(row.kind)
    assert (len(kinds), sum(len(found) == 2 for found in kinds.values())) == (3032, 71)
    crossing = cross_type_patients(rows)
    split = {(row.patient, row.kind): row.split for row in rows}
    assert Counter((split[p, "calcification"], split[p, "mass"]) for p in crossing) == {
        ("train", "test"): 18,
        ("test", "train"): 13,
    }


def test_the_real_tables_miss_what_they_are_known_to_miss(shared: Path) -> None:
    rows, _ = read_abnormalities(shared / "data/cbis_ddsm_labels")
    there = Counter(word for row in rows for word in row.descriptors)
    assert (1696 - there["shape"], 1696 - there["margins"]) == (4, 60)
    assert (1872 - there["type"], 1872 - there["distribution"]) == (24, 439)
    assert 3568 - there["subtlety"] == 2
    assert sum(row.density is None for row in rows) == 2
    assert {row.assessment for row in rows} == set("012345")
    tokens = {token for row in rows for token in row.descriptors.get("type", "").split("-")}
    assert "LUCENT_CENTERED" in tokens
    assert "LUCENT_CENTER" not in tokens
    assert sum(row.mask_series != row.crop_series for row in rows) == 104


def test_every_series_of_a_real_download_list_is_in_the_tables(shared: Path) -> None:
    rows, _ = read_abnormalities(shared / "data/cbis_ddsm_labels")
    mammograms = {row.image_series: row.patient for row in rows}
    rois = {row.mask_series: row.patient for row in rows}
    with (shared / "data/cbis_ddsm_labels/sample_rois/metadata.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) == 212
    for line in listed:
        known = mammograms if line["Series Description"] == "full mammogram images" else rois
        assert known[line["Series UID"]] == patient_of(line["Subject ID"])


def test_real_masks_and_crops_are_told_apart_in_either_order(shared: Path) -> None:
    folder = shared / "data/cbis_ddsm_labels/sample_rois"
    for crop, mask in ((p, Path(str(p).replace("1-1", "1-2"))) for p in sorted(folder.glob("*_1-1.png"))):
        assert (is_mask(crop), is_mask(mask)) == (False, True)
        rows, cols = read_grey(mask).shape
        files = [SeriesFile(crop, *read_grey(crop).shape), SeriesFile(mask, rows, cols)]
        for order in (files, files[::-1]):
            assert find_mask(order, SeriesFile(folder, rows + 3, cols - 2)).path == mask
        with pytest.raises(ExamError, match="found 0 masks"):
            find_mask(files[:1], SeriesFile(folder, rows, cols))
    for crop in folder.glob("*.dcm"):
        assert not is_mask(crop)


def test_an_nbia_download_is_read_with_its_labels(small: Miniature) -> None:
    small.add(pathology="MALIGNANT")
    small.add(view="MLO", pathology="MALIGNANT")
    small.add("calc", "test", "P_00002", "RIGHT", pathology="BENIGN", words=("LUCENT_CENTER", "N/A"), assessment="2")
    listing = DATASET.find(small.write_nbia())
    assert listing.problems == ()
    assert listing.warnings == ()
    left, _, right = listing.records
    assert (left.image, left.patient, left.exam) == ("P_00001_LEFT_CC", "P_00001", "P_00001")
    assert (left.side, left.angle, left.malignant, left.benign) == (Side.LEFT, "CC", True, False)
    assert (left.birads, left.density, left.split, left.label_source) == ("4", "C", "train", "biopsy")
    assert left.lesions[0].descriptors["margins"] == "SPICULATED"
    assert [r.lesions[0].lesion for r in listing.records[:2]] == ["P_00001_L_mass_1"] * 2
    assert (right.side, right.split, right.malignant, right.benign) == (Side.RIGHT, "test", False, True)
    assert right.lesions[0].kind == "calcification"
    assert "distribution" not in right.lesions[0].descriptors
    assert right.lesions[0].descriptors["type"] == "LUCENT_CENTERED"


@pytest.mark.parametrize("side", ["LEFT", "RIGHT"])
def test_masks_lie_on_the_pixels_that_they_outline(small: Miniature, side: str) -> None:
    small.add(side=side)
    record = only(DATASET.find(small.write_nbia()).records)
    image = DATASET.load(record)
    assert image.faces == ("right" if side == "LEFT" else "left")
    mask = record.lesions[0].region
    assert isinstance(mask, MaskFile)
    drawn = read_mask(mask, image.pixels.shape)
    assert (drawn == spot(side)).all()
    assert (image.pixels[drawn] == 50000).all()
    assert (image.pixels[drawn[::-1]] != 50000).any()  # upside down it would not
    assert (image.pixels[drawn[:, ::-1]] != 50000).any()  # nor mirrored


def test_the_prepared_store_holds_the_masks_on_their_lesions(small: Miniature, tmp_path: Path) -> None:
    small.add("mass", side="LEFT")
    small.add("calc", "test", "P_00002", "RIGHT", mask_first=True)
    prepare(DATASET, small.write_nbia(), tmp_path / "store", crop=CropSettings(iterations=5, buffer_px=5))
    store = Store.open(tmp_path / "store")
    for image in ("P_00001_LEFT_CC", "P_00002_RIGHT_CC"):
        (mask,) = store.read_masks(image).values()
        assert mask.sum() == spot("LEFT").sum()
        assert (store.read_crop(image)[mask] == 50000).all()


def test_without_its_download_list_the_series_are_found_by_their_headers(small: Miniature) -> None:
    small.add()
    small.add("calc", "test", "P_00002", mask_first=True)
    with_list = DATASET.find(small.write_nbia())
    (small.root / "metadata.csv").unlink()
    assert DATASET.find(small.root) == with_list
    shutil.move(small.root / "CBIS-DDSM", small.root / "moved")
    small.write_nbia()
    shutil.rmtree(small.root / "CBIS-DDSM")  # the list is there, but the files lie elsewhere
    assert len(DATASET.find(small.root).records) == 2


def test_a_set_that_was_downloaded_in_parts_is_one_set(tmp_path: Path) -> None:
    first, second = Miniature(tmp_path / "manifest-1"), Miniature(tmp_path / "manifest-2", uids=200000)
    first.add("mass")
    second.add("calc", "test", "P_00002")
    for part in (first, second):
        part.write_nbia()
        for table in part.root.glob("*_set.csv"):
            table.unlink()
    Miniature(tmp_path, {**first.rows, **second.rows}).write_tables(tmp_path)
    listing = DATASET.find(tmp_path)
    assert listing.problems == ()
    assert [record.patient for record in listing.records] == ["P_00001", "P_00002"]


@pytest.mark.parametrize("kind", ["mass", "calc"])
@pytest.mark.parametrize("mask_first", [True, False])
def test_the_mask_is_found_whatever_the_order_of_files(small: Miniature, kind: str, mask_first: bool) -> None:
    small.add(kind, mask_first=mask_first)
    mask = only(DATASET.find(small.write_nbia()).records).lesions[0].region
    assert isinstance(mask, MaskFile)
    assert mask.path.name == ("1-1.dcm" if mask_first else "1-2.dcm")
    assert is_mask(mask.path)


def test_mask_and_crop_may_lie_in_two_series(small: Miniature) -> None:
    small.add(two_series=True)
    listing = DATASET.find(small.write_nbia())
    assert listing.problems == ()
    mask = only(listing.records).lesions[0].region
    assert isinstance(mask, MaskFile)
    assert is_mask(mask.path)


def test_a_mask_of_some_more_pixels_is_resized(small: Miniature) -> None:
    larger = spot("LEFT", (244, 183)).astype(np.uint8) * 255
    small.add(mask=larger)
    record = only(DATASET.find(small.write_nbia()).records)
    mask = record.lesions[0].region
    assert isinstance(mask, MaskFile)
    drawn = read_mask(mask, (240, 180))
    assert (drawn != spot("LEFT")).sum() <= 0.15 * spot("LEFT").sum()  # one row or column at its edge


def test_a_mask_of_another_shape_is_rejected_and_listed(small: Miniature) -> None:
    small.add(mask=np.full((240, 190), 255, np.uint8))
    listing = DATASET.find(small.write_nbia())
    assert "240 x 190" in listing.problems[0][1]
    assert only(listing.records).lesions[0].region is None
    assert only(listing.records).lesions[0].pathology == "malignant"


def test_a_mask_that_holds_grey_values_fails_its_film(small: Miniature) -> None:
    small.add(mask=(film("LEFT") // 257).astype(np.uint8))
    record = only(DATASET.find(small.write_nbia()).records)
    with pytest.raises(ExamError, match="more than two grey"):
        DATASET.load(record)


def test_a_mask_that_was_cut_off_since_is_named(small: Miniature) -> None:
    small.add()
    record = only(DATASET.find(small.write_nbia()).records)
    (lesion,) = record.lesions
    assert isinstance(lesion.region, MaskFile)
    path = lesion.region.path
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ExamError, match=f"the mask of {lesion.lesion} cannot be read"):
        DATASET.load(record)


def test_a_film_of_both_types_is_one_image_with_the_lesions_of_both(small: Miniature) -> None:
    small.add("mass", pathology="BENIGN", assessment="3")
    small.add("calc", pathology="MALIGNANT", assessment="5")
    record = only(DATASET.find(small.write_nbia()).records)
    assert [lesion.kind for lesion in record.lesions] == ["mass", "calcification"]
    assert (record.malignant, record.benign, record.birads) == (True, True, "5")
    assert record.more["types"] == "calcification, mass"
    assert "Mass-Training" in str(record.path)


def test_of_a_film_that_is_there_twice_the_copy_that_was_downloaded_is_taken(small: Miniature) -> None:
    small.add("mass", with_film=False)
    small.add("calc")
    assert "Calc-Training" in str(only(DATASET.find(small.write_nbia()).records).path)


def test_patients_of_both_splits_have_none_and_are_named(small: Miniature) -> None:
    small.add("mass", "train", "P_00041")
    small.add("calc", "test", "P_00041", view="MLO")
    small.add("calc", "test", "P_00042")
    listing = DATASET.find(small.write_nbia())
    assert [record.split for record in listing.records] == [None, None, "test"]
    assert len(listing.warnings) == 1
    assert "P_00041" in listing.warnings[0]
    assert "P_00042" not in listing.warnings[0]


def test_benign_without_callback_is_benign_and_says_that_it_had_no_biopsy(small: Miniature) -> None:
    small.add(pathology="BENIGN_WITHOUT_CALLBACK", density="0", assessment="2", subtlety="0")
    record = only(DATASET.find(small.write_nbia()).records)
    assert (record.malignant, record.benign, record.label_source, record.density) == (False, True, "birads", None)
    assert record.lesions[0].pathology == "benign"
    assert record.lesions[0].descriptors["pathology"] == "BENIGN_WITHOUT_CALLBACK"
    assert "subtlety" not in record.lesions[0].descriptors


def test_one_number_with_two_pathologies_is_two_lesions(small: Miniature) -> None:
    small.add(view="CC", pathology="MALIGNANT")
    small.add(view="MLO", pathology="BENIGN")
    listing = DATASET.find(small.write_nbia())
    names = [record.lesions[0].lesion for record in listing.records]
    assert names == ["P_00001_L_mass_1_CC", "P_00001_L_mass_1_MLO"]
    assert "another pathology" in listing.records[0].warnings[0]
    assert listing.warnings[0].startswith("1 abnormalities")


def test_the_mirror_is_read_with_a_warning_that_it_is_lossy(small: Miniature) -> None:
    small.add("mass", mask_first=True)
    small.add("calc", "test", "P_00002", "RIGHT")
    listing = DATASET.find(small.write_mirror(described=False))
    assert listing.problems == ()
    assert "lossy" in listing.warnings[0]
    for record, side in zip(listing.records, ("LEFT", "RIGHT"), strict=True):
        assert "lossy" in record.warnings[0]
        image = DATASET.load(record)
        assert image.pixels.dtype == np.uint8
        mask = record.lesions[0].region
        assert isinstance(mask, MaskFile)
        assert (read_mask(mask, image.pixels.shape) == spot(side)).mean() > 0.999


def test_the_mirror_and_dicom_are_never_mixed(small: Miniature) -> None:
    small.add()
    small.write_mirror()
    small.write_nbia()
    with pytest.raises(SetupError, match="never mixed"):
        DATASET.find(small.root)


def test_the_mirror_without_its_file_list_is_refused(small: Miniature) -> None:
    small.add()
    small.write_mirror()
    (small.root / "csv/dicom_info.csv").unlink()
    with pytest.raises(SetupError, match=r"dicom_info\.csv"):
        DATASET.find(small.root)


def test_files_of_the_mirror_that_its_list_does_not_name_are_listed(small: Miniature) -> None:
    small.add()
    root = small.write_mirror()
    series = root / "jpeg" / small.series[0][2]
    shutil.copy(next(series.glob("*.jpg")), series / "9-999.jpg")
    ((name, reason),) = DATASET.find(root).problems
    assert name.endswith("9-999.jpg")
    assert "does not list" in reason


def test_a_missing_table_is_named(small: Miniature) -> None:
    small.add()
    root = small.write_nbia()
    (root / "calc_case_description_test_set.csv").unlink()
    with pytest.raises(SetupError, match=r"calc_case_description_test_set\.csv"):
        DATASET.find(root)


def test_a_changed_column_is_named(small: Miniature) -> None:
    small.add()
    root = small.write_nbia()
    table = root / "mass_case_description_train_set.csv"
    table.write_text(table.read_text().replace("pathology", "diagnosis"))
    with pytest.raises(SetupError, match="no column pathology"):
        DATASET.find(root)


def test_a_half_downloaded_set_lists_what_is_not_there(small: Miniature) -> None:
    small.add()
    small.add(patient="P_00002", with_film=False)
    small.add(patient="P_00003")
    root = small.write_nbia()
    shutil.rmtree(next((root / "CBIS-DDSM").glob("*P_00003_LEFT_CC_1")))
    cut = next((root / "CBIS-DDSM").glob("*P_00001_LEFT_CC/*/*/1-1.dcm"))
    cut.write_bytes(cut.read_bytes()[:-9000])
    listing = DATASET.find(root)
    assert [record.image for record in listing.records] == ["P_00001_LEFT_CC", "P_00003_LEFT_CC"]
    reasons = dict(listing.problems)
    assert "found 0 files" in reasons["P_00002_LEFT_CC"]
    assert "found 0 masks" in reasons["P_00003_LEFT_CC mass 1"]
    with pytest.raises(ExamError):
        DATASET.load(listing.records[0])


def test_films_without_a_row_are_listed(small: Miniature) -> None:
    small.add()
    small.add(patient="P_00002")
    root = small.write_nbia()
    table = root / "mass_case_description_train_set.csv"
    with table.open(newline="") as file:
        rows = list(csv.reader(file))
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(rows[:2])
    listing = DATASET.find(root)
    assert [record.patient for record in listing.records] == ["P_00001"]
    assert {name for name, _ in listing.problems} == {
        "Mass-Training_P_00002_LEFT_CC",
        "Mass-Training_P_00002_LEFT_CC_1",
    }


def test_a_row_whose_path_names_the_other_side_is_listed(small: Miniature) -> None:
    small.add()
    small.add(patient="P_00002")
    small.rows["mass_case_description_train_set.csv"][1][2] = "RIGHT"
    listing = DATASET.find(small.write_nbia())
    assert [record.patient for record in listing.records] == ["P_00001"]
    place, reason = listing.problems[0]
    assert place == "mass_case_description_train_set.csv, row 2"
    assert "_LEFT_CC" in reason
    assert "_RIGHT_CC" in reason


def test_a_header_that_names_the_other_side_fails_its_film(small: Miniature) -> None:
    small.add()
    root = small.write_nbia()
    record = only(DATASET.find(root).records)
    turned = ImageRecord(**{**vars(record), "side": Side.RIGHT})
    with pytest.raises(ExamError, match="side"):
        DATASET.load(turned)


def test_a_picture_in_jpeg_is_a_mask_where_its_values_are_near_black_and_white(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "mask.jpg"), spot("LEFT").astype(np.uint8) * 255)
    cv2.imwrite(str(tmp_path / "film.jpg"), (film("LEFT") // 257).astype(np.uint8))
    assert is_mask(tmp_path / "mask.jpg")
    assert not is_mask(tmp_path / "film.jpg")
    with pytest.raises(ExamError, match="not there"):
        is_mask(tmp_path / "none.jpg")
