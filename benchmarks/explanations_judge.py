"""What lesions that were read say of each map: where it lies, what its margin share tells apart, and what holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from fourview.evaluate import Estimate, auc
from fourview.studies.lesion.signs.associations import UNIT, MarginTest, compare_inside, measure_margins, measure_where
from fourview.studies.lesion.signs.collect import Seen
from fourview.studies.lesion.signs.read import CONTROLS, DRAWN, LesionMethod
from fourview.studies.lesion.signs.words import Token, compare_margins

Verdict = Literal["holds", "fails", "not shown"]
TWICE = 2.0  # times chance
MOST_EMPTY = 0.1  # of a method's maps; of more, those that show something are a choice


def judge(seen: Seen, tokens: Sequence[frozenset[Token]], methods: Sequence[LesionMethod]) -> dict[str, Any]:
    """Counts, a row per map under "where" and "margins", and whether every requirement holds.

    Rows hold fourview.evaluate's Estimates. margins: among malignant lesions; empty where they are too few
    """
    margins = compare_margins(tokens)
    malignant = np.array([view.malignant for view in seen.views])
    where = [
        {
            "map": test.name,
            "over_chance": test.over_chance,
            "inside": test.inside,
            "margin": test.zones[1],
            "empty": test.empty,
            "verdict": _judge_where(test.name, test.over_chance, empty=test.empty / len(seen.views)),
        }
        for test in measure_where(seen, methods)
    ]
    against = {method: compare_inside(seen, method) for method in methods}
    rows = [_describe_margin(test) for test in measure_margins(seen, margins, methods) if test.among == "malignant"]
    held = [{row["map"] for row in table if row["verdict"] == "holds"} for table in (where, rows)]
    needed = ({name for method in methods for name in (method, f"{method}{DRAWN}")}, set(methods))
    return {
        "lesion_images": len(seen.views),
        "lesions": len({view.key for view in seen.views}),
        "patients": len({view.patient for view in seen.views}),
        "malignant": int(malignant.sum()),
        "spiculated_malignant": int((malignant & (margins == 1)).sum()),
        "circumscribed_malignant": int((malignant & (margins == 0)).sum()),
        "auc": _measure_auc(seen, malignant),
        "where": where,
        "against_drawn": [
            {"map": method, "difference": found} for method, found in against.items() if found is not None
        ],
        "margins": rows,
        "passes": all(need <= own for need, own in zip(needed, held, strict=True)),
    }


def find_verdict(found: Estimate, limit: float, *, above: bool) -> Verdict:
    """Whether the whole interval lies above (below) the limit."""
    if math.isnan(found.low):
        return "not shown"
    over, under = found.low >= limit, found.high < limit
    if not (over or under):
        return "not shown"
    return "holds" if over == above else "fails"


def _judge_where(name: str, over_chance: Estimate, *, empty: float) -> Verdict | None:
    """None: of a control nothing is required. empty: share of maps that show nothing, which have no ratio"""
    if name in CONTROLS:
        return None
    if empty > MOST_EMPTY and not name.endswith(DRAWN):
        return "not shown"
    return find_verdict(over_chance, TWICE, above=not name.endswith(DRAWN))


def _describe_margin(test: MarginTest) -> dict[str, Any]:
    row: dict[str, Any] = {
        "map": test.name,
        "spiculated": test.spiculated,
        "circumscribed": test.circumscribed,
        "auc": test.area,
        "share_spiculated": test.means[0],
        "share_circumscribed": test.means[1],
        "minus": dict(zip(CONTROLS, test.better, strict=True)) if test.better else {},
        "verdict": None,
    }
    if test.better and not test.name.endswith(DRAWN):
        verdicts = [find_verdict(test.area, 0.5, above=True)]
        verdicts += [find_verdict(one, 0.0, above=True) for one in test.better]
        row["verdict"] = next((one for one in ("fails", "not shown") if one in verdicts), "holds")
    return row


def _measure_auc(seen: Seen, malignant: np.ndarray) -> Estimate | None:
    """Of malignant, single lesion images: a network that knows nothing has nothing to explain."""
    if not 0 < malignant.sum() < len(malignant):
        return None
    patients = np.array([view.patient for view in seen.views])
    return auc(malignant, [one.logit for one in seen.found], cluster=patients, unit=UNIT, name="AUC of malignant")
