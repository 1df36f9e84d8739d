"""VinDr-Mammo: 5,000 four-view exams with a BI-RADS assessment per breast and boxes around findings, no biopsies.

Nothing here is known to be malignant or benign: both labels stay unknown, and only BI-RADS speaks. The tables name no
patients. Source: Nguyen et al. 2023 (Scientific Data 10:277), PhysioNet vindr-mammo.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from fourview.datasets.reading import load_record
from fourview.datasets.record import Dataset, ImageRecord, Lesion, LesionKind, Listing
from fourview.datasets.tables import files_below, find_one, number_of, read_table, side_of
from fourview.exam import Box, ExamError, Mammogram, SetupError

_NAME = "vindr"
_BREASTS, _FINDINGS, _METADATA = "breast-level_annotations.csv", "finding_annotations.csv", "metadata.csv"
_NEED = "the tables of VinDr-Mammo from PhysioNet"
_SPLITS = {"training": "train", "test": "test"}
_NO_FINDING = "No Finding"
_KINDS: dict[str, LesionKind] = {  # the rest (skin, nipple, lymph nodes) is "other"
    "Mass": "mass",
    "Suspicious Calcification": "calcification",
    "Architectural Distortion": "distortion",
    "Asymmetry": "asymmetry",
    "Focal Asymmetry": "asymmetry",
    "Global Asymmetry": "asymmetry",
}
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
Row = Mapping[str, str]


def find(root: Path) -> Listing:
    """The images of the set in the order of its breast table. Raises SetupError."""
    table = find_one(root, _BREASTS, need=_NEED)
    rows = read_table(
        table,
        needs=(
            "study_id", "image_id", "laterality", "view_position", "height", "width", "breast_birads", "breast_density",
            "split",
        ),
    )  # fmt: skip
    findings = _findings(root)
    about = _metadata(root)
    if not (table.parent / "images").is_dir():
        raise SetupError(f"no folder images beside {table.name}: need images/(study)/(image).dicom")
    records, problems = [], []
    named: set[str] = set()
    for row in rows:
        image = row["image_id"]
        try:
            if image in named:
                raise ExamError(f"{_BREASTS} lists it twice, need one row per image")
            named.add(image)
            records.append(_record(row, table.parent, findings.get(image, []), about))
        except ExamError as error:
            problems.append((image, str(error)))
    problems += [(image, f"in {_FINDINGS}, but not in {_BREASTS}") for image in sorted(findings.keys() - named)]
    for path in files_below(table.parent / "images", ".dicom", ".dcm"):
        if path.stem not in named:
            problems.append((f"{path.parent.name}/{path.name}", f"{_BREASTS} does not name it"))
    warnings = [] if about else [f"no {_METADATA}: vendors and ages are unknown"]
    return Listing(tuple(records), tuple(problems), tuple(warnings))


def _findings(root: Path) -> dict[str, list[Row]]:
    needs = ("image_id", "finding_categories", "finding_birads", "xmin", "ymin", "xmax", "ymax")
    found: dict[str, list[Row]] = defaultdict(list)
    for row in read_table(find_one(root, _FINDINGS, need=_NEED), needs=needs):
        found[row["image_id"]].append(row)
    return found


def _metadata(root: Path) -> dict[str, Row]:
    """What metadata.csv says of each image; {} without it: it adds to the labels, but is none of them."""
    try:
        path = find_one(root, _METADATA, need=_NEED)
    except SetupError:
        return {}
    rows = read_table(path, needs=("SOP Instance UID",), keep=("Patient's Age", "Manufacturer"))
    return {row["SOP Instance UID"]: row for row in rows}


def _record(row: Row, base: Path, findings: list[Row], about: Mapping[str, Row]) -> ImageRecord:
    image, side = row["image_id"], side_of(row["laterality"])
    path = base / "images" / row["study_id"] / f"{image}.dicom"
    if not path.is_file():
        raise ExamError(f"in {_BREASTS}, but images/{row['study_id']}/{path.name} is not there")
    if side is None or row["split"] not in _SPLITS:
        raise ExamError(
            f"found laterality {row['laterality']!r}, split {row['split']!r}; need L or R, training or test"
        )
    said = about.get(image, {})
    age = re.fullmatch(r"0*(\d+)Y?", said.get("Patient's Age", ""))
    return ImageRecord(
        _NAME,
        None,
        exam=row["study_id"],
        image=image,
        path=path,
        side=side,
        angle=row["view_position"].upper(),
        label_unit="breast",
        label_source="birads",
        birads=row["breast_birads"].removeprefix("BI-RADS ") or None,
        density=row["breast_density"].removeprefix("DENSITY ") or None,
        age=float(age[1]) if age and int(age[1]) else None,
        vendor=said.get("Manufacturer") or None,
        lesions=tuple(_lesions(row, findings)),
        split=_SPLITS[row["split"]],
    )


def _lesions(row: Row, findings: list[Row]) -> list[Lesion]:
    lesions: list[Lesion] = []
    for finding in findings:
        if finding.get("laterality", row["laterality"]) != row["laterality"]:
            raise ExamError(
                f"{_FINDINGS} says side {finding['laterality']}, {_BREASTS} {row['laterality']}: need one side"
            )
        text = finding["finding_categories"]  # a list as text: "['Mass', 'Nipple Retraction']"
        categories = ["".join(pair) for pair in _QUOTED.findall(text)]
        if not categories:
            raise ExamError(f"found finding_categories {text!r}, need a list of words")
        if categories == [_NO_FINDING]:
            continue
        kinds = [_KINDS[word] for word in categories if word in _KINDS]
        descriptors = {"categories": ", ".join(categories), "birads": finding["finding_birads"]}
        lesions.append(
            Lesion(
                f"{row['image_id']}_{len(lesions) + 1}",  # nobody says which boxes of two views belong together
                kinds[0] if kinds else "other",
                region=_box(finding, row),
                descriptors={name: value for name, value in descriptors.items() if value},
            )
        )
    return lesions


def _box(finding: Row, row: Row) -> Box:
    """The pixels that the box touches, within the image: the published corners are fractions of pixels."""
    corners = [number_of(finding[name]) for name in ("xmin", "ymin", "xmax", "ymax")]
    height, width = number_of(row["height"]), number_of(row["width"])
    if any(corner is None or not math.isfinite(corner) for corner in corners) or not height or not width:
        raise ExamError(f"its box in {_FINDINGS}, or its size, is no number")
    left, top, right, bottom = (float(corner or 0) for corner in corners)
    box = Box(
        max(math.floor(top), 0),
        min(math.ceil(bottom), int(height)),
        max(math.floor(left), 0),
        min(math.ceil(right), int(width)),
    )
    if box.height <= 0 or box.width <= 0:
        raise ExamError(f"its box in {_FINDINGS} is empty or outside of the image")
    return box


def load(record: ImageRecord) -> Mammogram:
    """The image as ingest reads it: MONOCHROME1 and 2 occur. Raises ExamError."""
    return load_record(record)


DATASET = Dataset(
    _NAME,
    "VinDr-Mammo",
    has="20,000 digital mammograms of 5,000 exams; BI-RADS and density per breast, boxes of findings; official split; "
    "no biopsies and no patient key",
    terms="PhysioNet restricted use: sign its data use agreement; no redistribution",
    source="https://physionet.org/content/vindr-mammo/ (doi 10.13026/br2v-7517): images/ and the tables beside it",
    read_here="never: only a miniature in its layout",
    find=find,
    load=load,
)
