"""Finished runs -> one set of weights, and how good their mean answers are where all were judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fourview.evaluate.estimate import Estimate
from fourview.exam import FINDINGS, SetupError
from fourview.train.questions import ask
from fourview.train.run_folder import RunCard, read_run
from fourview.train.weights_out import WEIGHTS, as_metric
from fourview.weights.ensemble import save_ensemble
from fourview.weights.folder import load_card
from fourview.weights.home import CARD_NAME

PREDICTIONS = "predictions.csv"
_KEYS = ("exam", "side")
_TRUTH = ("patient", *FINDINGS)


@dataclass(frozen=True)
class MadeEnsemble:
    """areas: of the mean answers, by question; unjudged: why there are none, or ""."""

    areas: tuple[Estimate, ...]
    unjudged: str = ""


def make_ensemble(runs: Sequence[Path], out: Path, *, name: str) -> MadeEnsemble:
    """Write the weights of all runs as one ensemble.

    Raises SetupError: a folder is no finished run of the exam stage, or all of the patch stage; two runs have the same
    weights; `out` exists.
    """
    cards = [_read_finished(run) for run in runs]
    if len(stages := {card.stage for card in cards}) > 1:
        raise SetupError(f"found runs of the stages {' and '.join(sorted(stages))}; need one")
    if stages == {"patch"}:
        table, unjudged = None, "patch networks are not judged on images: read exams with them, and evaluate"
    else:
        table, unjudged = _mean_answers(runs, cards)
    areas: tuple[Estimate, ...] = ()
    if table is not None:
        women = dict(table.select("exam", "patient").iter_rows())
        questions, unasked = ask("exam", table, women)
        areas, unjudged = tuple(question.area for question in questions), "; ".join(unasked)
    metrics = [as_metric(area, population=f"validation of {cards[0].data}") for area in areas]
    flattered = "Validation chose the epoch of each member: the AUCs of the validation part flatter them."
    sizes = {load_card(run / WEIGHTS).notes for run in runs}
    notes = " ".join(filter(None, (*sorted(sizes), flattered if metrics else unjudged)))
    save_ensemble(out, [run / WEIGHTS for run in runs], name=name, metrics=metrics, notes=notes)
    return MadeEnsemble(areas, unjudged)


def _read_finished(run: Path) -> RunCard:
    card = read_run(run)
    if card.stage == "birads":
        raise SetupError(
            f"{run}: found a run of the stage {card.stage}, need finished runs of `fourview train exam`, or patch"
        )
    if not (run / WEIGHTS / CARD_NAME).is_file():
        raise SetupError(f"{run}: found no {WEIGHTS}/ in it, the run is not finished; need --resume of it first")
    return card


def _mean_answers(runs: Sequence[Path], cards: Sequence[RunCard]) -> tuple[pl.DataFrame | None, str]:
    """The mean of the members' answers to the same breasts; None and why, if they were judged on different ones."""
    if len({card.data_sha256 for card in cards}) > 1:
        return None, "the runs were judged on different data or splits"
    tables = [_read_table(run / PREDICTIONS) for run in runs]
    first = tables[0]
    for table in tables[1:]:
        if not table.select(*_KEYS, *_TRUTH).equals(first.select(*_KEYS, *_TRUTH)):
            return None, "the runs were judged on different exams"
    means = {
        f"p_{finding}": sum((table[f"p_{finding}"] for table in tables[1:]), first[f"p_{finding}"]) / len(tables)
        for finding in FINDINGS
    }
    return first.with_columns(**means), ""


def _read_table(path: Path) -> pl.DataFrame:
    types = {"exam": pl.String, "patient": pl.String, "side": pl.String} | dict.fromkeys(FINDINGS, pl.Int8)
    try:
        table = pl.read_csv(path, schema_overrides=types)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SetupError(f"{path}: cannot be read ({type(error).__name__}); need what the run wrote") from error
    needed = [*_KEYS, *_TRUTH, *(f"p_{finding}" for finding in FINDINGS)]
    if missing := [column for column in needed if column not in table.columns]:
        raise SetupError(f"{path}: found no column {', '.join(missing)}; need what the run wrote")
    return table.sort(_KEYS)
