"""A reader study, analysed as declared: everything its report shows."""

from __future__ import annotations

from dataclasses import dataclass

from fourview.evaluate.covariance import Metric
from fourview.evaluate.declaration import DEFAULT, METRICS, Declaration
from fourview.evaluate.hybrid import WEIGHTS, Sweep, sweep_weights
from fourview.evaluate.hybrid_results import HybridResult, compare_hybrid
from fourview.evaluate.reader_results import (
    ModelAgainstReaders,
    ReadersAlone,
    ScoreAlone,
    compare_with_readers,
    describe_readers,
    describe_score,
)
from fourview.evaluate.reader_study import ReaderStudy


@dataclass(frozen=True)
class StudyResults:
    """models, against, hybrids, sweeps: one per model, in the study's order.

    sweeps  by metric, of all breasts: at every weight, or (a fixed weight) of readers alone, averaged, and the model
    """

    study: ReaderStudy
    declared: Declaration
    readers: ReadersAlone
    models: tuple[ScoreAlone, ...]
    against: tuple[ModelAgainstReaders, ...]
    hybrids: tuple[HybridResult, ...]
    sweeps: tuple[dict[Metric, Sweep], ...]


def analyse_readers(study: ReaderStudy, *, declared: Declaration = DEFAULT) -> StudyResults:
    """Readers, models, models against readers, and computed averages. Raises SetupError."""
    fixed = declared.weight
    weights = WEIGHTS if fixed is None else tuple(sorted({0.0, fixed, 1.0}))
    names = study.model_names
    return StudyResults(
        study,
        declared,
        describe_readers(study, declared=declared),
        tuple(describe_score(study, name, study.model(name)) for name in names),
        tuple(compare_with_readers(study, name, declared=declared) for name in names),
        tuple(compare_hybrid(study, name, declared=declared) for name in names),
        tuple(
            {
                metric: sweep_weights(study, name, metric=metric, average=declared.average, weights=weights)
                for metric in METRICS
            }
            for name in names
        ),
    )
