"""Plots of statistical reports as SVG text. matplotlib is imported here and nowhere else."""

from fourview.report.plots.bars import GREEN, RED, Bars, draw_bars
from fourview.report.plots.calibration import draw_calibration
from fourview.report.plots.curves import draw_lines, draw_precision_recall, draw_roc
from fourview.report.plots.forest import draw_forest
from fourview.report.plots.scatter import draw_scatter
from fourview.report.plots.series import Line, Points

__all__ = [
    "GREEN",
    "RED",
    "Bars",
    "Line",
    "Points",
    "draw_bars",
    "draw_calibration",
    "draw_forest",
    "draw_lines",
    "draw_precision_recall",
    "draw_roc",
    "draw_scatter",
]
