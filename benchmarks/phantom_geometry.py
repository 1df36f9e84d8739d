"""`python -m benchmarks.phantom_geometry`: do both views of a breast show the same finding in the same place?

    python -m benchmarks.phantom_geometry [--findings 200] [--scale 0.25] [--seed 0] [--jobs 2]
                                          [--out benchmarks/results/phantom_geometry.json]

Visible findings of the recipe `enriched`, distractors too, from all its units, in the direction of the file: the first
--findings that are seen in both views. Measured in stored pixels and masks alone, as a reader would:

    depth    distance from the nipple along the normal of the chest wall: from the foremost point of the breast near the
             nipple (in MLO below the upper third, as the axilla may reach farther) to the middle of the mask
    contrast mean of the mask minus mean of the breast 1.1 to 1.5 equivalent radii from the middle of the mask

Required: depth agrees between CC and MLO within the finding's radius + 5 mm, for every finding; in at least 95 % of all
views of masses the mass is brighter than its ring. Exit status 1 if not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.phantom_observers import ring_contrast
from benchmarks.phantom_result import find_result, make_parser
from benchmarks.phantom_views import Mask, Seen, see
from fourview.exam import Side
from fourview.phantom import load_recipe, plan_exam
from fourview.phantom.draw import draw_planned
from fourview.phantom.recipe import GENERATOR

NAME = "phantom_geometry"
STORED = Path(__file__).parent / "results" / f"{NAME}.json"
RECIPE = "enriched"
FINDINGS, SCALE, SEED = 200, 0.25, 0
TOLERANCE_MM = 5.0
BRIGHTER = 0.95  # share of views of masses

Measured = dict[str, Any]


def measure_findings(index: int, *, scale: float = SCALE, seed: int = SEED) -> list[Measured]:
    """One row per visible finding of an exam that is seen in both views."""
    cv2.setNumThreads(1)
    plan = plan_exam(load_recipe(RECIPE), seed=seed, index=index)
    exam = draw_planned(plan, scale=scale)
    rows = []
    for side in Side:
        images = [image for image in exam.images if image.view.side is side]
        seen = [see(image) for image in images]
        for number, finding in enumerate(images[0].findings):
            masks = [one.masks[number] for one in seen]
            if not all((mask & one.breast).any() for mask, one in zip(masks, seen, strict=True)):
                continue
            depths = [
                find_nipple_mm(one) - middle_mm(mask, one.pixel_mm) for mask, one in zip(masks, seen, strict=True)
            ]
            rows.append(
                {
                    "exam": index,
                    "profile": plan.profile,
                    "mirrored": images[0].acquired.setup.mirrored,
                    "kind": finding.kind,
                    "biopsied": finding.biopsied,
                    "radius_mm": round(finding.radius_mm, 2),
                    "cc_mm": round(depths[0], 2),
                    "mlo_mm": round(depths[1], 2),
                    "contrasts": [
                        round(ring_contrast(one.light, mask & one.breast, one.breast), 5)
                        for mask, one in zip(masks, seen, strict=True)
                    ],
                }
            )
    return rows


def find_nipple_mm(seen: Seen) -> float:
    """Distance of the foremost point of the breast from the chest wall's edge of the image."""
    rows = np.flatnonzero(seen.breast.any(axis=1))
    top = rows[0] + (len(rows) // 3 if seen.view.angle == "MLO" else 0)
    return float((np.flatnonzero(seen.breast[top:].any(axis=0))[-1] + 1) * seen.pixel_mm)


def middle_mm(mask: Mask, pixel_mm: float) -> float:
    """Distance of the middle of a mask from the chest wall's edge of the image."""
    return float((np.nonzero(mask)[1].mean() + 0.5) * pixel_mm)


def collect(*, findings: int = FINDINGS, scale: float = SCALE, seed: int = SEED, jobs: int = 1) -> list[Measured]:
    """The first findings of the population."""
    rows: list[Measured] = []
    for own in _draw(partial(measure_findings, scale=scale, seed=seed), findings, jobs):
        rows += own
        if len(rows) >= findings:
            break
    return rows[:findings]


def _draw(work: Any, most: int, jobs: int) -> Iterator[list[Measured]]:
    if jobs == 1:
        yield from map(work, range(most))
        return
    with ProcessPoolExecutor(jobs) as pool:
        for start in range(0, most, 8 * jobs):
            yield from pool.map(work, range(start, start + 8 * jobs))


def judge(rows: list[Measured]) -> dict[str, Any]:
    """How well the views agree, and how often masses are brighter than their rings."""
    apart = np.array([abs(row["cc_mm"] - row["mlo_mm"]) for row in rows])
    allowed = np.array([row["radius_mm"] + TOLERANCE_MM for row in rows])
    masses = [contrast for row in rows if row["kind"] == "mass" for contrast in row["contrasts"]]
    brighter = float(np.mean(np.array(masses) > 0)) if masses else float("nan")
    return {
        "findings": len(rows),
        "kinds": {kind: sum(row["kind"] == kind for row in rows) for kind in sorted({row["kind"] for row in rows})},
        "profiles": {p: sum(row["profile"] == p for row in rows) for p in sorted({row["profile"] for row in rows})},
        "mirrored_files": sum(row["mirrored"] for row in rows),
        "agree": float((apart <= allowed).mean()),
        "apart_mm": {name: round(float(np.quantile(apart, q)), 2) for name, q in (("median", 0.5), ("95 %", 0.95))}
        | {"most": round(float(apart.max()), 2)},
        "mlo_minus_cc_mm": round(float(np.mean([row["mlo_mm"] - row["cc_mm"] for row in rows])), 2),
        "views_of_masses": len(masses),
        "brighter": round(brighter, 4),
        "passes": bool((apart <= allowed).all() and brighter >= BRIGHTER),
        "worst": sorted(rows, key=lambda row: row["radius_mm"] - abs(row["cc_mm"] - row["mlo_mm"]))[:5],
    }


def geometry_table(result: dict[str, Any]) -> str:
    """Markdown: what was required, and what was found."""
    apart = result["apart_mm"]
    return "\n".join(
        [
            "| required | found |",
            "|---|---|",
            f"| {FINDINGS} findings: depth agrees between CC and MLO within radius + {TOLERANCE_MM:g} mm "
            f"| {100 * result['agree']:.1f} % of {result['findings']} agree; apart by {apart['median']} mm (median), "
            f"{apart['95 %']} mm (95 %), {apart['most']} mm (most) |",
            f"| masses brighter than their ring in {100 * BRIGHTER:g} % of views "
            f"| {100 * result['brighter']:.1f} % of {result['views_of_masses']} views |",
        ]
    )


def main() -> None:
    parser = make_parser(NAME, "Do the views agree?", seed=SEED, jobs=1)
    parser.add_argument("--findings", type=int, default=FINDINGS)
    parser.add_argument("--scale", type=float, default=SCALE)
    given = parser.parse_args()
    result = find_result(
        given,
        NAME,
        STORED,
        lambda: {
            "recipe": RECIPE,
            "hash": load_recipe(RECIPE).hash,
            "generator": GENERATOR,
            "scale": given.scale,
            **judge(collect(findings=given.findings, scale=given.scale, seed=given.seed, jobs=given.jobs)),
        },
    )
    sys.stdout.write(f"{geometry_table(result)}\n\n")
    for row in result["worst"]:
        sys.stdout.write(f"  {row}\n")
    raise SystemExit(0 if result["passes"] else 1)


if __name__ == "__main__":
    main()
