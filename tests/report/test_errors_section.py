"""The gallery of errors: the right units, in the right order, with links and pictures that hold."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fourview.exam import Exam, SetupError
from fourview.report.document import Gallery, Section
from fourview.report.errors_section import UnitPlace, errors_section
from fourview.report.picture import MOST_BYTES, png_bytes
from tests.report.runs import black_exam, write_run

ONE, TWO = "1" * 16, "2" * 16
KEYS = [f"{exam} {side}" for exam in (ONE, TWO, "3" * 16) for side in "LR"]
TRUTH = [1, 0, 0, 0, 1, 0]
SCORES = [0.2, 0.9, 0.1, 0.3, 0.8, 0.2]


def _galleries(section: Section) -> dict[str, Gallery]:
    return {part.name: part for part in section.parts if isinstance(part, Gallery)}


def _titles(section: Section, name: str) -> list[str]:
    return [item.title for item in _galleries(section)[name].items]


def _noise_exam(rows: int = 1800, cols: int = 1400) -> Exam:
    """What compresses worst."""
    rng = np.random.default_rng(0)
    return Exam.from_arrays(
        {view: rng.integers(1, 65535, (rows, cols), np.uint16) for view in ("L-CC", "L-MLO", "R-CC")}, spacing_mm=0.07
    )


def test_errors_come_worst_first_and_units_on_their_own_side_of_all_others_are_none(tmp_path: Path) -> None:
    section = errors_section(KEYS, TRUTH, SCORES, exams_folder=None, out=tmp_path)
    assert _titles(section, "false_positives") == [KEYS[1], KEYS[3], KEYS[5]]  # 0.1 lies below every positive
    assert _titles(section, "false_negatives") == [KEYS[0], KEYS[4]]
    first = _galleries(section)["false_positives"].items[0]
    assert first.lines == ("truth: negative", "score 0.900, rank 1 of 6", "2 of 2 positives score the same or less")
    assert first.link is None
    assert first.images == ()
    assert set(_galleries(section)) == {"false_positives", "false_negatives"}


def test_a_perfect_order_leaves_empty_galleries(tmp_path: Path) -> None:
    section = errors_section(KEYS, TRUTH, TRUTH, exams_folder=None, out=tmp_path)
    assert [gallery.items for gallery in _galleries(section).values()] == [(), ()]
    assert [gallery.note for gallery in _galleries(section).values()] == ["None.", "None."]


def test_readers_who_rank_as_the_model_does_leave_no_disagreement(tmp_path: Path) -> None:
    section = errors_section(KEYS, TRUTH, SCORES, exams_folder=None, out=tmp_path, readers=np.multiply(SCORES, 0.5))
    assert _titles(section, "disagreement") == []


def test_at_most_n_are_shown_and_the_note_says_of_how_many(tmp_path: Path) -> None:
    section = errors_section(KEYS, TRUTH, SCORES, exams_folder=None, out=tmp_path, n=1)
    assert _titles(section, "false_positives") == [KEYS[1]]
    assert _galleries(section)["false_positives"].note == "1 of 3."


def test_readers_bring_the_units_that_they_rank_otherwise(tmp_path: Path) -> None:
    readers = [[0.9, 0.0, 0.1, 0.3, 0.8, np.nan], [0.7, 0.2, 0.1, 0.3, 0.8, np.nan]]
    section = errors_section(KEYS, TRUTH, SCORES, exams_folder=None, out=tmp_path, readers=readers)
    assert _titles(section, "disagreement")[0] == KEYS[1]  # first for the model, last but one for the readers
    assert KEYS[5] not in _titles(section, "disagreement")  # nobody read it
    item = _galleries(section)["disagreement"].items[0]
    assert item.lines[-1] == "mean reader 0.100, rank 4 of 5"
    with pytest.raises(SetupError, match="readers: found 5 units"):
        errors_section(KEYS, TRUTH, SCORES, exams_folder=None, out=tmp_path, readers=[[0.1] * 5])


def test_links_lead_from_the_report_to_the_exam_page_and_pictures_are_of_the_own_breast(tmp_path: Path) -> None:
    run = write_run(tmp_path / "my run", {ONE: _noise_exam(), TWO: black_exam()}, {})
    out = tmp_path / "reports" / "first"
    out.mkdir(parents=True)
    section = errors_section(KEYS, TRUTH, SCORES, exams_folder=run / "exams", out=out)
    galleries = _galleries(section)
    left = galleries["false_negatives"].items[0]
    assert left.link == f"../../my%20run/exams/{ONE}/exam.html"
    assert (out / left.link.replace("%20", " ")).is_file()
    assert [text for text, _ in left.images] == ["L-CC", "L-MLO"]
    for _, picture in left.images:
        assert len(picture) <= MOST_BYTES
        decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        assert min(decoded.shape[:2]) >= 100
    assert [text for text, _ in galleries["false_positives"].items[0].images] == ["R-CC"]
    absent = galleries["false_negatives"].items[1]
    assert (absent.title, absent.link, absent.images) == (KEYS[4], None, ())


def test_pictures_keep_their_colours(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {ONE: black_exam()}, {})
    red = np.zeros((300, 200, 3), np.uint8)
    red[..., 0] = 220
    (run / "exams" / ONE / "thumbnail_L-CC.png").write_bytes(png_bytes(red))
    section = errors_section(KEYS, TRUTH, SCORES, exams_folder=run / "exams", out=tmp_path)
    (picture, *_) = (
        content for text, content in _galleries(section)["false_negatives"].items[0].images if text == "L-CC"
    )
    blue, _, red_again = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)[150, 100]
    assert (blue < 10, red_again > 210) == (True, True)


def test_a_run_without_pictures_gives_neither_links_nor_pictures(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {ONE: black_exam()}, {}, files="readings")
    section = errors_section(KEYS, TRUTH, SCORES, exams_folder=run / "exams", out=tmp_path)
    item = _galleries(section)["false_negatives"].items[0]
    assert (item.link, item.images) == (None, ())


def test_thumbnails_stand_in_for_missing_overlays_and_damaged_pictures_are_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {ONE: black_exam()}, {})
    (run / "exams" / ONE / "overlay_L-CC.png").unlink()
    section = errors_section(KEYS, TRUTH, SCORES, exams_folder=run / "exams", out=tmp_path)
    assert len(_galleries(section)["false_negatives"].items[0].images) == 2
    (run / "exams" / ONE / "thumbnail_L-CC.png").write_bytes(b"cut")
    with pytest.raises(SetupError, match=r"thumbnail_L-CC\.png: damaged"):
        errors_section(KEYS, TRUTH, SCORES, exams_folder=run / "exams", out=tmp_path)


@pytest.mark.parametrize(
    ("key", "exam", "place"),
    [
        ("abc L", "abc", "L"),
        ("abc R-MLO", "abc", "R-MLO"),
        ("abc L-CC file 1.png", "abc", "L-CC"),
        ("abc", "abc", ""),
        ("my exam R", "my exam", "R"),
        ("a LEFT", "a LEFT", ""),
    ],
)
def test_a_key_says_exam_and_breast_or_view(key: str, exam: str, place: str) -> None:
    assert UnitPlace.read(key) == UnitPlace(exam, place)


def test_a_key_with_a_path_in_it_leads_nowhere(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {ONE: black_exam()}, {})
    keys = ["../exams L", *KEYS[1:]]
    section = errors_section(keys, TRUTH, SCORES, exams_folder=run / "exams", out=tmp_path)
    assert _galleries(section)["false_negatives"].items[0].link is None


def test_columns_of_different_lengths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="5 keys and 6 truths"):
        errors_section(KEYS[:5], TRUTH, SCORES, exams_folder=None, out=tmp_path)
