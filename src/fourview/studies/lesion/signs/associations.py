"""Do maps lie in lesions, and along the margin of spiculated ones more than of circumscribed ones?

A network that finds malignant lesions will look as if it knew spiculation, because spiculated lesions are mostly
malignant: so everything is asked once more of malignant lesions alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fourview.evaluate import Estimate
from fourview.evaluate.means import clustered_mean, mean_ratio, paired_mean_difference
from fourview.studies.lesion.signs.adjust import adjust_bh, difference_by_t, known_p, tested_auc
from fourview.studies.lesion.signs.collect import Seen
from fourview.studies.lesion.signs.read import CHANCE, CONTROLS, DRAWN, LesionMethod
from fourview.studies.lesion.signs.words import LEAST, UNIT

Among = Literal["all", "malignant"]
AMONG: tuple[Among, ...] = ("all", "malignant")
Zone = Literal["core", "margin", "outside", "lesion"]


@dataclass(frozen=True)
class WhereTest:
    """Where one kind of map lies, over all lesion images that have one.

    inside    share within the outline;  over_chance  its ratio to the outline's share of the tissue
    zones     mean share of core, margin, outside
    empty     lesion images whose map shows nothing: they count nowhere else
    """

    name: str
    inside: Estimate
    over_chance: Estimate
    zones: tuple[Estimate, Estimate, Estimate]
    empty: int


@dataclass(frozen=True)
class MarginTest:
    """Does the share along the margin tell spiculated from circumscribed?

    among     which lesions;  spiculated, circumscribed  how many images
    area      AUC of the margin share;  p  of one half, adjusted by Benjamini and Hochberg over all tests of the page
    means     of the share in spiculated and in circumscribed ones
    better    than each control: the difference of the areas on the same images, their p adjusted alike
    """

    name: str
    among: Among
    spiculated: int
    circumscribed: int
    area: Estimate
    means: tuple[Estimate, Estimate]
    better: tuple[Estimate, ...]


def measure_where(seen: Seen, methods: Sequence[LesionMethod]) -> tuple[WhereTest, ...]:
    """Each method's maps, those of networks drawn anew, and the controls; not of maps that never show anything."""
    names = [name for method in methods for name in (str(method), f"{method}{DRAWN}")]
    return tuple(test for name in (*names, *CONTROLS) if (test := _where(seen, name)) is not None)


def measure_margins(seen: Seen, margins: NDArray[np.int64], methods: Sequence[LesionMethod]) -> tuple[MarginTest, ...]:
    """Spiculated against circumscribed, among all lesions and among malignant ones.

    margins  of words.compare_margins. Left out where fewer than LEAST images are of either kind.
    The last row, CHANCE, is of a map that is the same everywhere: what the form of the zones alone tells apart.
    """
    names = [name for method in methods for name in (str(method), f"{method}{DRAWN}")]
    malignant = np.array([view.malignant for view in seen.views])
    found = []
    for among in AMONG:
        chosen = (margins >= 0) & (malignant if among == "malignant" else np.True_)
        for name in (*names, *CONTROLS, CHANCE):
            if (test := _margin(seen, margins, chosen, name, among)) is not None:
                found.append(test)
    return _adjust(found)


def zone_column(seen: Seen, name: str, zone: Zone) -> NDArray[np.float64]:
    """(lesion images,) of one map; NaN where it has no positive value."""
    return np.array([getattr(one.shares[name], zone) for one in seen.found])


def _where(seen: Seen, name: str) -> WhereTest | None:
    own, chance = zone_column(seen, name, "lesion"), zone_column(seen, CHANCE, "lesion")
    known = np.isfinite(own) & np.isfinite(chance)
    if not known.any():
        return None
    patients = np.array([view.patient for view in seen.views])[known]
    core, margin, outside = (
        clustered_mean(zone_column(seen, name, zone)[known], cluster=patients, unit=UNIT, name=zone)
        for zone in ("core", "margin", "outside")
    )
    return WhereTest(
        name,
        clustered_mean(own[known], cluster=patients, unit=UNIT, name="share within the outline"),
        mean_ratio(own[known], chance[known], cluster=patients, unit=UNIT, name="share within the outline over chance"),
        (core, margin, outside),
        int((~known).sum()),
    )


def _margin(
    seen: Seen, margins: NDArray[np.int64], chosen: NDArray[np.bool_], name: str, among: Among
) -> MarginTest | None:
    columns = {one: zone_column(seen, one, "margin") for one in (name, *CONTROLS)}
    kept = chosen & np.all([np.isfinite(column) for column in columns.values()], axis=0)
    y = margins[kept]
    counts = int((y == 1).sum()), int((y == 0).sum())
    if min(counts) < LEAST:
        return None
    patients = np.array([view.patient for view in seen.views])[kept]
    own = columns[name][kept]
    area = tested_auc(y, own, cluster=patients, unit=UNIT, name=f"margin share, {name}")
    means = tuple(
        clustered_mean(own[y == value], cluster=patients[y == value], unit=UNIT, name=word)
        for value, word in ((1, "spiculated"), (0, "circumscribed"))
    )
    better = tuple(
        difference_by_t(y, own, columns[control][kept], cluster=patients, unit=UNIT, name=f"{name} minus {control}")
        for control in CONTROLS
        if control != name
    )
    return MarginTest(
        name, among, *counts, area, (means[0], means[1]), better if name not in (*CONTROLS, CHANCE) else ()
    )


def _adjust(tests: Sequence[MarginTest]) -> tuple[MarginTest, ...]:
    """The p values of all areas, and of all differences, adjusted together."""
    p = [known_p(test.area) for test in tests]
    p += [known_p(one) for test in tests for one in test.better]
    adjusted = iter(adjust_bh(p))
    areas = [replace(test.area, p=next(adjusted)) for test in tests]
    better = [tuple(replace(one, p=next(adjusted)) for one in test.better) for test in tests]
    return tuple(replace(t, area=a, better=b) for t, a, b in zip(tests, areas, better, strict=True))


def compare_inside(seen: Seen, method: LesionMethod) -> Estimate | None:
    """The share within the outline, of the network minus of networks drawn anew, on images where both show something.

    None where there is no such image.
    """
    own, drawn = (zone_column(seen, name, "lesion") for name in (str(method), f"{method}{DRAWN}"))
    known = np.isfinite(own) & np.isfinite(drawn)
    if not known.any():
        return None
    patients = np.array([view.patient for view in seen.views])[known]
    return paired_mean_difference(
        own[known],
        drawn[known],
        cluster=patients,
        unit=UNIT,
        name=f"{method}: share within the outline, minus drawn anew",
    )
