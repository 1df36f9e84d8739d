"""DDSM as the University of South Florida published it: four films per case, 43 volumes, 2,620 cases.

The films are lossless JPEG by an old encoder whose faults make common libraries return wrong pixels for some of them
(.LJPEG; imagecodecs issue 61). Decode them first, with the program `jpeg -d -s` that came with the set or the package
ljpeg; nothing is run from here. The raw .LJPEG.1 files that `jpeg -d -s` leaves are read, and 16-bit TIFF, PNG and
PGM with the values of the scanner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.datasets.ddsm_case import (
    BIOPSIED,
    Abnormality,
    Case,
    lesion_names,
    read_case,
    read_overlay,
    side_and_angle,
)
from fourview.datasets.optical_density import (
    Scanner,
    check_values,
    density_to_pixels,
    film_lightness,
    optical_density,
    scanner_of,
)
from fourview.datasets.reading import compose
from fourview.datasets.record import Dataset, ImageRecord, LabelSource, Listing
from fourview.datasets.tables import files_below
from fourview.exam import Decision, ExamError, Mammogram, SetupError
from fourview.ingest import raster

_NAME = "ddsm"
_FORMATS = (".ljpeg.1", ".png", ".ljpeg.png", ".tif", ".ljpeg.tif", ".tiff", ".ljpeg.tiff", ".pgm", ".ljpeg.pgm")
_CATEGORIES = {  # folder of a case -> what kind of case it is
    "cancers": "cancer",
    "benigns": "benign",
    "normals": "normal",
    "benign_without_callbacks": "benign without callback",
}
HOW_TO_DECODE = (
    "only .LJPEG is there, which common libraries read wrongly: decode it first, with `jpeg -d -s` of the set "
    "(its .LJPEG.1 is read) or with the package ljpeg to 16-bit TIFF"
)


def find_ddsm(root: Path) -> Listing:
    """The films of all cases below a folder, each case a folder with its .ics file.

    Labels are those of a breast: it is malignant (benign) where one of its abnormalities, in either view, is. A
    breast without any outline is neither; its source is "unknown", as DDSM does not say what it rests on. Where an
    .ics file announces an outline file that is missing, the breast has no label, and its films are problems.
    """
    headers = list(files_below(root, ".ics")) if root.is_dir() else []
    if not headers:
        raise SetupError(f"{root.name}: no .ics file, need case folders of DDSM (cases/cancers/cancer_01/case0001/...)")
    records: list[ImageRecord] = []
    problems: list[tuple[str, str]] = []
    taken: dict[str, Path] = {}
    for header in headers:
        try:
            case = read_case(header)
        except ExamError as error:
            problems.append((header.name, str(error)))
            continue
        if (first := taken.setdefault(case.name, header)) != header:
            problems.append((header.name, f"a second copy of the case in {first.parent.name}"))
            continue
        found, wrong = _case_records(case, header.parent)
        records += found
        problems += wrong
    if not records:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in problems[:2])
        raise SetupError(f"{root.name}: no film of {len(headers)} cases can be taken ({reasons})")
    return Listing(tuple(records), tuple(problems))


def _case_records(case: Case, folder: Path) -> tuple[list[ImageRecord], list[tuple[str, str]]]:
    files = {path.name.lower(): path for path in sorted(folder.iterdir())}
    abnormalities, problems = read_overlays(case, files)
    broken = {view.split("_")[0] for view in case.views if view not in abnormalities}
    names = lesion_names(abnormalities)
    records = []
    for view in case.views:
        image = f"{case.name}.{view}"
        path = next((files[key] for end in _FORMATS if (key := f"{image}{end}".lower()) in files), None)
        if path is None:
            encoded = f"{image}.ljpeg".lower() in files
            problems.append((image, HOW_TO_DECODE if encoded else f"in {case.name}.ics, but its image is not there"))
        elif view.split("_")[0] in broken:
            if view in abnormalities:
                problems.append((image, "the outlines of the other view of this breast are missing: no label"))
        else:
            records.append(_record(case, view, path, abnormalities, names))
    expected = {f"{case.name}.{view}".lower() for view in case.views}
    for key, path in files.items():
        if key.endswith(_FORMATS) and not any(key.startswith(name) for name in expected):
            problems.append((path.name, f"not in the .ics file of {case.name}"))
    return records, problems


def read_overlays(
    case: Case, files: Mapping[str, Path]
) -> tuple[dict[str, tuple[Abnormality, ...]], list[tuple[str, str]]]:
    """view -> its abnormalities, () where the .ics file says it has none; (name, reason) of views without an answer.

    files  of the case's folder, by lower-case name
    """
    found: dict[str, tuple[Abnormality, ...]] = {}
    problems = []
    for view, film in case.views.items():
        path = files.get(f"{case.name}.{view}.overlay".lower())
        if path is None and film.overlay:
            problems.append((f"{case.name}.{view}", "its .OVERLAY file is announced, but not there: no label"))
        elif path is None:
            found[view] = ()
        else:
            try:
                found[view] = read_overlay(path)
            except ExamError as error:
                problems.append((f"{case.name}.{view}", str(error)))
    return found, problems


def _record(
    case: Case,
    view: str,
    path: Path,
    abnormalities: Mapping[str, Sequence[Abnormality]],
    names: Mapping[tuple[str, int], str],
) -> ImageRecord:
    side, angle = side_and_angle(view)
    film, scanner = case.views[view], scanner_of(case.prefix, case.digitizer)
    of_breast = [one for at, found in abnormalities.items() if at[0] == view[0] for one in found]
    words = [one.pathology for one in of_breast]
    more = {"digitizer": case.digitizer, "bits": str(film.bits), "rows": str(film.rows), "cols": str(film.cols)}
    category = next((_CATEGORIES[part] for part in path.parts[::-1] if part in _CATEGORIES), None)
    return ImageRecord(
        _NAME,
        patient=case.patient,
        exam=case.name,
        image=f"{case.name}.{view}",
        path=path,
        side=side,
        angle=angle,
        malignant=_any_of({"MALIGNANT"}, words),
        benign=_any_of({"BENIGN", "BENIGN_WITHOUT_CALLBACK"}, words),
        label_unit="breast",
        label_source=_label_source(set(words)),
        birads=highest_assessment(abnormalities[view]),
        density=case.density,
        age=case.age,
        vendor=scanner.name if scanner else case.digitizer or None,
        date=case.date,
        spacing_mm=film.um / 1000,
        lesions=tuple(one.lesion(names[view, one.number], outline=one.outline) for one in abnormalities[view]),
        more={**more, "case": category} if category else more,
        warnings=_doubts(case, abnormalities, category),
    )


def _label_source(words: set[str]) -> LabelSource:
    """Benign without callback was never biopsied: the radiologist's assessment is all there is."""
    if BIOPSIED & words:
        return "biopsy"
    return "birads" if words == {"BENIGN_WITHOUT_CALLBACK"} else "unknown"


