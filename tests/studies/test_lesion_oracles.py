"""Hand-crafted numbers against values that are worked out another way: by hand, by loops, by scipy."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from fourview.exam import Box, ExamError, Frame
from fourview.studies.lesion.crops import LesionCrop
from fourview.studies.lesion.handcrafted.cooccurrence import DIRECTIONS, STEPS_PX, count_pairs, describe_matrix
from fourview.studies.lesion.handcrafted.greys import describe_greys
from fourview.studies.lesion.handcrafted.local import find_patterns
from fourview.studies.lesion.handcrafted.margin import CHANCE, measure_margin
from fourview.studies.lesion.handcrafted.numbers import list_names, measure_lesion
from fourview.studies.lesion.handcrafted.regions import find_regions
from fourview.studies.lesion.handcrafted.shape import measure_shape, trace_outline
from fourview.studies.lesion.handcrafted.texture import describe_tones, sum_tones
from tests.studies.lesion_shapes import ANGLE, DISC, ELLIPSE, RADIUS, SIDE, STAR, X, bright, rough

WITHIN = np.random.default_rng(0).random((14, 17)) > 0.25
LEVELS = np.random.default_rng(1).integers(0, 5, WITHIN.shape)


def shape_of(mask: NDArray[np.bool_]) -> dict[str, float]:
    return measure_shape(trace_outline(mask), unit=1.0)


def test_radii_of_an_ellipse_are_those_of_its_arc() -> None:
    t = np.linspace(0, 2 * np.pi, 200_001)[:-1]
    radii = np.hypot(60 * np.cos(t), 30 * np.sin(t)) / 60
    weights = np.hypot(60 * np.sin(t), 30 * np.cos(t))  # of equal steps of t along the arc
    mean = np.average(radii, weights=weights)
    found = shape_of(ELLIPSE)
    assert found["radius mean"] == pytest.approx(mean, abs=0.005)
    assert found["radius sd"] == pytest.approx(np.sqrt(np.average((radii - mean) ** 2, weights=weights)), abs=0.005)
    above = np.average(np.maximum(radii - mean, 0), weights=weights) / mean
    assert found["radius area ratio"] == pytest.approx(above, abs=0.005)


def test_a_wavy_circle_has_the_harmonics_of_its_wave() -> None:
    """r = R (1 + e cos kt), by its arc: to first order e (1 - 1/k) / 2 at k + 1 and e (1 + 1/k) / 2 at 1 - k."""
    found = shape_of(60 * (1 + 0.05 * np.cos(4 * ANGLE)) > RADIUS)
    assert found["harmonic 5"] == pytest.approx(0.05 * 0.75 / 2, rel=0.05)
    assert found["harmonic -3"] == pytest.approx(0.05 * 1.25 / 2, rel=0.05)
    assert max(value for name, value in found.items() if name in ("harmonic 2", "harmonic 3", "harmonic 4")) < 0.003


def test_the_dents_of_a_star_are_as_deep_as_its_valleys_below_its_hull() -> None:
    tip, valley, diameter = 40 * 1.4, 40 * 0.6, 2 * 40 * np.sqrt(1 + 0.4**2 / 2)
    depth = (tip * np.cos(np.pi / 5) - valley) / diameter
    assert shape_of(STAR)["deepest dent"] == pytest.approx(depth, abs=0.025)  # the tips are round, the hull lies out


def test_kochs_curve_has_its_fractal_dimension() -> None:
    points = 112 + 100 * np.exp(2j * np.pi * np.arange(3) / 3) * (1 + 1j) / np.sqrt(2)
    for _ in range(5):
        step = (np.roll(points, -1) - points) / 3
        bump = points + step + step * np.exp(1j * np.pi / 3)
        points = np.stack([points, points + step, bump, points + 2 * step], axis=1).ravel()
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(canvas, [np.round(np.stack([points.real, points.imag], axis=1)).astype(np.int32)], 1)
    assert shape_of(canvas > 0)["fractal dimension"] == pytest.approx(np.log(4) / np.log(3), abs=0.08)


def test_an_outline_turned_by_any_angle_keeps_its_shape() -> None:
    def odd(turn: float) -> NDArray[np.bool_]:
        own = ANGLE - turn
        return 50 * (1 + 0.3 * np.cos(3 * own + 0.4) + 0.1 * np.cos(5 * own + 1)) > RADIUS

    base = shape_of(odd(0))
    for turn in (0.3, 1.1, 2.0):
        found = shape_of(odd(turn))
        for name, value in base.items():
            if name not in ("extent", "fractal dimension"):  # boxes stand upright
                assert found[name] == pytest.approx(value, rel=0.03, abs=0.02), name


def test_sizes_are_in_mm_of_the_crop_or_in_pixels_of_the_file() -> None:
    def crop(spacing_mm: float | None) -> LesionCrop:
        to_stored = np.array([[3.0, 0, 1], [0, 3.0, 1]])
        frame = Frame((900, 900), (900, 900), Box(0, 900, 0, 900), mirrored=False)
        return LesionCrop(bright(DISC), DISC, spacing_mm, None, to_stored, frame)

    columns = {name: place for place, (_, name) in enumerate(list_names())}
    in_mm = measure_lesion(crop(0.25), in_mm=True).values
    assert in_mm[columns["equivalent diameter"]] == pytest.approx(25, rel=0.005)
    assert in_mm[columns["area"]] == pytest.approx(np.pi * 12.5**2, rel=0.005)
    assert in_mm[columns["perimeter"]] == pytest.approx(np.pi * 25, rel=0.01)
    of_file = measure_lesion(crop(None), in_mm=False).values
    assert of_file[columns["equivalent diameter"]] == pytest.approx(300, rel=0.005)
    without_size = [place for place, (family, _) in enumerate(list_names()) if family != "shape"]
    assert of_file[without_size] == pytest.approx(in_mm[without_size])
    with pytest.raises(ExamError, match="found no pixel size"):
        measure_lesion(crop(None), in_mm=True)


def test_greys_that_rise_evenly_from_side_to_side_point_nowhere() -> None:
    ramp = (0.2 + 0.6 * (X - X.min()) / np.ptp(X)).astype(np.float32)
    found = measure_margin(find_regions(ramp, DISC))
    assert found["radial gradient index"] == pytest.approx(0, abs=0.01)
    assert found["gradient angle"] == pytest.approx(90, abs=1)
    assert found["spiculation, gradients"] == pytest.approx(0.5, abs=0.01)
    assert found["sharpness mean"] == pytest.approx(0, abs=1e-4)


def test_the_skin_line_is_no_sign_of_a_lesion() -> None:
    pixels = rough(5)
    skin = pixels.copy()
    skin[:, SIDE // 2 + 62 :] = 0  # the ring reaches to 75 px from the middle
    plain, beside = measure_margin(find_regions(pixels, DISC)), measure_margin(find_regions(skin, DISC))
    for name in (name for name in plain if name.startswith("spiculation")):
        assert plain[name] == pytest.approx(CHANCE, abs=0.08)
        assert beside[name] == pytest.approx(plain[name], abs=0.05), name


def test_statistics_of_greys_are_those_of_scipy() -> None:
    values = np.clip(np.random.default_rng(2).exponential(0.15, 4000), 0, 1)
    found = describe_greys(values)
    assert found["skewness"] == pytest.approx(stats.skew(values))
    assert found["kurtosis"] == pytest.approx(stats.kurtosis(values, fisher=False))
    assert found["interquartile range"] == pytest.approx(stats.iqr(values))
    counts = [int(((values >= k / 32) & ((values < (k + 1) / 32) | (k == 31))).sum()) for k in range(32)]
    assert found["entropy"] == pytest.approx(stats.entropy(counts, base=2))
    low, high = np.percentile(values, (10, 90))
    middle = values[(values >= low) & (values <= high)]
    assert found["robust mean absolute deviation"] == pytest.approx(np.abs(middle - middle.mean()).mean())


@pytest.mark.parametrize(("way", "step"), list(product(DIRECTIONS, STEPS_PX)))
def test_pairs_are_those_that_a_loop_counts(way: tuple[int, int], step: int) -> None:
    counts = np.zeros((5, 5))
    rows, cols = LEVELS.shape
    for row, col in product(range(rows), range(cols)):
        other = row + way[0] * step, col + way[1] * step
        inside = 0 <= other[0] < rows and 0 <= other[1] < cols
        if inside and WITHIN[row, col] and WITHIN[other]:
            counts[LEVELS[row, col], LEVELS[other]] += 1
            counts[LEVELS[other], LEVELS[row, col]] += 1
    assert (count_pairs(LEVELS, WITHIN, (way[0] * step, way[1] * step), count=5) == counts).all()


def test_haralicks_numbers_are_those_of_his_sums() -> None:
    counts = np.random.default_rng(3).integers(0, 9, (4, 4)).astype(float)
    counts += counts.T
    p = {(i, j): counts[i - 1, j - 1] / counts.sum() for i in range(1, 5) for j in range(1, 5)}
    own = {i: sum(p[i, j] for j in range(1, 5)) for i in range(1, 5)}
    mean = sum(i * own[i] for i in own)
    variance = sum((i - mean) ** 2 * own[i] for i in own)
    hxy = -sum(v * np.log2(v) for v in p.values() if v)
    hx = -sum(v * np.log2(v) for v in own.values() if v)
    hxy1 = -sum(v * np.log2(own[i] * own[j]) for (i, j), v in p.items())
    hxy2 = -sum(own[i] * own[j] * np.log2(own[i] * own[j]) for i, j in p)
    found = describe_matrix(counts)
    assert found["correlation"] == pytest.approx(sum((i - mean) * (j - mean) * v for (i, j), v in p.items()) / variance)
    assert found["information correlation 1"] == pytest.approx((hxy - hxy1) / hx)
    in_nats = np.log(2) * (hxy2 - hxy)
    assert found["information correlation 2"] == pytest.approx(np.sqrt(1 - np.exp(-2 * in_nats)))
    assert found["inverse difference moment"] == pytest.approx(sum(v / (1 + (i - j) ** 2) for (i, j), v in p.items()))
    gaps = [sum(v for (i, j), v in p.items() if abs(i - j) == k) for k in range(4)]
    assert found["difference variance"] == pytest.approx(
        sum(k**2 * v for k, v in enumerate(gaps)) - sum(k * v for k, v in enumerate(gaps)) ** 2
    )


def test_tones_are_those_that_a_loop_finds() -> None:
    """Amadasun and King's contrast and complexity; s and n by their definition, of neighbours within."""
    n, s = np.zeros(5), np.zeros(5)
    for row, col in zip(*np.nonzero(WITHIN), strict=True):
        around = [
            LEVELS[r, c]
            for r, c in product(range(row - 1, row + 2), range(col - 1, col + 2))
            if (r, c) != (row, col) and 0 <= r < 14 and 0 <= c < 17 and WITHIN[r, c]
        ]
        if around:
            n[LEVELS[row, col]] += 1
            s[LEVELS[row, col]] += abs(LEVELS[row, col] - np.mean(around))
    pixels, gaps = sum_tones(LEVELS, WITHIN)
    assert pixels == pytest.approx(n)
    assert gaps == pytest.approx(s)
    p, i = n / n.sum(), np.arange(1.0, 6)
    pairs = list(product(range(5), repeat=2))
    found = describe_tones(pixels, gaps)
    spread = sum(p[a] * p[b] * (i[a] - i[b]) ** 2 for a, b in pairs) / (5 * 4)
    assert found["contrast"] == pytest.approx(spread * s.sum() / n.sum())
    each = [abs(i[a] - i[b]) * (p[a] * s[a] + p[b] * s[b]) / (p[a] + p[b]) for a, b in pairs]
    assert found["complexity"] == pytest.approx(sum(each) / n.sum())


def test_binary_patterns_are_those_that_a_loop_finds() -> None:
    pixels = np.random.default_rng(4).random((12, 12))
    within = np.zeros_like(pixels, bool)
    within[3:9, 2:10] = True
    counts = np.zeros(10)
    for row, col in zip(*np.nonzero(within), strict=True):
        bits = []
        for k in range(8):
            y, x = row + np.sin(k * np.pi / 4), col + np.cos(k * np.pi / 4)
            top, left = int(np.floor(y + 1e-9)), int(np.floor(x + 1e-9))
            a, b = y - top, x - left
            corner = pixels[top : top + 2, left : left + 2]
            bits.append(
                (1 - a) * ((1 - b) * corner[0, 0] + b * corner[0, 1]) + a * ((1 - b) * corner[1, 0] + b * corner[1, 1])
                >= pixels[row, col]
            )
        changes = sum(bits[k] != bits[k - 1] for k in range(8))
        counts[sum(bits) if changes <= 2 else 9] += 1
    assert find_patterns(pixels, within, neighbours=8, radius=1.0) == pytest.approx(counts / counts.sum())
