"""Which exams of a phantom population test localisation: one cancer that shows, and something benign beside it.

Decided before any map was looked at. Exams 0, 1, 2 ... of a recipe and a seed are taken in their order if

1. the exam has exactly one malignant finding in both breasts together, occult ones counted; it shows (is painted) and
   leads to a biopsy after this exam;
2. its breast also shows at least one benign finding, biopsied or not, that could be taken for it: of its sort
   (calcifications, or soft tissue) and no less conspicuous, as planted: contrast times radius. With beside="any" every
   benign finding will do;
3. no earlier exam of the same woman is among them, so that exams are independent;
4. once drawn, the malignant finding has pixels in at least one view, and one of the benign ones in its breast has.

The first three are read off the plan; an exam that fails there is never drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from fourview.exam import SetupError, View
from fourview.phantom import PhantomFinding, PlannedExam, Recipe, Truth, plan_exam

Beside = Literal["rival", "any"]  # what must show in the cancer's breast: rule 2

MOST_PLANNED = 1000  # per exam that is wanted; a recipe with fewer has hardly any
NO_PIXELS = "drawn, and the finding lies outside of the image"


def choose_planned(
    recipe: Recipe, *, seed: int, wanted: int, passed_over: Counter[str], beside: Beside = "rival"
) -> Iterator[int]:
    """The indices of exams that the plan allows, one after the other; `passed_over` counts the others by their reason.

    Raises SetupError if MOST_PLANNED exams per wanted one were planned.
    """
    women: set[str] = set()
    for index in range(MOST_PLANNED * wanted):
        plan = plan_exam(recipe, seed=seed, index=index)
        reason = why_not(plan, beside) or ("an earlier exam of the same woman" if plan.patient in women else None)
        if reason is None:
            women.add(plan.patient)
            yield index
        else:
            passed_over[reason] += 1
    raise SetupError(
        f"recipe {recipe.name}: planned {MOST_PLANNED * wanted} exams and found too few with one malignant finding "
        f"that shows; need {wanted}"
    )


def why_not(plan: PlannedExam, beside: Beside = "rival") -> str | None:
    """Why an exam is passed over without being drawn; None if it is not."""
    malignant = [finding for finding in plan.findings if finding.malignant]
    if len(malignant) != 1:
        return "no malignant finding" if not malignant else "several malignant findings"
    (cancer,) = malignant
    if not cancer.biopsied:
        return "its cancer is biopsied after another exam"
    if not cancer.visible:
        return "its cancer is occult"
    benign = [f for f in plan.findings if f.visible and not f.malignant and f.side is cancer.side]
    if not benign:
        return "nothing benign shows in its breast"
    if beside == "rival" and not any(_rivals(finding, cancer) for finding in benign):
        return "nothing benign in its breast is as conspicuous"
    return None


def _rivals(benign: PhantomFinding, cancer: PhantomFinding) -> bool:
    """Whether a benign finding is of the cancer's sort and no less conspicuous."""
    same = (benign.kind == "calcifications") == (cancer.kind == "calcifications")
    return same and benign.contrast * benign.radius_mm >= cancer.contrast * cancer.radius_mm


def find_cancer(plan: PlannedExam) -> int:
    """The place of the malignant finding in plan.findings; the plan is one that why_not allows."""
    (place,) = (number for number, finding in enumerate(plan.findings) if finding.malignant)
    return place


def shows_pixels(truth: Truth) -> bool:
    """Whether the malignant finding, and something benign in its breast, has pixels in at least one view."""
    cancer = find_cancer(truth.plan)
    side = truth.findings[cancer].side
    shown = {number for _, number in truth.masks}
    return cancer in shown and any(number != cancer and truth.findings[number].side is side for number in shown)


def cancer_views(truth: Truth) -> tuple[View, ...]:
    """The views in which the malignant finding has pixels."""
    cancer = find_cancer(truth.plan)
    return tuple(view for view, number in truth.masks if number == cancer)
