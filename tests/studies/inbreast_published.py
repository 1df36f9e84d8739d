"""INbreast Release 1.0 with its published layout and counts; breasts are drawn, and small.

410 images of 108 women in 115 exams, 90 of four images and 25 of two; a right image of the view FB; BI-RADS, density,
views and sides as often as the real table has them (Moreira et al. 2012). Values are of nobody.
"""

from __future__ import annotations

import plistlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.ingest.synthetic_dicom import mammogram_dataset, save
from tests.studies.inbreast_miniature import HEADER, draw_breast

BIRADS = {"1": 67, "2": 220, "3": 23, "4a": 13, "4b": 8, "4c": 22, "5": 49, "6": 8}
DENSITY = {"1": 136, "2": 146, "3": 99, "4": 28, " " * 190: 1}
WOMEN, EXAMS, OF_FOUR = 108, 115, 90
LEFT_ALONE = 14  # of the exams of two images: both of the left breast; one has an MLO of each, the others are right
_FIRST = 20_586_908


@dataclass(frozen=True)
class Row:
    """One image: its file's number, whose it is, what table and file name say of it."""

    file: int
    patient: str
    date: str
    side: str
    view: str
    density: str
    birads: str

    @property
    def named(self) -> str:
        """The view as file names have it."""
        return "ML" if self.view == "MLO" else self.view

    @property
    def suspicious(self) -> bool:
        return self.birads >= "4"


def list_rows() -> list[Row]:
    """All images, a woman's one after the other. BI-RADS goes breast by breast, in an order that mixes women."""
    places = [
        (exam % WOMEN, exam, side, view) for exam in range(EXAMS) for side, view in _views_of(exam)
    ]  # the last seven exams are second ones of the first seven women
    breasts = sorted({(exam, side) for _, exam, side, _ in places})
    order = {breasts[k]: rank for rank, k in enumerate(np.random.default_rng(1).permutation(len(breasts)))}
    places.sort(key=lambda place: (place[3] != "FB", order[place[1], place[2]]))
    left = {**BIRADS, "2": BIRADS["2"] - 1}
    birads = ["2", *(name for name, count in left.items() for _ in range(count))]  # the image FB is of category 2
    said = dict(zip(places, birads, strict=True))
    places.sort()
    density = [name for name, count in DENSITY.items() for _ in range(count)]
    return [
        Row(_FIRST + 26 * n, f"{woman + 1:016x}", f"{2008 + exam // WOMEN}02", side, view, density[n], said[place])
        for n, place in enumerate(places)
        for woman, exam, side, view in (place,)
    ]


def _views_of(exam: int) -> Iterator[tuple[str, str]]:
    if exam < OF_FOUR:
        yield from (("L", "CC"), ("L", "MLO"), ("R", "FB" if exam == 0 else "CC"), ("R", "MLO"))
    elif exam == OF_FOUR:
        yield from (("L", "MLO"), ("R", "MLO"))
    else:
        side = "L" if exam <= OF_FOUR + LEFT_ALONE else "R"
        yield from ((side, "CC"), (side, "MLO"))


def write_published(folder: Path) -> Path:
    """The release's folder, as the archive unpacks it."""
    release = folder / "INbreast Release 1.0"
    for name in ("AllDICOMs", "AllXML", "AllROI", "PectoralMuscle/Pectoral Muscle XML", "MedicalReports"):
        (release / name).mkdir(parents=True)
    lines = [HEADER]
    for row in list_rows():
        lines.append(f"removed;removed;{row.side};{row.view};{row.date};{row.file};{row.density};{row.birads}")
        _write_image(release / "AllDICOMs", row)
        (release / "MedicalReports" / f"{row.patient}.txt").write_text("relatório")
        if row.suspicious:
            _write_outline(release / "AllXML" / f"{row.file}.xml", "Mass", [(25, 90), (60, 90), (60, 150), (25, 150)])
            (release / "AllROI" / f"{row.file}.roi").write_bytes(b"\x04\x0bstreamtyped")
        if row.view == "MLO":
            path = release / "PectoralMuscle/Pectoral Muscle XML" / f"{row.file}_muscle.xml"
            _write_outline(path, "Pectoral Muscle", [(0, 30), (30, 40), (0, 90)])
    (release / "INbreast.csv").write_text("\n".join(lines) + "\n")
    (release / "README.txt").write_text("drawn, in the layout of INbreast Release 1.0")
    (release / "INbreast.pdf").write_bytes(b"%PDF-1.4")
    return release


def _write_image(folder: Path, row: Row) -> None:
    pixels = draw_breast(row.file, suspicious=row.suspicious, points="right" if row.side == "L" else "left")
    tags = {
        "ViewPosition": row.view,
        "ImageLaterality": row.side,
        "PatientOrientation": None,
        "PatientID": "removed",
    }
    dataset = mammogram_dataset(pixels, **tags, ImagerPixelSpacing=[0.07, 0.07])
    save(dataset, folder / f"{row.file}_{row.patient}_MG_{row.side}_{row.named}_ANON.dcm")


def _write_outline(path: Path, name: str, corners: list[tuple[int, int]]) -> None:
    """As OsiriX writes it. corners: (x, y), which is (column, row)"""
    texts = [f"({x:f}, {y:f})" for x, y in corners]
    roi = {
        "Area": 1.0,
        "Center": "(0, 0, 0)",
        "IndexInImage": 0,
        "Name": name,
        "NumberOfPoints": len(texts),
        "Point_mm": texts,
        "Point_px": texts,
        "Type": 15,
    }
    image = {"ImageIndex": 0, "NumberOfROIs": 1, "ROIs": [roi]}
    path.write_bytes(plistlib.dumps({"Images": [image]}))
