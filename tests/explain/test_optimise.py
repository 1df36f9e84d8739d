"""Input optimisation: it finds what a known network looks for, from every start, and is the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fourview.explain.optimise import FROM_LESION, OptimiseSettings, draw_noise, make_prototype, optimise_input
from tests.explain.small_targets import MapTarget

LIMITS = (-2.0, 2.5)
QUICK = OptimiseSettings(steps=40)


def bright_against_dark() -> MapTarget:
    """Likes what is brighter than its surroundings."""
    body = nn.Sequential(nn.Conv2d(1, 1, 7, padding=3, bias=False), nn.ReLU())
    with torch.no_grad():
        body[0].weight.fill_(-1 / 40)
        body[0].weight[0, 0, 2:5, 2:5] = 1 / 9
    return MapTarget(body, torch.tensor([100.0]))


def flat() -> MapTarget:
    """Likes brightness, whatever its form."""
    body = nn.Sequential(nn.Conv2d(1, 1, 1))
    with torch.no_grad():
        body[0].weight.fill_(1.0)
        body[0].bias.zero_()
    return MapTarget(body, torch.tensor([300.0]))


def test_it_raises_the_score_one_way_and_lowers_it_the_other() -> None:
    made = make_prototype(
        bright_against_dark(), draw_noise((32, 32), seed=0), name="noise", limits=LIMITS, settings=QUICK
    )
    start, malignant, benign = made.scores
    assert malignant > start + 5 > start > benign
    assert made.moved
    assert not replace(made, scores=(start, start - 1, benign)).moved
    np.testing.assert_array_equal(made.difference, made.malignant - made.benign)


def test_a_network_that_likes_brightness_gets_it_up_to_the_limit() -> None:
    made = make_prototype(
        flat(), torch.zeros((1, 1, 16, 16)), name="grey", limits=LIMITS, settings=replace(QUICK, steps=200)
    )
    np.testing.assert_allclose(made.malignant, LIMITS[1], atol=1e-3)
    np.testing.assert_allclose(made.benign, LIMITS[0], atol=1e-3)


def test_values_stay_within_those_of_real_inputs() -> None:
    found = optimise_input(
        bright_against_dark(), draw_noise((24, 24), seed=1), sign=1, limits=(-0.1, 0.2), settings=QUICK, seed=0
    )
    assert float(found.min()) >= -0.1 - 1e-6
    assert float(found.max()) <= 0.2 + 1e-6


def test_a_seed_decides_everything() -> None:
    start, target = draw_noise((24, 24), seed=1), bright_against_dark()
    first, again, other = (
        optimise_input(target, start, sign=1, limits=LIMITS, settings=QUICK, seed=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, start)  # and the start is left as it was
    assert torch.equal(start, draw_noise((24, 24), seed=1))


def test_a_real_lesion_stays_nearer_to_itself() -> None:
    start, target = draw_noise((24, 24), seed=1), bright_against_dark()
    free, held = (
        optimise_input(
            target, start, sign=1, limits=LIMITS, settings=replace(QUICK, to_start=weight, total_variation=0), seed=0
        )
        for weight in (0.0, 1.0)
    )
    assert float((held - start).abs().mean()) < 0.7 * float((free - start).abs().mean())
    assert FROM_LESION.to_start == pytest.approx(1e-4)


def test_a_real_lesions_own_detail_is_not_worn_away_by_blur_and_variation() -> None:
    start = draw_noise((24, 24), seed=1)  # as fine as detail can be
    settings = replace(QUICK, to_start=1e-4, total_variation=1e-3, blur_px=0.5, blur_every=1)
    held = optimise_input(flat(), start, sign=1, limits=(-50.0, 50.0), settings=settings, seed=0)
    assert float((held - start).mean()) > 0.1
    assert float((held - start).std()) < 0.01 * float(start.std())
    worn = optimise_input(flat(), start, sign=1, limits=(-50.0, 50.0), settings=replace(settings, to_start=0.0), seed=0)
    assert float(worn.std()) < 0.5 * float(start.std())


def test_total_variation_keeps_it_smooth() -> None:
    start, target = draw_noise((24, 24), seed=1), bright_against_dark()
    rough, smooth = (
        optimise_input(
            target, start, sign=1, limits=LIMITS, settings=replace(QUICK, total_variation=weight, blur_px=0), seed=0
        )
        for weight in (0.0, 1.0)
    )
    assert float(smooth.diff(dim=3).abs().mean()) < 0.5 * float(rough.diff(dim=3).abs().mean())
