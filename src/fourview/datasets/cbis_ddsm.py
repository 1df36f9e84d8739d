"""CBIS-DDSM: 3,103 digitised film mammograms with masks and pathology, from TCIA or from its Kaggle mirror.

The same film can be in the set twice, once for its masses and once for its calcifications: 71 films are. They become
one image with the lesions of both. Source: Lee et al. 2017, doi 10.7937/K9/TCIA.2016.7O02S9CY.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fourview.datasets.cbis_files import SeriesFile, SeriesFiles, find_mammogram, find_mask, find_series, is_mask
from fourview.datasets.cbis_tables import (
    WITHOUT_CALLBACK,
    Abnormality,
    cross_type_patients,
    disputed_findings,
    read_abnormalities,
)
from fourview.datasets.reading import LOSSY, load_record
from fourview.datasets.record import Dataset, ImageRecord, Lesion, Listing, MaskFile
from fourview.exam import ExamError, Mammogram

NAME = "cbis-ddsm"
_WHITE_FROM = 128  # in masks that went through JPEG, black and white are blurred


@dataclass(frozen=True)
class _Doubts:
    """What is not certain about a whole table: see cross_type_patients and disputed_findings."""

    without_split: frozenset[str]
    disputed: frozenset[object]


def find(root: Path) -> Listing:
    """The images of the set, by patient, side and view. Headers only. Raises SetupError."""
    rows, problems = read_abnormalities(root)
    series = find_series(root, {name for row in rows for name in (row.image_series, row.crop_series, row.mask_series)})
    crossing = cross_type_patients(rows)
    doubts = _Doubts(frozenset(crossing), frozenset(disputed_findings(rows)))
    images: dict[str, list[Abnormality]] = defaultdict(list)
    for row in rows:
        images[row.image].append(row)
    records, found = [], list(problems)
    for image, abnormalities in sorted(images.items()):
        try:
            records.append(_record(image, abnormalities, series, doubts, found))
        except ExamError as error:
            found.append((image, str(error)))
    return Listing(tuple(records), (*found, *series.unnamed), _set_warnings(crossing, doubts, lossy=series.lossy))


def _set_warnings(crossing: Sequence[str], doubts: _Doubts, *, lossy: bool) -> tuple[str, ...]:
    warnings = [LOSSY] if lossy else []
    if crossing:
        warnings.append(
            f"{len(crossing)} patients are in the training set of one lesion type and in the test set of the other; "
            f"their images have no official split: {', '.join(crossing)}"
        )
    if doubts.disputed:
        warnings.append(
            f"{len(doubts.disputed)} abnormalities have another pathology in CC than in MLO: "
            "they are kept as separate lesions"
        )
    return tuple(warnings)


def _record(
    image: str, rows: list[Abnormality], series: SeriesFiles, doubts: _Doubts, problems: list[tuple[str, str]]
) -> ImageRecord:
    """The record of one film. Lesions whose mask cannot be used have no region, and are noted in `problems`."""
    first = rows[0]
    mammogram, chosen = _mammogram(rows, series)
    lesions = tuple(_lesion(row, mammogram, series, doubts, problems) for row in rows)
    words = {row.word for row in rows}
    splits = {row.split for row in rows}
    return ImageRecord(
        NAME,
        first.patient,
        exam=first.patient,
        image=image,
        path=mammogram.path,
        side=first.side,
        angle=first.angle,
        malignant="MALIGNANT" in words,
        benign=words != {"MALIGNANT"},
        label_source="birads" if words == {WITHOUT_CALLBACK} else "biopsy",  # no callback, so no biopsy
        birads=max(row.assessment for row in rows),  # the gravest; 0 (incomplete) only where all are
        density=first.density,
        lesions=lesions,
        split=None if first.patient in doubts.without_split else splits.pop(),
        more={
            "series": chosen,
            "types": ", ".join(sorted({row.kind for row in rows})),
            **{f"part of {row.kind}": row.split for row in rows},
        },
        warnings=_image_warnings(rows, doubts, lossy=series.lossy),
    )


def _image_warnings(rows: Iterable[Abnormality], doubts: _Doubts, *, lossy: bool) -> tuple[str, ...]:
    disputed = [f"{row.kind} {row.number}" for row in rows if row.finding in doubts.disputed]
    found = [f"{', '.join(disputed)}: another pathology in the other view"] if disputed else []
    return (*found, LOSSY) if lossy else tuple(found)


def _mammogram(rows: Iterable[Abnormality], series: SeriesFiles) -> tuple[SeriesFile, str]:
    """The film's file and series; of a film that is there twice, the first that can be used. Raises ExamError."""
    reasons = []
    for name in dict.fromkeys(row.image_series for row in rows):
        try:
            return find_mammogram(series.by_series.get(name, ())), name
        except ExamError as error:
            reasons.append(f"series {name}: {error}")
    raise ExamError("; ".join(reasons))


def _lesion(
    row: Abnormality, mammogram: SeriesFile, series: SeriesFiles, doubts: _Doubts, problems: list[tuple[str, str]]
) -> Lesion:
    names = dict.fromkeys((row.mask_series, row.crop_series))  # 104 abnormalities have two series
    files = [file for name in names for file in series.by_series.get(name, ())]
    name = f"{row.patient}_{row.side}_{row.kind}_{row.number}"
    region = None
    try:
        region = MaskFile(find_mask(files, mammogram).path, least=_WHITE_FROM if series.lossy else 1)
    except ExamError as error:
        problems.append((f"{row.image} {row.kind} {row.number}", f"{error}; the lesion is kept without a region"))
    return Lesion(
        f"{name}_{row.angle}" if row.finding in doubts.disputed else name,
        row.kind,
        row.pathology,
        region=region,
        descriptors=row.descriptors,
    )


def load(record: ImageRecord) -> Mammogram:
    """The breast of the film, after a look at its masks. The pixels decide where the breast points: no header says it.

    Raises ExamError, also for a mask that is the size of the film but no mask.
    """
    for lesion in record.lesions:
        if not isinstance(lesion.region, MaskFile):
            continue
        try:
            found = is_mask(lesion.region.path)
        except ExamError as error:
            raise ExamError(f"{record.image}: the mask of {lesion.lesion} cannot be read: {error}") from error
        if not found:
            raise ExamError(
                f"{record.image}: the mask of {lesion.lesion} has the size of the film, but holds more than two grey "
                "values; need a mask"
            )
    return load_record(record, mirrored_auto=True, jpeg=True, film=True)


DATASET = Dataset(
    NAME,
    "CBIS-DDSM (Curated Breast Imaging Subset of DDSM)",
    has="3,032 film mammograms of 1,566 women; every lesion with mask, BI-RADS words and pathology; official split",
    terms="CC BY 3.0 of the collection at TCIA; cite Lee et al. 2017",
    source="https://doi.org/10.7937/K9/TCIA.2016.7O02S9CY (164 GB by NBIA Data Retriever, and the four tables); or the "
    "Kaggle mirror awsaf49/cbis-ddsm-breast-cancer-image-dataset (6 GB, 8-bit JPEG)",
    read_here="the four tables, the download list and 5 crops with 3 masks; never a whole mammogram of the set: only a "
    "miniature in its layouts",
    find=find,
    load=load,
)
