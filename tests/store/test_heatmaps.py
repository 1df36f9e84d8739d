"""What a patch network said, as files of a store: there and back, and refused where it is another image's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fourview.exam import ExamError
from fourview.store.heatmaps import HeatmapSource, PatchAnswers, StoredHeatmaps

SOURCE = HeatmapSource("pixels", "exam")
BLOB = "images/ab/abc.h5"


def answers(seed: int = 0) -> PatchAnswers:
    p = np.random.default_rng(seed).random((6, 2), np.float32)
    return PatchAnswers((0, 5, 9), (0, 4), 8, (17, 12), ("malignant", "benign"), p)


@pytest.fixture
def stored(tmp_path: Path) -> StoredHeatmaps:
    return StoredHeatmaps(tmp_path, "feed")


def test_what_is_written_is_read_to_the_last_bit(stored: StoredHeatmaps) -> None:
    stored.write(BLOB, answers(), SOURCE)
    found = stored.read(BLOB, pixels_sha256="pixels")
    np.testing.assert_array_equal(found.p, answers().p)
    assert (found.rows, found.cols, found.side_px, found.shape, found.classes) == (
        (0, 5, 9), (0, 4), 8, (17, 12), ("malignant", "benign"),
    )  # fmt: skip
    assert stored.is_done(BLOB, SOURCE)
    assert stored.find_missing([BLOB]) == {}


def test_the_same_content_has_the_same_bytes(stored: StoredHeatmaps) -> None:
    path = stored.folder / "ab/abc.h5"
    stored.write(BLOB, answers(), SOURCE)
    first = path.read_bytes()
    stored.write(BLOB, answers(1), SOURCE)
    assert path.read_bytes() != first
    stored.write(BLOB, answers(), SOURCE)
    assert path.read_bytes() == first


def test_those_of_other_pixels_are_refused(stored: StoredHeatmaps) -> None:
    stored.write(BLOB, answers(), SOURCE)
    with pytest.raises(ExamError, match="of other pixels than the image's"):
        stored.read(BLOB, pixels_sha256="others")
    assert not stored.is_done(BLOB, HeatmapSource("pixels", "another exam"))


def test_a_file_under_another_name_is_refused(stored: StoredHeatmaps) -> None:
    stored.write(BLOB, answers(), SOURCE)
    (stored.folder / "ab/abc.h5").rename(stored.folder / "ab/abd.h5")
    assert not stored.is_done("images/ab/abd.h5", SOURCE)
    with pytest.raises(ExamError, match="missing or broken"):
        stored.read("images/ab/abd.h5", pixels_sha256="pixels")


def test_every_damaged_byte_is_noticed_or_harmless(stored: StoredHeatmaps) -> None:
    stored.write(BLOB, answers(), SOURCE)
    path = stored.folder / "ab/abc.h5"
    content = path.read_bytes()
    noticed = 0
    for place in range(0, len(content), 97):
        damaged = bytearray(content)
        damaged[place] ^= 255
        path.write_bytes(damaged)
        try:
            found = stored.read(BLOB, pixels_sha256="pixels")
        except ExamError:
            noticed += 1
        else:
            np.testing.assert_array_equal(found.p, answers().p)
    assert noticed > 3


def test_why_there_is_none_is_kept_until_there_is_one(stored: StoredHeatmaps) -> None:
    assert stored.find_missing([BLOB]) == {BLOB: None}
    stored.write_problem(BLOB, "smaller than a patch")
    assert stored.find_missing([BLOB]) == {BLOB: "smaller than a patch"}
    stored.write(BLOB, answers(), SOURCE)
    assert stored.find_missing([BLOB]) == {}
    assert not list(stored.folder.rglob("*.txt"))


def test_answers_that_do_not_fit_their_grid_are_refused() -> None:
    with pytest.raises(ValueError, match=r"found answers of shape \(5, 2\)"):
        PatchAnswers((0, 5, 9), (0, 4), 8, (17, 12), ("malignant", "benign"), np.zeros((5, 2), np.float32))
