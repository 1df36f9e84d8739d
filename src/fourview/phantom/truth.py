"""Plans as tables: breasts.csv (the truth that `fourview evaluate` takes), exams.csv and findings.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fourview.exam import FINDINGS, Box, SetupError, Side, View
from fourview.phantom.ceiling import rate_exam
from fourview.phantom.population import PlannedBreast, PlannedExam
from fourview.phantom.recipe import Recipe
from fourview.whole_files import whole_folder

Row = dict[str, Any]
_SIGNS = ("shape", "margin", "calc_type", "distribution")


def exam_row(plan: PlannedExam, *, exam: str | None = None) -> Row:
    """Who, when, how. exam: what readings call it (its id, or the name that the id is a hash of); None: plan.name."""
    return {
        "exam": exam or plan.name,
        "patient": plan.patient,
        "round": plan.round,
        "date": plan.date,
        "age": plan.age,
        "age_band": f"{plan.age // 10 * 10}-{plan.age // 10 * 10 + 9}",
        "density": plan.density,
        "profile": plan.profile,
        "follow_up_days": plan.follow_up_days,
        "recipe": plan.recipe_hash,
        "seed": plan.seed,
        "index": plan.index,
    }


def breast_rows(recipe: Recipe, plan: PlannedExam, *, exam: str | None = None) -> list[Row]:
    """Left, then right.

    malignant, benign  1 or 0 by biopsies within 120 days of this exam; "unknown" without one
    visible            of malignant breasts: a malignant finding can be seen; of benign ones: a benign one; else empty
    later_malignant    1: a biopsy after a later exam of hers found cancer here
    known_malignant    1: she came with a cancer here that was known (BI-RADS 6)
    suspicion          how strongly the breast's findings draw the eye, 0 to about 1.3 (birads_model)
    planted_malignant, planted_benign  probability of the label given all biopsied findings that can be seen, their
                       words, and her age (ceiling): as a score it reaches the ceiling
    """
    common = exam_row(plan, exam=exam)
    planted = {label: rate_exam(recipe, plan, label) for label in FINDINGS}
    rows = []
    for side, breast in plan.breasts.items():
        rows.append(
            {
                "exam": common["exam"],
                "side": side.value,
                "patient": plan.patient,
                "malignant": int(breast.malignant) if breast.label_known else "unknown",
                "benign": int(breast.benign) if breast.label_known else "unknown",
                "high_risk": int(breast.high_risk) if breast.label_known else "unknown",
                "biopsied": int(breast.biopsied),
                "visible": _visible(plan, side, breast),
                "birads": breast.birads,
                "pathology_terms": ";".join(breast.pathologies),
                "later_malignant": int(breast.later_malignant),
                "known_malignant": int(breast.known_malignant),
                "suspicion": round(breast.suspicion, 6),
                "planted_malignant": round(planted["malignant"][side], 9),
                "planted_benign": round(planted["benign"][side], 9),
                **{name: value for name, value in common.items() if name not in ("exam", "patient")},
            }
        )
    return rows


def _visible(plan: PlannedExam, side: Side, breast: PlannedBreast) -> int | str:
    if not breast.biopsied:
        return ""
    return int(any(f.visible for f in plan.biopsied_findings(side) if f.malignant == breast.malignant))


def finding_rows(
    plan: PlannedExam, *, exam: str | None = None, boxes: Mapping[tuple[View, int], Box] | None = None
) -> list[Row]:
    """One row per finding and view, distractors and occult findings too.

    finding   its place in plan.findings
    biopsied  1: after this exam. 0 with a p_malignant: after another exam of hers; without: a distractor
    boxes     of (view, place in plan.findings), in source pixels; where there is none, the box's cells are empty

    The lesions that `fourview evaluate --lesions` takes are the biopsied ones alone: lesions.csv.
    """
    rows = []
    for number, finding in enumerate(plan.findings):
        for view in finding.side.views:
            box = (boxes or {}).get((view, number))
            rows.append(
                {
                    "exam": exam or plan.name,
                    "patient": plan.patient,
                    "side": finding.side.value,
                    "view": view.value,
                    "finding": number,
                    "kind": finding.kind,
                    **{name: getattr(finding, name) or "" for name in _SIGNS},
                    "malignant": int(finding.malignant),
                    "high_risk": int(finding.high_risk),
                    "biopsied": int(finding.biopsied),
                    "visible": int(finding.visible),
                    "pathology": finding.pathology,
                    "p_malignant": "" if finding.p_malignant is None else round(finding.p_malignant, 9),
                    "radius_mm": round(finding.radius_mm, 3),
                    "contrast": round(finding.contrast, 4),
                    "depth": round(finding.depth, 4),
                    "lateral": round(finding.lateral, 4),
                    "upper": round(finding.upper, 4),
                    "key": finding.key,
                    "top": box.top if box else "",
                    "bottom": box.bottom if box else "",
                    "left": box.left if box else "",
                    "right": box.right if box else "",
                }
            )
    return rows


def write_truth(
    folder: Path,
    recipe: Recipe,
    plans: Iterable[PlannedExam],
    *,
    exams: Mapping[int, str] | None = None,
    boxes: Mapping[int, Mapping[tuple[View, int], Box]] | None = None,
) -> None:
    """exams.csv, breasts.csv and findings.csv in a new or empty folder, which appears whole or not at all.

    exams, boxes  index of a plan -> what readings call the exam; its findings' boxes (see finding_rows)

    Raises SetupError if the folder cannot be written, or if a plan is of another recipe.
    """
    tables: dict[str, list[Row]] = {"exams": [], "breasts": [], "findings": []}
    for plan in plans:
        if plan.recipe_hash != recipe.hash:
            raise SetupError(
                f"phantom: found a plan of recipe {plan.recipe_hash[:12]}, need {recipe.name} {recipe.hash[:12]}"
            )
        name = (exams or {}).get(plan.index)
        tables["exams"].append(exam_row(plan, exam=name))
        tables["breasts"] += breast_rows(recipe, plan, exam=name)
        tables["findings"] += finding_rows(plan, exam=name, boxes=(boxes or {}).get(plan.index))
    try:
        with whole_folder(folder) as part:
            for name, rows in tables.items():
                (part / f"{name}.csv").write_text(format_table(rows), encoding="utf-8", newline="")
    except OSError as error:
        raise SetupError(f"{folder}: cannot be written ({error.strerror}); need a new or empty folder") from error


def format_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV with a header, lines ended by a single line feed; nothing at all without rows."""
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
