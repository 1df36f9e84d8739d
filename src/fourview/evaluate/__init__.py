"""Readings against the truth: metrics with intervals that know which breasts belong to one woman."""

from fourview.evaluate.average_precision import average_precision, trapezoid_pr_area
from fourview.evaluate.birads import birads_aucs
from fourview.evaluate.calibrate import fit_finding, make_calibration
from fourview.evaluate.calibration_metrics import (
    brier,
    calibration_in_the_large,
    calibration_line,
    expected_calibration_error,
    log_loss,
    reliability,
)
from fourview.evaluate.compare import average_precision_difference, share_difference
from fourview.evaluate.curves import draw_curves
from fourview.evaluate.decision import decision_curve
from fourview.evaluate.embedding import principal_components
from fourview.evaluate.estimate import Estimate, share_method
from fourview.evaluate.evaluation import EvaluateOptions, Evaluation, Other, evaluate_readings
from fourview.evaluate.fold_ranks import rank_in_folds
from fourview.evaluate.froc import MarkedImages, froc_curve, lesion_sensitivities
from fourview.evaluate.hybrid import average_scores
from fourview.evaluate.jafroc import jafroc
from fourview.evaluate.mrmc import average_over_readers, compare_treatments
from fourview.evaluate.operating import choose_threshold, operate, probabilistic_f1
from fourview.evaluate.plan import find_cases, find_power
from fourview.evaluate.population import Population
from fourview.evaluate.proportion import proportion
from fourview.evaluate.reader_analysis import analyse_readers
from fourview.evaluate.reader_study import ReaderStudy
from fourview.evaluate.readings_table import Units, load_units
from fourview.evaluate.roc import RocCurves, auc, auc_difference, delong_auc
from fourview.evaluate.sides import check_sides
from fourview.evaluate.subgroups import compare_subgroups

__all__ = [
    "Estimate",
    "EvaluateOptions",
    "Evaluation",
    "MarkedImages",
    "Other",
    "Population",
    "ReaderStudy",
    "RocCurves",
    "Units",
    "analyse_readers",
    "auc",
    "auc_difference",
    "average_over_readers",
    "average_precision",
    "average_precision_difference",
    "average_scores",
    "birads_aucs",
    "brier",
    "calibration_in_the_large",
    "calibration_line",
    "check_sides",
    "choose_threshold",
    "compare_subgroups",
    "compare_treatments",
    "decision_curve",
    "delong_auc",
    "draw_curves",
    "evaluate_readings",
    "expected_calibration_error",
    "find_cases",
    "find_power",
    "fit_finding",
    "froc_curve",
    "jafroc",
    "lesion_sensitivities",
    "load_units",
    "log_loss",
    "make_calibration",
    "operate",
    "principal_components",
    "probabilistic_f1",
    "proportion",
    "rank_in_folds",
    "reliability",
    "share_difference",
    "share_method",
    "trapezoid_pr_area",
]
