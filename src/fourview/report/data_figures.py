"""Distributions over a store as figures: grey values by data set, vendor and bit depth; ages."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.report.data_oddities import VALUES, Measured, grey_range, groups_of
from fourview.report.document import Figure
from fourview.report.plots import Line, draw_lines
from fourview.store.labels import label_at

MOST_GROUPS = 6
_BINS = 64
_AGES = np.arange(0, 125, 5)


def draw_grey_values(images: pl.DataFrame, measured: dict[str, Measured]) -> Figure:
    """How grey values of the breast are distributed, of the largest groups of data set, vendor and bit depth."""
    group_of = groups_of(images)
    groups: dict[str, list[NDArray[np.uint16]]] = {}
    for image, found in measured.items():
        groups.setdefault(group_of[image], []).append(found.values)
    largest = sorted(groups, key=lambda group: (-len(groups[group]), group))
    lines: list[Line] = []
    data: dict[str, Any] = {}
    for group in largest[:MOST_GROUPS]:
        values = groups[group]
        top = grey_range(values)
        edges = np.linspace(0, top + 1, _BINS + 1)
        shares = np.mean([np.histogram(v, edges)[0] / max(1, len(v)) for v in values], axis=0)
        middles = (edges[:-1] + edges[1:]) / 2 / (top + 1)
        lines.append(Line(f"{group}, 0 to {top:,}: {len(values):,} images", middles.tolist(), shares.tolist()))
        data[group] = {"images": len(values), "largest value": top, "middle": middles, "share": shares}
    svg = draw_lines(lines, x_label="Grey value, share of the range", y_label="Share of the breast's pixels")
    left_out = f" {len(largest) - MOST_GROUPS:,} smaller groups are left out." if len(largest) > MOST_GROUPS else ""
    caption = (
        f"From a sample: {len(measured):,} of {len(images):,} prepared images, at most {VALUES:,} pixels of each "
        f"breast, every image with the same weight; {_BINS} bins. The range of a group is that of the largest value "
        f"that was found in it, by whole bits.{left_out}"
    )
    return Figure("grey_values", "Grey values inside the breast", svg, caption, data)


def draw_ages(images: pl.DataFrame) -> Figure | None:
    """Ages per exam, with and without a malignant finding; None where no age is known."""
    exams = images.group_by("dataset", "exam").agg(
        pl.col("age").drop_nulls().first(), label_at("malignant", "exam").fill_null(value=False).any()
    )
    known = exams.filter(pl.col("age").is_finite().fill_null(value=False))
    if not len(known):
        return None
    lines, counts = [], {}
    for label, malignant in (("with malignant finding", True), ("others", False)):
        ages = known.filter(pl.col("malignant") == malignant)["age"].to_numpy()
        found, edges = np.histogram(np.clip(ages, 0, 119.9), _AGES)
        steps = np.repeat(edges, 2)[1:-1].tolist(), np.repeat(found, 2).tolist()
        lines.append(Line(f"{label}: {len(ages):,} exams", *steps))
        counts[label] = found.tolist()
    kept = [k for k in range(len(_AGES) - 1) if any(counts[label][k] for label in counts)]
    first, last = kept[0], kept[-1] + 1
    data = {
        "from": _AGES[first:last].tolist(),
        "below": _AGES[first + 1 : last + 1].tolist(),
        **{f"exams {label}": found[first:last] for label, found in counts.items()},
    }
    limits = float(_AGES[max(0, first - 1)]), float(_AGES[min(len(_AGES) - 1, last + 1)])
    svg = draw_lines(lines, x_label="Age (years)", y_label="Exams", x_limits=limits)
    caption = f"Counts of exams in steps of 5 years. The age is known for {len(known):,} of {len(exams):,} exams."
    return Figure("ages", "Ages", svg, caption, data)
