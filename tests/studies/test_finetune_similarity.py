"""Linear CKA against its formula, and Figure 2's panel."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.studies.finetune.features_similarity import compare_features, linear_cka, measure_similarity
from fourview.studies.finetune.jackknife import jackknife
from fourview.studies.transfer.feature_set import COLUMNS, FeatureCard, FeatureSet

Floats = NDArray[np.float64]


def draw(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=shape)


def by_formula(x: Floats, y: Floats) -> float:
    """Kornblith et al. 2019: |Y'X|^2 / (|X'X| |Y'Y|), Frobenius norms of centred features."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    norm = np.linalg.norm
    return float(norm(y.T @ x, "fro") ** 2 / (norm(x.T @ x, "fro") * norm(y.T @ y, "fro")))


def make_set(values: Floats, images: list[str]) -> FeatureSet:
    rows = {name: pl.Series([None] * len(images), dtype=dtype) for name, dtype in COLUMNS.items()}
    table = pl.DataFrame({**rows, "image": images, "patient": [f"p{int(image[1:]) // 2}" for image in images]})
    return FeatureSet(values.astype(np.float32), table, FeatureCard(extractor="drawn", name=""))


@pytest.mark.parametrize("shapes", [((30, 5), (30, 7)), ((12, 40), (12, 3)), ((8, 100), (8, 100))])
def test_cka_is_that_of_the_formula(shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    x, y = draw(*shapes[0]), draw(*shapes[1], seed=1) + 3
    assert linear_cka(x, y) == pytest.approx(by_formula(x, y), abs=1e-12)


def test_cka_is_1_after_a_rotation_a_scale_and_a_shift_and_not_after_a_stretch() -> None:
    x = draw(20, 6)
    turned = x @ np.linalg.qr(draw(6, 6, seed=2))[0] * 7 + 4
    assert linear_cka(x, turned) == pytest.approx(1)
    assert linear_cka(x, x * np.array([10, 1, 1, 1, 1, 1])) < 0.95


def test_features_that_are_the_same_for_all_images_have_no_cka() -> None:
    assert np.isnan(linear_cka(draw(5, 3), np.ones((5, 4))))


def test_many_features_of_few_images_are_alike_by_chance_and_the_shuffled_ones_say_so() -> None:
    patients = np.array([f"p{number}" for number in range(12)])
    unrelated = measure_similarity(draw(12, 500), draw(12, 500, seed=1), patients, name="unrelated")
    assert unrelated.found.value > 0.8
    assert unrelated.chance == pytest.approx(unrelated.found.value, abs=0.05)


def test_sets_are_compared_over_the_images_that_both_have_in_any_order() -> None:
    x = draw(10, 4)
    first = make_set(x, [f"i{number}" for number in range(10)])
    second = make_set(x[[7, 5, 3, 1, 8]] * 2, ["i7", "i5", "i3", "i1", "i8"])
    found = compare_features(first, second).found
    assert found.value == pytest.approx(1, abs=1e-6)
    assert (found.n, found.clusters) == (5, 5)
    with pytest.raises(SetupError, match="found 2 images that both sets have"):
        compare_features(first, second.take(np.array([True, True, False, False, False])))


def test_a_jackknifed_mean_has_the_standard_error_of_the_mean() -> None:
    values = np.random.default_rng(3).random(40)
    patients = np.array([f"p{number}" for number in range(40)])
    found = jackknife(lambda places: float(values[places].mean()), patients, name="mean", positives=0)
    assert found.se == pytest.approx(values.std(ddof=1) / 40**0.5)
    assert found.low < found.value < found.high


def test_images_of_one_patient_count_as_one_in_the_jackknife() -> None:
    values = np.repeat(np.random.default_rng(3).random(10), 4)
    patients = np.repeat([f"p{number}" for number in range(10)], 4)
    found = jackknife(lambda places: float(values[places].mean()), patients, name="mean", positives=0)
    assert found.se == pytest.approx(values[::4].std(ddof=1) / 10**0.5)
    assert np.isnan(jackknife(lambda places: 0.5, patients, name="constant", positives=0).low)
