"""JAFROC figures of merit: how often a lesion's highest mark exceeds an image's highest false positive.

Method: Chakraborty and Berbaum 2004; the variant that uses the false positives of every image: Chakraborty 2011. All
lesions weigh alike. Standard errors by the jackknife over exams (leaving out one exam at a time).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fourview.evaluate.estimate import Estimate, logit_interval
from fourview.evaluate.froc import MarkedImages, few_exams
from fourview.exam import SetupError

Variant = Literal["JAFROC", "JAFROC-1"]
Floats = NDArray[np.float64]


def jafroc(marked: MarkedImages, *, variant: Variant = "JAFROC", name: str = "") -> Estimate:
    """The share of pairs (lesion, image) in which the lesion's mark has the larger score, ties counting one half.

    variant  "JAFROC": against images without any lesion, also those of an exam with a lesion in another image;
             "JAFROC-1": against the false positives of all images, for tables with few normal images

    A lesion without a mark, and an image without a false positive, have the score -inf; the two of them are a tie. n
    counts lesions, positives those with a mark. The interval is symmetric on the logit scale, and NaN where fewer than
    two exams have lesions or images to compare with. Raises SetupError if no image is without a lesion (JAFROC).
    """
    images = np.ones(len(marked.image_exam), np.bool_)
    if variant == "JAFROC":
        images[marked.lesion_image[marked.lesion_image >= 0]] = False
        if not images.any():
            raise SetupError("JAFROC: found a lesion in every image; need images without one, or JAFROC-1")
    highest = np.full(len(images), -np.inf)
    false = marked.false_positives
    np.maximum.at(highest, marked.mark_image[false], marked.mark_score[false])
    lesions = marked.lesion_score
    names = np.unique(np.concatenate([marked.image_exam, marked.lesion_exam]))
    value, left_out = _leave_out_exams(
        lesions,
        highest[images],
        of_lesion=np.searchsorted(names, marked.lesion_exam),
        of_image=np.searchsorted(names, marked.image_exam[images]),
        exams=len(names),
    )
    warnings = few_exams(len(np.unique(marked.lesion_exam)))
    se = math.sqrt((len(names) - 1) * float(np.var(left_out)))
    low, high = logit_interval(value, se) if se > 0 else (math.nan, math.nan)
    if math.isnan(low):
        warnings += ("no variance to go by: no interval can be given",)
    count = int(images.sum())
    against = f"all {count} images" if variant == "JAFROC-1" else f"{count} images without a lesion"
    return Estimate(
        name or f"{variant} figure of merit",
        value,
        low,
        high,
        se,
        len(lesions),
        int(np.isfinite(lesions).sum()),
        len(names),
        "lesion",
        f"{variant} against {against}, jackknife over exams, logit",
        warnings,
    )


def _leave_out_exams(
    lesions: Floats, others: Floats, *, of_lesion: NDArray[np.int64], of_image: NDArray[np.int64], exams: int
) -> tuple[float, Floats]:
    """The figure of merit, and (exams,) what it is without each exam; NaN where that leaves nothing to compare.

    The sum over pairs without an exam is the whole sum less the pairs of its lesions, less those of its images, plus
    those between the two, which went twice.
    """
    won = _count_below(lesions, others)  # per lesion, of the images
    lost = len(lesions) - _count_below(others, lesions)  # per image, of the lesions
    within = np.zeros(exams)
    for exam in np.unique(of_lesion):
        within[exam] = _count_below(lesions[of_lesion == exam], others[of_image == exam]).sum()
    pairs = won.sum() - np.bincount(of_lesion, won, exams) - np.bincount(of_image, lost, exams) + within
    counts = (len(lesions) - np.bincount(of_lesion, minlength=exams)) * (
        len(others) - np.bincount(of_image, minlength=exams)
    )
    left_out = np.full(exams, np.nan)
    np.divide(pairs, counts, out=left_out, where=counts > 0)
    return float(won.sum() / (len(lesions) * len(others))), left_out


def _count_below(values: Floats, others: Floats) -> Floats:
    """For each value how many others are smaller, ties counting one half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, side="left")
    return np.asarray((below + np.searchsorted(ordered, values, side="right")) / 2)
