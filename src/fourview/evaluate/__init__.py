"""Readings against the truth: metrics with intervals that know which breasts belong to one woman."""

from fourview.evaluate.average_precision import average_precision, trapezoid_pr_area
from fourview.evaluate.estimate import Estimate
from fourview.evaluate.proportion import proportion
from fourview.evaluate.roc import RocCurves, auc, auc_difference

__all__ = ["Estimate", "RocCurves", "auc", "auc_difference", "average_precision", "proportion", "trapezoid_pr_area"]
