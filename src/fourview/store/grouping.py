"""Ways to divide images into parts so that all images of a woman are in one. Each returns image -> part.

Every function takes prepared rows that are sorted, each with a patient.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.exam import SetupError

Parts = dict[str, str]
LABELS = ("malignant", "benign", "negative", "unknown")
NO_OFFICIAL = "no official part"
EARLIER_EXAM = "test takes the last exam of each patient only"


def label_images(rows: pl.DataFrame) -> pl.Series:
    """malignant (also where benign too), benign, negative (neither), unknown."""
    label = (
        pl.when("malignant")
        .then(pl.lit("malignant"))
        .when("benign")
        .then(pl.lit("benign"))
        .when(~pl.col("malignant") & ~pl.col("benign"))
        .then(pl.lit("negative"))
        .otherwise(pl.lit("unknown"))
    )
    return rows.select(label=label)["label"]


def name_strata(rows: pl.DataFrame, column: str | None) -> list[str]:
    """The stratum of each image: the column's value or "unknown"; "label": label_images; None: all in one.

    Raises SetupError for a column that is not there or holds lists.
    """
    if column is None:
        return [""] * len(rows)
    if column == "label":
        return list(label_images(rows))
    if column not in rows.columns or rows.schema[column].is_nested():
        columns = ", ".join(name for name, dtype in rows.schema.items() if not dtype.is_nested())
        raise SetupError(f"split: cannot stratify by {column!r}; need 'label' or one of {columns}")
    return ["unknown" if value is None else str(value) for value in rows[column]]


def fold(rows: pl.DataFrame, strata: Sequence[str], folds: int, *, seed: int) -> tuple[Parts, tuple[str, ...]]:
    """Parts fold-1 ... of like size and like shares of the strata, and what scikit-learn warned of.

    Raises SetupError where there are fewer patients than folds, or every stratum has fewer images than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415 - takes a second to load

    patients = rows["patient"].n_unique()
    if patients < folds:
        raise SetupError(f"split: found {patients} patients, need {folds} or more for {folds} folds")
    divider = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    images = rows["image"].to_list()
    parts: Parts = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            for number, (_, chosen) in enumerate(divider.split(images, list(strata), rows["patient"].to_list()), 1):
                parts |= {images[i]: f"fold-{number}" for i in chosen}
        except ValueError as error:
            raise SetupError(f"split: {error}") from error
    return parts, tuple(str(warning.message) for warning in caught)


def divide(rows: pl.DataFrame, strata: Sequence[str], shares: Mapping[str, float], *, seed: int) -> Parts:
    """Parts of these shares of the images, in every stratum and altogether, as well as patients allow.

    Patients go one by one, those with the rarest strata and the most images first and otherwise by lot, to the part
    where the squared distance from the wanted counts then is least. Method: as iterative stratification (Sechidis et
    al., ECML 2011), by patient.
    """
    totals = Counter(strata)
    names = sorted(totals)
    place = {name: i for i, name in enumerate(names)}
    brings: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(len(names) + 1, np.int64))
    images: dict[str, list[str]] = defaultdict(list)
    for patient, image, stratum in zip(rows["patient"], rows["image"], strata, strict=True):
        brings[patient][place[stratum]] += 1
        brings[patient][-1] += 1  # the images altogether are one more stratum
        images[patient].append(image)
    size = np.array([*(totals[name] for name in names), len(rows)], np.float64)
    lots = dict(zip(sorted(images), np.random.default_rng(seed).permutation(len(images)), strict=True))
    rarest = {patient: size[counts > 0].min() for patient, counts in brings.items()}
    order = sorted(images, key=lambda patient: (rarest[patient], -brings[patient][-1], lots[patient]))
    share = np.array(list(shares.values()))[:, None]
    seen, given = np.zeros(len(size)), np.zeros((len(share), len(size)))
    parts: Parts = {}
    for patient in order:
        seen += brings[patient]
        lacks = share * seen - given  # of what has come so far, so that early patients do not all go one way
        best = int(np.argmax(lacks @ (brings[patient] / size)))  # least squares
        given[best] += brings[patient]
        parts |= dict.fromkeys(images[patient], list(shares)[best])
    return parts


def by_date(rows: pl.DataFrame, shares: Mapping[str, float]) -> tuple[Parts, Parts]:
    """Parts, and reasons of the images without one: patients by the date of their last exam, the last into test.

    shares  of the patients, train first; a part ends at the whole number of patients below its share
    Patients with the same date are taken in the order of their names. Raises SetupError where a date is missing or
    cannot be compared. Method: NYU data report (Wu et al. 2019).
    """
    dated = rows.with_columns(day=_days(rows))
    last = dated.sort("day", "exam").group_by("patient", maintain_order=True).last().sort("day", "patient")
    part_of: dict[str, str] = {}
    done, start = 0.0, 0
    patients = last["patient"].to_list()
    for part, share in shares.items():
        done += share
        end = math.floor(round(done * len(patients), 6))
        part_of |= dict.fromkeys(patients[start:end], part)
        start = end
    last_exam = dict(zip(patients, last["exam"], strict=True))
    parts, left_out = {}, {}
    for patient, exam, image in rows.select("patient", "exam", "image").rows():
        if part_of[patient] == "test" and exam != last_exam[patient]:
            left_out[image] = EARLIER_EXAM
        else:
            parts[image] = part_of[patient]
    return parts, left_out


def official_parts(rows: pl.DataFrame, order: Sequence[str]) -> tuple[Parts, Parts]:
    """Parts, and reasons of the images without one: the split that the set came with, no patient in two parts.

    order  of the parts; a patient who is in several keeps the images of the last of them, so test stays as it is
    Raises SetupError if the set has no official split, or names other parts.
    """
    unknown = sorted(set(rows["split"].drop_nulls()) - set(order))
    if unknown:
        raise SetupError(f"split: found the official parts {', '.join(unknown)}, need {', '.join(order)}")
    given = rows.filter(pl.col("split").is_not_null())
    if not len(given):
        raise SetupError(f"split: none of {len(rows)} images has an official part; need a set that came with a split")
    ends: dict[str, int] = {}
    for patient, part in zip(given["patient"], given["split"], strict=True):
        ends[patient] = max(ends.get(patient, 0), order.index(part))
    parts, left_out = {}, {}
    for patient, image, part in rows.select("patient", "image", "split").rows():
        if part is None:
            left_out[image] = NO_OFFICIAL
        elif order.index(part) < ends[patient]:
            left_out[image] = f"in {part}, and its patient in {order[ends[patient]]} too"
        else:
            parts[image] = part
    return parts, left_out


def _days(rows: pl.DataFrame) -> pl.Series:
    """Dates as digits: YYYYMMDD, YYYYMM or YYYY, one of them for all."""
    missing = rows["date"].null_count()
    if missing:
        raise SetupError(f"split: {missing} of {len(rows)} images have no date; need one for each to split by date")
    dates = rows["date"].str.strip_chars()
    digits = dates.str.replace_all("[-./]", "").alias("day")
    year_first = dates.str.contains(r"^(19|20)\d\d([-./]?(0[1-9]|1[0-2])([-./]?(0[1-9]|[12]\d|3[01]))?)?$")
    if not year_first.all():
        example = rows["date"].filter(~year_first)[0]
        raise SetupError(
            f"split: {int((~year_first).sum())} of {len(rows)} dates cannot be read, e.g. {example!r}; need "
            "YYYY-MM-DD, YYYY-MM or YYYY"
        )
    if digits.str.len_chars().n_unique() > 1:
        raise SetupError("split: found dates of several precisions (days, months or years), need one for all images")
    return digits
