"""Mini-DDSM: 1,952 exams of DDSM as 8-bit JPEG at half size (Lekamlage et al. 2020).

A label here is that of the exam, not of the breast: the healthy breast of a woman with cancer says "Cancer" too.
Outlines: the .OVERLAY files of DDSM, in pixels of the original scan, are scaled to the JPEG; where one is missing, the
contour pictures (*_Mask.jpg, *_MASK2.jpg: a line drawn in JPEG, so it is thresholded, then filled).
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fourview.datasets.ddsm import highest_assessment
from fourview.datasets.ddsm_case import BIOPSIED, Abnormality, Case, lesion_names, read_case, read_overlay
from fourview.datasets.optical_density import scanner_of
from fourview.datasets.reading import LOSSY, load_record
from fourview.datasets.record import Dataset, ImageRecord, Lesion, Listing, MaskFile, Polygon
from fourview.datasets.tables import files_below, find_one, number_of, read_sheet, read_table, side_of
from fourview.exam import ExamError, Mammogram, SetupError, Side

_NAME = "mini-ddsm"
_TABLES = ("DataWMask.csv", "DataWMask_all_7808.csv", "DataWMask.xlsx")
_NEEDS = ("fullPath", "View", "Side", "Status", "Tumour_Contour", "Tumour_Contour2", "Age", "Density")
_FOLDERS = ("Benign", "Cancer", "Normal")
_DENSITIES = {"1": "A", "2": "B", "3": "C", "4": "D"}
_BRIGHT = 128  # of 255: contours are white on black, blurred by JPEG
_LABELLED = "the exam is labelled"  # how each warning of a contradicted status begins


@dataclass(frozen=True)
class _Row:
    """One row of the table whose picture is there. name: "C_0029_1.LEFT_CC"."""

    path: Path
    name: str
    side: Side
    angle: str
    status: str
    contours: tuple[Path, ...]
    age: float | None
    density: str | None
    warnings: tuple[str, ...]

    @property
    def view(self) -> str:
        return self.name.split(".")[1]


def find_mini_ddsm(root: Path) -> Listing:
    """The images of the table DataWMask that lie in the folders Benign, Cancer and Normal.

    Rows without a picture and pictures without a row are problems. label_unit is "exam"; malignant is True for
    "Cancer". The source is "biopsy" for cancers, and where an outline of the exam is marked BENIGN or MALIGNANT.
    Outlines that contradict the status are warnings of their images, and their exams are counted.
    """
    table = find_one(root, *_TABLES, need="the table of Mini-DDSM, and the folders Benign, Cancer, Normal beside it")
    rows = read_table(table, needs=_NEEDS) if table.suffix == ".csv" else read_sheet(table, "Sheet1", needs=_NEEDS)
    base = next((place for place in (table.parent, root) if any((place / f).is_dir() for f in _FOLDERS)), None)
    if base is None:
        raise SetupError(f"no folder {', '.join(_FOLDERS)} beside {table.name}: need the images of Mini-DDSM")
    files = {path.relative_to(base).as_posix(): path for path in files_below(base, ".jpg", ".jpeg", ".ics", ".overlay")}
    problems: list[tuple[str, str]] = []
    exams: dict[str, list[_Row]] = defaultdict(list)
    listed = set()
    for row in rows:
        place = row["fullPath"].replace("\\", "/")
        if place in listed:
            problems.append((place, f"twice in {table.name}"))
            continue
        listed.add(place)
        try:
            exams[str(PurePosixPath(place).parent)].append(_read_row(row, place, files))
        except ExamError as error:
            problems.append((place, str(error)))
    records: list[ImageRecord] = []
    in_folder: dict[str, dict[str, Path]] = defaultdict(dict)
    for place, path in files.items():
        in_folder[str(PurePosixPath(place).parent)][path.name.lower()] = path
    for folder, of_exam in sorted(exams.items()):
        found, wrong = _exam_records(of_exam, in_folder[folder])
        records += found
        problems += wrong
    contours = {place for row in rows for place in _contours(row)}
    for place in sorted(files.keys() - listed - contours):
        if place.lower().endswith((".jpg", ".jpeg")):
            what = ", an outline that is not used" if "_mask" in place.lower() else ""
            problems.append((place, f"not in {table.name}{what}"))
    doubted = {record.exam for record in records if any(said.startswith(_LABELLED) for said in record.warnings)}
    count = f"outlines contradict the status of {len(doubted)} of {len({record.exam for record in records})} exams"
    return Listing(tuple(records), tuple(problems), (LOSSY, count) if doubted else (LOSSY,))


def _contours(row: Mapping[str, str]) -> list[str]:
    """The contour pictures that a row of the table names, relative to the folder of the set."""
    cells = (row[key] for key in ("Tumour_Contour", "Tumour_Contour2"))
    return [cell.replace("\\", "/") for cell in cells if cell not in ("", "-")]


def _read_row(row: Mapping[str, str], place: str, files: Mapping[str, Path]) -> _Row:
    if place not in files:
        raise ExamError("in the table, but its image is not there")
    name = PurePosixPath(place).stem
    side, angle = side_of(row["Side"]), row["View"].upper()
    if not name.upper().endswith(f".{row['Side'].upper()}_{angle}") or side is None or angle not in ("CC", "MLO"):
        raise ExamError(f"the table says {row['Side']} {row['View']}, which its name contradicts")
    if row["Status"] not in ("Cancer", "Benign", "Normal"):
        raise ExamError(f"found status {row['Status']!r}, need Cancer, Benign or Normal")
    folder = PurePosixPath(place).parts[0]
    if folder in _FOLDERS and folder != row["Status"]:
        raise ExamError(f"the table says {row['Status']}, but its image lies in the folder {folder}")
    named = _contours(row)
    missing = [contour for contour in named if contour not in files]
    return _Row(
        path=files[place],
        name=name,
        side=side,
        angle=angle,
        status=row["Status"],
        contours=tuple(files[contour] for contour in named if contour in files),
        age=number_of(row["Age"]),
        density=_DENSITIES.get(row["Density"]),
        warnings=tuple(f"the contour {PurePosixPath(contour).name} is not there" for contour in missing),
    )


def _exam_records(rows: Sequence[_Row], files: Mapping[str, Path]) -> tuple[list[ImageRecord], list[tuple[str, str]]]:
    """The records of one exam; files: of its folder, by lower-case name."""
    case, problems = None, []
    header = next((path for key, path in files.items() if key.endswith(".ics")), None)
    try:
        case = None if header is None else read_case(header)
    except ExamError as error:
        problems.append((header.name if header else "", str(error)))
    outlines: dict[str, tuple[Abnormality, ...]] = {}
    for row in rows:
        overlay = files.get(f"{row.name}.overlay".lower())
        try:
            outlines[row.view] = () if overlay is None else read_overlay(overlay)
        except ExamError as error:
            problems.append((row.name, str(error)))
    names = lesion_names(outlines)
    records = []
    for row in rows:
        try:
            if row.view in outlines:
                records.append(_record(row, case, outlines, names))
        except ExamError as error:
            problems.append((row.name, str(error)))
    return records, problems


def _record(
    row: _Row, case: Case | None, outlines: Mapping[str, Sequence[Abnormality]], names: Mapping[tuple[str, int], str]
) -> ImageRecord:
    own = outlines[row.view]
    words = {one.pathology for found in outlines.values() for one in found}
    film = None if case is None else case.views.get(row.view)
    rows_cols = jpeg_shape(row.path)
    if film is not None and abs(rows_cols[0] * film.cols / (rows_cols[1] * film.rows) - 1) > 0.01:
        raise ExamError(f"{rows_cols} pixels are not the proportions of the scan, {film.rows} x {film.cols}")
    if own and film is not None:
        scale = rows_cols[0] / film.rows, rows_cols[1] / film.cols
        lesions = tuple(one.lesion(names[row.view, one.number], outline=_scale(one.outline, scale)) for one in own)
    else:
        lesions = tuple(_contour(row, number, path) for number, path in enumerate(row.contours, start=1))
    doubts = [*row.warnings, *_contradictions(row, words, outlined=bool(own or row.contours))]
    if own and film is None:
        doubts.append("no .ics file says how large its scan was: the outlines of its .OVERLAY file are not used")
    if film is not None and film.overlay and not own:
        doubts.append("the .ics file announces an outline in an .OVERLAY file, but none is there")
    scanner = None if case is None else scanner_of(case.prefix, case.digitizer)
    return ImageRecord(
        _NAME,
        patient="_".join(row.name.split("_")[:2]),
        exam=row.name.split(".")[0],
        image=row.name,
        path=row.path,
        side=row.side,
        angle=row.angle,
        malignant=row.status == "Cancer",
        benign=_benign(row.status, words),
        label_unit="exam",
        label_source="biopsy" if row.status == "Cancer" or BIOPSIED & words else "unknown",
        birads=highest_assessment(own),
        density=row.density,
        age=row.age,
        vendor=scanner.name if scanner else None,
        date=None if case is None else case.date,
        spacing_mm=None if film is None else film.um / 1000 * film.rows / rows_cols[0],
        lesions=lesions,
        more={"status": row.status} | ({} if case is None else {"digitizer": case.digitizer}),
        warnings=tuple(doubts),
    )


def _contradictions(row: _Row, words: set[str], *, outlined: bool) -> list[str]:
    """Where the status of the exam and its outlines do not agree, as warnings.

    words     pathologies of all outlines of the exam
    outlined  this image has an outline
    """
    found = []
    if row.status == "Normal" and outlined:
        found.append("Normal, but this image has an outline")
    if row.status == "Cancer" and words and not words & {"MALIGNANT", "UNPROVEN"}:
        found.append("Cancer, but its outlines are benign")
    if row.status != "Cancer" and "MALIGNANT" in words:
        found.append(f"{row.status}, but an outline of it is malignant")
    return [f"{_LABELLED} {what}" for what in found]


def _benign(status: str, words: set[str]) -> bool | None:
    """Whether the exam holds a benign finding; of a cancer exam only an outline that says so can tell."""
    if status == "Cancer":
        return True if words & {"BENIGN", "BENIGN_WITHOUT_CALLBACK"} else None
    return status == "Benign"


def _scale(outline: Polygon, scale: tuple[float, float]) -> Polygon:
    """The outline in JPEG pixels. scale: JPEG pixels per original pixel, for rows and columns."""
    return Polygon(tuple(((row + 0.5) * scale[0] - 0.5, (col + 0.5) * scale[1] - 0.5) for row, col in outline.points))


def _contour(row: _Row, number: int, path: Path) -> Lesion:
    """A drawn contour whose words are unknown. In a cancer exam it may be a benign one."""
    pathology = "benign" if row.status == "Benign" else "unknown"
    return Lesion(
        f"{row.view}-contour{number}",
        "other",
        pathology="benign" if pathology == "benign" else "unknown",
        region=MaskFile(path, least=_BRIGHT, outline=True),
    )


def jpeg_shape(path: Path) -> tuple[int, int]:
    """(rows, cols) from the header of a JPEG file, its pixels left alone. Raises ExamError."""
    try:
        with path.open("rb") as file:
            data = file.read(1 << 16)
    except OSError as error:
        raise ExamError(f"{path.name}: cannot be read ({error.strerror}), need the whole file") from None
    at = 2
    while data.startswith(b"\xff\xd8") and at + 9 <= len(data):
        marker, length = struct.unpack(">HH", data[at : at + 4])
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):  # a start of frame, not a table
            rows, cols = struct.unpack(">HH", data[at + 5 : at + 9])
            if not rows or not cols:
                break
            return rows, cols
        at += 2 + length
    raise ExamError(f"{path.name}: no JPEG header with a size, need the whole file")


def load_mini_ddsm(record: ImageRecord) -> Mammogram:
    """The breast of the JPEG, 8 bits as it was written; all else of the film is 0."""
    return load_record(record, jpeg=True, film=True)


DATASET = Dataset(
    name=_NAME,
    title="Mini-DDSM, DDSM at half size as 8-bit JPEG",
    has="1,952 four-view exams (679 cancer, 671 benign, 602 normal), labels per exam, age, density, outlines",
    terms="no licence named; DDSM is public for research, cite Heath et al. 2001 and Lekamlage et al. 2020",
    source="Lekamlage et al. 2020; www.kaggle.com/datasets/cheddad/miniddsm2",
    read_here="40 images of 10 benign exams with their outlines, and the table of all 7,808",
    find=find_mini_ddsm,
    load=load_mini_ddsm,
)
