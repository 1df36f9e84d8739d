"""Who the phantom is: the traits that her four images share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError, Side

Density = Literal["a", "b", "c", "d"]
DENSITIES: tuple[Density, ...] = ("a", "b", "c", "d")
_SHARES = (0.10, 0.40, 0.40, 0.10)  # of screened women (Sprague et al., J Natl Cancer Inst 2014)
_LOBES = 14  # a breast has 15 to 20, of which about this many can be told apart
_STEPS = 7  # balls of gland along each lobe


@dataclass(frozen=True, eq=False)
class Woman:
    """Traits of one woman; lengths in mm of the compressed breast.

    density       BI-RADS a (almost entirely fatty) to d (extremely dense)
    age           years
    depth_mm      chest wall to nipple
    width_mm      medial to lateral border at the chest wall, in CC
    thickness_mm  between the paddles
    sag           0 (nipple level with the middle of the breast) to 1, in MLO
    lobes         (n, 5) float64: depth, lateral, upper (see PhantomFinding), spread in mm, amount of gland
    """

    density: Density
    age: int
    depth_mm: float
    width_mm: float
    thickness_mm: float
    sag: float
    lobes: NDArray[np.float64]

    def __post_init__(self) -> None:
        _check_density(self.density)


def draw_woman(rng: np.random.Generator, *, density: Density | None = None) -> Woman:
    """A random woman of screening age: older breasts are fattier, fattier breasts larger and thicker.

    Raises SetupError for a density other than a to d.
    """
    drawn = DENSITIES[int(rng.choice(4, p=_SHARES))]
    density = drawn if density is None else density
    _check_density(density)
    dense = DENSITIES.index(density) / 3
    depth_mm = float(np.clip(rng.normal(102 - 18 * dense, 10), 72, 125))
    width_mm = float(min(2 * depth_mm * rng.uniform(0.86, 1.02), 210))
    return Woman(
        density=density,
        age=int(np.clip(rng.normal(64 - 9 * dense, 7), 40, 84)),
        depth_mm=depth_mm,
        width_mm=width_mm,
        thickness_mm=float(np.clip(rng.normal(60 - 10 * dense, 8), 30, 85)),
        sag=float(rng.uniform(0.2, 1.0)),
        lobes=_draw_lobes(rng, depth_mm=depth_mm, dense=dense),
    )


def draw_breast(woman: Woman, rng: np.random.Generator) -> Woman:
    """The same woman with the small differences that one of her breasts has from the other."""
    lobes = woman.lobes.copy()
    lobes[:, :3] += rng.normal(0, 0.04, (len(lobes), 3))
    lobes[:, 4] *= rng.uniform(0.8, 1.2, len(lobes))
    return Woman(
        density=woman.density,
        age=woman.age,
        depth_mm=woman.depth_mm * rng.uniform(0.97, 1.03),
        width_mm=min(woman.width_mm * rng.uniform(0.97, 1.03), 214),
        thickness_mm=woman.thickness_mm * rng.uniform(0.95, 1.05),
        sag=float(np.clip(woman.sag + rng.normal(0, 0.05), 0, 1)),
        lobes=lobes,
    )


def side_key(side: Side) -> int:
    """The number that stands for a side in random keys."""
    return 0 if side is Side.LEFT else 1


def _check_density(density: str) -> None:
    if density not in DENSITIES:
        raise SetupError(f"phantom: found density {density!r}, need one of {', '.join(DENSITIES)}")


def _draw_lobes(rng: np.random.Generator, *, depth_mm: float, dense: float) -> NDArray[np.float64]:
    """Balls of gland strung from behind the nipple towards the chest wall, most of them upper and outer."""
    reach = 0.30 + 0.45 * dense  # how far back from the nipple gland is found, as a share of the depth
    balls = []
    for _ in range(_LOBES):
        lateral, upper = rng.normal([0.15, 0.12], [0.42, 0.42])
        length = reach * rng.uniform(0.6, 1.25)
        for step in np.linspace(0.08, 1, _STEPS):
            balls.append(
                (
                    0.93 - length * step + rng.normal(0, 0.03),
                    lateral * step**0.8 + rng.normal(0, 0.05),
                    upper * step**0.8 + rng.normal(0, 0.05),
                    depth_mm * (0.035 + 0.055 * step) * rng.uniform(0.8, 1.3),
                    (0.55 + 0.55 * dense) * rng.uniform(0.4, 1.3) * (1.15 - 0.6 * step * (1 - dense)),
                )
            )
    return np.array(balls)
