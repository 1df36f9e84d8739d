"""Display values: what a viewer would show of a stored value, by VOI LUT or window (mode "presentation")."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing

from fourview.exam import ExamError
from fourview.ingest.dicom_values import items, number, quiet, text
from fourview.ingest.grey import WHITE, GreyTags


def display_values(dataset: Dataset, tags: GreyTags) -> tuple[NDArray[np.float64] | None, str]:
    """The display value in [0, 1] of every code, before inversion, and the tag it comes from.

    The first item of the VOI LUT Sequence; without one the first window (LINEAR, LINEAR_EXACT or SIGMOID).
    (2**bits,) float64. None without either: DICOM then shows the stored values as they are (PS3.3 C.11.2).
    Raises ExamError for tables and windows that cannot be applied.
    """
    try:
        with quiet():
            return _display_values(dataset, tags)
    except ExamError:
        raise
    except Exception:  # pydicom raises nearly anything on malformed tables
        raise ExamError("the VOI LUT or window cannot be applied; need valid ones, or --pixels stored") from None


def _display_values(dataset: Dataset, tags: GreyTags) -> tuple[NDArray[np.float64] | None, str]:
    values = _rescaled(dataset, tags)
    if tables := items(dataset, "VOILUTSequence"):
        depth = int(tables[0].LUTDescriptor[2])
        explained = text(tables[0], "LUTExplanation")
        shown = apply_voi(values, dataset, index=0) / ((1 << depth) - 1)
        return np.clip(shown, 0, 1), f"VOILUTSequence item 1 {explained}".strip()
    if number(dataset, "WindowCenter") is not None and number(dataset, "WindowWidth") is not None:
        return _windowed(dataset, values)
    return None, ""


def _rescaled(dataset: Dataset, tags: GreyTags) -> NDArray[np.int64]:
    """Values after the modality transformation, rounded: what VOI LUTs and windows are defined on."""
    if items(dataset, "ModalityLUTSequence") or number(dataset, "RescaleSlope") is not None:
        rescaled: NDArray[np.int64] = np.rint(apply_modality_lut(tags.values, dataset)).astype(np.int64)
        return rescaled
    return tags.values


def _windowed(dataset: Dataset, values: NDArray[np.int64]) -> tuple[NDArray[np.float64], str]:
    centre, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    function = text(dataset, "VOILUTFunction") or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise ExamError(f"VOILUTFunction {function} is unknown: need LINEAR, LINEAR_EXACT or SIGMOID")
    window = Dataset()  # pydicom takes the output range from BitsStored: 16 bits for the common scale
    window.PhotometricInterpretation = "MONOCHROME2"
    window.BitsStored, window.PixelRepresentation = 16, 0
    window.WindowCenter, window.WindowWidth, window.VOILUTFunction = centre, width, function
    shown = apply_windowing(values, window) / WHITE
    return np.clip(shown, 0, 1), f"window {centre:g} / {width:g} {function}"
