"""Who the phantom is: the traits that her four images share, and the two breasts drawn from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError, Side
from fourview.phantom.anatomy import Lobules, draw_gland, draw_lobules
from fourview.phantom.curves import Curves, draw_ducts, draw_ligaments, draw_strands, draw_vessels, draw_web

Density = Literal["a", "b", "c", "d"]
DENSITIES: tuple[Density, ...] = ("a", "b", "c", "d")
AGES = (40, 84)
# share of women with dense breasts (c or d) by age (Sprague et al., J Natl Cancer Inst 2014)
_DENSE_AGES = (42.5, 47.5, 52.5, 57.5, 62.5, 67.5, 72.5, 77.5)
_DENSE_SHARES = (0.57, 0.55, 0.46, 0.38, 0.33, 0.31, 0.26, 0.28)
_OF_DENSE_EXTREME = 0.17  # d among c and d, and a among a and b: near the screening shares of 10 % (same source)
_OF_THIN_FATTY = 0.20
# breast area in cm2 of women in BI-RADS a to d, mean and standard deviation: of 403 women, table of volume and area
# measures by BI-RADS category in a study of volumetric density, Cancer Epidemiol Biomarkers Prev
_AREA_CM2 = ((239.0, 76.0), (156.2, 63.2), (118.9, 56.4), (95.7, 48.9))
_SMALLER, _WIDER = 0.80, 1.25  # ours: so that areas of MLO views have the median and the spread of mini-MIAS
_AREA_LIMITS = (34.0, 225.0)  # what a 18 x 24 cm field takes; larger women are imaged on larger fields
# volumetric share of gland: 19 % on average, under 45 % in 95 of 100 women (Yaffe et al., Med Phys 2009);
# its medians in BI-RADS a to d are ours, set so that these two come out
_SHARE = (0.065, 0.15, 0.29, 0.50)
_THICKNESS_MM = (59.0, 14.0)  # Yaffe et al. 2009: 59 +- 16


@dataclass(frozen=True)
class Woman:
    """Traits of one woman; lengths in mm of the compressed breast.

    density       BI-RADS a (almost entirely fatty) to d (extremely dense)
    age           years
    share         of gland in the volume of the breast
    depth_mm      chest wall to nipple
    width_mm      medial to lateral border at the chest wall, in CC
    thickness_mm  between the paddles
    sag           0 (nipple level with the middle of the breast) to 1, in MLO
    point         0 (round) to 1 (pointed) outline
    skin_mm       thickness of the skin
    muscle        0 (slim) to 1 (broad) pectoral muscle
    lobule_mm     typical radius of a lobule of fat between the septa
    fibrous       0.6 to 1.5: how many septa, strands and ligaments
    vessels       0 to 1: how many show
    """

    density: Density
    age: int
    share: float
    depth_mm: float
    width_mm: float
    thickness_mm: float
    sag: float
    point: float
    skin_mm: float
    muscle: float
    lobule_mm: float
    fibrous: float
    vessels: float

    def __post_init__(self) -> None:
        _check_density(self.density)


@dataclass(frozen=True, eq=False)
class Breast:
    """One breast in three dimensions; places are (depth, lateral, upper) as in PhantomFinding.

    traits     of the woman, with the small differences of this side
    side       left or right; both are held the same way, medial to lateral
    gland      (depth, lateral, upper) float32 share of gland, 0 to 1, see anatomy.draw_gland
    lobules    of fat that press on the gland
    curves     web of septa, ducts, ligaments, strands and vessels by name
    nipple     radius and height in mm, where it is seen in profile
    """

    traits: Woman
    side: Side
    gland: NDArray[np.float32]
    lobules: Lobules
    curves: dict[str, Curves]
    nipple: tuple[float, float]


def draw_woman(rng: np.random.Generator, *, density: Density | None = None, age: int | None = None) -> Woman:
    """A random woman of screening age: older breasts are fattier, fattier breasts larger.

    Traits other than age and density do not depend on age: the same draw a year later is the same woman.
    Raises SetupError for a density other than a to d.
    """
    drawn_age = int(np.clip(rng.normal(58, 9.5), *AGES))
    age = drawn_age if age is None else age
    drawn = draw_density(rng, age)
    density = drawn if density is None else density
    _check_density(density)
    grade = DENSITIES.index(density)
    mean, sd = _AREA_CM2[grade]
    spread = _WIDER * np.sqrt(np.log1p((sd / mean) ** 2))
    z = rng.normal(0, 1)
    area = float(np.clip(_SMALLER * mean * np.exp(spread * z - spread**2 / 2), *_AREA_LIMITS))
    ratio = rng.uniform(1.65, 2.05)
    depth_mm = float(np.sqrt(100 * area / (0.73 * ratio)))  # an outline fills about 0.73 of its frame
    return Woman(
        density=density,
        age=age,
        share=float(np.clip(_SHARE[grade] * np.exp(rng.normal(0, 0.16)), 0.03, 0.70)),
        depth_mm=depth_mm,
        width_mm=min(ratio * depth_mm, 220.0),
        thickness_mm=float(np.clip(_THICKNESS_MM[0] + _THICKNESS_MM[1] * (0.55 * z + 0.83 * rng.normal()), 25, 95)),
        sag=float(np.clip(rng.normal(0.35 + area / 500, 0.22), 0, 1)),
        point=float(rng.beta(1.6, 2.0)),
        skin_mm=float(np.clip(rng.normal(1.5, 0.25), 0.9, 2.3)),
        muscle=float(rng.beta(2, 2)),
        lobule_mm=float(np.clip(rng.normal(7.0, 1.2), 4.5, 10)),
        fibrous=float(np.clip(rng.normal(1.0, 0.22), 0.6, 1.5)),
        vessels=float(rng.beta(1.4, 2.0)),
    )


def draw_density(rng: np.random.Generator, age: int) -> Density:
    """A BI-RADS density as common as at this age (Sprague et al. 2014; the split within dense is ours)."""
    dense = rng.random() < np.interp(age, _DENSE_AGES, _DENSE_SHARES)
    end = rng.random() < (_OF_DENSE_EXTREME if dense else _OF_THIN_FATTY)
    if dense:
        return "d" if end else "c"
    return "a" if end else "b"


def draw_breast(woman: Woman, side: Side, *, identity: int) -> Breast:
    """One of her breasts: what both have in common, and what only this one has.

    identity  seeds her anatomy; the same identity and woman give the same breast at every scale and in every year
    """
    both = [identity, 10]
    own = [identity, 11, side_key(side)]
    rng = np.random.default_rng(own)
    depth, width, thick = 1 + rng.normal(0, [0.02, 0.02, 0.03])
    traits = replace(
        woman,
        share=float(np.clip(woman.share * np.exp(rng.normal(0, 0.06)), 0.02, 0.75)),
        depth_mm=woman.depth_mm * float(depth),
        width_mm=woman.width_mm * float(width),
        thickness_mm=woman.thickness_mm * float(thick),
        sag=float(np.clip(woman.sag + rng.normal(0, 0.05), 0, 1)),
        point=float(np.clip(woman.point + rng.normal(0, 0.08), 0, 1)),
        muscle=float(np.clip(woman.muscle + rng.normal(0, 0.06), 0, 1)),
    )
    size = (traits.depth_mm, traits.width_mm / 2)
    curves = {
        "ducts": draw_ducts([*own, 1], amount=traits.fibrous),
        "ligaments": draw_ligaments([*own, 2], amount=traits.fibrous),
        "strands": draw_strands([*own, 3], size_mm=size, amount=traits.fibrous),
        "web": draw_web([*own, 7], size_mm=size, cell_mm=1.8 * traits.lobule_mm, amount=traits.fibrous),
        "vessels": draw_vessels([*own, 4], amount=traits.vessels),
    }
    hers = np.random.default_rng([*both, 2])
    return Breast(
        traits=traits,
        side=side,
        gland=draw_gland([*both, 1], [*own, 5], share=traits.share),
        lobules=draw_lobules([*own, 6], size_mm=size, radius_mm=traits.lobule_mm),
        curves=curves,
        nipple=(float(hers.uniform(4.5, 7.0)), float(hers.uniform(1.0, 4.8))),
    )


def side_key(side: Side) -> int:
    """The number that stands for a side in random keys."""
    return 0 if side is Side.LEFT else 1


def _check_density(density: str) -> None:
    if density not in DENSITIES:
        raise SetupError(f"phantom: found density {density!r}, need one of {', '.join(DENSITIES)}")
