"""reading.json: what is written comes back; anything else is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fourview.calibration import SiteCalibration
from fourview.exam import Exam, Reading, SetupError, View
from fourview.report.reading_json import hash_settings, image_keys, load_reading, reading_to_json
from tests.fake_screener import FakeScreener, small_exam
from tests.test_calibration import a_calibration

SETTINGS = {"jitter": 10, "seed": 0, "pixels": None}


def _saved(tmp_path: Path, reading: Reading, **options: bool) -> Path:
    path = tmp_path / "reading.json"
    path.write_text(reading_to_json(reading, SETTINGS, **options))
    return path


@pytest.mark.parametrize("unit", ["breast", "image"])
def test_a_reading_comes_back_equal_except_for_its_heatmaps(tmp_path: Path, unit: str) -> None:
    reading = FakeScreener(unit=unit, heatmaps=False).read(small_exam())
    saved = load_reading(_saved(tmp_path, reading, show_ids=True))
    assert saved.settings == SETTINGS
    for name in Reading.__dataclass_fields__:
        assert _plain(getattr(saved.reading, name)) == _plain(getattr(reading, name)), name


def test_the_study_name_is_written_only_on_request(tmp_path: Path) -> None:
    reading = replace(FakeScreener().read(small_exam()), label="1.2.840.99")
    assert "1.2.840.99" not in _saved(tmp_path, reading).read_text()
    assert load_reading(_saved(tmp_path, reading, show_ids=True)).reading.label == "1.2.840.99"


def test_a_second_image_of_a_view_gets_a_number_and_never_its_own_name() -> None:
    one = small_exam(views=(View.L_CC, View.R_MLO))
    twice = Exam("b", (*one.mammograms, replace(one.mammograms[0], name="DOE_JANE.dcm")))
    reading = FakeScreener(needs_all=False).read(twice)
    assert image_keys(reading) == ("L-CC", "R-MLO", "L-CC_2")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "damaged"),
        ("[]", "need 'fourview reading 3'"),
        ('{"format": "fourview reading 99"}', "'fourview reading 99'"),
        ('{"format": "fourview reading 2"}', "another version of fourview wrote it; read the exams again"),
        ('{"format": "fourview reading 3"}', "damaged"),
    ],
)
def test_another_layout_or_a_damaged_file_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "reading.json"
    path.write_text(text)
    with pytest.raises(SetupError, match=says):
        load_reading(tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no such file"):
        load_reading(tmp_path)


def test_any_setting_changes_the_hash() -> None:
    assert hash_settings(SETTINGS) == hash_settings(dict(reversed(SETTINGS.items())))
    for changed in ({"jitter": 9}, {"seed": 1}, {"pixels": "stored"}, {"new": None}):
        assert hash_settings({**SETTINGS, **changed}) != hash_settings(SETTINGS)


def test_the_file_is_standard_json_with_boxes_in_source_pixels(tmp_path: Path) -> None:
    reading = FakeScreener().read(small_exam())
    record = json.loads(_saved(tmp_path, reading).read_text())
    image = record["images"][1]
    box = reading.images[1].frame.box_source
    assert image["view"] == "R-CC"
    assert image["frame"]["mirrored"] is True
    assert image["frame"]["box_source"] == {
        "top": box.top,
        "bottom": box.bottom,
        "left": box.left,
        "right": box.right,
    }
    assert record["breasts"]["R"]["malignant"] == reading.breasts["R"].malignant
    assert len(record["heads"]) == 16


@pytest.mark.parametrize("unit", ["breast", "image"])
def test_calibrated_numbers_are_written_with_both_prevalences_and_the_points_reached(unit: str) -> None:
    reading = FakeScreener(unit=unit).read(small_exam())
    point = a_calibration().operating_points[0]
    scores = [image.score for image in reading.images] if unit == "image" else [*reading.breasts.values()]
    threshold = max(score.malignant for score in scores)  # reached by one
    points = (point.model_copy(update={"threshold": threshold, "unit": unit}),)
    site = SiteCalibration(a_calibration(unit=unit, operating_points=points), {"malignant": 0.005})
    assert json.loads(reading_to_json(reading, SETTINGS))["calibrated"] is None
    record = json.loads(reading_to_json(reading, SETTINGS, site=site))["calibrated"]
    assert record["prevalence"] == {"malignant": 0.005}
    assert record["fitted_prevalence"] == {"malignant": 0.1}
    assert list(record["p"]) == (["L", "R"] if unit == "breast" else list(image_keys(reading)))
    assert [*record["p"].values()] == [site.calibrate(score) for score in scores]
    (written,) = record["operating_points"]
    assert (written["name"], written["threshold"]) == ("recall", threshold)
    assert written["reached"] == [[*record["p"]][[s.malignant for s in scores].index(threshold)]]


def _plain(value: object) -> object:
    """Values without identity: an ImageReading is compared by its fields."""
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return value.__dict__ if type(value).__name__ == "ImageReading" else value
