"""Signs: zones and words of lesions, and tests that find what was planted and nothing where nothing was."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from scipy.stats import false_discovery_control, t

from fourview.evaluate import RocCurves, auc_difference
from fourview.exam import Box, Frame
from fourview.networks.lesion import LesionNetwork
from fourview.studies.lesion.cases import LesionView
from fourview.studies.lesion.crops import LesionCrop
from fourview.studies.lesion.signs.adjust import adjust_bh, difference_by_t, known_p, p_of_area
from fourview.studies.lesion.signs.associations import measure_margins, measure_where
from fourview.studies.lesion.signs.cases import AskedLesion
from fourview.studies.lesion.signs.collect import Seen
from fourview.studies.lesion.signs.probes import measure_probes
from fourview.studies.lesion.signs.read import CHANCE, DISC, DRAWN, EDGES, LesionSeen, UnitsSeen
from fourview.studies.lesion.signs.units import find_strongest, measure_units
from fourview.studies.lesion.signs.words import compare_margins, frequent_tokens
from fourview.studies.lesion.signs.zones import Shares, chance_shares, disc_map, edge_map, find_zones, measure_shares
from tests.studies.lesion_shapes import DISC as DRAWN_DISC
from tests.studies.lesion_shapes import RADIUS, SIDE, bright

FRAME = Frame((400, 400), (400, 400), Box(0, 400, 0, 400), mirrored=False)
LESIONS = 80
Tokens = frozenset[tuple[str, str]]


def make_view(number: int, *, malignant: bool) -> LesionView:
    return LesionView(
        image=f"i{number}",
        patient=f"p{number // 2}",
        exam=f"p{number // 2}",
        dataset="drawn",
        side="L",
        angle="CC" if number % 2 else "MLO",
        lesion="one",
        kind="mass",
        malignant=malignant,
        spacing_mm=None,
        box=Box(0, 10, 0, 10),
        frame=FRAME,
        words={},
    )


def make_seen(
    malignant: np.ndarray,
    margin: np.ndarray,
    *,
    units: np.ndarray | None = None,
    features: np.ndarray | None = None,
    networks: int = 1,
) -> Seen:
    """Lesion images whose maps lie along the margin as said; noise for all else."""
    rng = np.random.default_rng(5)
    units = rng.normal(size=(len(malignant), 4)) if units is None else units
    features = rng.normal(size=(len(malignant), 6)) if features is None else features
    found, cases = [], []
    for number, is_malignant in enumerate(malignant.tolist()):
        noise = rng.uniform(0.2, 0.4)
        shares: Mapping[str, Shares] = {
            CHANCE: Shares(0.1, 0.2, 0.7, 0.2),
            EDGES: Shares(0.2, noise, 0.8 - noise, 0.3),
            DISC: Shares(0.5, rng.uniform(0.2, 0.4), 0.1, 0.7),
            "gradcam": Shares(0.2, float(margin[number]), 0.8 - float(margin[number]), 0.6),
            f"gradcam{DRAWN}": Shares(0.1, rng.uniform(0.2, 0.4), 0.5, 0.2),
        }
        network = (number // 2) % networks
        seen = UnitsSeen(
            units[number].astype(np.float32),
            np.zeros(units.shape[1], np.int64),
            features[number].astype(np.float32),
            rng.normal(size=features.shape[1]).astype(np.float32),
        )
        found.append(LesionSeen(0.5, float(is_malignant), shares, {network: seen}))
        cases.append(AskedLesion(make_view(number, malignant=bool(is_malignant)), (network,)))
    return Seen(tuple(cases), tuple(found), ())


def test_zones_part_the_crop_and_shares_add_up() -> None:
    crop = LesionCrop(bright(DRAWN_DISC), DRAWN_DISC, None, None, np.eye(2, 3), FRAME)
    zones = find_zones(crop)
    np.testing.assert_array_equal(zones.core.astype(int) + zones.margin + zones.outside, 1)
    r = np.sqrt(DRAWN_DISC.sum() / np.pi)
    depth = np.abs(RADIUS - r)
    assert zones.margin[depth < 0.3 * r - 1.5].all()
    assert not zones.margin[depth > 0.3 * r + 1.5].any()
    assert zones.core[0.7 * r - 1.5 > RADIUS].all()
    ring = np.where(zones.margin, 2.0, -1.0).astype(np.float32)
    shares = measure_shares(ring, zones)
    assert (shares.core, shares.margin, shares.outside) == (0, 1, 0)
    everywhere = chance_shares(zones)
    assert everywhere.core + everywhere.margin + everywhere.outside == pytest.approx(1)
    assert everywhere.lesion == pytest.approx(DRAWN_DISC.sum() / SIDE**2)
    assert np.isnan(measure_shares(-np.ones((SIDE, SIDE), np.float32), zones).margin)


def test_maps_that_know_no_network_find_edges_and_the_middle() -> None:
    crop = LesionCrop(bright(DRAWN_DISC), DRAWN_DISC, None, None, np.eye(2, 3), FRAME)
    zones = find_zones(crop)
    assert measure_shares(edge_map(crop), zones).margin > 0.95
    disc = disc_map(crop, share=0.5)
    assert disc.sum() == pytest.approx(np.pi * 56**2, rel=0.01)
    assert measure_shares(disc, zones).outside == 0


def test_words_are_tokens_of_looks_and_both_margins_are_neither() -> None:
    tokens = [
        frozenset({("margins", "spiculated"), ("shape", "oval")}),
        frozenset({("margins", "circumscribed")}),
        frozenset({("margins", "circumscribed"), ("margins", "spiculated")}),
        frozenset({("shape", "spiculated")}),
        frozenset({("class", "spic")}),
    ]
    assert compare_margins(tokens).tolist() == [1, 0, -1, -1, 1]
    many = [frozenset({("shape", "oval")})] * 10 + [frozenset({("shape", "round")})] * 9
    assert frequent_tokens([*many, frozenset()]) == (("shape", "oval"),)


def test_of_few_women_a_difference_of_areas_is_as_wide_as_their_t_says() -> None:
    rng = np.random.default_rng(2)
    y = np.tile([True, False], 8)
    women = np.repeat(np.arange(8), 2).astype(str)  # both classes in each: 8 of the rarer
    first, second = y + rng.normal(size=16), y + rng.normal(size=16)
    plain = auc_difference(y, first, second, cluster=women)
    found = difference_by_t(y, first, second, cluster=women, unit="lesion image", name="a minus b")
    assert (found.value, found.se) == (plain.value, plain.se)
    assert found.high - found.low == pytest.approx(2 * t.ppf(0.975, 7) * found.se)
    assert found.p == pytest.approx(2 * t.sf(abs(found.value) / found.se, 7))
    assert found.method.endswith("t with 7 degrees of freedom")


def test_adjusted_p_values_are_scipys_and_tests_that_were_none_stay_out() -> None:
    p = np.random.default_rng(0).uniform(size=30) ** 2
    np.testing.assert_allclose(adjust_bh(p.tolist()), false_discovery_control(p))
    found = adjust_bh([0.01, float("nan"), 0.02])
    assert found[0] == pytest.approx(0.02)
    assert np.isnan(found[1])


def test_the_p_value_of_an_area_is_that_of_its_interval() -> None:
    assert p_of_area(0.5, 0.1, clusters=40, rarer=10) == pytest.approx(1)
    quantile = 2.262157  # of t with 9 degrees of freedom, 97.5th percentile
    assert p_of_area(0.5 + quantile * 0.1, 0.1, clusters=40, rarer=10) == pytest.approx(0.05, abs=1e-6)
    assert p_of_area(1.0, 0.0, clusters=8, rarer=3) == pytest.approx(2 / 56)  # one way of 56, and its mirror
    assert np.isnan(p_of_area(0.5, 0.0, clusters=8, rarer=3))


def test_p_values_of_areas_of_noise_are_below_1_in_100_about_that_often() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(40):
        y = np.repeat(rng.permutation(60) < 10, 2)
        scores = rng.normal(size=(20, 60)).repeat(2, axis=1) + 0.7 * rng.normal(size=(20, 120))
        curves = RocCurves.measure(y, scores, cluster=np.repeat(np.arange(60), 2))
        errors = np.sqrt(np.diag(curves.covariance))
        found += [
            p_of_area(area, se, clusters=curves.clusters, rarer=curves.rarer)
            for area, se in zip(curves.areas, errors, strict=True)
        ]
    assert 0 < np.mean(np.array(found) < 0.01) < 0.02


def test_a_map_that_knows_malignancy_alone_does_not_know_margins_among_malignant_lesions() -> None:
    """The trap: spiculated lesions are mostly malignant."""
    rng = np.random.default_rng(1)
    malignant = np.arange(LESIONS) % 2 == 0
    spiculated = np.where(rng.random(LESIONS) < 0.85, malignant, ~malignant)
    seen = make_seen(malignant, np.where(malignant, 0.6, 0.3) + 0.05 * rng.normal(size=LESIONS))
    tests = {(t.name, t.among): t for t in measure_margins(seen, spiculated.astype(np.int64), ["gradcam"])}
    everywhere, within = tests["gradcam", "all"], tests.get(("gradcam", "malignant"))
    assert everywhere.area.low > 0.5
    assert everywhere.better[0].low > 0
    assert everywhere.area.p is not None
    assert everywhere.area.p < 0.01
    if within is not None:
        assert within.area.low < 0.5 < within.area.high


def test_a_map_that_knows_margins_does_so_among_malignant_lesions_too() -> None:
    rng = np.random.default_rng(2)
    malignant = np.arange(LESIONS) % 3 > 0
    spiculated = rng.random(LESIONS) < 0.5
    seen = make_seen(malignant, np.where(spiculated, 0.6, 0.4) + 0.08 * rng.normal(size=LESIONS))
    tests = {(t.name, t.among): t for t in measure_margins(seen, spiculated.astype(np.int64), ["gradcam"])}
    within = tests["gradcam", "malignant"]
    assert within.area.low > 0.6
    assert all(one.low > 0 for one in within.better)
    assert within.means[0].value > within.means[1].value
    for control in (EDGES, DISC, f"gradcam{DRAWN}"):
        assert tests[control, "malignant"].area.low < 0.5
    assert tests[EDGES, "all"].better == tests[CHANCE, "all"].better == ()
    assert tests[CHANCE, "all"].area.value == 0.5  # the zones of all are alike here


def test_too_few_of_either_kind_are_not_compared() -> None:
    seen = make_seen(np.arange(LESIONS) % 2 == 0, np.full(LESIONS, 0.4))
    assert measure_margins(seen, np.where(np.arange(LESIONS) < 9, 1, 0), ["gradcam"]) == ()


def test_where_maps_lie_is_measured_against_chance() -> None:
    seen = make_seen(np.arange(LESIONS) % 2 == 0, np.random.default_rng(0).uniform(0.3, 0.5, LESIONS))
    found = {test.name: test for test in measure_where(seen, ["gradcam"])}
    assert list(found) == ["gradcam", f"gradcam{DRAWN}", EDGES, DISC]
    assert found["gradcam"].over_chance.value == pytest.approx(3.0)
    assert found[f"gradcam{DRAWN}"].over_chance.value == pytest.approx(1.0)


def test_a_planted_unit_is_discovered_and_noise_is_not() -> None:
    rng = np.random.default_rng(3)
    token = ("margins", "spiculated")
    having = rng.random(LESIONS) < 0.4
    units = rng.normal(size=(LESIONS, 4))
    units[:, 2] += 2.5 * having
    units[:, 1] = 0  # a dead unit
    tokens: list[Tokens] = [frozenset({token}) if yes else frozenset() for yes in having]
    seen = make_seen(np.arange(LESIONS) % 2 == 0, np.full(LESIONS, 0.4), units=units)
    network = LesionNetwork("googlenet_light", width_mult=0.1, side_px=64)
    network.trunk.channels = 4  # type: ignore[assignment] # of the made-up units
    tests = measure_units(seen, tokens, [network])
    assert {test.channel for test in tests} == {0, 2, 3}
    first, *others = tests
    assert (first.channel, first.token) == (2, token)
    assert 0.8 < first.area.low < first.area.value < first.area.high
    assert known_p(first.area) < 0.001
    assert all(known_p(test.area) > 0.05 for test in others)
    assert (first.area.n, first.area.positives) == (LESIONS, int(having.sum()))
    assert first.area.clusters == LESIONS // 2
    assert first.within is not None
    assert first.within.n == LESIONS // 2


def test_a_unit_is_shown_where_it_was_highest_each_lesion_once() -> None:
    units = np.tile(np.arange(LESIONS, dtype=float)[:, None], (1, 2))
    seen = make_seen(np.arange(LESIONS) % 2 == 0, np.full(LESIONS, 0.4), units=units)
    network = LesionNetwork("alexnet", width_mult=0.02, side_px=64)  # its map is not averaged: no weights
    network.trunk.channels = 2  # type: ignore[assignment]
    strongest = find_strongest(seen, [network], most=1)
    assert len(strongest) == 1
    assert np.isnan(strongest[0].weight)
    lesions = [seen.views[int(place)].key for place in strongest[0].places]
    assert len(set(lesions)) == len(lesions) == 8
    assert strongest[0].places[0] == LESIONS - 1


def test_probes_read_planted_words_of_patients_that_are_new_to_them() -> None:
    rng = np.random.default_rng(4)
    known, unknown = rng.random(LESIONS) < 0.5, rng.random(LESIONS) < 0.5
    features = rng.normal(size=(LESIONS, 6))
    features[:, 0] += 2.5 * known
    tokens: list[Tokens] = [
        frozenset({("shape", "oval")} if a else set()) | frozenset({("shape", "round")} if b else set())
        for a, b in zip(known, unknown, strict=True)
    ]
    seen = make_seen(np.arange(LESIONS) % 2 == 0, np.full(LESIONS, 0.4), features=features, networks=2)
    found = {test.token[1]: test for test in measure_probes(seen, tokens, seed=0)}
    assert found["oval"].area.low > 0.7
    assert found["oval"].more.low > 0
    assert found["oval"].drawn.value < found["oval"].area.low
    assert found["round"].area.low < 0.55
    assert found["oval"].area.clusters == LESIONS // 2


def test_probes_of_a_patients_own_fingerprint_learn_nothing() -> None:
    """Both images of a patient have the same features, drawn for the patient: only a leak would let a probe know."""
    rng = np.random.default_rng(6)
    features = np.repeat(rng.normal(size=(LESIONS // 2, 40)), 2, axis=0)
    having = np.repeat(rng.random(LESIONS // 2) < 0.5, 2)
    tokens: list[Tokens] = [frozenset({("shape", "oval")}) if yes else frozenset() for yes in having]
    seen = make_seen(np.arange(LESIONS) % 2 == 0, np.full(LESIONS, 0.4), features=features)
    (test,) = measure_probes(seen, tokens, seed=0)
    assert test.area.value < 0.7
