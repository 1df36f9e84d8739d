"""A study -> OUT/classifier, the folder that `fourview screen` reads, or why there is none."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fourview.exam import SetupError
from fourview.studies.transfer.candidates import Candidate
from fourview.studies.transfer.cases import Unit
from fourview.studies.transfer.classifier_out import write_chosen
from fourview.studies.transfer.feature_set import FeatureSet
from fourview.studies.transfer.feature_source import FeatureSource, find_source
from fourview.studies.transfer.measures import Measures
from fourview.studies.transfer.results import Results
from fourview.studies.transfer.study import Study
from fourview.train.weights_out import as_metric
from fourview.weights.card import Metric
from fourview.whole_files import PART, remove_parts

CLASSIFIER = "classifier"  # the folder in OUT
UNITS: tuple[Unit, ...] = ("image", "breast")  # what `screen` answers about


@dataclass(frozen=True)
class Written:
    """What became of OUT/classifier.

    candidate  that was chosen; None: there is none that could be written
    named      by the user, not by the inner folds
    problem    why the folder was not written, one sentence; "": it was
    earlier    there is one that an earlier run wrote, and it stays
    """

    candidate: Candidate | None
    named: bool = False
    problem: str = ""
    earlier: bool = False


def open_sources(
    study: Study, sets: Mapping[str, FeatureSet], *, store: Path | None, weights: Mapping[str, str]
) -> dict[str, FeatureSource | str]:
    """Per feature set of which a classifier could be written: what made its features, or why that cannot be found.

    sets  as they were opened;  store, weights  where things are now, weights by the name of a feature set
    """
    found: dict[str, FeatureSource | str] = {}
    for name in dict.fromkeys(candidate.features for candidate in study.candidates):
        try:
            found[name] = find_source(sets[name], store=store, weights=weights.get(name))
        except SetupError as error:
            found[name] = str(error)
    return found


def read_weights(given: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Name of a feature set -> its weights, of NAME=W; of W alone where there is one set. Raises SetupError."""
    found: dict[str, str] = {}
    for text in given:
        name, is_named, value = text.partition("=")
        if name not in names or not is_named:
            if len(names) > 1:
                raise SetupError(f"--weights: found {text!r}; need NAME=W, NAME being one of {', '.join(names)}")
            name, value = names[0], text
        if name in found or not value:
            raise SetupError(f"--weights: found {text!r}; need one for each feature set")
        found[name] = value
    return found


def write_choice(
    out: Path,
    study: Study,
    results: Results,
    sources: Mapping[str, FeatureSource | str],
    *,
    named: Candidate | None = None,
) -> Written:
    """OUT/classifier of the named candidate, or of the one that the inner folds of all images speak for most.

    An earlier one is replaced when the new one is whole. Raises OSError.
    """
    remove_parts(out)
    is_named, earlier = named is not None, (out / CLASSIFIER).exists()
    candidate = named or find_best(study, results)
    if candidate is None:
        return Written(None, is_named, "none of these can be written as plain arrays", earlier)
    source = sources[candidate.features]
    if isinstance(source, str):
        return Written(candidate, is_named, source, earlier)
    part = out / f".{CLASSIFIER}.{secrets.token_hex(4)}{PART}"
    try:
        write_chosen(
            part,
            study.sets[candidate.features],
            study.cases,
            candidate.method,
            source,
            labels=study.labels,
            features=study.cards[candidate.features],
            name=f"{candidate.features}-{candidate.method.classifier}",
            metrics=_list_metrics(study, results, candidate, named=is_named),
            notes=_explain(study, named=is_named),
            inner=study.plan.inner,
            seed=study.whole(candidate).random_seed,
        )
    except SetupError as error:
        return Written(candidate, is_named, str(error), earlier)
    _put_in_place(part, out / CLASSIFIER)
    return Written(candidate, is_named)


def find_best(study: Study, results: Results) -> Candidate | None:
    """The candidate that the inner folds of all images speak for most; None where there is none."""
    if results.choice is not None:
        return results.choice.best
    return study.candidates[0] if study.candidates else None


def _list_metrics(study: Study, results: Results, candidate: Candidate, *, named: bool) -> tuple[Metric, ...]:
    """Of outer folds: of the choice by inner folds, or, of a candidate that was named or is the only one, its row's."""
    plan = study.plan
    population = f"outer folds, {plan.repeats} x {plan.folds}, of the same data"
    measures: Mapping[Unit, Measures]
    if named or results.choice is None:
        rows = (row for row in results.rows if Candidate(row.features, row.method) == candidate)
        measures = next(rows).measures
    else:
        measures = results.choice.measures
        population += f"; in each the best of {len(study.candidates)} in its inner folds"
    found = []
    for unit in UNITS:
        m = measures[unit]
        found += [
            as_metric(e, population=population) for e in (m.auc, m.balanced_accuracy, m.sensitivity, m.specificity)
        ]
    return tuple(found)


def _explain(study: Study, *, named: bool) -> str:
    candidates = "; ".join(map(str, study.candidates))
    if named:
        return f"Chosen by its name. What it was chosen among: {candidates}."
    if len(study.candidates) == 1:
        return "Nothing was chosen: it was the only one."
    return f"Chosen by the mean AUC of {study.plan.inner} inner folds of all images, among: {candidates}."


def _put_in_place(new: Path, target: Path) -> None:
    """The new folder at the place of the old one, which goes."""
    old = target.with_name(f"{new.name}.old{PART}")
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)
