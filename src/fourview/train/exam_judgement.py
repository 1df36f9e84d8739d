"""Answers for validation exams -> judgements: AUC per label, pooled over breasts, with intervals that know women."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.evaluate.roc import auc
from fourview.exam import FINDINGS, SetupError
from fourview.networks.birads import CLASSES, SIDES
from fourview.networks.exam import BOTH_SIDES
from fourview.train.stage import UNKNOWN, Judgement

Targets = NDArray[np.int64]
Answers = NDArray[np.float32]
_WORDS = {"L": "left", "R": "right"}


def judge_findings(names: Sequence[str], women: Sequence[str], answers: Answers, targets: Targets) -> Judgement:
    """The score is the mean of the AUCs of the four labels; those of which a class is missing are left out.

    names    exams;  women  of the exams: the intervals of pooled AUCs count them, not breasts
    answers  (exams, 4) probabilities, NaN where nothing was shown;  targets  (exams, 4); in the order of BOTH_SIDES
    Raises SetupError if no label has both classes. Method: Wu et al. 2019.
    """
    columns = {key: place for place, key in enumerate(BOTH_SIDES)}
    of_labels: dict[str, float] = {}
    for (side, finding), place in columns.items():
        known = _known(targets[:, place], answers[:, place])
        if has_both(targets[known, place]):
            of_labels[f"auc_{_WORDS[side]}_{finding}"] = auc(targets[known, place], answers[known, place]).value
    if not of_labels:
        raise SetupError("validation: found no label of which there are breasts with and without; need one or more")
    pooled: dict[str, float] = {}
    for finding in FINDINGS:
        places = [columns[side, finding] for side in SIDES]
        truth, p = targets[:, places].T.ravel(), answers[:, places].T.ravel()
        pooled |= _measure(finding, truth, p, [*women] * len(SIDES))
    tables = []
    for side in SIDES:
        said: dict[str, Any] = {"exam": list(names), "patient": list(women), "side": [side] * len(names)}
        for finding in FINDINGS:
            place = columns[side, finding]
            said |= {finding: targets[:, place], f"p_{finding}": answers[:, place]}
        tables.append(pl.DataFrame(said))
    table = pl.concat(tables)
    return Judgement(float(np.mean(list(of_labels.values()))), {**pooled, **of_labels}, _without_empty(table))


def judge_birads(names: Sequence[str], women: Sequence[str], answers: Answers, targets: Targets) -> Judgement:
    """The score is the mean of the AUCs of each class against the others, left and right breasts pooled.

    answers  (exams, 2, 3) probabilities, NaN where nothing was shown;  targets  (exams, 2) classes; left, right
    Classes that no breast has, or all have, are left out; raises SetupError if that is all. Method: Wu et al. 2019.
    """
    truth = targets.T.ravel()
    p = answers.transpose(1, 0, 2).reshape(-1, CLASSES)
    metrics: dict[str, float] = {}
    for number in range(CLASSES):
        of_class = np.where(truth == UNKNOWN, UNKNOWN, truth == number)
        metrics |= _measure(f"birads_{number}", of_class, p[:, number], [*women] * len(SIDES))
    areas = [metrics[name] for number in range(CLASSES) if (name := f"auc_birads_{number}") in metrics]
    if not areas:
        raise SetupError("validation: found breasts of one BI-RADS class only; need two or more classes")
    table = pl.DataFrame(
        {
            "exam": [*names] * len(SIDES),
            "patient": [*women] * len(SIDES),
            "side": [side for side in SIDES for _ in names],
            "birads_class": truth,
            **{f"p_{number}": p[:, number] for number in range(CLASSES)},
        }
    )
    return Judgement(float(np.mean(areas)), metrics, _without_empty(table))


def has_both(truth: Targets) -> bool:
    """Whether there are positives and negatives among the known ones."""
    return bool((truth == 0).any() and (truth == 1).any())


def _measure(name: str, truth: Targets, p: Answers, women: Sequence[str]) -> dict[str, float]:
    """AUC with its interval and counts; nothing where a class is missing."""
    known = _known(truth, p)
    if not has_both(truth[known]):
        return {}
    found = auc(truth[known], p[known], cluster=np.asarray(women)[known])
    return {
        f"auc_{name}": found.value,
        f"auc_{name}_low": found.low,
        f"auc_{name}_high": found.high,
        f"{name}_n": float(found.n),
        f"{name}_positives": float(truth[known].sum()),
    }


def _known(truth: Targets, p: Answers) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = (truth != UNKNOWN) & ~np.isnan(p)
    return known


def _without_empty(table: pl.DataFrame) -> pl.DataFrame:
    """Breasts of which something was said; what is not known is null."""
    targets = [name for name, dtype in table.schema.items() if dtype.is_integer()]
    p = [name for name, dtype in table.schema.items() if dtype.is_float()]
    return table.with_columns(pl.col(targets).replace(UNKNOWN, None), pl.col(p).cast(pl.Float64).fill_nan(None)).filter(
        pl.any_horizontal(pl.col(p).is_not_null())
    )
