"""INbreast: 410 digital mammograms of 108 women, BI-RADS of a radiologist, exact outlines (Moreira et al. 2012).

BI-RADS is what a radiologist suspected, not what a biopsy found. So `malignant` and `benign` stay unknown (None) and
label_source is "birads"; `birads` is carried, and more["suspicious"] says "yes" for 4 to 6 and "no" for 1 to 3, the
usual two classes of this set. Nobody should call them cancer.

The woman is the 16 hex digits in the file name; the table has no patient. It says MLO where file names say ML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fourview.datasets.inbreast_rois import Annotation, read_annotation, read_muscle
from fourview.datasets.reading import load_record
from fourview.datasets.record import BIRADS, Dataset, ImageRecord, Listing, Polygon
from fourview.datasets.tables import files_below, find_one, read_sheet, read_table, side_of
from fourview.exam import ExamError, Mammogram, SetupError, Side

_NAME = "inbreast"
_FILE = re.compile(r"(\d+)_([0-9a-f]{16})_MG_([LR])_([A-Z]+)_ANON\.dcm", re.IGNORECASE)
_SHEET = "Sheet1"  # other sheets of copies in circulation hold diagnoses of the women: never read
_TABLES = ("INbreast.csv", "INbreast.xls", "INbreast.xlsx")
_NEEDS = ("Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads")
_FINDINGS = ("Mass", "Micros", "Distortion", "Asymmetry")  # columns of the Excel file: X where there is one
_DENSITIES = {"1": "A", "2": "B", "3": "C", "4": "D", "": None}
_IMAGES, _PATIENTS = 410, 108
_SUSPICIOUS_FROM = "4"


@dataclass(frozen=True)
class LabelRow:
    """One row of the table, as values."""

    image: str
    side: Side
    angle: str
    half_year: str
    density: str | None
    birads: str
    findings: tuple[str, ...]


def find_inbreast(root: Path) -> Listing:
    """The images of AllDICOMs that the table names, with the outlines of AllXML and PectoralMuscle.

    Raises SetupError without the table, AllDICOMs or AllXML (an image without a file there is one without a finding),
    and for the PNG copies of masses, which have lost the patient.
    """
    _refuse_png_copies(root)
    dicoms = find_one(root, "AllDICOMs", need="the images of INbreast Release 1.0")
    outlines = find_one(root, "AllXML", need="the outlines of INbreast: without them all images look free of findings")
    table = find_one(root, *_TABLES, need="the table of INbreast")
    labels, problems, warnings = read_labels(table)
    files, strange = _dicom_files(dicoms)
    problems += strange
    for image in sorted(labels.keys() - files.keys()):
        problems.append((image, f"in {table.name}, but its image is not there"))
    for image in sorted(files.keys() - labels.keys()):
        problems.append((files[image].name, f"no row in {table.name}"))
    xml = {path.stem: path for path in files_below(outlines, ".xml")}
    for name in sorted(xml.keys() - files.keys()):
        problems.append((xml[name].name, "outlines, but their image is not there"))
    muscles = {path.stem.removesuffix("_muscle"): path for path in files_below(root, ".xml") if _is_muscle(path)}
    if not muscles:
        warnings.append("no outlines of the pectoral muscle (folder PectoralMuscle)")
    records = []
    for image in sorted(labels.keys() & files.keys()):
        try:
            records.append(_record(labels[image], files[image], xml.get(image), muscles.get(image)))
        except ExamError as error:
            problems.append((files[image].name, str(error)))
    patients = {record.patient for record in records}
    if len(records) == _IMAGES and len(patients) != _PATIENTS:
        warnings.append(f"the file names give {len(patients)} patients, the set has {_PATIENTS}")
    return Listing(tuple(records), tuple(problems), tuple(warnings))


def _is_muscle(path: Path) -> bool:
    return path.stem.endswith("_muscle")


def _refuse_png_copies(root: Path) -> None:
    folders = [entry.name for entry in root.glob("*/*") if entry.is_dir()] if root.is_dir() else []
    folders += [entry.name for entry in root.glob("*") if entry.is_dir()]
    if any(re.fullmatch(r"(benign|malignant) masses", folder, re.IGNORECASE) for folder in folders):
        raise SetupError(
            "these are the PNG copies 'Breast cancer masses' (7,632 turned and flipped copies of about 106 images): "
            "their names have lost the patient, and any split leaks; need INbreast Release 1.0 (AllDICOMs, AllXML)"
        )


def read_labels(path: Path) -> tuple[dict[str, LabelRow], list[tuple[str, str]], list[str]]:
    """image -> its row; (image, reason) of rows that cannot be understood; warnings.

    path  INbreast.csv (separator ";"), or the Excel file, of which only Sheet1 is read
    Rows without a file name (the totals below the table) are dropped. Raises SetupError.
    """
    is_csv = path.suffix.lower() == ".csv"
    rows = read_table(path, separator=";", needs=_NEEDS) if is_csv else read_sheet(path, _SHEET, needs=_NEEDS)
    labels: dict[str, LabelRow] = {}
    problems = []
    dropped = 0
    seen: set[str] = set()
    for row in rows:
        image = row["File Name"]
        if not image.isdigit():
            dropped += 1
            continue
        try:
            if image in seen:
                raise ExamError("it has more than one row")
            seen.add(image)
            labels[image] = _label_row(row)
        except ExamError as error:
            labels.pop(image, None)
            problems.append((image, f"{path.name}: {error}"))
    if not labels:
        raise SetupError(f"{path.name}: no row with a file name and BI-RADS, need the table of INbreast")
    return labels, problems, [f"{path.name}: {dropped} rows without a file name dropped"] if dropped else []


def _label_row(row: Mapping[str, str]) -> LabelRow:
    side, angle = side_of(row["Laterality"]), _angle(row["View"])
    birads, density = row["Bi-Rads"].lower(), row["ACR"]
    if side is None or not angle:
        raise ExamError(f"found side {row['Laterality']!r} and view {row['View']!r}, need L or R and a view")
    if birads not in BIRADS[1:]:
        raise ExamError(f"found BI-RADS {row['Bi-Rads']!r}, need 1, 2, 3, 4a, 4b, 4c, 5 or 6")
    if density not in _DENSITIES:
        raise ExamError(f"found ACR {density!r}, need 1 to 4 or a blank")
    return LabelRow(
        row["File Name"],
        side,
        angle,
        row["Acquisition date"],
        _DENSITIES[density],
        birads,
        tuple(name.lower() for name in _FINDINGS if row.get(name)),
    )


def _angle(word: str) -> str:
    """The view, where this set writes ML for MLO."""
    angle = word.strip().upper()
    return "MLO" if angle == "ML" else angle


def _dicom_files(folder: Path) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    files: dict[str, Path] = {}
    problems = []
    for path in files_below(folder):
        match = _FILE.fullmatch(path.name)
        if match is None:
            if path.suffix.lower() == ".dcm":
                problems.append((path.name, "its name has no patient: need 20586908_<16 hex digits>_MG_R_CC_ANON.dcm"))
        elif (first := files.setdefault(match[1], path)) != path:
            problems.append((path.name, f"a second file of the image {match[1]}, beside {first.name}"))
    return files, problems


def _record(row: LabelRow, path: Path, xml: Path | None, muscle_xml: Path | None) -> ImageRecord:
    match = _FILE.fullmatch(path.name)
    if match is None:
        raise ExamError("its name has no patient")
    if match[3].upper() != row.side.value:
        raise ExamError(f"the table says side {row.side}, its name says {match[3]}")
    warnings = []
    named = _angle(match[4])
    if named != row.angle and "FB" not in (named, row.angle):
        raise ExamError(f"the table says view {row.angle}, its name says {match[4]}")
    if named != row.angle:
        warnings.append(f"the table says view {row.angle}, its name says {match[4]}")
    annotation = read_annotation(xml, row.image) if xml else Annotation()
    muscle = annotation.muscle
    if muscle is None and muscle_xml is not None:
        muscle, doubts = _muscle(muscle_xml)
        warnings += doubts
    patient = match[2].lower()
    more = {
        "suspicious": "yes" if row.birads >= _SUSPICIOUS_FROM else "no",
        "half-year": row.half_year,
        "findings": ", ".join(row.findings),
        "outlines without a name": str(annotation.ignored) if annotation.ignored else "",
    }
    return ImageRecord(
        _NAME,
        patient=patient,
        exam=f"{patient}_{row.half_year}",
        image=row.image,
        path=path,
        side=row.side,
        angle="FB" if "FB" in (named, row.angle) else row.angle,
        label_unit="image",
        label_source="birads",
        birads=row.birads,
        density=row.density,
        vendor="Siemens",
        date=_first_day(row.half_year),
        spacing_mm=0.07,
        lesions=annotation.lesions,
        muscle=muscle,
        more={key: value for key, value in more.items() if value},
        warnings=(*warnings, *annotation.warnings),
    )


def _muscle(path: Path) -> tuple[Polygon | None, list[str]]:
    try:
        return read_muscle(path), []
    except ExamError as error:
        return None, [f"no outline of the muscle: {error}"]


def _first_day(half_year: str) -> str | None:
    """The first day of a half-year: 200802, the second half of 2008, is 2008-07-01. The day is not known."""
    match = re.fullmatch(r"((?:19|20)\d{2})0([12])", half_year)
    return f"{match[1]}-{'01' if match[2] == '1' else '07'}-01" if match else None


def load_inbreast(record: ImageRecord) -> Mammogram:
    """The DICOM image; see reading.load_record."""
    return load_record(record)


DATASET = Dataset(
    name=_NAME,
    title="INbreast, digital mammograms with exact outlines",
    has="410 images of 108 women, CC and MLO; BI-RADS of a radiologist (no biopsy), density, outlines, pectoral muscle",
    terms="research only, on request; no redistribution",
    source="Moreira et al. 2012, doi 10.1016/j.acra.2011.09.014; on request from INESC TEC, Porto",
    read_here="the table of all 410 images; never the images or the outlines",
    find=find_inbreast,
    load=load_inbreast,
)