def _doubts(case: Case, abnormalities: Mapping[str, Sequence[Abnormality]], category: str | None) -> tuple[str, ...]:
    words = {one.pathology for found in abnormalities.values() for one in found}
    doubts = {
        f"no calibration for digitizer {case.digitizer!r} and cases {case.prefix}": (
            scanner_of(case.prefix, case.digitizer) is None
        ),
        "the case lies among the cancers, but no outline of it is malignant": (
            category == "cancer" and "MALIGNANT" not in words
        ),
        "the case does not lie among the cancers, but an outline of it is malignant": (
            category not in (None, "cancer") and "MALIGNANT" in words
        ),
    }
    return tuple(doubt for doubt, true in doubts.items() if true)


def _any_of(wanted: set[str], words: Sequence[str]) -> bool | None:
    """Whether a wanted pathology is among the words; None where only an unproven one leaves it open."""
    return True if wanted & set(words) else None if "UNPROVEN" in words else False


def highest_assessment(abnormalities: Sequence[Abnormality]) -> str | None:
    """The highest BI-RADS assessment among the outlined abnormalities; None without any."""
    words = [one.descriptors.get("assessment", "") for one in abnormalities]
    return max((word for word in words if word in {"0", "1", "2", "3", "4", "5"}), default=None)


def load_ddsm(record: ImageRecord) -> Mammogram:
    """The breast in optical density, density 3.0 = 0 to 0.05 = 65535 (optical_density.density_to_pixels).

    The breast is looked for in the scanner's own values, because its skin, and in dark films fat, lies beyond 3.0. Such
    pixels are 1, so that they stay part of it; all else of the film is 0.
    """
    grey, scanner = _load_grey(record)
    pixels = density_to_pixels(optical_density(grey, scanner))
    scale = Decision("grey scale", "linear in optical density, 3.0 = 0, 0.05 = 65535", f"scanner {record.vendor}")
    return compose(record, pixels, (scale,), film=True, lightness=film_lightness(grey, scanner))


def load_density(record: ImageRecord) -> NDArray[np.float32]:
    """Optical density of the whole film, (rows, cols) float32 in [0.05, 3.0], for training. Raises ExamError."""
    return optical_density(*_load_grey(record))


def _load_grey(record: ImageRecord) -> tuple[NDArray[Any], Scanner]:
    scanner = scanner_of(record.image[0], record.more["digitizer"])
    if scanner is None:
        raise ExamError(f"{record.view} {record.image}: {'; '.join(record.warnings)}; need a known scanner")
    shape = int(record.more["rows"]), int(record.more["cols"])
    try:
        grey = _grey(record.path, shape)
        if grey.shape != shape:
            raise ExamError(f"found {grey.shape} pixels, the .ics file says {shape}: outlines would lie elsewhere")
        check_values(grey, scanner)
        return grey, scanner
    except ExamError as error:
        raise ExamError(f"{record.view} {record.image}: {error}") from None


def _grey(path: Path, shape: tuple[int, int]) -> NDArray[Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ExamError(f"{path.name} cannot be read ({error.strerror})") from None
    suffix = path.suffix.lower()
    if suffix == ".1":
        if len(data) != 2 * shape[0] * shape[1]:
            raise ExamError(f"{path.name}: found {len(data)} bytes, need {2 * shape[0] * shape[1]} for {shape} pixels")
        return np.frombuffer(data, ">u2").reshape(shape).astype(np.uint16)  # big-endian, by the program's age
    if suffix == ".png":
        return raster.read_png(data, path.name)[0]
    if suffix == ".pgm":
        return raster.read_pgm(data, path.name)[0]
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None or image.ndim != 2:
        raise ExamError(f"{path.name}: no grey TIFF, need one of 16 bits")
    return np.asarray(image)


DATASET = Dataset(
    name=_NAME,
    title="DDSM, Digital Database for Screening Mammography, original films",
    has="2,620 four-view cases (695 normal, 914 cancer, 870 benign, 141 benign without callback), outlines, words",
    terms="public for research; cite Heath et al. 2001",
    source="University of South Florida, www.eng.usf.edu/cvprg (mostly offline); decode .LJPEG first: see docs/data.md",
    read_here="headers and outlines of 10 cases; never the original films",
    find=find_ddsm,
    load=load_ddsm,
)
