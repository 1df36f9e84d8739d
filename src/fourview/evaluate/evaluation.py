"""Readings and truths -> every number of an evaluation. The whole walk of `fourview evaluate`, without files out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from fourview.evaluate.average_precision import average_precision, trapezoid_pr_area
from fourview.evaluate.calibration_metrics import (
    ReliabilityBins,
    brier,
    calibration_in_the_large,
    calibration_line,
    expected_calibration_error,
    log_loss,
    reliability,
)
from fourview.evaluate.columns import NAMES
from fourview.evaluate.compare import average_precision_difference, share_difference
from fourview.evaluate.curves import Curves, draw_curves
from fourview.evaluate.decision import DecisionCurve, decision_curve
from fourview.evaluate.estimate import Estimate
from fourview.evaluate.operating import (
    SAME_TABLE,
    LockedThreshold,
    Rule,
    ThresholdLock,
    load_lock,
    lock_thresholds,
    operate,
    probabilistic_f1,
    take_thresholds,
)
from fourview.evaluate.population import Population
from fourview.evaluate.readings_table import SCREENING, Units, load_units
from fourview.evaluate.roc import auc, auc_difference, delong_auc
from fourview.evaluate.sides import SideAgreement, check_sides
from fourview.evaluate.subgroups import Subgroups, compare_subgroups
from fourview.evaluate.unit_rows import Unit
from fourview.exam import Finding, SetupError

Load = Callable[[Path, str | None, Population], Units]
ENRICHED = 0.02  # a share of malignant breasts that no screening population has (about 0.005)


@dataclass(frozen=True)
class Other:
    """Readings to compare with: a file, its score column (None: as the first table's), its own locked thresholds.

    name  what they are called; "": the file's name and the column
    """

    readings: Path
    score: str | None = None
    threshold_from: Path | None = None

    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.readings.name + (f":{self.score}" if self.score else ""))


@dataclass(frozen=True)
class EvaluateOptions:
    """What `fourview evaluate` is asked for; see load_units for unit, cluster, score and inner.

    by              columns of the truth table that name subgroups
    prevalence      of positives where the scores would be used; None: numbers that depend on it are the table's only
    threshold_from  a lock file whose thresholds are applied;  choose  rules by which thresholds are chosen and locked
    """

    unit: Unit = "breast"
    cluster: Literal["exam", "patient"] | None = None
    findings: tuple[Finding, ...] = ("malignant",)
    score: str | None = None
    inner: bool = False
    population: Population = SCREENING
    by: tuple[str, ...] = ()
    prevalence: float | None = None
    others: tuple[Other, ...] = ()
    threshold_from: Path | None = None
    choose: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise SetupError(f"prevalence: found {self.prevalence:g}; need a share between 0 and 1")
        if self.score is not None and len(self.findings) > 1:
            raise SetupError(
                "one score column and several findings; need one finding, or columns p_malignant, p_benign"
            )
        if self.threshold_from is None and any(other.threshold_from for other in self.others):
            raise SetupError("found locked thresholds for other readings and none for the first; need --threshold-from")
        known = {theirs: ours for ours, names in NAMES.items() for theirs in names}
        object.__setattr__(self, "by", tuple(known.get(name.lower(), name) for name in self.by))
        if personal := sorted({"patient", "exam", "file"} & set(self.by)):
            raise SetupError(
                f"subgroups: found {', '.join(personal)}, which names single women; need columns of groups"
            )
        names = [other.name for other in self.others]
        if len(set(names)) < len(names):  # readings.csv of two runs
            named = tuple(replace(o, name=f"{o.readings.parent.name}/{o.name}") for o in self.others)
            object.__setattr__(self, "others", named)


@dataclass(frozen=True, eq=False)
class Comparison:
    """The first readings minus other ones on the same units; shares at the locked thresholds of both, where given.

    notes  what a reader must know of the other readings
    """

    other: str
    n: int
    areas: tuple[Estimate, ...]
    shares: tuple[Estimate, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Task:
    """Everything about one finding.

    ranking        AUC (clustered, then DeLong), average precision, then what is read off the curves
    probabilities  how well scores are probabilities, in this table, then at the prevalence
    bounds         (worst, best) AUC if unread units had the worst or best possible scores; None: all were read
    trapezoid      the PR area under straight lines: too large, for comparison with papers that report it
    populations    (name, AUC, average precision) of other populations in the same tables
    operated       per locked threshold, what it does here;  locked_elsewhere  they were chosen on other tables
    """

    units: Units
    ranking: tuple[Estimate, ...]
    trapezoid: float
    curves: Curves
    probabilities: tuple[Estimate, ...]
    reliability: ReliabilityBins
    decision: DecisionCurve
    bounds: tuple[float, float] | None
    populations: tuple[tuple[str, Estimate, Estimate], ...]
    operated: tuple[tuple[LockedThreshold, tuple[Estimate, ...]], ...]
    subgroups: tuple[Subgroups, ...]
    comparisons: tuple[Comparison, ...]
    locked_elsewhere: bool
    sides: SideAgreement | None
    warnings: tuple[str, ...]

    @property
    def auc(self) -> Estimate:
        return self.ranking[0]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `fourview evaluate` found. lock  the thresholds chosen on these tables, if any were asked for."""

    options: EvaluateOptions
    tasks: tuple[Task, ...]
    lock: ThresholdLock | None


def evaluate_readings(readings: Path, truth: Path, options: EvaluateOptions) -> Evaluation:
    """Every number of an evaluation. Raises SetupError as load_units, load_lock and the metrics do."""
    lock = None if options.threshold_from is None else load_lock(options.threshold_from)
    tasks = tuple(_evaluate(readings, truth, finding, options, lock=lock) for finding in options.findings)
    chosen = lock_thresholds([task.units for task in tasks], options.choose) if options.choose else None
    return Evaluation(options, tasks, chosen)


def _evaluate(
    readings: Path, truth: Path, finding: Finding, options: EvaluateOptions, *, lock: ThresholdLock | None
) -> Task:
    def load(path: Path, score: str | None, population: Population) -> Units:
        return load_units(
            path,
            truth,
            unit=options.unit,
            cluster=options.cluster,
            finding=finding,
            score=score,
            inner=options.inner,
            population=population,
        )

    units = load(readings, options.score, options.population)
    yes, scores, cluster, p = units.truth, units.scores, units.clusters, options.prevalence
    _check_classes(units)
    ranking = [
        auc(yes, scores, cluster=cluster, unit=units.unit),
        delong_auc(yes, scores, unit=units.unit),
        average_precision(yes, scores, cluster=cluster, unit=units.unit),
    ]
    if p is not None:
        at = average_precision(yes, scores, cluster=cluster, unit=units.unit, prevalence=p)
        ranking.append(replace(at, name=f"average precision at a prevalence of {p:g}"))
    curves = draw_curves(yes, scores, cluster=cluster, unit=units.unit, prevalence=p)
    operated, warnings = [], list(units.notes)
    if lock is not None:
        taken, said = take_thresholds(lock, units, file=str(options.threshold_from))
        warnings += said
        for t in taken:
            operated.append((t, operate(yes, scores, t.threshold, cluster=cluster, prevalence=p, unit=units.unit)))
    sides = None
    if units.unit == "breast":
        sides = check_sides(units.table["exam"].to_numpy(), yes, scores, cluster=cluster)
        if sides is not None and sides.warning:
            warnings.insert(0, sides.warning)
    if p is None and finding == "malignant" and float(yes.mean()) > ENRICHED:
        warnings.append(
            f"{yes.mean():.1%} of these {units.unit}s are positive, in screening about 0.5 %: average precision, "
            "predictive values, Brier score, log loss, calibration, pF1 and net benefit are those of this table only; "
            "give --prevalence to see them elsewhere"
        )
    if absent := [name for name in options.by if name not in units.table.columns]:
        raise SetupError(
            f"{truth}: found no column {', '.join(absent)} for subgroups; there are {', '.join(units.table.columns)}"
        )
    comparisons = tuple(
        _compare(units, load(o.readings, o.score or options.score, options.population), o, options, operated)
        for o in options.others
    )
    return Task(
        units=units,
        ranking=(*ranking, *curves.read_off),
        trapezoid=trapezoid_pr_area(yes, scores),
        curves=curves,
        probabilities=tuple(_probabilities(units, None)) + (() if p is None else tuple(_probabilities(units, p))),
        reliability=reliability(yes, scores, bins=10, cluster=cluster, prevalence=None),
        decision=decision_curve(yes, scores, prevalence=p, cluster=cluster),
        bounds=_bounds(units),
        populations=tuple(_populations(load, readings, units, options)),
        operated=tuple(operated),
        subgroups=compare_subgroups(
            {name: units.table[name].to_list() for name in options.by}, yes, scores, cluster=cluster, unit=units.unit
        ),
        comparisons=comparisons,
        locked_elsewhere=lock is not None and SAME_TABLE not in warnings,
        sides=sides,
        warnings=(*warnings, *(f"{c.other}: {note}" for c in comparisons for note in c.notes)),
    )


def _check_classes(units: Units) -> None:
    if 0 < units.positives < len(units.keys):
        return
    readings, truth = (name for _, name, _ in units.files)
    raise SetupError(
        f"{readings} with {truth}, {units.finding}: found {units.positives} positives among {len(units.keys)} "
        f"{units.unit}s of the {units.population}; need both classes"
    )


def _probabilities(units: Units, prevalence: float | None) -> Iterator[Estimate]:
    yes, scores, cluster, unit = units.truth, units.scores, units.clusters, units.unit
    where = "" if prevalence is None else f" at a prevalence of {prevalence:g}"
    for metric in (brier, log_loss, expected_calibration_error, calibration_in_the_large):
        yield _named(metric(yes, scores, cluster=cluster, prevalence=prevalence, unit=unit), where)
    for estimate in calibration_line(yes, scores, cluster=cluster, prevalence=prevalence, unit=unit):
        yield _named(estimate, where)
    yield probabilistic_f1(yes, scores, cluster=cluster, prevalence=prevalence, unit=unit)


def _named(estimate: Estimate, where: str) -> Estimate:
    return estimate if estimate.name.endswith(where) else replace(estimate, name=estimate.name + where)


def _bounds(units: Units) -> tuple[float, float] | None:
    """The AUC if every unread positive had the lowest score and every unread negative the highest, and the reverse."""
    positives, negatives = units.unread
    if positives + negatives == 0:
        return None
    truth = np.concatenate([units.truth, np.ones(positives, bool), np.zeros(negatives, bool)])

    def area(of_positives: float, of_negatives: float) -> float:
        scores = [units.scores, np.full(positives, of_positives), np.full(negatives, of_negatives)]
        return auc(truth, np.concatenate(scores)).value

    return area(-1.0, 2.0), area(2.0, -1.0)


def _populations(
    load: Load, readings: Path, units: Units, options: EvaluateOptions
) -> Iterator[tuple[str, Estimate, Estimate]]:
    """AUC and average precision in every population that the truth table can name."""
    columns = set(units.table.columns)
    wanted = [units.population]
    if "biopsied" in columns:
        wanted += [replace(units.population, name=name) for name in ("screening", "biopsied")]
    if "visible" in columns:
        wanted += [replace(units.population, visibility=which) for which in ("visible", "occult")]
    for population in dict.fromkeys(wanted):
        try:
            own = units if population == units.population else load(readings, options.score, population)
        except SetupError:  # nobody of this population is in the tables, and nobody asked for it
            own = None
        if own is not None and 0 < own.positives < len(own.keys):
            given = own.truth, own.scores
            area = auc(*given, cluster=own.clusters, unit=own.unit)
            yield str(population), area, average_precision(*given, cluster=own.clusters, unit=own.unit)


def _compare(
    units: Units,
    other: Units,
    what: Other,
    options: EvaluateOptions,
    operated: Sequence[tuple[LockedThreshold, tuple[Estimate, ...]]],
) -> Comparison:
    place = {key: k for k, key in enumerate(other.keys)}
    common = [key in place for key in units.keys]
    missing = len(common) - sum(common), len(other.keys) - sum(common)
    if any(missing) and not options.inner:
        raise SetupError(
            f"{what.name}: found {missing[0]} {units.unit}s missing and {missing[1]} that the first table lacks; "
            "need the same units, or --inner to compare the common ones"
        )
    keep = np.array(common)
    if not keep.any():
        raise SetupError(f"{what.name}: found no {units.unit} of the first table; need the same units")
    theirs = other.scores[[place[key] for key in units.keys if key in place]]
    yes, ours, cluster = units.truth[keep], units.scores[keep], units.clusters[keep]
    minus = f"minus {what.name}"
    areas = (
        auc_difference(yes, ours, theirs, cluster=cluster, unit=units.unit, name=f"AUC {minus}"),
        auc_difference(yes, ours, theirs, unit=units.unit, name=f"AUC {minus} (DeLong)"),
        average_precision_difference(
            yes, ours, theirs, cluster=cluster, unit=units.unit, name=f"average precision {minus}"
        ),
    )
    shares: list[Estimate] = []
    notes = list(other.notes)
    if any(missing):
        notes.append(f"compared on {int(keep.sum()):,} of {len(keep):,} {units.unit}s (--inner)")
    if lost := sum(other.unread):
        notes.append(f"{lost:,} {units.unit}s have no score there")
    if what.threshold_from is not None:
        taken, said = take_thresholds(load_lock(what.threshold_from), other, file=str(what.threshold_from))
        notes += said
        by_rule = {t.rule.name: t.threshold for t in taken}
        if not {locked.rule.name for locked, _ in operated} & set(by_rule):
            raise SetupError(
                f"{what.threshold_from}: found thresholds {', '.join(by_rule)}; need names of the first lock"
            )
        for locked, _ in operated:
            if (threshold := by_rule.get(locked.rule.name)) is not None:
                a, b = ours >= locked.threshold, theirs >= threshold
                name = f"at {locked.rule.name} {minus}"
                for kind, own, hits in (("sensitivity", yes, (a, b)), ("specificity", ~yes, (~a, ~b))):
                    first, second = (h[own] for h in hits)
                    shares.append(
                        share_difference(first, second, cluster=cluster[own], unit=units.unit, name=f"{kind} {name}")
                    )
    return Comparison(what.name, int(keep.sum()), areas, tuple(shares), tuple(notes))
