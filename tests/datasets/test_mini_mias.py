"""mini-MIAS: lines of Info.txt, circles counted from the bottom, pairs of one woman."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fourview.datasets.mini_mias import find_mini_mias, load_mini_mias
from fourview.datasets.record import Circle, ImageRecord, Listing
from fourview.datasets.regions import draw_region
from fourview.exam import ExamError, SetupError, Side
from tests.ingest.pictures import write_picture
from tests.ingest.synthetic_dicom import breast

INFO = """              MAMMOGRAPHIC IMAGE ANALYSIS SOCIETY

1st column: MIAS database reference number.
                F - Fatty

mdb001 G CIRC B 300 425 60
mdb002 G NORM
mdb005 F CIRC B 477 133 30
mdb005 F SPIC M 500 168 26
mdb006 F NORM \x20
mdb216 D CALC M *NOTE 3*\x20
mdb218 D ASYM B 519 629 67
"""
FILMS = ("mdb001", "mdb002", "mdb005", "mdb006", "mdb216", "mdb218")


def film(name: str) -> NDArray[np.uint8]:
    """A film of 1024 x 1024: odd ones (right) face left, with a bright disc of mdb001's circle in the breast."""
    image = (breast(1024, 1024, faces="right" if int(name[3:]) % 2 == 0 else "left") >> 5).astype(np.uint8)
    if name == "mdb001":
        image[480:720, 220:600] = 60
        rows, cols = np.ogrid[:1024, :1024]
        image[(rows - (1023 - 425)) ** 2 + (cols - 300) ** 2 <= 60**2] = 250
    return image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The set as it is unpacked: everything in one folder."""
    (tmp_path / "Info.txt").write_text(INFO)
    (tmp_path / "README").write_text("text")
    for name in FILMS:
        write_picture(tmp_path / f"{name}.pgm", film(name))
    return tmp_path


def by_image(listing: Listing) -> dict[str, ImageRecord]:
    return {record.image: record for record in listing.records}


def test_each_film_has_its_side_its_woman_and_its_labels(folder: Path) -> None:
    listing = find_mini_mias(folder)
    records = by_image(listing)
    assert listing.problems == ()
    assert tuple(records) == FILMS
    assert [(r.side, r.patient) for r in list(records.values())[:4]] == [
        (Side.RIGHT, "001"),
        (Side.LEFT, "001"),
        (Side.RIGHT, "003"),
        (Side.LEFT, "003"),
    ]
    assert {r.angle for r in records.values()} == {"MLO"}
    labels = {name: (r.malignant, r.benign, r.label_source) for name, r in records.items()}
    assert labels["mdb001"] == (False, True, "biopsy")
    assert labels["mdb002"] == (False, False, "unknown")
    assert labels["mdb005"] == (True, True, "biopsy")
    assert labels["mdb216"] == (True, False, "biopsy")


def test_y_counts_from_the_bottom_so_the_circle_lies_on_the_bright_disc(folder: Path) -> None:
    record = by_image(find_mini_mias(folder))["mdb001"]
    circle = record.lesions[0].region
    assert circle == Circle(1023 - 425, 300, 60)
    pixels = load_mini_mias(record).pixels
    np.testing.assert_array_equal(pixels, film("mdb001"))
    assert (pixels[draw_region(circle, (1024, 1024))] == 250).all()
    upside_down = draw_region(Circle(425, 300, 60), (1024, 1024))
    assert (pixels[upside_down] == 250).mean() < 0.1


def test_several_lines_are_several_lesions_and_note_3_has_no_region(folder: Path) -> None:
    records = by_image(find_mini_mias(folder))
    assert [(one.lesion, one.kind, one.pathology) for one in records["mdb005"].lesions] == [
        ("mdb005-1", "mass", "benign"),
        ("mdb005-2", "mass", "malignant"),
    ]
    assert [one.region for one in records["mdb216"].lesions] == [None]
    assert records["mdb218"].lesions[0].kind == "asymmetry"


def test_png_copies_in_a_folder_of_their_own_are_the_same_set(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("png")
    (other / "Info.txt").write_text(INFO)
    for name in FILMS:
        write_picture(other / "images" / f"{name}.png", film(name))
    for one, two in zip(find_mini_mias(folder).records, find_mini_mias(other).records, strict=True):
        assert one.lesions == two.lesions
        np.testing.assert_array_equal(load_mini_mias(one).pixels, load_mini_mias(two).pixels)


def test_films_without_a_line_and_lines_without_a_film_are_named(folder: Path) -> None:
    (folder / "mdb006.pgm").unlink()
    write_picture(folder / "mdb300.pgm", film("mdb002"))
    write_picture(folder / "mdb001.png", film("mdb001"))
    write_picture(folder / "thumb.png", film("mdb001"))
    assert set(find_mini_mias(folder).problems) == {
        ("mdb006", "in Info.txt, but its image is not there"),
        ("mdb300.pgm", "no line in Info.txt"),
        ("mdb001.png", "a second copy of mdb001.pgm"),
        ("thumb.png", "no film of mini-MIAS: need mdbNNN"),
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("mdb001 G CIRC X 535 425 197", "cannot be understood"),
        ("mdb001 G NORM", "contradict each other"),
        ("mdb001 F CIRC B 10 10 5", "contradict each other"),
        ("mdb001 G CIRC B 535 1400 197", "has its centre outside"),
    ],
)
def test_a_line_that_makes_no_sense_leaves_its_film_out(folder: Path, line: str, said: str) -> None:
    with (folder / "Info.txt").open("a") as info:
        info.write(f"{line}\n")
    listing = find_mini_mias(folder)
    assert "mdb001" not in by_image(listing)
    [(name, reason)] = listing.problems
    assert name.startswith("mdb001")
    assert said in reason


def test_a_resized_film_is_refused_because_its_circles_would_lie_elsewhere(folder: Path) -> None:
    write_picture(folder / "mdb001.pgm", film("mdb001")[::2, ::2])
    with pytest.raises(ExamError, match=r"R-MLO mdb001: found \(512, 512\) pixels, need 1024 x 1024"):
        load_mini_mias(by_image(find_mini_mias(folder))["mdb001"])


def test_a_folder_without_list_or_films_is_refused(folder: Path) -> None:
    for name in FILMS:
        (folder / f"{name}.pgm").unlink()
    with pytest.raises(SetupError, match="lists 6 films, but no mdbNNN"):
        find_mini_mias(folder)
    (folder / "Info.txt").write_text("something else")
    with pytest.raises(SetupError, match="no line for any film"):
        find_mini_mias(folder)
    (folder / "Info.txt").unlink()
    with pytest.raises(SetupError, match=r"no Info\.txt"):
        find_mini_mias(folder)


def test_the_real_set_has_its_published_counts(shared: Path) -> None:
    listing = find_mini_mias(shared / "data" / "mini_mias")
    assert listing.problems == ()
    assert len(listing.records) == 242
    assert len({record.patient for record in listing.records}) == 121
    labels = [(record.malignant, record.benign) for record in listing.records]
    assert labels.count((False, False)) == 155
    assert labels.count((False, True)) == 48
    assert [record.image for record in listing.records if record.malignant and record.benign] == ["mdb144"]
    assert sum(malignant is True for malignant, _ in labels) == 39


def test_real_circles_are_brighter_than_what_surrounds_them_and_turned_ones_are_not(shared: Path) -> None:
    contrasts: dict[bool, list[float]] = {False: [], True: []}
    for record in find_mini_mias(shared / "data" / "mini_mias").records:
        circles = [one.region for one in record.lesions if isinstance(one.region, Circle)]
        if not circles:
            continue
        pixels = load_mini_mias(record).pixels
        for circle in circles:
            for turned, row in ((False, circle.row), (True, 1023 - circle.row)):
                inside = draw_region(Circle(row, circle.col, circle.radius), (1024, 1024))
                around = draw_region(Circle(row, circle.col, 1.5 * circle.radius), (1024, 1024)) & ~inside
                contrasts[turned].append(float(pixels[inside].mean()) - float(pixels[around].mean()))
    brighter = {turned: np.mean(np.array(found) > 0) for turned, found in contrasts.items()}
    assert len(contrasts[False]) == 90
    assert brighter[False] > 0.85
    assert brighter[True] < 0.75
