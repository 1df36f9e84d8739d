"""What a judgement's table answers, question by question, for intervals that know which units are of one woman."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from fourview.evaluate.question import Question
from fourview.exam import FINDINGS, SetupError
from fourview.train.recipe import CLASSES, Stage

BIRADS = {0: "BI-RADS 0 (incomplete)", 1: "BI-RADS 1 (normal)", 2: "BI-RADS 2 (benign)"}


def ask(stage: Stage, table: pl.DataFrame, women: Mapping[str, str]) -> tuple[tuple[Question, ...], tuple[str, ...]]:
    """The questions that a stage is asked, with the answers of its table; and why others could not be asked.

    table  of a Judgement: patches of images (patch), or breasts of exams (birads, exam)
    women  image, or exam -> whom it is of
    """
    asked, unasked = [], []
    for name, truth, scores in _list_questions(stage, table):
        known = truth.is_not_null() & scores.is_not_null() & scores.is_not_nan()
        of = table["image" if stage == "patch" else "exam"].filter(known)
        try:
            question = Question(
                f"AUC, {name}",
                "patch" if stage == "patch" else "breast",
                truth.filter(known).to_numpy().astype(bool),
                scores.filter(known).to_numpy().astype(np.float64),
                np.array([women[one] for one in of], dtype=np.str_),
            )
        except SetupError as error:
            unasked.append(str(error))
        else:
            asked.append(question)
    return tuple(asked), tuple(unasked)


def find_women(stage: Stage, rows: pl.DataFrame) -> dict[str, str]:
    """image (patch stage) or exam -> woman, of rows of a manifest. Where she is unknown, the exam stands for her."""
    unit = "image" if stage == "patch" else "exam"
    found = rows.select(unit, pl.coalesce("patient", "exam").alias("woman")).unique(subset=unit, maintain_order=True)
    return dict(found.iter_rows())


def _list_questions(stage: Stage, table: pl.DataFrame) -> Iterator[tuple[str, pl.Series, pl.Series]]:
    """(name, truth, probability); of classes, each against all others."""
    if stage == "patch":
        for name in CLASSES:
            yield f"{name} patches", table["class"] == name, table[f"p_{name}"]
    elif stage == "birads":
        for code, name in BIRADS.items():
            yield name, table["birads_class"] == code, table[f"p_{code}"]
    else:
        for finding in reversed(FINDINGS):
            yield f"{finding} finding", table[finding], table[f"p_{finding}"]
