"""What networks say of outlined lesions: of each in each image, of each by all of its views, and of all as tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from fourview.exam import View
from fourview.studies.lesion.crops import LesionCrop
from fourview.studies.lesion.ensemble import ViewAnswer


@dataclass(frozen=True, eq=False)
class ViewReading:
    """One lesion in one image.

    answers  of each of the weights;  box  of the outline, source pixels (top, bottom, left, right)
    crop     of the first weights; None: not kept
    """

    exam: str
    patient: str
    image: str
    view: View
    lesion: str
    malignant: bool | None
    is_phantom: bool
    answers: tuple[ViewAnswer, ...]
    box: tuple[int, int, int, int]
    diameter_mm: float | None
    warnings: tuple[str, ...]
    crop: LesionCrop | None

    @property
    def answer(self) -> ViewAnswer:
        """The mean over the weights."""
        return ViewAnswer(
            float(np.mean([one.p for one in self.answers])), float(np.mean([one.logit for one in self.answers]))
        )


@dataclass(frozen=True, eq=False)
class LesionReading:
    """One lesion by all of its views.

    p_cc, p_mlo  by the views of one angle; None: it has none
    p            of malignant, by all;  called  p reaches the threshold. All are means over the weights
    """

    exam: str
    patient: str
    side: str
    lesion: str
    malignant: bool | None
    p_cc: float | None
    p_mlo: float | None
    p: float
    called: bool
    views: tuple[ViewReading, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class LesionReadings:
    """How it went. failures: (exam, what, reason);  stopped: somebody ended it early"""

    lesions: tuple[LesionReading, ...]
    failures: tuple[tuple[str, str, str], ...]
    stopped: bool = False

    @property
    def synthetic(self) -> bool:
        """Whether every image that was read is a phantom."""
        views = [view for lesion in self.lesions for view in lesion.views]
        return bool(views) and all(view.is_phantom for view in views)

    def table(self) -> pl.DataFrame:
        """lesions.csv: a row per lesion."""
        rows = [
            {
                "exam": one.exam,
                "side": one.side,
                "lesion": one.lesion,
                "p_cc": one.p_cc,
                "p_mlo": one.p_mlo,
                "p": one.p,
                "called": one.called,
                "malignant": one.malignant,
                "images": ", ".join(view.image for view in one.views),
                "warnings": "; ".join(one.warnings),
            }
            for one in self.lesions
        ]
        return pl.DataFrame(rows, schema=_LESIONS, orient="row")

    def view_table(self) -> pl.DataFrame:
        """views.csv: a row per lesion and image."""
        rows = [
            {
                "exam": one.exam,
                "image": one.image,
                "view": one.view.value,
                "lesion": one.lesion,
                "p": one.answer.p,
                "logit": one.answer.logit,
                **dict(zip(("top", "bottom", "left", "right"), one.box, strict=True)),
                "diameter_mm": one.diameter_mm,
                "warnings": "; ".join(one.warnings),
            }
            for lesion in self.lesions
            for one in lesion.views
        ]
        return pl.DataFrame(rows, schema=_VIEWS, orient="row")


_LESIONS: dict[str, Any] = {
    **dict.fromkeys(("exam", "side", "lesion"), pl.String),
    **dict.fromkeys(("p_cc", "p_mlo", "p"), pl.Float64),
    **dict.fromkeys(("called", "malignant"), pl.Boolean),
    **dict.fromkeys(("images", "warnings"), pl.String),
}
_VIEWS: dict[str, Any] = {
    **dict.fromkeys(("exam", "image", "view", "lesion"), pl.String),
    **dict.fromkeys(("p", "logit"), pl.Float64),
    **dict.fromkeys(("top", "bottom", "left", "right"), pl.Int64),
    "diameter_mm": pl.Float64,
    "warnings": pl.String,
}
