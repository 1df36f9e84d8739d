"""Original DDSM: headers, chain codes, decoded films in optical density."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fourview.datasets.ddsm import find_ddsm, load_ddsm, load_density
from fourview.datasets.ddsm_case import read_case, read_chain, read_overlay
from fourview.datasets.optical_density import density_to_pixels, optical_density, scanner_of
from fourview.datasets.record import ImageRecord, Listing
from fourview.datasets.regions import draw_region
from fourview.exam import ExamError, SetupError, Side
from tests.datasets.ddsm_miniature import (
    COLS,
    ROWS,
    SPOT,
    SQUARE,
    VIEWS,
    abnormality,
    film,
    ics,
    overlay,
    write_case,
)
from tests.datasets.drawn_film import COLS as FILM_COLS
from tests.datasets.drawn_film import LABEL, TISSUE, draw_film
from tests.datasets.drawn_film import ROWS as FILM_ROWS
from tests.ingest.pictures import write_picture


def write_raw(path: Path, image: NDArray[np.uint16]) -> None:
    path.write_bytes(image.astype(">u2").tobytes())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cancer in the left breast, each film in another form of decoding, and a normal case."""
    mass = overlay(abnormality())
    case = write_case(tmp_path / "cases/cancers/cancer_01/case0029", LEFT_CC=mass, LEFT_MLO=mass)
    write_raw(case / "C_0029_1.LEFT_CC.LJPEG.1", film("LEFT_CC"))
    write_picture(case / "C_0029_1.LEFT_MLO.png", film("LEFT_MLO"))
    write_picture(case / "C_0029_1.RIGHT_CC.LJPEG.tif", film("RIGHT_CC"))
    write_picture(case / "C_0029_1.RIGHT_MLO.pgm", film("RIGHT_MLO"))
    (case / "C_0029_1.LEFT_CC.LJPEG").write_bytes(b"\xff\xd8")
    (case / "TAPE_C_0029_1.COMB.16_PGM").write_bytes(b"overview")
    normal = write_case(tmp_path / "cases/normals/normal_02/case1002", number="1002")
    for view in VIEWS:
        write_raw(normal / f"C_1002_1.{view}.LJPEG.1", film(view))
    return tmp_path


def by_image(listing: Listing) -> dict[str, ImageRecord]:
    return {record.image: record for record in listing.records}


def test_the_header_gives_age_density_date_scanner_and_pixel_size(root: Path) -> None:
    listing = find_ddsm(root)
    assert listing.problems == ()
    record = by_image(listing)["C_0029_1.LEFT_CC"]
    assert (record.patient, record.exam, record.view) == ("C_0029", "C_0029_1", "L-CC")
    assert (record.age, record.density, record.date) == (66, "C", "1993-03-02")
    assert (record.vendor, record.spacing_mm, record.birads) == ("LUMISYS", 0.05, "4")
    assert record.more["case"] == "cancer"
    assert record.warnings == ()


def test_the_label_is_that_of_the_breast_and_biopsied_only_where_something_was(root: Path) -> None:
    found = by_image(find_ddsm(root))
    labels = {name: (r.malignant, r.benign, r.label_source) for name, r in found.items()}
    assert labels["C_0029_1.LEFT_CC"] == labels["C_0029_1.LEFT_MLO"] == (True, False, "biopsy")
    assert labels["C_0029_1.RIGHT_CC"] == (False, False, "unknown")
    assert labels["C_1002_1.LEFT_CC"] == (False, False, "unknown")
    assert {r.label_unit for r in found.values()} == {"breast"}


def test_all_decoded_forms_load_to_the_same_scale_and_the_outline_lies_on_the_spot(root: Path) -> None:
    scanner = scanner_of("C", "LUMISYS")
    assert scanner is not None
    found = by_image(find_ddsm(root))
    for view in VIEWS:
        record = found[f"C_0029_1.{view}"]
        mammogram = load_ddsm(record)
        assert mammogram.faces == ("right" if record.side is Side.LEFT else "left")
        expected = optical_density(film(view), scanner)
        np.testing.assert_array_equal(load_density(record), expected)
        np.testing.assert_array_equal(mammogram.pixels, density_to_pixels(expected))
        assert (mammogram.pixels[:20] == 0).all()  # film that saw no breast
        for lesion in record.lesions:
            assert lesion.region is not None
            mask = draw_region(lesion.region, mammogram.pixels.shape)
            np.testing.assert_array_equal(mask, film(view) == 3900)


