"""What an image is good for in the patch stage: the class of each lesion, and where patches without one may be cut.

A lesion is malignant or benign by its pathology, if it was biopsied: its descriptor `biopsied` says "yes", or it has
none (real sets). Phantoms also have distractors ("no"), whose class the recipe decides, and lesions that were biopsied
at another exam. These, and lesions of unknown pathology, are never touched by a patch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fourview.exam import FINDINGS, Finding

Role = Literal["malignant", "benign", "never"]  # "never": no patch may touch it
Distractors = Literal["benign", "ignored", "negative"]
Row = Mapping[str, Any]  # of the manifest


@dataclass(frozen=True)
class ImageUse:
    """What patches an image can give.

    roles     lesion -> its class, of those with an outline that matter; two outlines of one lesion are one
    outside   patches beside its lesions; negative: patches anywhere that touches no lesion
    words     lesion -> descriptor -> the set's own word, of the same lesions
    """

    roles: Mapping[str, Role]
    outside: bool
    negative: bool
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def use_images(rows: Iterable[Row], *, distractors: Distractors) -> list[ImageUse]:
    """Of each row of a manifest, in order. The rows of an exam must all be there.

    negative: an image of an exam without a biopsy. That is one whose labels are both False, or unknown where the set
    has biopsies on record or its BI-RADS is 1 or 2, while no label of the exam is True; of labels per image or breast,
    False is enough. In both cases without a lesion but distractors and those of other exams. An image with a lesion
    whose place is unknown (no outline, though it may be seen) gives patches on its other lesions only.
    """
    rows = list(rows)
    biopsied = {_exam(row) for row in rows if row["malignant"] or row["benign"]}
    return [_use_image(row, biopsied=_exam(row) in biopsied, distractors=distractors) for row in rows]


def role_of(lesion: Mapping[str, Any], *, distractors: Distractors) -> Role | None:
    """The class of a lesion of the manifest; None: as if it were tissue."""
    words = _words(lesion)
    if words.get("biopsied") == "no":
        return {"benign": "benign", "ignored": "never", "negative": None}[distractors]
    if words.get("biopsied", "yes") != "yes" or lesion["pathology"] not in FINDINGS:
        return "never"
    pathology: Finding = lesion["pathology"]
    return pathology


def _use_image(row: Row, *, biopsied: bool, distractors: Distractors) -> ImageUse:
    roles: dict[str, Role] = {}
    said: dict[str, dict[str, str]] = {}
    own = unplaced = False
    for lesion in row["lesions"]:
        role = role_of(lesion, distractors=distractors)
        words = _words(lesion)
        own |= words.get("biopsied", "yes") == "yes"
        if lesion["mask"] is None:
            unplaced |= role is not None and words.get("visible") != "no"
        elif role is not None:
            roles[lesion["lesion"]] = _stronger(role, roles.get(lesion["lesion"]))
            if words:
                said.setdefault(lesion["lesion"], {}).update(words)
    found = any(role in FINDINGS for role in roles.values())
    return ImageUse(
        roles,
        outside=found and not unplaced,
        negative=not own and not unplaced and _is_negative(row, biopsied=biopsied),
        words=said,
    )


def _is_negative(row: Row, *, biopsied: bool) -> bool:
    if row["malignant"] or row["benign"]:
        return False
    if row["malignant"] is False and row["benign"] is False:
        return row["label_unit"] in ("image", "breast") or not biopsied
    return not biopsied and (row["label_source"] == "biopsy" or row["birads_class"] in (1, 2))


def _stronger(role: Role, other: Role | None) -> Role:
    """Of two outlines of one lesion that disagree: malignant wins over benign, and both over "never"."""
    order: tuple[Role, ...] = ("malignant", "benign", "never")
    return role if other is None else min(role, other, key=order.index)


def _exam(row: Row) -> tuple[str, str]:
    return row["dataset"], row["exam"]


def _words(lesion: Mapping[str, Any]) -> dict[str, str]:
    """The set's own words of a lesion."""
    found = json.loads(lesion["descriptors"] or "{}")
    return {str(name): str(value) for name, value in found.items()}
