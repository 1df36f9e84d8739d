"""mini-MIAS folders: pairs of MLO films, sides from the numbers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fourview.exam import SetupError, View
from fourview.ingest import IngestOptions, find_exams
from fourview.ingest.identity import patient_key
from tests.ingest.pictures import SECRET, picture, write_picture

OPTIONS = IngestOptions(secret=SECRET)


def film(number: int) -> np.ndarray:
    view = "L-MLO" if number % 2 == 0 else "R-MLO"
    return (picture(view, number) >> 4).astype(np.uint8)


def test_every_development_film_is_found_as_its_side_of_its_pair(shared: Path):
    folder = shared / "data/mini_mias"
    found = find_exams([folder], OPTIONS)
    assert len(found.exams) == 121
    assert sum(len(exam.images) for exam in found.exams) == 242
    assert {name for name, _ in found.left_out} == {"Licence.txt", "README.md", "labels.csv"}
    for source in found.exams:
        numbers = [int(name[3:6]) for name in source.names]
        assert {(number + 1) // 2 for number in numbers} == {int(source.label[-3:])}
        assert [image.view for image in source.images] == [
            View.R_MLO if number % 2 else View.L_MLO for number in numbers
        ]


def test_a_pair_is_read_with_its_pixel_size_and_direction(shared: Path):
    folder = shared / "data/mini_mias"
    exam = find_exams([folder], OPTIONS).exams[0].read()
    right, left = exam.mammograms
    assert (right.view, right.faces, left.view, left.faces) == (View.R_MLO, "left", View.L_MLO, "right")
    assert (right.spacing_mm, left.spacing_mm) == (0.2, 0.2)
    assert exam.patient_key == patient_key("mini-mias/001", SECRET)
    original = cv2.imread(str(folder / "images/mdb001.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(right.pixels, original)


def test_films_of_the_breast_that_fills_the_film_are_read_in_the_usual_direction(shared: Path):
    by_label = {exam.label: exam for exam in find_exams([shared / "data/mini_mias"], OPTIONS).exams}
    exam = by_label["mini-mias/076"].read()  # mdb151 and mdb152
    assert [(m.view, m.faces) for m in exam.mammograms] == [(View.R_MLO, "left"), (View.L_MLO, "right")]


@pytest.mark.parametrize("below", ["", "images/"])
def test_pgm_films_are_read_with_and_without_an_images_folder_and_without_a_partner(tmp_path: Path, below: str):
    (tmp_path / "Info.txt").write_text("mdb001 G CIRC B 535 425 197\n")
    write_picture(tmp_path / f"{below}mdb001.pgm", film(1))
    write_picture(tmp_path / f"{below}mdb002.png", film(2))
    write_picture(tmp_path / f"{below}mdb004.pgm", film(4))
    found = find_exams([tmp_path], OPTIONS)
    assert [exam.names for exam in found.exams] == [("mdb001.pgm", "mdb002.png"), ("mdb004.pgm",)]
    first, single = found.exams[0].read(), found.exams[1].read()
    np.testing.assert_array_equal(first.mammograms[0].pixels, film(1))
    assert single.warnings == ("no right-sided view in this exam",)


def test_the_pixel_size_holds_for_the_original_size_only_and_can_be_given(tmp_path: Path):
    (tmp_path / "Info.txt").write_text("")
    write_picture(tmp_path / "mdb001.png", film(1))
    (source,) = find_exams([tmp_path], OPTIONS).exams
    assert source.read().mammograms[0].spacing_mm is None
    (source,) = find_exams([tmp_path], IngestOptions(spacing_mm=0.4, secret=SECRET)).exams
    assert source.read().mammograms[0].spacing_mm == 0.4


@pytest.mark.parametrize("below", ["", "images/"])
def test_nothing_but_films_is_mini_mias_too_and_films_among_other_images_are_not(tmp_path: Path, below: str):
    for number in (11, 12, 322):
        write_picture(tmp_path / f"{below}mdb{number:03d}.png", film(number))
    (tmp_path / "README").write_text("text")
    found = find_exams([tmp_path], OPTIONS)
    assert [exam.label for exam in found.exams] == ["mini-mias/006", "mini-mias/161"]
    assert [[image.view for image in exam.images] for exam in found.exams] == [[View.R_MLO, View.L_MLO], [View.L_MLO]]
    write_picture(tmp_path / f"{below}scan.png", film(1))
    with pytest.raises(SetupError, match=r"mdb011\.png: no view at the end of its name"):
        find_exams([tmp_path], OPTIONS)
