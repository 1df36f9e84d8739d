"""Which view and which side a DICOM mammogram shows, according to its tags.

Codes first (DICOM PS3.16, CID 4014 views and CID 4015 modifiers), then plain tags. Only CC and MLO without a
modifier are screening views. Two tags that contradict each other are an ExamError: one of them is wrong, and
nobody here can say which.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from fourview.exam import Decision, ExamError, Side, View
from fourview.ingest.dicom_values import items, number, text

# SNOMED CT, and the older SNOMED-RT identifiers (schemes SRT, SNM3, 99SDM) of the same concepts
ANGLE_CODES = {
    "399162004": "CC", "R-10242": "CC",
    "399368009": "MLO", "R-10226": "MLO",
    "399260004": "ML", "R-10224": "ML",
    "399352003": "LM", "R-10228": "LM",
    "399099002": "LMO", "R-10230": "LMO",
    "399196006": "FB", "R-10244": "FB",
    "399188001": "SIO", "R-102D0": "SIO",
    "441555000": "ISO", "R-40AAA": "ISO",
    "399192008": "XCCL", "R-1024A": "XCCL", "Y-X1770": "XCCL",
    "399101009": "XCCM", "R-1024B": "XCCM", "Y-X1771": "XCCM",
}  # fmt: skip
SIDE_CODES = {"24028007": "R", "G-A100": "R", "7771000": "L", "G-A101": "L"}
MAGNIFIED_FROM = 1.2  # contact views lie between 1.0 and about 1.1, magnification views from 1.5


@dataclass(frozen=True)
class TaggedView:
    """The view that the tags name, or why the image is left out (exactly one of the two)."""

    view: View | None
    left_out: str | None = None
    decisions: tuple[Decision, ...] = ()


def read_view(dataset: Dataset) -> TaggedView:
    """The view and side of a mammogram. Raises ExamError where tags contradict each other or no side is named."""
    modifiers = _modifiers(dataset)
    if modifiers:
        return TaggedView(None, f"{' '.join([_angle_word(dataset), *modifiers])}: no plain CC or MLO view")
    magnification = number(dataset, "EstimatedRadiographicMagnificationFactor")
    if magnification is not None and magnification > MAGNIFIED_FROM:
        return TaggedView(None, f"magnified {magnification:g} times: no contact view")
    angle, angle_source = _angle(dataset)
    if not angle:
        return TaggedView(None, "names no view: need CC or MLO in ViewCodeSequence or ViewPosition")
    if angle not in ("CC", "MLO"):
        return TaggedView(None, f"view {angle} is neither CC nor MLO")
    side, side_source = _side(dataset)
    if side == "B":
        return TaggedView(None, "shows both breasts (laterality B): need one")
    view = View(f"{Side(side).value}-{angle}")
    return TaggedView(view, None, (Decision("view", angle, angle_source), Decision("side", side, side_source)))


def code_value(item: Dataset) -> str:
    """The code of a coded entry, short or long, upper case; "" if it has none."""
    return text(item, "CodeValue") or text(item, "LongCodeValue")


def _angle(dataset: Dataset) -> tuple[str, str]:
    """The projection and the tag that names it; ("", "") if none does."""
    plain = text(dataset, "ViewPosition")
    for item in items(dataset, "ViewCodeSequence"):
        code = code_value(item)
        coded = ANGLE_CODES.get(code) or text(item, "CodeMeaning") or code
        if not coded:
            continue
        if code in ANGLE_CODES and plain and plain != coded:
            raise ExamError(f"ViewCodeSequence says {coded}, ViewPosition says {plain}: need one view in both")
        return coded, f"ViewCodeSequence {code}"
    return plain, "ViewPosition" if plain else ""


def _angle_word(dataset: Dataset) -> str:
    coded = [ANGLE_CODES.get(code_value(item), "") for item in items(dataset, "ViewCodeSequence")]
    return next(filter(None, coded), text(dataset, "ViewPosition") or "view")


def _modifiers(dataset: Dataset) -> list[str]:
    """What makes the view a special one (spot compression, magnification, implant displaced ...), in words."""
    holders = (dataset, *items(dataset, "ViewCodeSequence"))
    found = [item for holder in holders for item in items(holder, "ViewModifierCodeSequence")]
    words = [text(item, "CodeMeaning").lower() or code_value(item) for item in found]
    return list(dict.fromkeys(filter(None, words)))


def _side(dataset: Dataset) -> tuple[str, str]:
    """L, R or B and the tags that say so. Raises ExamError if none does, or two contradict each other."""
    said: dict[str, str] = {}
    for keyword in ("ImageLaterality", "Laterality"):
        if letter := text(dataset, keyword):
            said[keyword] = letter
    for region in items(dataset, "AnatomicRegionSequence"):
        for item in items(region, "AnatomicRegionModifierSequence"):
            if letter := SIDE_CODES.get(code_value(item), ""):
                said["AnatomicRegionModifierSequence"] = letter
    if not said:
        raise ExamError("no side: need L or R in ImageLaterality or Laterality")
    if len(set(said.values())) > 1:
        raise ExamError(", ".join(f"{tag} says {side}" for tag, side in said.items()) + ": need one side in all")
    side = next(iter(said.values()))
    if side not in ("L", "R", "B"):
        raise ExamError(f"found laterality {side!r}, need L or R")
    return side, ", ".join(said)
