"""A population that `fourview phantom` drew: images, labels of each breast and masks, all of them known.

Labels are of the breast, from the biopsies after this exam; without one they are unknown, as they are in practice.
Every finding is a lesion, so that pictures and masks agree, and its descriptor `biopsied` says what it is: "yes", it
carries the label; "no", a distractor, benign and never biopsied; "at another exam", its pathology unknown at this one.
Occult findings have no region. The folder: fourview.phantom.folder.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from fourview.datasets.reading import load_record
from fourview.datasets.record import Dataset, ImageRecord, Lesion, LesionKind, Listing, MaskFile, Pathology
from fourview.datasets.tables import find_one, number_of, read_table, side_of
from fourview.exam import Direction, ExamError, Mammogram, SetupError, hash_label

_NAME = "phantom"
_NEED = "the folder that `fourview phantom` wrote"
_FORMAT = "fourview phantom 1"
_KINDS: dict[str, LesionKind] = {
    "mass": "mass",
    "calcifications": "calcification",
    "distortion": "distortion",
    "asymmetry": "asymmetry",
}
_SIGNS = ("shape", "margin", "calc_type", "distribution", "pathology", "p_malignant")
Row = Mapping[str, str]


def find(root: Path) -> Listing:
    """The images of a finished folder, in its order. Raises SetupError if it is none, or not finished."""
    about = find_one(root, "phantom.json", need=_NEED)
    try:
        values = json.loads(about.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        values = None
    if not isinstance(values, dict) or values.get("format") != _FORMAT:
        raise SetupError(f"{about.name}: found another format, need {_FORMAT!r}")
    folder = about.parent
    if not (folder / "truth").is_dir():
        raise SetupError(f"{folder.name}: no truth/: it was never finished; run `fourview phantom` with --resume first")
    images = read_table(
        folder / "images.csv", needs=("file", "exam", "side", "view", "spacing_mm", "patient", "name", "faces")
    )
    breasts = {(row["exam"], row["side"]): row for row in read_table(folder / "truth/breasts.csv")}
    findings, masks = defaultdict[tuple[str, str], list[Row]](list), dict[tuple[str, str, str], str]()
    if (folder / "truth/findings.csv").stat().st_size:  # a population may have none at all
        for row in read_table(folder / "truth/findings.csv", needs=("exam", "view", "finding")):
            findings[row["exam"], row["view"]].append(row)
    for row in read_table(folder / "masks.csv", needs=("exam", "view", "finding", "mask")):
        masks[row["exam"], row["view"], row["finding"]] = row["mask"]
    records, problems = [], []
    for image in images:
        try:
            exam, view = hash_label(image["exam"]), f"{image['side']}-{image['view']}"
            lesions = [
                _lesion(row, folder, masks.get((exam, view, row["finding"]))) for row in findings.get((exam, view), [])
            ]
            if (exam, image["side"]) not in breasts:
                raise ExamError("truth/breasts.csv does not say anything of this breast")
            records.append(_record(image, breasts[exam, image["side"]], folder, lesions, recipe=values))
        except (ExamError, KeyError, ValueError) as error:
            problems.append((image["file"], str(error)))
    return Listing(tuple(records), tuple(problems))


def _record(
    image: Row, breast: Row, folder: Path, lesions: list[Lesion], *, recipe: Mapping[str, object]
) -> ImageRecord:
    path = folder / image["file"]
    if not path.is_file():
        raise ExamError("in images.csv, but its file is not there")
    more = {name: breast[name] for name in ("later_malignant", "known_malignant", "visible", "round", "follow_up_days")}
    return ImageRecord(
        _NAME,
        patient=image["patient"],
        exam=image["name"],
        image=str(Path(image["file"]).with_suffix("").as_posix()),
        path=path,
        side=side_of(image["side"]),
        angle=image["view"],
        malignant=_known(breast["malignant"]),
        benign=_known(breast["benign"]),
        high_risk=_known(breast["high_risk"]) is True,
        label_unit="breast",
        label_source="biopsy",
        birads=breast["birads"],
        density=breast["density"].upper(),
        age=number_of(breast["age"]),
        vendor=breast["profile"],
        date=breast["date"],
        spacing_mm=number_of(image["spacing_mm"]),
        lesions=tuple(lesions),
        more={
            **{name: value for name, value in more.items() if value},
            **({"pathology": breast["pathology_terms"]} if breast["pathology_terms"] else {}),
            "faces": image["faces"],
            "recipe": f"{recipe['recipe']}, {recipe['difficulty']}",
        },
    )


def _known(cell: str) -> bool | None:
    return {"1": True, "0": False}.get(cell)


def _lesion(row: Row, folder: Path, mask: str | None) -> Lesion:
    biopsied = "yes" if row["biopsied"] == "1" else "at another exam" if row["p_malignant"] else "no"
    pathology: Pathology = "malignant" if row["malignant"] == "1" else "benign"
    words = {name: row[name] for name in _SIGNS if row[name]}
    return Lesion(
        f"finding {row['finding']}",
        _KINDS[row["kind"]],
        pathology="unknown" if biopsied == "at another exam" else pathology,
        high_risk=row["high_risk"] == "1" and biopsied == "yes",
        region=None if mask is None else MaskFile(folder / mask),
        descriptors={**words, "biopsied": biopsied, "visible": "yes" if row["visible"] == "1" else "no"},
    )


def load(record: ImageRecord) -> Mammogram:
    """The image as ingest reads it; the folder says where the breast points. Raises ExamError."""
    faces = cast(Direction, record.more["faces"])
    return load_record(record, faces=faces, faces_source="images.csv", film=record.vendor == "film")


DATASET = Dataset(
    _NAME,
    "Synthetic population of `fourview phantom`",
    has="four-view exams of women over several years, drawn: labels of each breast, BI-RADS, density, age, masks, "
    "descriptors and the probability that each label was drawn with",
    terms="what this program draws is free (CC0), as the program is (Apache-2.0): nobody was imaged, and nothing on it "
    "says anything about patients",
    source="fourview phantom --exams N --out FOLDER (docs/phantoms.md)",
    read_here="whole: this program draws it",
    find=find,
    load=load,
)
