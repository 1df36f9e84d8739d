"""What single units of the last map see: their highest value against each word, and the places where it was highest.

Method: in the spirit of Wu et al. 2018 (DeepMiner), who rank units by highest value times the weight of the class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fourview.evaluate import Estimate, RocCurves
from fourview.networks.lesion import BENIGN, MALIGNANT, LesionNetwork
from fourview.studies.lesion.signs.adjust import adjust_bh, known_p, tested_aucs
from fourview.studies.lesion.signs.cases import group_networks
from fourview.studies.lesion.signs.collect import Seen
from fourview.studies.lesion.signs.words import LEAST, UNIT, Token, frequent_tokens, having

DISCOVERED = 0.05  # false discovery rate
PER_IMAGE = 8  # units that count as the strongest of an image
PER_UNIT = 8  # places that are shown of a unit


@dataclass(frozen=True)
class UnitTest:
    """One unit against one word.

    network, channel  of the last map;  weight  of the unit in the log-odds of malignant; NaN: the map is not averaged
    area    AUC of its highest value, images with the word against those without; its p is adjusted by Benjamini and
            Hochberg over all units, networks and words
    within  the same among malignant lesions, without p; None: too few
    """

    network: int
    channel: int
    token: Token
    weight: float
    area: Estimate
    within: Estimate | None


@dataclass(frozen=True, eq=False)
class UnitPlaces:
    """The images in which a unit was highest. places: of the lesion images;  cells: of the last map;  values"""

    network: int
    channel: int
    weight: float
    places: NDArray[np.int64]
    cells: NDArray[np.int64]
    values: NDArray[np.float32]


def measure_units(
    seen: Seen, tokens: Sequence[frozenset[Token]], networks: Sequence[LesionNetwork]
) -> tuple[UnitTest, ...]:
    """Every unit that ever is above 0 against every frequent word, the smallest p first.

    A unit is tested on the lesions that its network is asked about: those that it has not learned from.
    """
    malignant = np.array([view.malignant for view in seen.views])
    patients = np.array([view.patient for view in seen.views])
    found: list[UnitTest] = []
    for network, places in group_networks(seen.cases).items():
        highest = _highest(seen, network, places)
        alive = np.flatnonzero(np.ptp(highest, axis=0) > 0)
        weights = unit_weights(networks[network])
        own = [tokens[place] for place in places]
        for token in frequent_tokens(own):
            y = having(own, token)
            areas = tested_aucs(y, highest[:, alive].T, cluster=patients[places], unit=UNIT, name=" ".join(token))
            within = _areas_within(y, highest[:, alive], malignant[places], patients[places], name=" ".join(token))
            found += [
                UnitTest(network, int(channel), token, float(weights[channel]), area, among)
                for channel, area, among in zip(alive, areas, within, strict=True)
            ]
    adjusted = adjust_bh([known_p(test.area) for test in found])
    tests = [replace(test, area=replace(test.area, p=p)) for test, p in zip(found, adjusted, strict=True)]
    return tuple(sorted(tests, key=_by_p))


def _by_p(test: UnitTest) -> tuple[float, float]:
    p = known_p(test.area)
    return 1.0 if math.isnan(p) else p, -abs(test.area.value - 0.5)


def unit_weights(network: LesionNetwork) -> NDArray[np.float64]:
    """(channels,) what a unit of the averaged map adds to the log-odds of malignant; NaN: the map is not averaged."""
    channels = int(network.trunk.channels)  # type: ignore[arg-type] # every trunk says how many
    if len(network.hidden):
        return np.full(channels, np.nan)
    weight = network.output.weight.detach().cpu().numpy().astype(np.float64)
    return np.asarray(weight[MALIGNANT, :channels] - weight[BENIGN, :channels])


def find_strongest(seen: Seen, networks: Sequence[LesionNetwork], *, most: int) -> tuple[UnitPlaces, ...]:
    """The units that are most often among the PER_IMAGE strongest of an image, and where each was highest.

    An image's strongest units: by highest value times the size of their weight (1 where maps are not averaged).
    """
    counted = []
    for network, places in group_networks(seen.cases).items():
        highest = _highest(seen, network, places)
        weights = unit_weights(networks[network])
        strength = highest * np.abs(np.nan_to_num(weights, nan=1.0))
        order = np.argsort(-strength, axis=1, kind="stable")[:, :PER_IMAGE]
        times = np.bincount(order.ravel(), minlength=highest.shape[1])
        counted += [(int(times[c]), float(strength[:, c].mean()), network, c) for c in np.flatnonzero(times)]
    counted.sort(key=lambda one: (-one[0], -one[1]))
    return tuple(
        _places_of(seen, network, int(channel), float(unit_weights(networks[network])[channel]))
        for _, _, network, channel in counted[:most]
    )


def _places_of(seen: Seen, network: int, channel: int, weight: float) -> UnitPlaces:
    places = group_networks(seen.cases)[network]
    values = _highest(seen, network, places)[:, channel]
    order = np.argsort(-values, kind="stable")
    chosen, lesions = [], set()
    for k in order:  # each lesion once, though it has two views
        key = seen.views[int(places[k])].key
        if key not in lesions:
            lesions.add(key)
            chosen.append(int(k))
        if len(chosen) == PER_UNIT:
            break
    cells = [int(seen.found[int(places[k])].units[network].cells[channel]) for k in chosen]
    return UnitPlaces(
        network, channel, weight, places[chosen], np.array(cells, np.int64), np.asarray(values[chosen], np.float32)
    )


def _highest(seen: Seen, network: int, places: NDArray[np.int64]) -> NDArray[np.float64]:
    """(lesion images, channels)"""
    return np.stack([seen.found[int(place)].units[network].highest for place in places]).astype(np.float64)


def _areas_within(
    y: NDArray[np.bool_],
    scores: NDArray[np.float64],
    malignant: NDArray[np.bool_],
    patients: NDArray[np.str_],
    *,
    name: str,
) -> Sequence[Estimate | None]:
    own = y[malignant]
    if min(int(own.sum()), int((~own).sum())) < LEAST:
        return [None for _ in scores.T]
    curves = RocCurves.measure(own, scores[malignant].T, cluster=patients[malignant])
    return curves.estimates(unit=UNIT, name=f"{name}, malignant")
