"""INbreast: 410 digital mammograms of 108 women, BI-RADS of a radiologist, exact outlines (Moreira et al. 2012).

BI-RADS is what a radiologist suspected, not what a biopsy found. So `malignant` and `benign` stay unknown (None) and
label_source is "birads"; `birads` is carried, and more["suspicious"] says "yes" for 4 to 6 and "no" for 1 to 3, the
usual two classes of this set. Nobody should call them cancer.

The woman is the 16 hex digits in the file name; the table has no patient. It says MLO where file names say ML.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from fourview.datasets.inbreast_rois import Annotation, read_annotation, read_muscle
from fourview.datasets.inbreast_table import SUSPICIOUS_FROM, LabelRow, angle_of, read_labels
from fourview.datasets.reading import load_record
from fourview.datasets.record import Dataset, ImageRecord, Listing, Polygon
from fourview.datasets.tables import files_below, find_one
from fourview.exam import ExamError, Mammogram, SetupError

_NAME = "inbreast"
_FILE = re.compile(r"(\d+)_([0-9a-f]{16})_MG_([LR])_([A-Z]+)_ANON\.dcm", re.IGNORECASE)
_TABLES = ("INbreast.csv", "INbreast.xls", "INbreast.xlsx")
_IMAGES, _PATIENTS = 410, 108


def find_inbreast(root: Path) -> Listing:
    """The images of AllDICOMs that the table names, with the outlines of AllXML and PectoralMuscle.

    Raises SetupError without the table, AllDICOMs or AllXML (an image without a file there is one without a finding),
    and for the PNG copies of masses, which have lost the patient. Where the table speaks of a finding or of a muscle
    whose outline is not there, the image has a warning, and the set one with their number: a download cut short would
    else look like images free of findings.
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
    records = []
    for image in sorted(labels.keys() & files.keys()):
        try:
            records.append(_record(labels[image], files[image], xml.get(image), muscles.get(image)))
        except ExamError as error:
            problems.append((files[image].name, str(error)))
    warnings += _name_other_views(records)
    warnings += _count_missing(records, [labels[record.image] for record in records], xml)
    patients = {record.patient for record in records}
    if len(records) == _IMAGES and len(patients) != _PATIENTS:
        warnings.append(f"the file names give {len(patients)} patients, the set has {_PATIENTS}")
    return Listing(tuple(records), tuple(problems), tuple(warnings))


def _name_other_views(records: Sequence[ImageRecord]) -> list[str]:
    """The images that are no standard view, as a warning of the set. The real one has one, seen from below (FB)."""
    others = [f"{record.image} ({record.side} {record.angle})" for record in records if record.view is None]
    if not others:
        return []
    which = f"{len(others)} of {len(records)} images {'is' if len(others) == 1 else 'are'}"
    return [f"{which} neither CC nor MLO, and no network here reads such a view: left out ({', '.join(others)})"]


def _count_missing(records: Sequence[ImageRecord], rows: Sequence[LabelRow], xml: Collection[str]) -> list[str]:
    """What of the outlines is missing in the whole set, as warnings; rows: of the records."""
    expected = [row.image for row in rows if row.outlines]
    missing = sum(image not in xml for image in expected)
    warnings = []
    if missing:
        warnings.append(
            f"{missing} of {len(expected)} images with findings in the table have no file in AllXML: "
            "without outlines they look normal"
        )
    oblique = [record for record in records if record.angle == "MLO"]
    without = sum(record.muscle is None for record in oblique)
    if oblique and without == len(oblique):
        warnings.append("no outlines of the pectoral muscle (folder PectoralMuscle)")
    elif without:
        warnings.append(f"{without} of {len(oblique)} MLO images have no outline of the pectoral muscle")
    return warnings


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
    named = angle_of(match[4])
    if named != row.angle and "FB" not in (named, row.angle):
        raise ExamError(f"the table says view {row.angle}, its name says {match[4]}")
    if named != row.angle:
        warnings.append(f"the table says view {row.angle}, its name says {match[4]}")
    if row.outlines and xml is None:
        warnings.append(f"no file in AllXML, but the table says {row.outlines}: its outlines are missing")
    annotation = read_annotation(xml, row.image) if xml else Annotation()
    muscle = annotation.muscle
    if muscle is None and muscle_xml is not None:
        muscle, doubts = _muscle(muscle_xml)
        warnings += doubts
    elif muscle is None and row.muscle:
        warnings.append("no outline of the pectoral muscle, which the table announces")
    patient = match[2].lower()
    more = {
        "suspicious": "yes" if row.birads >= SUSPICIOUS_FROM else "no",
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
        date=_first_month(row.half_year),
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


def _first_month(half_year: str) -> str | None:
    """The first month of a half-year: 200802, the second half of 2008, is 2008-07. No more is known of the date."""
    match = re.fullmatch(r"((?:19|20)\d{2})0([12])", half_year)
    return f"{match[1]}-{'01' if match[2] == '1' else '07'}" if match else None


def load_inbreast(record: ImageRecord) -> Mammogram:
    """The DICOM image; see reading.load_record."""
    return load_record(record)


DATASET = Dataset(
    name=_NAME,
    title="INbreast, digital mammograms with exact outlines",
    has="410 images of 108 women, CC and MLO but for one FB, which is left out; BI-RADS of a radiologist (no biopsy), "
    "density, outlines, pectoral muscle",
    terms="research only, on request; no redistribution",
    source="Moreira et al. 2012, doi 10.1016/j.acra.2011.09.014; on request from INESC TEC, Porto",
    read_here="the table of all 410 images; never the images or the outlines",
    find=find_inbreast,
    load=load_inbreast,
)
