"""A finding: where it lies in the breast, what it looks like in words, and how it is painted into one view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError, Side
from fourview.phantom import asymmetry, calcification, distortion, mass
from fourview.phantom.local_view import Image, LocalView, open_view
from fourview.phantom.outline import Outline
from fourview.phantom.pathology import draw_pathology
from fourview.phantom.ring import find_factor
from fourview.phantom.signs import (
    CALC_TYPES,
    DISTRIBUTIONS,
    KINDS,
    MARGINS,
    SHAPES,
    Kind,
    draw_signs,
    find_prior_shift,
)

# drawn without regard to the label: neither size nor brightness tells malignant from benign
RADII_MM: dict[Kind, tuple[float, float]] = {
    "mass": (4.5, 13.0),
    "calcifications": (4.0, 10.0),
    "distortion": (7.0, 14.0),
    "asymmetry": (8.0, 16.0),
}
CONTRASTS: dict[Kind, tuple[float, float]] = {
    "mass": (0.13, 0.27),
    "calcifications": (0.30, 0.55),
    "distortion": (0.12, 0.22),
    "asymmetry": (0.10, 0.20),
}
_MIX: dict[Kind, float] = {"mass": 0.5, "calcifications": 0.36, "distortion": 0.07, "asymmetry": 0.07}


@dataclass(frozen=True)
class PhantomFinding:
    """One finding in one breast; CC and MLO show the same one.

    depth         0 at the chest wall to 1 at the nipple
    lateral       -1 at the medial border to 1 at the lateral border
    upper         -1 at the lower border to 1 at the upper border
    radius_mm     of the disc with the area of a mass, without its spicules; of the core of a distortion; of a cluster
    contrast      brightness of the middle of a mass, or of a speck, above its surroundings, as a share of the grey
                  scale
    shape, margin, calc_type, distribution    words of signs.py; shape None: by `malignant`, oval and circumscribed
                  or irregular and spiculated; calc_type None: round and regular or pleomorphic, clustered
    high_risk     benign, but a marker of risk
    visible       False: occult, biopsied and never painted
    biopsied      False: no label: a distractor, or what is biopsied at a later exam
    pathology     what the biopsy said
    p_malignant   the probability with which the label was drawn; None: it was set, not drawn
    key           seeds its details, the same in both views and every year
    """

    side: Side
    kind: Kind
    malignant: bool
    depth: float = 0.55
    lateral: float = 0.3
    upper: float = 0.3
    radius_mm: float = 8.0
    contrast: float = 0.3
    shape: str | None = None
    margin: str | None = None
    calc_type: str | None = None
    distribution: str | None = None
    high_risk: bool = False
    visible: bool = True
    biopsied: bool = True
    pathology: str = ""
    p_malignant: float | None = None
    key: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SetupError(f"phantom finding: found kind {self.kind!r}, need one of: {', '.join(KINDS)}")
        for name, low, high in (
            ("depth", 0.1, 0.9),
            ("lateral", -0.9, 0.9),
            ("upper", -0.9, 0.9),
            ("radius_mm", 1.0, 40.0),
            ("contrast", 0.01, 1.0),
            ("p_malignant", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise SetupError(f"phantom finding: found {name} {value}, need {low} to {high}")
        for name, known in (
            ("shape", SHAPES[self.kind]),
            ("margin", () if self.kind == "calcifications" else MARGINS),
            ("calc_type", CALC_TYPES if self.kind in ("mass", "calcifications") else ()),
            ("distribution", DISTRIBUTIONS if self.kind in ("mass", "calcifications") else ()),
        ):
            word = getattr(self, name)
            if word is not None and word not in known:
                raise SetupError(
                    f"phantom finding: found {name} {word!r} of a {self.kind}, need "
                    + (f"one of: {', '.join(known)}" if known else "None")
                )
        if self.malignant and self.high_risk:
            raise SetupError("phantom finding: found both malignant and high_risk, need at most one of them")


def paint_finding(
    tissue: Image,
    finding: PhantomFinding,
    outline: Outline,
    *,
    pixel_mm: float,
    view_key: Sequence[int],
) -> NDArray[np.bool_]:
    """Paints the finding into `tissue` (rows, cols; brightness 0 to 1, facing right) and gives its mask.

    view_key  seeds what is seen in this view only (texture); everything else comes from finding.key

    Mask (rows, cols): the body of a mass without its spicules; the disc that holds a cluster, the hull of any other
    group of calcifications; the core of a distortion; the denser part of an asymmetry. Empty only if occult, or
    if the finding lies outside the image.
    """
    mask = np.zeros(tissue.shape, np.bool_)
    if not finding.visible:
        return mask
    x, y = outline.place(np.array(finding.depth), np.array(finding.lateral), np.array(finding.upper))
    local = open_view(outline.tilt, x_mm=float(x), y_mm=float(y), reach_mm=_reach_mm(finding), pixel_mm=pixel_mm)
    image, here = local.slices(tissue.shape)
    light, inside = _paint(tissue, finding, local, view_key=(*view_key, finding.key))
    if not inside.any():  # smaller than a pixel
        inside[round(local.row) - local.top, round(local.col) - local.left] = True
    tissue[image] += light[here]
    mask[image] = inside[here]
    return mask


@lru_cache
def _even_shift(kind: Kind) -> float:
    return find_prior_shift(0.5, kind)


def draw_finding(rng: np.random.Generator, *, side: Side | None = None) -> PhantomFinding:
    """A random biopsied finding for demonstrations and tests: half malignant, half masses, most upper and outer."""
    drawn = (Side.LEFT, Side.RIGHT)[int(rng.integers(2))]
    kind = KINDS[int(rng.choice(len(KINDS), p=[_MIX[kind] for kind in KINDS]))]
    signs = draw_signs(rng, kind, prior_shift=_even_shift(kind))
    malignant = bool(rng.random() < signs.p_malignant)
    pathology, high_risk = draw_pathology(rng, kind, malignant=malignant)
    return PhantomFinding(
        side=side or drawn,
        kind=kind,
        malignant=malignant,
        depth=float(rng.uniform(0.3, 0.75)),
        lateral=float(np.clip(rng.normal(0.2, 0.3), -0.7, 0.7)),
        upper=float(np.clip(rng.normal(0.2, 0.3), -0.7, 0.7)),
        radius_mm=float(rng.uniform(*RADII_MM[kind])),
        contrast=float(rng.uniform(*CONTRASTS[kind])),
        high_risk=high_risk,
        pathology=pathology,
        p_malignant=signs.p_malignant,
        key=int(rng.integers(2**62)),
        shape=signs.words.get("shape"),
        margin=signs.words.get("margin"),
        calc_type=signs.words.get("calc_type"),
        distribution=signs.words.get("distribution"),
    )


def _paint(
    tissue: Image, finding: PhantomFinding, local: LocalView, *, view_key: tuple[int, ...]
) -> tuple[Image, NDArray[np.bool_]]:
    """(what is added to the tissue, mask) in the window."""
    shape, margin = finding.shape, finding.margin
    if finding.kind == "calcifications":
        return _specks(finding, local)
    if finding.kind == "distortion":
        window = local.cut(tissue)
        margin = margin if shape or margin else "spiculated"
        after, inside = distortion.pull_tissue(
            window, local, margin=margin, radius_mm=finding.radius_mm, contrast=finding.contrast, key=finding.key
        )
        return after - window, inside
    if finding.kind == "asymmetry":
        light, inside = asymmetry.light_asymmetry(
            local,
            shape=shape or "focal asymmetric density",
            margin=margin,
            radius_mm=finding.radius_mm,
            key=finding.key,
            view_key=view_key,
        )
    else:
        light, inside = mass.light_mass(
            local,
            shape=shape or ("irregular" if finding.malignant else "oval"),
            margin=margin or ("spiculated" if finding.malignant and shape is None else "circumscribed"),
            radius_mm=finding.radius_mm,
            key=finding.key,
            view_key=view_key,
        )
    light *= np.float32(finding.contrast) * find_factor(local.cut(tissue), light * np.float32(finding.contrast), inside)
    if finding.calc_type is not None:
        light += _specks(finding, local)[0]
    return light, inside


def _specks(finding: PhantomFinding, local: LocalView) -> tuple[Image, NDArray[np.bool_]]:
    # roughly the way to the nipple in mm, in an average breast
    way = np.array([90 * (1 - finding.depth), -55 * finding.lateral, -55 * finding.upper])
    way /= np.linalg.norm(way)
    light, inside = calcification.light_calcifications(
        local,
        calc_type=finding.calc_type or ("pleomorphic" if finding.malignant else "round and regular"),
        distribution=finding.distribution or (None if finding.calc_type else "clustered"),
        radius_mm=finding.radius_mm,
        towards_nipple=(float(way[0]), float(way[1]), float(way[2])),
        key=finding.key,
    )
    contrast = finding.contrast if finding.kind == "calcifications" else min(1.0, 2 * finding.contrast)
    return light * np.float32(contrast), inside


def _reach_mm(finding: PhantomFinding) -> float:
    """How far from its middle a finding may be painted."""
    specks = calcification.REACH * finding.radius_mm + 6
    if finding.calc_type in ("vascular", "large rodlike"):
        specks += calcification.REACH_MM
    if finding.kind == "calcifications":
        return specks
    if finding.kind == "mass" and finding.margin not in (None, "spiculated"):
        radii = mass.NEAR[finding.margin]
    else:
        radii = {"mass": mass.REACH, "distortion": distortion.REACH, "asymmetry": asymmetry.REACH}[finding.kind]
    return max(radii * finding.radius_mm, specks if finding.calc_type else 0.0)