@pytest.mark.parametrize(("letter", "digitizer"), [("C", "LUMISYS LASER"), ("A", "DBA 21"), ("D", "HOWTEK 960")])
def test_of_a_film_the_breast_alone_is_left_also_where_it_is_darker_than_density_3(
    tmp_path: Path, letter: str, digitizer: str
) -> None:
    drawn = draw_film()
    scanner = scanner_of(letter, digitizer)
    assert scanner is not None
    density = 4 - drawn.pixels * (1.5 / TISSUE)  # tissue 2.5, skin from there to 3.8, background 3.8
    grey = (scanner.offset - density) / -scanner.slope
    grey = 10**grey - 1 if scanner.logarithmic else grey
    case = write_case(tmp_path / "case0029", letter=letter)
    header = case / f"{letter}-0029-1.ics"
    text = header.read_text().replace("LUMISYS LASER", digitizer).replace("RESOLUTION 50", "RESOLUTION 500")
    header.write_text(text.replace("LINES 240 PIXELS_PER_LINE 180", f"LINES {FILM_ROWS} PIXELS_PER_LINE {FILM_COLS}"))
    write_raw(
        case / f"{letter}_0029_1.LEFT_CC.LJPEG.1", np.clip(np.rint(grey), 0, (1 << scanner.bits) - 1).astype(np.uint16)
    )
    record = by_image(find_ddsm(tmp_path))[f"{letter}_0029_1.LEFT_CC"]
    mammogram = load_ddsm(record)
    assert mammogram.warnings == ()
    assert (mammogram.pixels[drawn.breast] > 0).all()
    assert not mammogram.pixels[LABEL].any()
    pixels = density_to_pixels(load_density(record))
    assert (pixels[drawn.breast] == 0).any()
    np.testing.assert_array_equal(mammogram.pixels[drawn.breast], np.maximum(pixels, 1)[drawn.breast])
    np.testing.assert_array_equal(mammogram.pixels > 0, mammogram.pixels == np.maximum(pixels, 1))


def test_ljpeg_alone_says_how_to_decode_and_missing_films_are_named(root: Path) -> None:
    case = root / "cases/cancers/cancer_01/case0029"
    (case / "C_0029_1.LEFT_CC.LJPEG.1").unlink()
    (case / "C_0029_1.RIGHT_MLO.pgm").unlink()
    write_picture(case / "C_0030_1.RIGHT_MLO.png", film("RIGHT_MLO"))
    problems = dict(find_ddsm(root).problems)
    assert "decode it first, with `jpeg -d -s`" in problems["C_0029_1.LEFT_CC"]
    assert "its image is not there" in problems["C_0029_1.RIGHT_MLO"]
    assert "not in the .ics file" in problems["C_0030_1.RIGHT_MLO.png"]


def test_a_set_that_nobody_decoded_stops_with_the_way_to_do_it(tmp_path: Path) -> None:
    case = write_case(tmp_path / "case0029")
    (case / "C_0029_1.LEFT_CC.LJPEG").write_bytes(b"\xff\xd8")
    with pytest.raises(SetupError, match=r"no film of 1 cases can be taken .*decode it first"):
        find_ddsm(tmp_path)
    with pytest.raises(SetupError, match=r"no \.ics file"):
        find_ddsm(tmp_path / "absent")


def test_an_announced_outline_that_is_missing_takes_the_label_of_its_breast_away(root: Path) -> None:
    (root / "cases/cancers/cancer_01/case0029/C_0029_1.LEFT_CC.OVERLAY").unlink()
    listing = find_ddsm(root)
    assert {"C_0029_1.LEFT_CC", "C_0029_1.LEFT_MLO"} == {name for name, _ in listing.problems}
    assert "C_0029_1.RIGHT_CC" in by_image(listing)


def test_a_second_copy_of_a_case_is_left_out(root: Path) -> None:
    copy = write_case(root / "again" / "case0029")
    for view in VIEWS:
        write_raw(copy / f"C_0029_1.{view}.LJPEG.1", film(view))
    listing = find_ddsm(root)
    assert len(listing.records) == 8
    assert [reason for _, reason in listing.problems] == ["a second copy of the case in case0029"]


