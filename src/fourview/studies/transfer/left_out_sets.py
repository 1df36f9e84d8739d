"""Leave one set out: trained on all data sets but one, thresholds and all, and measured on that one.

Beside it the rigorous number within the set. Folds of one set share its machines, its readers and its way of choosing
women; a classifier that lives on these is found out by another set alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from fourview.calibration import sigmoid
from fourview.evaluate import Estimate, auc_difference
from fourview.evaluate.table import count_rarer
from fourview.exam import SetupError
from fourview.spread import spread
from fourview.studies.transfer.cases import UNITS, Cases, Unit, make_cases
from fourview.studies.transfer.feature_set import FeatureSet
from fourview.studies.transfer.folds import check_split, draw_folds
from fourview.studies.transfer.labels import Birads3, Labels, read_labels
from fourview.studies.transfer.measures import Measures, Scored, average_repeats, measure
from fourview.studies.transfer.nested import run_repeat, tune
from fourview.studies.transfer.shift import measure_shift
from fourview.studies.transfer.steps import Method

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
ByUnit = Mapping[Unit, Scored]


@dataclass(frozen=True)
class SetsPlan:
    """folds, inner, repeats, seed: as in `transfer`; across sets a repeat draws other inner folds."""

    method: Method
    folds: int = 5
    inner: int = 5
    repeats: int = 5
    seed: int = 0


@dataclass(frozen=True, eq=False)
class SetsStudy:
    """Images of several data sets that have a label. names: of the sets; set_of (images,) the place of each in them.

    shared  patient ids that more than one set has
    """

    features: FeatureSet
    values: Floats
    cases: Cases
    labels: Labels
    names: tuple[str, ...]
    set_of: Places
    shared: int
    plan: SetsPlan


@dataclass(frozen=True, eq=False)
class LeftOut:
    """One set. across: trained on the others; within: rigorous within it, or why not; difference: of their AUCs per
    image, across minus within;  likeness: AUC of telling the set from the others, or why not."""

    name: str
    across: Mapping[Unit, Measures]
    within: Mapping[Unit, Measures] | str
    difference: Estimate | None
    likeness: Estimate | str
    scores: Floats


def open_sets(
    joined: FeatureSet, plan: SetsPlan, *, labels: str | None = None, birads3: Birads3 = "benign"
) -> SetsStudy:
    """The sets of a feature set (joined_sets.join_sets), by its column dataset.

    Raises SetupError: a single set; one that has no label, or one class; an image of one set that is another's too.
    """
    found = read_labels(joined, labels, birads3=birads3)
    datasets = np.asarray(joined.rows["dataset"].to_list())
    names = tuple(sorted(set(datasets.tolist())))
    if len(names) < 2:
        raise SetupError(f"found images of {names[0]} alone; need several data sets, by the column dataset")
    for name in names:
        own = found.y[(datasets == name) & found.keep]
        if not 0 < own.sum() < len(own):
            raise SetupError(f"{name}: found {int(own.sum())} positives among {len(own)} labelled images; need both")
    kept = joined.take(found.keep)
    set_of = np.searchsorted(names, datasets[found.keep]).astype(np.int64)
    values = kept.values.astype(np.float64)
    _check_copies(values, set_of, names)
    cases = make_cases(joined, found)
    return SetsStudy(kept, values, cases, found, names, set_of, _count_shared(kept), plan)


def run_sets(
    study: SetsStudy, *, jobs: int = 1, on_step: Callable[[int, int], None] = lambda done, total: None
) -> tuple[LeftOut, ...]:
    """Every set, left out once. on_step  done, total"""
    plan = study.plan
    items = [(place, repeat) for place in range(len(study.names)) for repeat in range(plan.repeats)]
    done: list[tuple[ByUnit, ByUnit | str]] = []
    with closing(spread(partial(_do_one, study), items, jobs=min(jobs, len(items)))) as results:
        for result in results:
            done.append(result)
            on_step(len(done), len(items))
    return tuple(
        _measure(study, place, done[place * plan.repeats : (place + 1) * plan.repeats])
        for place in range(len(study.names))
    )


def score_across(study: SetsStudy, place: int, *, seed: int) -> ByUnit:
    """What a classifier of the other sets says of the images, breasts and patients of one; thresholds are theirs."""
    train, test = np.flatnonzero(study.set_of != place), np.flatnonzero(study.set_of == place)
    check_split(train, test, study.cases.patients, images=len(study.values))
    tuned = tune(study.values[train], study.cases.take(train), study.plan.method, inner=study.plan.inner, seed=seed)
    own, said = study.cases.take(test), tuned.score(study.values[test])
    found: dict[Unit, Scored] = {}
    for unit in UNITS:
        reading, score = tuned.readings[unit], own.combine(said, unit)
        called = (score >= reading.threshold).astype(np.int64)
        probability = sigmoid(reading.slope * score + reading.intercept)
        found[unit] = Scored(own.truth(unit), own.clusters(unit), score, called, probability)
    return found


def score_within(study: SetsStudy, place: int, *, seed: int) -> ByUnit | str:
    """The rigorous run on one set alone, or why it cannot be done."""
    plan, rows = study.plan, np.flatnonzero(study.set_of == place)
    own = study.cases.take(rows)
    try:
        folds = draw_folds(own.y, own.patients, folds=plan.folds, seed=seed)
        done = run_repeat(study.values[rows], own, plan.method, folds=folds, inner=plan.inner, seed=seed)
    except SetupError as error:
        return str(error)
    return {
        unit: Scored(own.truth(unit), own.clusters(unit), part.score, part.called, part.probability)
        for unit, part in done.units.items()
    }


def _do_one(study: SetsStudy, item: tuple[int, int]) -> tuple[ByUnit, ByUnit | str]:
    place, repeat = item
    seed = study.plan.seed * 1000 + repeat
    return score_across(study, place, seed=seed), score_within(study, place, seed=seed)


def _measure(study: SetsStudy, place: int, done: Sequence[tuple[ByUnit, ByUnit | str]]) -> LeftOut:
    across = {unit: measure([a[unit] for a, _ in done], unit=unit) for unit in UNITS}
    scores = np.mean([a["image"].score for a, _ in done], axis=0)
    inside = [w for _, w in done if not isinstance(w, str)]
    own = study.set_of == place
    try:
        likeness: Estimate | str = measure_shift(
            study.features.take(own), study.features.take(~own), seed=study.plan.seed
        ).area
    except SetupError as error:
        likeness = str(error)
    name = study.names[place]
    if len(inside) < len(done):
        return LeftOut(name, across, next(w for _, w in done if isinstance(w, str)), None, likeness, scores)
    within = {unit: measure([w[unit] for w in inside], unit=unit) for unit in UNITS}
    pairs = [(a["image"], w["image"]) for (a, _), w in zip(done, inside, strict=True)]
    differences = [
        auc_difference(a.y, a.score, w.score, cluster=a.cluster, unit="image", name=f"{name}: across minus within")
        for a, w in pairs
    ]
    difference = widen(average_repeats(differences), pairs[0][0])
    return LeftOut(name, across, within, difference, likeness, scores)


def widen(difference: Estimate, scored: Scored) -> Estimate:
    """With Student's t for the patients of the rarer class, less one, in place of the normal distribution's quantile.

    Repeats' p values have no mean: there is none.
    """
    degrees = max(1, count_rarer(scored.y.astype(bool), scored.cluster)[0] - 1)
    half = float(stdtrit(degrees, 0.975)) * difference.se
    method = f"{difference.method}, t with {degrees} degrees of freedom"
    return replace(difference, low=difference.value - half, high=difference.value + half, method=method, p=None)


def _check_copies(values: Floats, set_of: Places, names: Sequence[str]) -> None:
    """Raises SetupError if two sets hold images with the same numbers: the same image under two names."""
    owner: dict[bytes, int] = {}
    for row, place in zip(values, set_of.tolist(), strict=True):
        other = owner.setdefault(row.tobytes(), place)
        if other != place:
            raise SetupError(
                f"found an image of {names[place]} in {names[other]} as well, number by number; need sets of other "
                "patients: one of them would be tested on what it was trained on"
            )


def _count_shared(features: FeatureSet) -> int:
    """Patient ids, without the set's name before them, that more than one set has."""
    owners: dict[str, set[str]] = {}
    for dataset, patient in zip(features.rows["dataset"], features.rows["patient"], strict=True):
        owners.setdefault(re.sub(f"^{re.escape(dataset)}/", "", patient), set()).add(dataset)
    return sum(len(found) > 1 for found in owners.values())
