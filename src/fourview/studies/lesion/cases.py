"""The outlined lesions of a store: a row of the study per lesion and image, with the truth and the set's own words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import polars as pl
from scipy.stats import chi2_contingency

from fourview.datasets.record import LesionKind
from fourview.exam import FINDINGS, Box, Frame, SetupError
from fourview.store.store import Store

Angle = Literal["CC", "MLO"]
ANGLES: tuple[Angle, ...] = get_args(Angle)
UNLIKELY = 0.001  # p of scanners that differ by luck
WITHOUT_CALLBACK = "BENIGN_WITHOUT_CALLBACK"  # CBIS-DDSM, DDSM: found harmless by the radiologist, never biopsied


@dataclass(frozen=True, order=True)
class LesionKey:
    """One lesion, whatever the view: what its CC and its MLO image have in common."""

    patient: str
    exam: str
    side: str
    lesion: str


@dataclass(frozen=True, eq=False)
class LesionView:
    """One outline in one image.

    patient     DATASET/pseudonym, as in the manifest;  exam, image  names in the store
    side        "L" or "R";  lesion  the set's id: the same in two images of an exam is the same lesion
    malignant   by biopsy; False for benign
    spacing_mm  pixel size of the image; None: unknown
    box         of the outline, stored-crop pixels;  frame  from the stored crop to the pixels of the file
    words       descriptor -> the set's own word. Some of them know the answer: `pathology`, `assessment`, `subtlety`,
                `biopsied`, `p_malignant` (phantoms: the probability that the label was drawn with)
    part        "train", "validation", "test" or a fold of the split; "": no split was asked for
    official    the part that the set gives to lesions of this kind of this patient: "train", "validation", "test";
                "": none
    vendor      of the mammograph, or of the film scanner, as the manifest has it; "": unknown
    """

    image: str
    patient: str
    exam: str
    dataset: str
    side: str
    angle: Angle
    lesion: str
    kind: LesionKind
    malignant: bool
    spacing_mm: float | None
    box: Box
    frame: Frame
    words: Mapping[str, str]
    part: str = ""
    official: str = ""
    vendor: str = ""

    @property
    def key(self) -> LesionKey:
        return LesionKey(self.patient, self.exam, self.side, self.lesion)

    @property
    def name(self) -> str:
        """Unique in a store: image and lesion."""
        return f"{self.image}#{self.lesion}"


@dataclass(frozen=True, eq=False)
class Lesions:
    """The lesions of a store. left_out: reason -> how many outlines or lesions, of those that were looked at"""

    views: tuple[LesionView, ...]
    left_out: Mapping[str, int]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, and whether malignant lesions are of other scanners, in words."""
        lost = (f"left out: {count} lesion images, {reason}" for reason, count in sorted(self.left_out.items()))
        return (*lost, *_compare_vendors(self.views))


def _compare_vendors(views: Sequence[LesionView]) -> tuple[str, ...]:
    """A warning where scanners differ in how much is malignant by more than luck; empty if they do not.

    DDSM: all films of one scanner are cancers. Who knows the scanner knows the answer, without a look at a lesion.
    """
    of_patients = {(view.vendor, view.patient, view.malignant) for view in views if view.vendor}
    vendors = sorted({vendor for vendor, _, _ in of_patients})
    counted = Counter((vendor, malignant) for vendor, _, malignant in of_patients)
    counts = [[counted[vendor, True], counted[vendor, False]] for vendor in vendors]
    if len(vendors) < 2 or not all(map(sum, zip(*counts, strict=True))):
        return ()
    if chi2_contingency(counts).pvalue >= UNLIKELY:
        return ()
    said = ", ".join(f"{name} {yes} of {yes + no}" for name, (yes, no) in zip(vendors, counts, strict=True))
    return (
        f"malignant, by vendor of the scanner: {said} (patients): what tells scanners apart tells these lesions apart, "
        "without a look at them",
    )