def test_a_case_whose_folder_contradicts_its_outlines_says_so(root: Path) -> None:
    (root / "cases/cancers").rename(root / "cases/benigns")
    record = by_image(find_ddsm(root))["C_0029_1.LEFT_CC"]
    assert record.warnings == ("the case does not lie among the cancers, but an outline of it is malignant",)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (film("LEFT_MLO").T.copy(), r"found \(180, 240\) pixels, the \.ics file says \(240, 180\)"),
        ((film("LEFT_MLO") >> 4).astype(np.uint8), "found pixels of type uint8"),
        (film("LEFT_MLO") * 16, "a rescaled copy"),
    ],
)
def test_copies_with_other_sizes_or_scales_are_refused(root: Path, image: NDArray[np.uint16], said: str) -> None:
    write_picture(root / "cases/cancers/cancer_01/case0029/C_0029_1.LEFT_MLO.png", image)
    with pytest.raises(ExamError, match=f"L-MLO C_0029_1.LEFT_MLO: .*{said}"):
        load_ddsm(by_image(find_ddsm(root))["C_0029_1.LEFT_MLO"])


def test_a_cut_raw_file_is_refused(root: Path) -> None:
    path = root / "cases/cancers/cancer_01/case0029/C_0029_1.LEFT_CC.LJPEG.1"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ExamError, match=f"found {2 * ROWS * COLS - 2} bytes, need {2 * ROWS * COLS}"):
        load_ddsm(by_image(find_ddsm(root))["C_0029_1.LEFT_CC"])


def test_a_digitizer_without_calibration_is_a_warning_and_no_image(root: Path) -> None:
    path = root / "cases/cancers/cancer_01/case0029/C-0029-1.ics"
    path.write_text(path.read_text().replace("LUMISYS LASER", "HOWTEK 960"))
    record = by_image(find_ddsm(root))["C_0029_1.LEFT_CC"]
    assert record.warnings == ("no calibration for digitizer 'HOWTEK 960' and cases C",)
    with pytest.raises(ExamError, match=r"no calibration .* need a known scanner"):
        load_ddsm(record)


def chain_mask(chain: str, shape: tuple[int, int] = (12, 14)) -> list[str]:
    mask = draw_region(read_chain(chain, "test"), shape)
    return ["".join("#" if cell else "." for cell in row) for row in mask]


def test_a_hand_drawn_chain_is_column_first_and_runs_as_published() -> None:
    # start at column 3, row 2; right, down-right, down, down-left, left, up-left, up, up-right
    assert chain_mask("3 2 2 2 3 4 5 6 6 7 0 1 #")[:8] == [
        "..............",
        "..............",
        "...###........",
        "..#####.......",
        "..#####.......",
        "...###........",
        "..............",
        "..............",
    ]


def test_a_chain_that_crosses_itself_or_has_thorns_is_filled_without_holes() -> None:
    ring_in_a_ring = "2 2 2 2 2 2 2 2 4 4 4 4 4 4 6 6 6 6 6 6 0 0 0 0 0 0 3 3 2 2 4 4 6 6 0 0 #"
    assert chain_mask(ring_in_a_ring)[2:9] == ["..#######....."] * 7
    assert chain_mask("4 4 2 2 2 6 6 6 #")[4] == "....####......"


def test_a_chain_may_leave_the_film_and_is_cut_off_there() -> None:
    over_the_top = "1 1 0 0 0 2 2 2 2 4 4 4 4 4 6 6 6 6 0 0 #"
    mask = chain_mask(over_the_top, (5, 5))
    assert mask == [".####"] * 4 + ["....."]


@pytest.mark.parametrize("chain", ["3 2 0 1 2", "3 2 #", "3 2 0 8 1 #", "3 two 1 1 #", ""])
def test_a_broken_chain_is_refused(chain: str) -> None:
    with pytest.raises(ExamError, match="case, abnormality 1: found the chain"):
        read_chain(chain, "case, abnormality 1")


