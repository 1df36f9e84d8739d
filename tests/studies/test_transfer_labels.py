"""Labels of a feature set, and the units that are counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fourview.exam import SetupError
from fourview.studies.transfer.cases import make_cases
from fourview.studies.transfer.feature_set import FeatureSet
from fourview.studies.transfer.labels import read_labels
from tests.studies.drawn_features import draw_features

BIRADS = ["1", "2", "3", "4", "4a", "4b", "4c", "5", "6", "0", None, ""]


def _features(**columns: list[object]) -> FeatureSet:
    features = draw_features(3, 2)
    return replace(features, rows=features.rows.with_columns(**{n: pl.Series(v) for n, v in columns.items()}))


def test_birads_4_to_6_are_positive_and_images_without_a_category_are_left_out() -> None:
    labels = read_labels(_features(birads=BIRADS))
    assert labels.y.tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    assert labels.keep.tolist() == [True] * 9 + [False] * 3
    assert labels.left_out == (("no BI-RADS category from 1 to 6", 3),)
    assert labels.positive == "suspicious by BI-RADS, not cancer"


def test_birads_3_can_be_left_out_and_positives_can_begin_at_5() -> None:
    dropped = read_labels(_features(birads=BIRADS), "birads4+", birads3="drop")
    assert dropped.keep.tolist()[2] is False
    assert ("BI-RADS 3", 1) in dropped.left_out
    assert read_labels(_features(birads=BIRADS), "birads5+").y.sum() == 2


def test_unknown_truths_are_left_out_and_the_words_say_what_a_positive_rests_on() -> None:
    malignant = [True, False, None] * 4
    features = _features(malignant=malignant, birads=[None] * 12, label_source=["biopsy"] * 12)
    features = replace(features, rows=features.rows.with_columns(birads=pl.lit(None, pl.String)))
    labels = read_labels(features)
    assert (int(labels.keep.sum()), int(labels.y.sum())) == (8, 4)
    assert labels.positive == "malignant, by biopsy"
    of_breast = replace(features, rows=features.rows.with_columns(label_unit=pl.lit("breast")))
    assert read_labels(of_breast).positive == "malignant, by biopsy (labels of the breast, not of the image)"


def test_abnormal_is_malignant_or_benign() -> None:
    malignant = [True, False, False, None, None, None] * 2
    benign = [None, True, False, True, False, None] * 2
    labels = read_labels(_features(malignant=malignant, benign=benign), "abnormal")
    assert labels.y.tolist() == [1, 1, 0, 1, 0, 0] * 2
    assert labels.keep.tolist() == [True, True, True, True, False, False] * 2


def test_a_column_of_the_users_own_is_read() -> None:
    labels = read_labels(_features(interval=["1", "0", ""] * 4), "column:interval")
    assert (labels.y.tolist(), labels.keep.tolist()) == ([1, 0, 0] * 4, [True, True, False] * 4)
    with pytest.raises(SetupError, match="column interval holds 2, no; need 0, 1 or nothing"):
        read_labels(_features(interval=["no", "0", "2"] * 4), "column:interval")


def test_labels_that_cannot_be_are_refused() -> None:
    features = draw_features(3, 2)
    for spec, text in (("birads2+", "need one of birads4+"), ("column:x", "found no column 'x'")):
        with pytest.raises(SetupError, match=text):
            read_labels(features, spec)
    with pytest.raises(SetupError, match="found 0 positives among 12 images"):
        read_labels(_features(birads=["2"] * 12))


def test_images_become_breasts_and_patients() -> None:
    features = draw_features(2, 2)
    cases = make_cases(features, read_labels(features))
    assert cases.y.tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    assert cases.truth("breast").tolist() == [1, 0, 0, 0]
    assert cases.truth("patient").tolist() == [1, 0]
    assert cases.clusters("breast").tolist() == [0, 0, 1, 1]
    scores = np.array([1.0, 3, 0, 10, -1, -3, -4, -4])
    assert cases.combine(scores, "breast").tolist() == [2, 5, -2, -4]
    assert cases.combine(scores, "patient").tolist() == [5, -2]
    last = cases.take(np.array([4, 5, 6, 7]))
    assert last.combine(scores[4:], "patient").tolist() == [-2]


def test_an_image_without_a_patient_is_refused() -> None:
    features = _features(patient=["p", "p", None] * 4)
    with pytest.raises(SetupError, match="found 4 images without a patient"):
        make_cases(features, read_labels(features))
