"""The importer of synthetic populations: what the folder's tables say arrives in the records, files included."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fourview.datasets.phantom import DATASET, find
from fourview.datasets.record import ImageRecord, Listing, MaskFile
from fourview.datasets.regions import draw_region
from fourview.exam import SetupError, Side, View
from fourview.phantom import load_recipe, phantoms
from fourview.phantom.folder import draw_folder
from fourview.phantom.recipe import Recipe

SEED, SCALE, EXAMS = 6, 0.06, 3


def recipe() -> Recipe:
    """Units that mirror what they store, or store bright as low."""
    profiles = {"inspiration": 1.0, "dimensions": 1.0}
    return load_recipe("enriched").model_copy(update={"name": "mixed", "profiles": profiles})


@pytest.fixture(scope="module", params=["dicom", "png"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp(request.param) / "out"
    draw_folder(recipe(), out, exams=EXAMS, seed=SEED, scale=SCALE, files=request.param)
    return out


@pytest.fixture(scope="module")
def listing(folder: Path) -> Listing:
    return find(folder)


def of_exam(listing: Listing, number: int) -> dict[View, ImageRecord]:
    return {record.view: record for record in listing.records[4 * number : 4 * number + 4] if record.view}


def test_every_image_is_a_record_with_the_labels_of_its_breast(listing: Listing) -> None:
    assert listing.problems == listing.warnings == ()
    assert len(listing.records) == 4 * EXAMS
    for number, (_, truth) in enumerate(phantoms(EXAMS, seed=SEED, scale=0.05, recipe=recipe())):
        records = of_exam(listing, number)
        assert set(records) == set(View)
        for view, record in records.items():
            breast = truth.breasts[view.side]
            known = breast.label_known
            assert record.malignant == (breast.malignant if known else None)
            assert record.benign == (breast.benign if known else None)
            assert (record.label_unit, record.label_source) == ("breast", "biopsy")
            assert (record.patient, record.exam) == (truth.plan.patient, truth.plan.name)
            assert (record.birads, record.density) == (breast.birads, truth.plan.density.upper())
            assert (record.age, record.date, record.vendor) == (truth.plan.age, truth.plan.date, truth.plan.profile)
            assert record.split is None


def test_images_load_as_they_were_drawn_wherever_they_point(listing: Listing) -> None:
    turned = 0
    for number, (exam, _) in enumerate(phantoms(EXAMS, seed=SEED, scale=SCALE, recipe=recipe())):
        records = of_exam(listing, number)
        for mammogram in exam.mammograms:
            loaded = DATASET.load(records[mammogram.view])
            np.testing.assert_array_equal(loaded.pixels, mammogram.pixels)
            assert (loaded.faces, loaded.view) == (mammogram.faces, mammogram.view)
            assert loaded.spacing_mm == pytest.approx(mammogram.spacing_mm, rel=1e-5)
            turned += loaded.faces != mammogram.view.usual_direction
    assert turned > 0


def test_each_finding_is_a_lesion_with_its_mask_and_says_whether_it_was_biopsied(listing: Listing) -> None:
    said: set[str] = set()
    for number, (exam, truth) in enumerate(phantoms(EXAMS, seed=SEED, scale=SCALE, recipe=recipe())):
        shapes = {mammogram.view: mammogram.pixels.shape for mammogram in exam.mammograms}
        for view, record in of_exam(listing, number).items():
            own = [n for n, finding in enumerate(truth.findings) if finding.side is view.side]
            assert [lesion.lesion for lesion in record.lesions] == [f"finding {n}" for n in own]
            for n, lesion in zip(own, record.lesions, strict=True):
                finding = truth.findings[n]
                said.add(lesion.descriptors["biopsied"])
                assert lesion.descriptors["visible"] == ("yes" if finding.visible else "no")
                if finding.p_malignant is None:
                    assert (lesion.descriptors["biopsied"], lesion.pathology) == ("no", "benign")
                    assert "p_malignant" not in lesion.descriptors
                else:
                    assert lesion.pathology == ("malignant" if finding.malignant else "benign")
                    assert float(lesion.descriptors["p_malignant"]) == pytest.approx(finding.p_malignant)
                mask = truth.masks.get((view, n))
                if mask is None:
                    assert lesion.region is None
                else:
                    assert isinstance(lesion.region, MaskFile)
                    np.testing.assert_array_equal(draw_region(lesion.region, shapes[view]), mask)
    assert {"yes", "no"} <= said


def test_a_finding_biopsied_at_another_exam_has_no_pathology_at_this_one(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    table = list(csv.DictReader((copy / "truth/findings.csv").read_text().splitlines()))
    row = next(row for row in table if row["p_malignant"] and row["top"])
    row["biopsied"] = "0"
    with (copy / "truth/findings.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    lesions = [lesion for record in find(copy).records for lesion in record.lesions]
    (found,) = [lesion for lesion in lesions if lesion.descriptors["biopsied"] == "at another exam"]
    assert (found.pathology, found.high_risk) == ("unknown", False)


def test_a_file_that_is_missing_is_a_problem_of_its_image_alone(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    gone = next((copy / "exam_000001").glob("*_R_CC.*"))
    gone.unlink()
    listing = find(copy)
    assert len(listing.records) == 4 * EXAMS - 1
    assert listing.problems == ((f"exam_000001/{gone.name}", "in images.csv, but its file is not there"),)


def test_a_population_without_findings_is_read_too(tmp_path: Path) -> None:
    bare = recipe()
    level = bare.level.model_copy(update={"distractors": 0.0})
    bare = bare.model_copy(
        update={
            "biopsies": bare.biopsies.model_copy(update={"exams": 0.0}),
            "difficulties": bare.difficulties.model_copy(update={"medium": level}),
        }
    )
    draw_folder(bare, tmp_path / "out", exams=1, scale=0.05)
    listing = find(tmp_path / "out")
    assert [record.side for record in listing.records] == [Side.LEFT, Side.RIGHT] * 2
    assert all(record.lesions == () and record.malignant is None for record in listing.records)


def test_what_is_no_finished_population_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"phantom\.json"):
        find(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "truth")
    with pytest.raises(SetupError, match="never finished"):
        find(copy)
    (copy / "phantom.json").write_text(json.dumps({"format": "another"}))
    with pytest.raises(SetupError, match="another format"):
        find(copy)
