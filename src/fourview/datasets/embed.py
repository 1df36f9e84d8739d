"""EMBED, the Emory Breast Imaging Dataset, open part: findings, BI-RADS and pathology of 22,382 women.

One table has a row per finding, the other a row per file. They meet in patient, exam and breast: a finding of side B or
of no side belongs to both breasts. Joined by exam alone, a cancer of one breast would become a cancer of both. Source
of the codes: README of Emory-HITI/EMBED_Open_Data; Jeong et al. 2023 (doi 10.1148/ryai.220047).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from fourview.datasets.embed_findings import FINDING_NEEDS, Findings, describe_findings, findings_by_breast
from fourview.datasets.reading import load_record
from fourview.datasets.record import Dataset, ImageRecord, Lesion, Listing
from fourview.datasets.tables import files_below, find_one, number_of, read_table, side_of
from fourview.exam import Box, ExamError, Mammogram

_NAME = "embed"
_CLINICAL, _METADATA = "EMBED_OpenData_clinical.csv", "EMBED_OpenData_metadata.csv"
_NEED = "the tables of EMBED from its folder tables/"
_NEEDS = (
    "empi_anon", "acc_anon", "anon_dicom_path", "FinalImageType", "ImageLateralityFinal", "ViewPosition", "spot_mag",
    "num_roi", "ROI_coords",
)  # fmt: skip
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
Row = Mapping[str, str]


def find(root: Path) -> Listing:
    """The files of the metadata table, in its order. Raises SetupError.

    Synthesised images (C-view), spot and magnification views keep their angle with that word: "CC C-view".
    """
    findings = findings_by_breast(read_table(find_one(root, _CLINICAL, need=_NEED), needs=FINDING_NEEDS))
    rows = read_table(find_one(root, _METADATA, need=_NEED), needs=_NEEDS)
    below = files_below(root, ".dcm")
    files = {_place(path): path for path in below}
    doubled = {place for place, count in Counter(map(_place, below)).items() if count > 1}
    records, problems = [], []
    named: set[str] = set()
    for row in rows:
        place = _place(row["anon_dicom_path"])
        try:
            if place in named:
                raise ExamError(f"{_METADATA} lists it twice, need one row per file")
            named.add(place)
            if place in doubled:
                raise ExamError("its file is there more than once (in two cohorts, or as a copy), need one")
            if place not in files:
                raise ExamError(f"in {_METADATA}, but its file is not there")
            records.append(_record(row, files[place], findings))
        except ExamError as error:
            problems.append((place, str(error)))
    problems += [(place, f"{_METADATA} does not name it") for place in files if place not in named]
    exams = {(row["empi_anon"], row["acc_anon"]) for row in rows}
    for patient, exam in findings.exams:
        if (patient, exam) not in exams:
            problems.append((f"exam {exam}", f"in {_CLINICAL}, but {_METADATA} has no file of it"))
    return Listing(tuple(records), tuple(problems))


def _place(path: Path | str) -> str:
    """patient/study/file of a path, the part that the tables and every copy of the set have in common."""
    return "/".join(PurePosixPath(path).parts[-3:])


def _record(row: Row, path: Path, findings: Findings) -> ImageRecord:
    patient, exam, side = row["empi_anon"], row["acc_anon"], side_of(row["ImageLateralityFinal"])
    if side is None:
        raise ExamError(f"found ImageLateralityFinal {row['ImageLateralityFinal']!r}, need L or R")
    said = describe_findings(findings.of(patient, exam, side), side)
    image = path.stem
    return ImageRecord(
        _NAME,
        patient,
        exam=exam,
        image=image,
        path=path,
        side=side,
        angle=_angle(row),
        malignant=said.malignant,
        benign=said.benign,
        high_risk=said.high_risk,
        label_unit="breast",
        label_source="birads" if said.malignant is None and said.birads else said.source,
        birads=said.birads,
        density=said.density,
        vendor=row.get("Manufacturer") or None,
        date=row.get("study_date_anon") or None,
        lesions=tuple(_lesions(row, image, _matches(row))),
        more=said.more,
    )


def _angle(row: Row) -> str:
    words = [row["ViewPosition"].upper()]
    if row["FinalImageType"] != "2D":
        words.append("C-view" if row["FinalImageType"].lower() == "cview" else row["FinalImageType"])
    if number_of(row["spot_mag"]):
        words.append("spot")
    return " ".join(filter(None, words))


def _matches(row: Row) -> list[str]:
    """How each outline came to this image: "1" drawn on it, "2" carried over from another one."""
    return re.findall(r"\d+", row.get("match_level", ""))


def _lesions(row: Row, image: str, matches: list[str]) -> Iterable[Lesion]:
    """The radiologist's regions. Which of a breast's findings they outline the set does not say."""
    numbers = [float(word) for word in _NUMBER.findall(row["ROI_coords"])]
    count = int(number_of(row["num_roi"]) or 0)
    if len(numbers) != 4 * count:
        raise ExamError(f"found {len(numbers)} numbers in ROI_coords, num_roi says {count} regions of four")
    for at in range(count):
        top, left, bottom, right = (round(value) for value in numbers[4 * at : 4 * at + 4])  # ymin, xmin, ymax, xmax
        if not (0 <= top < bottom and 0 <= left < right):
            raise ExamError(f"found the region {numbers[4 * at : 4 * at + 4]}, need ymin, xmin, ymax, xmax")
        yield Lesion(
            f"{image}_{at + 1}",
            "other",
            region=Box(top, bottom, left, right),
            descriptors={"match_level": matches[at]} if at < len(matches) else {},
        )


def load(record: ImageRecord) -> Mammogram:
    """The image as ingest reads it. Raises ExamError."""
    return load_record(record)


DATASET = Dataset(
    _NAME,
    "EMBED, the Emory Breast Imaging Dataset (open 20 %)",
    has="480,323 digital mammograms of 22,382 women; BI-RADS, densities, findings, pathology, regions drawn by "
    "radiologists",
    terms="research only; no redistribution, and no release of models trained on it",
    source="https://github.com/Emory-HITI/EMBED_Open_Data: ask for access, then copy images and tables/ from AWS",
    read_here="never: only a miniature in its layout",
    find=find,
    load=load,
    releases_models=False,
)
