"""Maps against outlines that are known: does the highest place lie in one, and how much of the map does?

Methods: Zhang et al. 2016 (the pointing game); chance is what a map without knowledge would have: the outlines' share
of the tissue.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.explain.sanity import Check

NEAR_SHARE = 15 / 224  # of the shorter side: a place this near to an outline points at it


@dataclass(frozen=True)
class Localisation:
    """One map against the outlines in its input.

    hit            its highest place lies in an outline or near it
    chance_hit     share of the tissue that is in an outline or near it
    share          of the map's positive values that lies in outlines, 0 to 1;  chance  outlines' share of the tissue
    """

    hit: bool
    chance_hit: float
    share: float
    chance: float

    @property
    def times_chance(self) -> float:
        return self.share / self.chance if self.chance else float("nan")


def localise(found: NDArray[np.float32], mask: NDArray[np.bool_], tissue: NDArray[np.bool_]) -> Localisation | None:
    """found, mask, tissue  (rows, cols) of one input; None if no outline lies in its tissue."""
    inside = mask & tissue
    if not inside.any():
        return None
    positive = np.maximum(found, 0)
    total = float(positive.sum(dtype=np.float64))
    near_px = round(NEAR_SHARE * min(found.shape))
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    near = distance <= near_px
    highest = np.unravel_index(int(np.argmax(np.where(tissue, found, -np.inf))), found.shape)
    return Localisation(
        bool(near[highest]) and total > 0,
        float((near & tissue).sum() / tissue.sum()),
        float(positive[inside].sum(dtype=np.float64) / total) if total > 0 else 0.0,
        float(inside.sum() / tissue.sum()),
    )


def judge_localisation(found: Localisation) -> tuple[Check, Check]:
    """Better than a map without knowledge? A single highest place is never judged: it hits or it does not."""
    where = "lies in an outlined lesion" if found.hit else "lies in no outlined lesion"
    return (
        Check(
            "pointing",
            None,
            float(found.hit),
            found.chance_hit,
            f"its highest place {where} ({found.chance_hit:.0%} of places would by chance)",
        ),
        Check(
            "share in outlines",
            found.share > found.chance,
            found.share,
            found.chance,
            f"{found.share:.0%} of what the map shows lies in outlined lesions, {found.times_chance:.1f} times the "
            f"{found.chance:.1%} of chance",
        ),
    )