def test_an_overlay_may_hold_several_types_and_cores(tmp_path: Path) -> None:
    path = tmp_path / "x.OVERLAY"
    types = ("CALCIFICATION TYPE PLEOMORPHIC DISTRIBUTION CLUSTERED", "MASS SHAPE IRREGULAR MARGINS SPICULATED")
    path.write_text(
        overlay(
            abnormality(types=types, pathology="BENIGN_WITHOUT_CALLBACK", cores=("45 80 2 4 6 0 #",)),
            abnormality(2, types=("MASS SHAPE ARCHITECTURAL_DISTORTION MARGINS N/A",), pathology="UNPROVEN"),
        )
    )
    first, second = read_overlay(path)
    assert (first.kind, first.types, first.cores) == ("calcification", ("CALCIFICATION", "MASS"), 1)
    assert first.descriptors["margins"] == "SPICULATED"
    lesion = first.lesion("a", outline=first.outline)
    assert (lesion.pathology, lesion.descriptors["pathology"]) == ("benign", "BENIGN_WITHOUT_CALLBACK")
    mask = draw_region(first.outline, (ROWS, COLS))
    assert mask[SPOT].all()
    assert mask.sum() == 31 * 21
    assert (second.kind, second.lesion("b", outline=second.outline).pathology) == ("distortion", "unknown")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (overlay(abnormality()).replace("ABNORMALITIES 1", "ABNORMALITIES 2"), "announces 2 abnormalities and holds 1"),
        (overlay(abnormality()).replace("TOTAL_OUTLINES 1", "TOTAL_OUTLINES 2"), "2 outlines announced, 1 there"),
        (overlay(abnormality(pathology="PERHAPS")), "pathology 'PERHAPS'"),
        (overlay(abnormality())[:90], "no line 'TOTAL_OUTLINES n'"),
        (overlay(abnormality(chain=SQUARE[:40])), "found the chain"),
        ("", "no line 'TOTAL_ABNORMALITIES n'"),
    ],
)
def test_a_cut_overlay_is_a_problem_of_its_view(root: Path, text: str, said: str) -> None:
    (root / "cases/cancers/cancer_01/case0029/C_0029_1.LEFT_CC.OVERLAY").write_text(text)
    listing = find_ddsm(root)
    assert said in dict(listing.problems)["C_0029_1.LEFT_CC"]
    assert "C_0029_1.LEFT_CC" not in by_image(listing)


def test_one_lesion_per_view_is_one_finding_and_several_are_kept_apart(tmp_path: Path) -> None:
    two = overlay(abnormality(), abnormality(2, pathology="BENIGN"))
    case = write_case(tmp_path, LEFT_CC=two, LEFT_MLO=two, RIGHT_CC=overlay(abnormality(pathology="BENIGN")))
    for view in VIEWS:
        write_raw(case / f"C_0029_1.{view}.LJPEG.1", film(view))
    found = by_image(find_ddsm(tmp_path))
    assert [one.lesion for one in found["C_0029_1.LEFT_CC"].lesions] == ["LEFT_CC-1", "LEFT_CC-2"]
    assert (found["C_0029_1.LEFT_CC"].malignant, found["C_0029_1.LEFT_CC"].benign) == (True, True)
    assert [one.lesion for one in found["C_0029_1.RIGHT_CC"].lesions] == ["RIGHT_CC-1"]


def test_an_unproven_lesion_leaves_the_label_open(tmp_path: Path) -> None:
    case = write_case(tmp_path, LEFT_CC=overlay(abnormality(pathology="UNPROVEN")))
    write_raw(case / "C_0029_1.LEFT_CC.LJPEG.1", film("LEFT_CC"))
    record = by_image(find_ddsm(tmp_path))["C_0029_1.LEFT_CC"]
    assert (record.malignant, record.benign, record.label_source) == (None, None, "unknown")


@pytest.mark.parametrize(
    ("old", "new"), [("filename C-0029-1", "filename x"), ("LINES 240", "LINES many"), (ics()[-400:], "")]
)
def test_a_broken_header_is_a_problem_of_its_case(root: Path, old: str, new: str) -> None:
    path = root / "cases/cancers/cancer_01/case0029/C-0029-1.ics"
    content = ics(overlays="LEFT")
    path.write_text(content.replace(old, new) if old in content else content[: content.index("LEFT_CC")])
    listing = find_ddsm(root)
    assert [name for name, _ in listing.problems] == ["C-0029-1.ics"]
    assert len(listing.records) == 4


def test_real_headers_and_outlines(shared: Path) -> None:
    cases = sorted((shared / "data" / "mini_ddsm_sample" / "Benign").iterdir())
    headers = [read_case(next(case.glob("*.ics"))) for case in cases]
    assert [len(header.views) for header in headers] == [4] * 10
    assert {scanner.name for h in headers if (scanner := scanner_of(h.prefix, h.digitizer))} == {"LUMISYS"}
    overlays = [read_overlay(path) for case in cases for path in sorted(case.glob("*.OVERLAY"))]
    assert sum(len(found) for found in overlays) == 24
    assert {one.pathology for found in overlays for one in found} == {"BENIGN"}
