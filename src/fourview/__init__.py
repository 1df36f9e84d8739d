"""fourview reads screening mammograms: exam in, per-breast readings and heatmaps out. Not a medical device.

What happens to one exam, file by file:

ingest    files -> Exam: which image is which view, what its pixels mean, where the breast points
screen    Screener.read(exam) -> Reading; the whole walk on one page:
prepare     the images that the weights ask for,
crop        the breast alone, facing right, with the way back to source pixels
heatmap     the patch network slid over each breast
window      jittered, standardised windows
networks    four-view networks, on the device that `engine` chose, from a folder that `weights` checked
report    Reading -> CSV, JSON, heatmaps and overlays
batch     many exams: progress, failures listed, interrupted runs resumed
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fourview.exam import Exam, ExamError, Heatmap, Mammogram, Reading, Score, SetupError, Side, View

if TYPE_CHECKING:
    from fourview.ingest import read_exam
    from fourview.phantom import phantoms
    from fourview.screen import Screener

__version__ = "0.1.0"

__all__ = [
    "Exam",
    "ExamError",
    "Heatmap",
    "Mammogram",
    "Reading",
    "Score",
    "Screener",
    "SetupError",
    "Side",
    "View",
    "__version__",
    "phantoms",
    "read_exam",
]

# so that torch is loaded only when needed
_LATE = {"read_exam": "fourview.ingest", "Screener": "fourview.screen", "phantoms": "fourview.phantom"}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module 'fourview' has no attribute {name!r}")