def find_lesions(
    store: Store,
    table: pl.DataFrame | None = None,
    *,
    kinds: Sequence[LesionKind] = ("mass",),
    drop_without_callback: bool = False,
) -> Lesions:
    """Every outline of a lesion that is known to be malignant or benign, by image and then by lesion.

    table                  rows of the manifest, with a column `part` where there is a split; None: all prepared images
    kinds                  of lesions
    drop_without_callback  leave out those that were never biopsied, as the radiologist found them harmless; else they
                           are benign

    Of phantoms, only lesions that were biopsied at this exam and show. Of sets that say nothing of biopsies, those with
    a pathology. Two outlines of one lesion in an image are one; it is malignant if either is.
    Raises SetupError if nothing is left.
    """
    rows = store.images if table is None else table.filter(status="prepared")
    left_out: Counter[str] = Counter()
    found: dict[tuple[str, str], LesionView] = {}
    for row in rows.sort("image").iter_rows(named=True):
        for lesion in sorted(row["lesions"], key=lambda one: one["lesion"]):
            reason = _reason_against(row, lesion, kinds=kinds, drop_without_callback=drop_without_callback)
            if reason:
                left_out[reason] += 1
                continue
            place = row["image"], lesion["lesion"]
            if place not in found or lesion["pathology"] == "malignant":
                found[place] = _view_of(row, lesion)
    if not found:
        said = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items())) or "no lesion at all"
        raise SetupError(
            f"{store.path}: found no outlined lesion of {', '.join(kinds)} that is known to be benign or malignant "
            f"({said}); need some"
        )
    return Lesions(tuple(found.values()), dict(left_out))


def read_words(lesion: Mapping[str, Any]) -> dict[str, str]:
    """The set's own words of a lesion of the manifest."""
    return {str(name): str(value) for name, value in json.loads(lesion["descriptors"] or "{}").items()}


def _reason_against(  # noqa: PLR0911 - a list of reasons, in the order in which they are told
    row: Mapping[str, Any], lesion: Mapping[str, Any], *, kinds: Sequence[LesionKind], drop_without_callback: bool
) -> str:
    """Why this outline is not a case; "": it is one."""
    words = read_words(lesion)
    if lesion["kind"] not in kinds:
        return "another kind of lesion"
    if words.get("biopsied", "yes") != "yes":
        return "not biopsied at this exam"
    if lesion["pathology"] not in FINDINGS:
        return "pathology unknown"
    if drop_without_callback and words.get("pathology") == WITHOUT_CALLBACK:
        return "benign without callback"
    if lesion["mask"] is None:
        return "without an outline in the image"
    if row["side"] is None or row["angle"] not in ANGLES:
        return "of no CC or MLO view"
    if row["patient"] is None:
        return "of an unknown patient"
    if "part" in row and row["part"] is None:
        return "of no part of the split"
    return ""


def _view_of(row: Mapping[str, Any], lesion: Mapping[str, Any]) -> LesionView:
    return LesionView(
        image=row["image"],
        patient=row["patient"],
        exam=row["exam"],
        dataset=row["dataset"],
        side=row["side"],
        angle=row["angle"],
        lesion=lesion["lesion"],
        kind=lesion["kind"],
        malignant=lesion["pathology"] == "malignant",
        spacing_mm=row["spacing_mm"],
        box=_outline_box(row, lesion["lesion"]),
        frame=frame_of(row),
        words=read_words(lesion),
        part=row.get("part") or "",
        vendor=row["vendor"] or "",
        official=row["split"] or json.loads(row["more"]).get(f"part of {lesion['kind']}", ""),
    )


def _outline_box(row: Mapping[str, Any], name: str) -> Box:
    """The box of all outlines of a lesion."""
    own = [one for one in row["lesions"] if one["lesion"] == name and one["mask"] is not None]
    return Box(
        min(one["top"] for one in own),
        max(one["bottom"] for one in own),
        min(one["left"] for one in own),
        max(one["right"] for one in own),
    )


def frame_of(row: Mapping[str, Any]) -> Frame:
    """From the stored crop of a row of the manifest to the pixels of its file."""
    shape = int(row["source_rows"]), int(row["source_cols"])
    box = Box(row["crop_top"], row["crop_bottom"], row["crop_left"], row["crop_right"])
    return Frame(shape, shape, box, mirrored=bool(row["mirrored"]))
