"""The noisy reader who gave each synthetic breast its BI-RADS category: labels for pretraining, as noisy as real ones.

Model. A thing that can be seen has a strength: its conspicuity (contrast against its kind's typical one, less in dense
tissue) times (floor + its planted probability of cancer). The reader feels

    gain * (largest strength in the breast) + standard normal noise

and puts it on a scale: normal 1, benign 2, probably benign 3, else 0 (recall). A breast that was biopsied comes with
the assessment after work-up instead: 4, or 5 if the feeling is stronger than `highly_suggestive`. Occult findings
were found by other means: they add no strength. A cancer that was known before the exam makes it 6. Beyond who was
biopsied, the category knows of the label through the findings alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from fourview.phantom.finding import PhantomFinding
from fourview.phantom.recipe_parts import ScreeningReader
from fourview.phantom.woman import DENSITIES, Density


def rate_suspicion(findings: Iterable[PhantomFinding], density: Density, reader: ScreeningReader) -> float:
    """The largest strength of what can be seen in one breast: 0 (nothing there) to floor + 1."""
    seen = 1 - reader.masking * DENSITIES.index(density) / 3
    largest = 0.0
    for finding in findings:
        if finding.visible:
            typical = getattr(reader.typical_contrast, finding.kind)
            conspicuity = seen * (1 - math.exp(-1.5 * finding.contrast / typical))
            largest = max(largest, conspicuity * (reader.floor + (finding.p_malignant or 0.0)))
    return largest


def assess(suspicion: float, noise: float, reader: ScreeningReader, *, biopsied: bool, known: bool) -> str:
    """The category "0" to "6" of one breast.

    noise     a standard normal number
    biopsied  within 120 days of this exam: the assessment is the one after work-up
    known     she came with a cancer that was known
    """
    feeling = reader.gain * suspicion + noise
    if known:
        return "6"
    if biopsied:
        return "5" if feeling > reader.highly_suggestive else "4"
    if feeling <= reader.normal:
        return "1"
    if feeling <= reader.benign:
        return "2"
    return "3" if feeling <= reader.probably_benign else "0"
