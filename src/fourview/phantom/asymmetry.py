"""An asymmetry: more tissue here than on the other side, with no border of its own; concave where fat lies on it.

It is seen in both views, as CBIS-DDSM's words mean it: focal asymmetric density (in the BI-RADS atlas, 5th edition,
focal asymmetry) and asymmetric breast tissue (global asymmetry). What the atlas calls asymmetry, overlap seen in one
view only, is not drawn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fourview.phantom.local_view import Image, LocalView, soften, uneven
from fourview.phantom.solid import (
    Solid,
    draw_directions,
    draw_turns,
    find_surface,
    make_forms,
    measure_thickness,
    size_to,
)

REACH = 2.8  # radii


def light_asymmetry(
    local: LocalView, *, shape: str, margin: str | None, radius_mm: float, key: int, view_key: tuple[int, ...]
) -> tuple[Image, NDArray[np.bool_]]:
    """(brightness to add, about 1 in the middle; where it is more than a third of that), both (n, n)."""
    rng, grain = np.random.default_rng([key, 4]), np.random.default_rng([*view_key, 4])
    solid = size_to(_heap(rng), radius_mm)
    wide = shape == "asymmetric breast tissue"
    vague = (0.20 if margin == "ill defined" else 0.27) + (0.06 if wide else 0.0)
    # a vaguer heap is denser, so that brightness does not tell the words apart
    dense = np.float32((vague / 0.20) ** 0.9 / (1.5 * radius_mm))
    thick = soften(dense * measure_thickness(local, solid), local, sigma_mm=vague * radius_mm)
    rough = uneven(local, grain, cell_mm=0.9 * radius_mm, octaves=4)
    light = thick * np.clip(1 + np.float32(0.38 if wide else 0.28) * rough, 0.15, 1.9)
    light = light.astype(np.float32)
    return light, thick > thick.max() / 3


def _heap(rng: np.random.Generator) -> Solid:
    """Lobes of gland heaped on each other, with fat lobules pressed into their sides."""
    n, bites = int(rng.integers(5, 9)), int(rng.integers(5, 8))
    axes = rng.uniform(0.35, 0.85, (n, 3))
    stretch = np.diag([0.62, 0.42, 0.28]) @ draw_turns(rng, 1)[0]
    solid = Solid(rng.normal(0, 1, (n, 3)) @ stretch, make_forms(axes, draw_turns(rng, n)))
    ways = draw_directions(rng, bites, jitter=0.3)
    size = rng.uniform(0.5, 0.85, bites)
    centres = ways * (find_surface(solid, ways) + 0.2 * size)[:, None]
    return Solid(
        np.concatenate([solid.centres, centres]),
        np.concatenate([solid.forms, np.eye(3) / size[:, None, None] ** 2]),
        holes=bites,
    )
