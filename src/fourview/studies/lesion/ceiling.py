"""The label ceiling: what nobody can beat on these lesions, because it knows the probability behind each label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fourview.evaluate import auc
from fourview.exam import SetupError
from fourview.phantom.ceiling import weigh_auc
from fourview.studies.lesion.cases import LesionView

PLANTED = "p_malignant"  # descriptor: the probability that a phantom's label was drawn with
UNKNOWN = (
    "The label ceiling is not known: nobody knows the probability of malignancy behind a real lesion's label. It is "
    "known for phantoms alone."
)


def read_planted(views: Sequence[LesionView]) -> NDArray[np.float64] | None:
    """(views,) the probability that each label was drawn with; None where a lesion has none, as all real ones.

    Raises SetupError for one that is no probability.
    """
    said = [view.words.get(PLANTED) for view in views]
    if not said or any(text is None for text in said):
        return None
    try:
        values = np.array([float(text or "") for text in said])
    except ValueError as error:
        raise SetupError(f"{PLANTED}: {error}; need probabilities") from error
    if not ((values >= 0) & (values <= 1)).all():
        raise SetupError(f"{PLANTED}: found {values.min():g} to {values.max():g}; need probabilities")
    return values


def say_ceiling(malignant: NDArray[np.bool_], p: NDArray[np.float64]) -> str:
    """The ceiling in words. malignant: (lesions,) the labels as they fell;  p  (lesions,) their planted probabilities

    One scale for all lesions, whatever their folds: the table beside it goes by ranks within folds in all its rows.

    Labels are drawn: on a few hundred lesions the AUC of the very probabilities is some hundredths off by luck. What it
    is on average, were the labels drawn again and again, is known too (phantom.ceiling).
    """
    area = auc(malignant, p).value
    expected = weigh_auc(np.full(len(p), 1 / len(p)), p)
    return (
        f"Label ceiling: the probability that each label was drawn with has an AUC of {area:.3f} on the labels as they "
        f"fell; drawn again and again for these {len(p):,} lesions, it would be {expected:.3f}. Nobody beats it but by "
        "luck."
    )
