"""Labels: which images are positive, which are left out, and what a positive means in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.studies.transfer.feature_set import FeatureSet

Birads3 = Literal["benign", "drop"]
SPECS = ("birads4+", "birads5+", "malignant", "abnormal")
BIRADS_CLASSES = {"1": 1, "2": 2, "3": 3, "4": 4, "4a": 4, "4b": 4, "4c": 4, "5": 5, "6": 6}
_BY_BIRADS = "suspicious by BI-RADS, not cancer"
_TRUTHS = {"0": 0, "1": 1, "false": 0, "true": 1}


@dataclass(frozen=True, eq=False)
class Labels:
    """y (images,) 0 or 1, 0 where not kept; keep (images,); both in the order of the features' rows.

    name      what was asked, in words;  positive  what a positive means
    left_out  (reason, images)
    """

    y: NDArray[np.int64]
    keep: NDArray[np.bool_]
    name: str
    positive: str
    left_out: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if self.y.shape != self.keep.shape or not np.isin(self.y, (0, 1)).all():
            raise SetupError(f"labels: found shapes {self.y.shape} and {self.keep.shape}; need one 0 or 1 per image")
        positives, n = int(self.y[self.keep].sum()), int(self.keep.sum())
        if not 0 < positives < n:
            raise SetupError(f"labels {self.name}: found {positives} positives among {n} images; need both classes")


def read_labels(features: FeatureSet, spec: str | None = None, *, birads3: Birads3 = "benign") -> Labels:
    """The labels of a feature set's images; see label_rows."""
    return label_rows(features.rows, spec, birads3=birads3)


def label_rows(rows: pl.DataFrame, spec: str | None = None, *, birads3: Birads3 = "benign") -> Labels:
    """The labels of images, by rows that say what a set says of each (feature_set.COLUMNS, or a manifest's).

    spec     "birads4+" (1, 2, 3 -> 0; 4 to 6 -> 1), "birads5+" (5, 6 -> 1), "malignant", "abnormal" (a malignant or a
             benign finding), "column:NAME" (a column of rows.csv with 0 and 1); None: birads4+ where images have a
             BI-RADS category, else malignant
    birads3  what category 3 is: "benign" as in the paper, or left out

    Images without a label are left out and counted, BI-RADS 0 among them. Raises SetupError: unknown spec or column, or
    one class alone.
    """
    spec = spec or ("birads4+" if rows["birads"].is_not_null().any() else "malignant")
    if spec in ("birads4+", "birads5+"):
        return _by_birads(rows["birads"].to_list(), least=int(spec[6]), birads3=birads3)
    if spec == "malignant":
        return _by_values(rows["malignant"].to_list(), "malignant", f"malignant, by {_source(rows)}")
    if spec == "abnormal":
        pairs = zip(rows["malignant"].to_list(), rows["benign"].to_list(), strict=True)
        found = [True if True in pair else (None if None in pair else False) for pair in pairs]
        return _by_values(found, "abnormal", f"a malignant or a benign finding, by {_source(rows)}")
    kind, _, name = spec.partition(":")
    if kind != "column":
        raise SetupError(f"labels: found {spec!r}; need one of {', '.join(SPECS)}, or column:NAME")
    if name not in rows.columns:
        raise SetupError(f"labels: found no column {name!r}; need one of {', '.join(rows.columns)}")
    texts = [None if value is None or value == "" else str(value).lower() for value in rows[name].to_list()]
    if strange := sorted({text for text in texts if text is not None and text not in _TRUTHS}):
        raise SetupError(f"labels: column {name} holds {', '.join(strange[:5])}; need 0, 1 or nothing")
    values = [None if text is None else bool(_TRUTHS[text]) for text in texts]
    return _by_values(values, spec, f"1 in the column {name}")


def _by_birads(texts: Sequence[str | None], *, least: int, birads3: Birads3) -> Labels:
    classes = np.array([BIRADS_CLASSES.get(text or "", 0) for text in texts], np.int64)
    without = classes == 0
    third = (classes == 3) & (birads3 == "drop")
    left_out = (("no BI-RADS category from 1 to 6", int(without.sum())), ("BI-RADS 3", int(third.sum())))
    name = f"BI-RADS {least} or more" + (", 3 left out" if birads3 == "drop" else "")
    y = np.where(without | third, 0, classes >= least).astype(np.int64)
    return Labels(y, ~(without | third), name, _BY_BIRADS, tuple(item for item in left_out if item[1]))


def _by_values(values: Sequence[bool | None], name: str, positive: str) -> Labels:
    keep = np.array([value is not None for value in values])
    y = np.array([value is True for value in values]).astype(np.int64)
    unknown = int((~keep).sum())
    return Labels(y, keep, name, positive, (("unknown", unknown),) if unknown else ())


def _source(rows: pl.DataFrame) -> str:
    """What the labels rest on, and what they are labels of, where that is not the image itself."""
    sources = sorted({text for text in rows["label_source"].to_list() if text}) or ["unknown source"]
    units = sorted({text for text in rows["label_unit"].to_list() if text and text != "image"})
    return " and ".join(sources) + (f" (labels of the {' or '.join(units)}, not of the image)" if units else "")
