"""What else is seen in breasts and never biopsied: lymph nodes, cysts, calcified arteries, skin, old fibroadenomas.

They are painted by the same painters as findings. Places, sizes and how often each is drawn are our assumption,
after what a screening reader dismisses every day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fourview.exam import Side
from fourview.phantom.finding import PhantomFinding
from fourview.phantom.signs import Kind

Range = tuple[float, float]


@dataclass(frozen=True)
class Distractor:
    """One sort of distractor: where it usually lies, how large and bright it is, and the words it is drawn from.

    share   of all distractors
    middle  (depth, lateral, upper) where it usually lies, see PhantomFinding
    spread  standard deviation of lateral and upper
    """

    share: float
    kind: Kind
    radius_mm: Range
    contrast: Range
    middle: tuple[float, float, float] = (0.5, 0.15, 0.15)
    spread: float = 0.35
    shapes: tuple[str, ...] = ()
    margins: tuple[str, ...] = ()
    calc_types: tuple[str, ...] = ()


DISTRACTORS: dict[str, Distractor] = {
    "lymph node": Distractor(
        0.22,
        "mass",
        (2.5, 6.0),
        (0.10, 0.22),
        middle=(0.33, 0.62, 0.62),
        spread=0.13,
        shapes=("lymph node",),
        margins=("circumscribed",),
    ),
    "cyst": Distractor(
        0.15,
        "mass",
        (3.5, 11.0),
        (0.10, 0.22),
        shapes=("round", "oval"),
        margins=("circumscribed", "circumscribed", "obscured"),
    ),
    "fibroadenoma": Distractor(
        0.05, "mass", (4.0, 9.0), (0.10, 0.22), shapes=("oval", "lobulated"), margins=("circumscribed", "obscured")
    ),
    "old fibroadenoma": Distractor(
        0.04, "mass", (4.0, 8.0), (0.10, 0.20), shapes=("oval",), margins=("circumscribed",), calc_types=("coarse",)
    ),
    "skin lesion": Distractor(
        0.05, "mass", (1.8, 3.5), (0.10, 0.20), spread=0.5, shapes=("round",), margins=("circumscribed",)
    ),
    "calcified artery": Distractor(0.13, "calcifications", (5.0, 8.0), (0.20, 0.40), calc_types=("vascular",)),
    "scattered calcifications": Distractor(
        0.17, "calcifications", (8.0, 16.0), (0.25, 0.50), calc_types=("round and regular", "lucent centered")
    ),
    "single calcifications": Distractor(
        0.06, "calcifications", (1.5, 3.0), (0.30, 0.55), calc_types=("lucent centered", "coarse", "dystrophic")
    ),
    "skin calcifications": Distractor(0.04, "calcifications", (4.0, 8.0), (0.25, 0.45), calc_types=("skin",)),
    "oil cyst": Distractor(0.04, "calcifications", (3.0, 6.0), (0.20, 0.40), calc_types=("eggshell",)),
    "secretory calcifications": Distractor(
        0.03, "calcifications", (6.0, 10.0), (0.25, 0.45), middle=(0.65, 0.0, 0.0), calc_types=("large rodlike",)
    ),
    "milk of calcium": Distractor(0.02, "calcifications", (4.0, 7.0), (0.25, 0.45), calc_types=("milk of calcium",)),
}


def draw_distractor(rng: np.random.Generator, side: Side) -> PhantomFinding:
    """One of them in this breast: benign, with a key of its own."""
    sorts = tuple(DISTRACTORS.values())
    one = sorts[int(np.searchsorted(np.cumsum([sort.share for sort in sorts])[:-1], rng.random(), side="right"))]
    depth, lateral, upper = one.middle
    return PhantomFinding(
        side=side,
        kind=one.kind,
        malignant=False,
        depth=float(np.clip(rng.normal(depth, 0.12), 0.15, 0.85)),
        lateral=float(np.clip(rng.normal(lateral, one.spread), -0.85, 0.85)),
        upper=float(np.clip(rng.normal(upper, one.spread), -0.85, 0.85)),
        radius_mm=float(rng.uniform(*one.radius_mm)),
        contrast=float(rng.uniform(*one.contrast)),
        shape=_choose(rng, one.shapes),
        margin=_choose(rng, one.margins),
        calc_type=_choose(rng, one.calc_types),
        biopsied=False,
        key=int(rng.integers(2**62)),
    )


def _choose(rng: np.random.Generator, words: tuple[str, ...]) -> str | None:
    return words[int(rng.integers(len(words)))] if words else None
