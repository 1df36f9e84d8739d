"""Two dimensions of many features: the same picture for the same data, whatever its units."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from numpy.typing import NDArray

from fourview.evaluate.embedding import principal_components, umap
from fourview.exam import SetupError


def _features(seed: int = 0, *, images: int = 60) -> NDArray[np.float32]:
    """Two hidden causes, ten features; one feature never varies."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(images, 2)) * (3, 1)
    mixed = causes @ rng.normal(size=(2, 10)) + rng.normal(0, 0.01, (images, 10))
    return np.hstack([mixed, np.full((images, 1), 7.0)]).astype(np.float32)


def test_two_causes_are_found_and_explain_everything() -> None:
    found = principal_components(_features())
    assert found.shares is not None
    assert sum(found.shares) == pytest.approx(1, abs=1e-3)
    assert found.shares[0] > found.shares[1]
    assert found.used == 10


def test_places_are_the_eigenvectors_of_the_correlation_matrix() -> None:
    features = _features(1)
    values, vectors = np.linalg.eigh(np.corrcoef(features[:, :10].T.astype(np.float64)))
    standard = features[:, :10].astype(np.float64)
    standard = (standard - standard.mean(axis=0)) / standard.std(axis=0)
    found = principal_components(features)
    for axis in (0, 1):
        expected = standard @ vectors[:, -1 - axis]
        assert abs(np.corrcoef(expected, found.places[:, axis])[0, 1]) == pytest.approx(1)
        np.testing.assert_allclose(found.places[:, axis].std(), expected.std(), rtol=1e-6)
    assert found.shares == pytest.approx((values[-1] / 10, values[-2] / 10))


def test_units_and_order_of_images_do_not_change_the_picture() -> None:
    features = _features(2)
    found = principal_components(features).places
    order = np.random.default_rng(0).permutation(len(features))
    np.testing.assert_allclose(principal_components(features[order]).places, found[order], atol=1e-6)
    scaled = features * np.linspace(1, 100, features.shape[1], dtype=np.float32) + 5
    np.testing.assert_allclose(principal_components(scaled).places, found, atol=1e-3)


def test_the_largest_weight_of_each_axis_is_positive() -> None:
    features = _features(3)
    for values in (features, -features):
        standard = values[:, :10] - values[:, :10].mean(axis=0)
        places = principal_components(values).places
        weights = np.corrcoef(np.hstack([places, standard]).T)[:2, 2:]
        assert (weights[[0, 1], np.abs(weights).argmax(axis=1)] > 0).all()


def test_too_little_to_draw_is_refused() -> None:
    with pytest.raises(SetupError, match="three images or more"):
        principal_components(np.zeros((2, 5), np.float32))
    with pytest.raises(SetupError, match="1 features that vary"):
        principal_components(np.eye(5, 1, dtype=np.float32))
    with pytest.raises(SetupError, match="three images or more"):
        principal_components(np.full((5, 5), np.nan, np.float32))


@pytest.mark.skipif(importlib.util.find_spec("umap") is not None, reason="umap-learn is installed")
def test_a_missing_umap_is_named_with_what_to_install() -> None:
    with pytest.raises(SetupError, match=r"pip install \"\.\[umap\]\""):
        umap(_features())


@pytest.mark.filterwarnings("ignore")  # of umap's own dependencies
def test_umap_lays_two_far_groups_apart() -> None:
    pytest.importorskip("umap")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 5)).astype(np.float32)
    features[30:] += 50
    found = umap(features)
    first, second = found.places[:30], found.places[30:]
    spread = max(np.linalg.norm(group - group.mean(axis=0), axis=1).max() for group in (first, second))
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) > spread
    assert found.shares is None
    np.testing.assert_array_equal(umap(features).places, found.places)
