"""How well marks find lesions: the FROC curve, and the sensitivity at so many false positives per image.

A mark is a place in one image with a score. What counts as what:

- A mark that lies in a lesion finds it; in several lesions it finds each of them. The highest mark counts.
- A mark that lies in no lesion of its image is a false positive, also in an image without any lesion.
- A lesion without a mark has the score -inf: no threshold finds it.
- False positives per image are counted over all images that were read, with and without lesions.

Method: Bunch et al. 1977, without interpolation: at 0.5 false positives per image stands the largest sensitivity of any
threshold that gives at most 0.5. Intervals are Wilson's, their standard error from a bootstrap that draws whole exams.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fourview.evaluate.estimate import Estimate
from fourview.evaluate.proportion import wilson
from fourview.evaluate.table import FEW
from fourview.exam import SetupError

Kind = Literal["all", "malignant", "benign"]
By = Literal["lesion", "finding"]
Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
RATES = (0.25, 0.5, 1.0, 2.0, 4.0)  # false positives per image
RESAMPLES, SEED = 2000, 0


@dataclass(frozen=True, eq=False)
class MarkedImages:
    """Images, the marks in them, the lesions in them, and which mark lies in which lesion.

    image_exam        (images,) label of the exam of each image that was read
    mark_image        (marks,) place of the mark's image in image_exam
    mark_score        (marks,) larger is more suspicious
    hits              (hits, 2) mark and lesion, by their places: the mark lies in the lesion
    lesion_image      (lesions,) place in image_exam; -1 where the lesion's image was not read: it counts as missed
    lesion_exam       (lesions,) label of the exam
    lesion_finding    (lesions,) name of the finding within its exam: the same in CC and MLO
    lesion_malignant  (lesions,) False: benign
    """

    image_exam: NDArray[np.str_]
    mark_image: Whole
    mark_score: Floats
    hits: Whole
    lesion_image: Whole
    lesion_exam: NDArray[np.str_]
    lesion_finding: NDArray[np.str_]
    lesion_malignant: NDArray[np.bool_]

    def __post_init__(self) -> None:
        images, marks, lesions = len(self.image_exam), len(self.mark_score), len(self.lesion_exam)
        if images == 0 or lesions == 0:
            raise SetupError(f"localisation: found {images} images and {lesions} lesions; need at least one of each")
        if {len(self.lesion_image), len(self.lesion_finding), len(self.lesion_malignant)} != {lesions}:
            raise SetupError(
                f"localisation: found {lesions} lesions with columns of other lengths; need one value each"
            )
        if len(self.mark_image) != marks or not np.isfinite(self.mark_score).all():
            raise SetupError(f"localisation: found {marks} scores of marks; need a number and an image for each")
        if self.hits.shape[1:] != (2,) or len(np.unique(self.hits, axis=0)) != len(self.hits):
            raise SetupError(f"localisation: found hits of shape {self.hits.shape}; need each mark and lesion once")
        for what, places, least, most in (
            ("the image of a mark", self.mark_image, 0, images),
            ("the image of a lesion", self.lesion_image, -1, images),
            ("the mark of a hit", self.hits[:, 0], 0, marks),
            ("the lesion of a hit", self.hits[:, 1], 0, lesions),
        ):
            if len(places) and not (least <= places.min() and places.max() < most):
                raise SetupError(
                    f"localisation: found {what} at {places.min()} to {places.max()}; need {least} to {most - 1}"
                )
        if (self.mark_image[self.hits[:, 0]] != self.lesion_image[self.hits[:, 1]]).any():
            raise SetupError("localisation: found a mark that hits a lesion of another image")
        read = self.lesion_image >= 0
        if (self.image_exam[self.lesion_image[read]] != self.lesion_exam[read]).any():
            raise SetupError("localisation: found a lesion in an image of another exam")

    @property
    def false_positives(self) -> NDArray[np.bool_]:
        """(marks,) True for a mark that lies in no lesion."""
        found = np.ones(len(self.mark_score), np.bool_)
        found[self.hits[:, 0]] = False
        return found

    @property
    def lesion_score(self) -> Floats:
        """(lesions,) the score of the highest mark in each lesion, -inf where there is none."""
        scores = np.full(len(self.lesion_exam), -np.inf)
        np.maximum.at(scores, self.hits[:, 1], self.mark_score[self.hits[:, 0]])
        return scores

    def only_malignant(self) -> MarkedImages:
        """The same without benign lesions: marks in them become false positives, images with nothing else normal.

        Raises SetupError if no lesion is malignant.
        """
        keep = self.lesion_malignant
        number = np.cumsum(keep) - 1
        hits = self.hits[keep[self.hits[:, 1]]]
        return replace(
            self,
            hits=np.stack([hits[:, 0], number[hits[:, 1]]], axis=1),
            lesion_image=self.lesion_image[keep],
            lesion_exam=self.lesion_exam[keep],
            lesion_finding=self.lesion_finding[keep],
            lesion_malignant=self.lesion_malignant[keep],
        )


@dataclass(frozen=True, eq=False)
class FrocCurve:
    """Lesion sensitivity against false positives per image, one point per distinct score, from the strictest on.

    thresholds  of the score: marks with it or a larger one count;  n  lesions (or findings)
    """

    false_positives_per_image: Floats
    sensitivity: Floats
    thresholds: Floats
    n: int


def froc_curve(marked: MarkedImages, *, kind: Kind = "all", by: By = "lesion") -> FrocCurve:
    """The FROC curve of all lesions or one kind, each image for itself or each finding in whichever view.

    kind  the false positives are the same for every kind: marks in no lesion at all
    by    "lesion": a finding in CC and MLO counts twice; "finding": once, by the highest mark in any of its views

    Raises SetupError if there is no lesion of that kind.
    """
    scores, _ = _score_units(marked, kind, by)
    thresholds = np.unique(marked.mark_score)[::-1]
    false = np.sort(marked.mark_score[marked.false_positives])
    rate = (len(false) - np.searchsorted(false, thresholds, side="left")) / len(marked.image_exam)
    units = np.sort(scores)
    found = (len(units) - np.searchsorted(units, thresholds, side="left")) / len(units)
    return FrocCurve(rate, found, thresholds, len(units))


def lesion_sensitivities(
    marked: MarkedImages, *, kind: Kind = "all", by: By = "lesion", rates: Sequence[float] = RATES
) -> tuple[Estimate, ...]:
    """The sensitivity at each number of false positives per image, and last their mean, each with its 95 % interval.

    See froc_curve. n counts lesions (or findings), positives those that were found; of the mean, those that any mark
    found.
    """
    scores, exams = _score_units(marked, kind, by)
    names = np.unique(np.concatenate([marked.image_exam, marked.lesion_exam]))
    of_image, of_unit = np.searchsorted(names, marked.image_exam), np.searchsorted(names, exams)
    false = marked.false_positives
    order = np.argsort(-marked.mark_score[false], kind="stable")
    false_score = marked.mark_score[false][order]
    of_false = of_image[marked.mark_image[false]][order]
    last = np.flatnonzero(np.diff(false_score, append=-np.inf))  # ties are called together

    def measure(weights: Floats) -> Floats:
        """(rates,) sensitivities with each exam counted `weights` times."""
        counted = np.cumsum(weights[of_false])[last]
        first_too_many = np.searchsorted(counted, np.asarray(rates) * weights[of_image].sum(), side="right")
        above = np.append(false_score[last], -np.inf)[first_too_many]
        lesions = weights[of_unit]
        return np.asarray((scores > above[:, None]) @ lesions / lesions.sum())

    values = measure(np.ones(len(names)))
    draws = np.stack([measure(weights) for weights in _draw_exams(len(names), of_image, of_unit)])
    of_kind = by if kind == "all" else f"{kind} {by}"
    listed = ", ".join(f"{rate:g}" for rate in rates)
    rows = [
        (f"{of_kind} sensitivity at {rate:g} false positives per image", value, column, round(value * len(scores)))
        for rate, value, column in zip(rates, values.tolist(), draws.T, strict=True)
    ]
    ever_found = int(np.isfinite(scores).sum())
    name = f"mean {of_kind} sensitivity at {listed} false positives per image"
    rows.append((name, float(values.mean()), draws.mean(axis=1), ever_found))
    with_lesions = len(np.unique(exams))
    estimates = []
    for name, value, column, found in rows:
        low, high, se = _interval(value, column, with_lesions)
        method = f"Wilson, with the standard error of a bootstrap of {RESAMPLES} over exams"
        warnings = few_exams(with_lesions)
        estimates.append(Estimate(name, value, low, high, se, len(scores), found, len(names), by, method, warnings))
    return tuple(estimates)


def few_exams(with_lesions: int) -> tuple[str, ...]:
    """A warning where so few exams have lesions that intervals cover less than they say."""
    if with_lesions >= FEW:
        return ()
    return (f"only {with_lesions} exams with lesions: with fewer than {FEW}, 95 % intervals may cover less",)


def _interval(value: float, draws: Floats, with_lesions: int) -> tuple[float, float, float]:
    """Low, high, standard error: Wilson's interval of as many independent lesions as would vary like the draws.

    Percentiles of the draws fail near 0 and 1, where few exams decide. Where all draws agree, each exam with lesions
    is taken as one lesion.
    """
    se = float(np.std(draws, ddof=1))
    alike = se == 0 or not 0 < value < 1
    low, high = wilson(value, with_lesions if alike else value * (1 - value) / se**2)
    return low, high, se


def _score_units(marked: MarkedImages, kind: Kind, by: By) -> tuple[Floats, NDArray[np.str_]]:
    """Per lesion or finding of a kind: its highest mark's score, and its exam."""
    keep = np.ones(len(marked.lesion_exam), np.bool_)
    if kind != "all":
        keep = marked.lesion_malignant == (kind == "malignant")
    if not keep.any():
        raise SetupError(f"localisation: found no {kind} lesion among {len(keep)}; need at least one")
    scores, exams = marked.lesion_score[keep], marked.lesion_exam[keep]
    if by == "lesion":
        return scores, exams
    names = np.stack([exams, marked.lesion_finding[keep]], axis=1)
    findings, number = np.unique(names, axis=0, return_inverse=True)
    best = np.full(len(findings), -np.inf)
    np.maximum.at(best, number, scores)
    return best, findings[:, 0]


def _draw_exams(exams: int, of_image: Whole, of_unit: Whole) -> Iterator[Floats]:
    """How often each exam is drawn, RESAMPLES times; draws without an image or a lesion are drawn again."""
    rng = np.random.default_rng(SEED)
    done = 0
    while done < RESAMPLES:
        weights = np.bincount(rng.integers(0, exams, exams), minlength=exams).astype(np.float64)
        if weights[of_image].any() and weights[of_unit].any():
            done += 1
            yield weights
