"""Scores of images -> called malignant or benign, by the rule of the paper and by thresholds; counts per group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.evaluate.operating import Rule, choose_threshold
from fourview.exam import SetupError
from fourview.studies.transfer.labels import BIRADS_CLASSES

FOLDS = 5
BIRADS_GROUPS = ("1", "2", "3", "4", "5", "6")
BIRADS_PARTS = ("1", "2", "3", "4a", "4b", "4c", "5", "6")
_SUSPICIOUS = {text: int(value >= 4) for text, value in BIRADS_CLASSES.items()}
UNKNOWN = -1
PROVEN = ("biopsy", "registry")  # sources of labels that say cancer

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Target:
    """What scores are compared with.

    truth  (images,) 0, 1, UNKNOWN;  positive, negative  what 1 and 0 mean, in words
    """

    name: str
    title: str
    positive: str
    negative: str
    truth: Ints

    @property
    def known(self) -> Bools:
        return np.asarray(self.truth != UNKNOWN)

    @property
    def has_both(self) -> bool:
        return bool((self.truth == 0).any() and (self.truth == 1).any())


@dataclass(frozen=True, eq=False)
class Call:
    """One rule applied to all images. called  (images,) True: malignant;  how  in words;  note  why to be careful"""

    name: str
    title: str
    called: Bools
    how: str
    note: str = ""


def list_targets(images: pl.DataFrame) -> tuple[Target, ...]:
    """What is known of these rows of a manifest, with both classes: BI-RADS 4 and more first, then malignant."""
    opinion = Target(
        "birads4+",
        "BI-RADS 4+",
        "suspicious by BI-RADS 4, 5 or 6, not cancer",
        "BI-RADS 1, 2 or 3",
        _ints(images["birads"].replace_strict(_SUSPICIOUS, default=None, return_dtype=pl.Int64)),
    )
    here = pl.col("label_source").is_in(PROVEN) & pl.col("label_unit").is_in(["image", "breast"])
    malignant = images.select(pl.when(here).then(pl.col("malignant")).cast(pl.Int64)).to_series()
    units = sorted(set(images.filter(here & pl.col("malignant").is_not_null())["label_unit"]))
    proven = Target(
        "malignant",
        "malignant",
        f"a proven malignant finding in the {' or '.join(units)}",
        "none",
        _ints(malignant),
    )
    return tuple(target for target in (opinion, proven) if target.has_both)


def call_argmax(p_malignant: Floats, p_benign: Floats) -> Call:
    """The rule of the paper: malignant where p_malignant is larger than p_benign, otherwise benign."""
    return Call(
        "argmax_pair",
        "p malignant > p benign (as in the paper)",
        np.asarray(p_malignant > p_benign),
        "malignant if p_malignant > p_benign, else benign",
        "The two numbers answer two separate questions with very different shares of yes, and most breasts have "
        'neither finding: there is no answer "neither". Benign findings are biopsied far more often than malignant '
        "ones, so p_benign is usually the larger of the two and this rule favours benign, whatever the image shows.",
    )


def call_threshold(p_malignant: Floats, threshold: float) -> Call:
    """Malignant from a given threshold on."""
    if not 0 <= threshold <= 1:
        raise SetupError(f"--threshold: found {threshold:g}, need a number from 0 to 1")
    return Call(
        "threshold",
        f"p malignant ≥ {threshold:g} (given)",
        np.asarray(p_malignant >= threshold),
        f"malignant if p_malignant >= {threshold:g}, which was given",
        "A threshold that was chosen on these very images, or on some of them, flatters itself here.",
    )


def call_crossfit(p_malignant: Floats, target: Target, patients: Sequence[str], *, seed: int) -> Call | None:
    """Malignant from the threshold of Youden on that other patients' images chose; None: too few patients for it.

    Patients are dealt into folds; a fold's threshold is the one with the largest sum of sensitivity and specificity in
    all the others.
    """
    fold = deal_patients(target, patients, seed=seed)
    if fold is None:
        return None
    called = np.zeros(len(p_malignant), bool)
    thresholds = []
    for number in range(int(fold.max()) + 1):
        elsewhere = target.known & (fold != number)
        threshold = choose_threshold(
            target.truth[elsewhere], p_malignant[elsewhere], Rule(name="youden", kind="youden")
        )
        thresholds.append(threshold)
        called[fold == number] = p_malignant[fold == number] >= threshold
    low, high = min(thresholds), max(thresholds)
    return Call(
        "threshold",
        "p malignant ≥ t, t from other patients",
        called,
        f"malignant if p_malignant >= t; t is Youden's of the patients in the other {len(thresholds) - 1} of "
        f"{len(thresholds)} folds, against {target.title} ({low:.4g} to {high:.4g} over the folds)",
        "Thresholds come from other patients, but from this set: at another site they need not hold.",
    )


def deal_patients(target: Target, patients: Sequence[str], *, seed: int) -> Ints | None:
    """(images,) fold of each image's patient; None where two folds cannot both have both classes.

    Patients with positives are dealt first, then the others, each group shuffled, one to a fold in turn.
    """
    names = np.asarray(patients)
    rng = np.random.default_rng(seed)
    positive = sorted(set(names[target.truth == 1].tolist()))
    negative = sorted(set(names[target.truth == 0].tolist()) - set(positive))
    rest = sorted(set(names.tolist()) - set(positive) - set(negative))
    folds = min(FOLDS, len(positive), len(negative))
    if folds < 2:
        return None
    order = [group[place] for group in (positive, negative, rest) for place in rng.permutation(len(group))]
    of_patient = {patient: place % folds for place, patient in enumerate(order)}
    return np.array([of_patient[name] for name in names.tolist()], np.int64)


def group_birads(images: pl.DataFrame, *, parts: bool) -> tuple[tuple[str, ...], list[str | None]]:
    """The groups of the chart, and that of every image; None: not stated.

    parts  4a, 4b and 4c apart. Groups that the set has beyond BI-RADS 1 to 6 (0; 4 where parts are asked for) are added
    """
    birads = [value if parts or value is None else value[0] for value in images["birads"].to_list()]
    usual = BIRADS_PARTS if parts else BIRADS_GROUPS
    more = sorted({value for value in birads if value is not None} - set(usual))
    return tuple(sorted({*usual, *more})), birads


def group_labels(images: pl.DataFrame) -> tuple[tuple[str, ...], list[str | None]]:
    """The same by what the labels say, for sets without BI-RADS; a malignant finding goes before a benign one."""
    found: list[str | None] = []
    for malignant, benign in images.select("malignant", "benign").iter_rows():
        if malignant or benign:
            found.append("malignant" if malignant else "benign")
        else:
            found.append(None if malignant is None else "neither")
    return ("neither", "benign", "malignant"), found


def count_calls(groups: Sequence[str], group_of: Sequence[str | None], called: Bools) -> list[tuple[int, int]]:
    """(called benign, called malignant) per group."""
    own = np.array([group or "" for group in group_of], dtype=object)
    return [(int((~called[own == g]).sum()), int(called[own == g].sum())) for g in groups]


def _ints(column: pl.Series) -> Ints:
    return column.fill_null(UNKNOWN).to_numpy().astype(np.int64)
