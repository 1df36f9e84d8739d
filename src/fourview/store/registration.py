"""Two pictures laid over each other: are they the same one, detail by detail?

Two breasts of one woman agree in outline and in large; nothing makes their strands and septa fall on the same
places. So the pictures are aligned (an affine map, enhanced correlation coefficient, Evangelidis and Psarakis, PAMI
2008), and then the fine detail is correlated in tiles inside the breast, away from skin and labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.store.fingerprint import Cut, SmallPicture, normalise_contrast

LEAST_AGREEMENT = 0.4  # 3,200 pairs of copies: 0.5 and more; 3,800 pairs of others that look alike: 0.25 and less
_WORTH_REFINING = 0.12
_TILES = (24, 12)  # sides, pixels of the small picture; the smaller ones where little of it is breast
_LEAST_TILES = 8
_MOST_DISTORTION = 0.15  # 8 degrees; more is no copy, but a picture forced onto another
_LEAST_SPREAD = 0.02  # of a tile's normalised detail: below there is none

Matrix = NDArray[np.float64]  # (2, 3): (col, row) of the second picture -> (col, row) of the first


@dataclass(frozen=True)
class Match:
    """How far one picture is the other one.

    agreement    median over tiles of the correlation of fine detail, -1 to 1; 0 where they cannot be compared
    tiles        that could be compared
    mirrored, upside_down  of the first against the second
    scale        rows and columns of the second per row and column of the first
    overlap      share of the second picture that the first one covers
    matrix       (col, row) of a pixel of the second crop -> (col, row) in the first crop as it is stored
    """

    agreement: float
    tiles: int
    mirrored: bool
    upside_down: bool
    scale: tuple[float, float]
    overlap: float
    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]

    @property
    def same(self) -> bool:
        """True if it is the same picture."""
        return self.agreement >= LEAST_AGREEMENT

    @property
    def text(self) -> str:
        """The way from the first to the second, in words."""
        words = [word for word, true in (("mirrored", self.mirrored), ("upside down", self.upside_down)) if true]
        rows, cols = self.scale
        if abs(rows - 1) > 0.01 or abs(cols - 1) > 0.01:
            words.append(f"size x {rows:.2f}" if abs(rows - cols) < 0.01 else f"size x {rows:.2f} by {cols:.2f}")
        words.append(f"{self.overlap:.0%} of it in common")
        return ", ".join(words)


def register(first: SmallPicture, second: SmallPicture, *, turn: tuple[bool, bool], cut: Cut) -> Match:
    """How far the first picture, turned, is the second one.

    turn, cut  of the first: what is known already of how they lie (candidates.Candidate)
    """
    turned = first.turned(mirrored=turn[0], upside_down=turn[1])
    start = _start(turned.ranks.shape, second.ranks.shape, cut)
    matrix, agreement, tiles = _align(turned, second, start, everywhere=True)
    if agreement < LEAST_AGREEMENT:  # the edge of the breast may lie elsewhere in another window
        matrix, agreement, tiles = max(
            (matrix, agreement, tiles), _align(turned, second, start, everywhere=False), key=lambda found: found[1]
        )
    in_crops = _in_crops(turned, second, matrix, turn)
    covered = _warp(np.ones(turned.ranks.shape, np.uint8), matrix, second.ranks.shape, cv2.INTER_NEAREST)
    return Match(
        agreement=agreement,
        tiles=tiles,
        mirrored=turn[0],
        upside_down=turn[1],
        scale=(1 / float(np.linalg.norm(in_crops[:, 1])), 1 / float(np.linalg.norm(in_crops[:, 0]))),
        overlap=float(covered.mean()),
        matrix=(_three(in_crops[0]), _three(in_crops[1])),
    )


def _start(first: tuple[int, ...], second: tuple[int, ...], cut: Cut) -> Matrix:
    """The second picture on the part of the first that the cut leaves."""
    top, bottom, left, right = cut
    down, across = (1 - top - bottom) * first[0] / second[0], (1 - left - right) * first[1] / second[1]
    return _at_centres(np.array([[across, 0, left * first[1]], [0, down, top * first[0]], [0, 0, 1]]))


def _align(first: SmallPicture, second: SmallPicture, start: Matrix, *, everywhere: bool) -> tuple[Matrix, float, int]:
    """The best map, the agreement under it, and the number of tiles it is from.

    everywhere  align by all of the picture, or by the first one's tissue only
    """
    where = np.ones(first.ranks.shape, np.uint8) if everywhere else first.tissue.astype(np.uint8)
    # at half the size first, where a start that is some pixels off is near enough
    half = _detail(_halve(first.ranks), _halve(second.ranks), fine=1.5, coarse=6.0)
    matrix = _scale_matrix(_maximise(*half, _halve(where), _scale_matrix(start, 0.5), steps=30, precision=1e-4), 2)
    agreement, tiles = _agreement(first, second, matrix)
    if agreement > _WORTH_REFINING:
        matrix = _maximise(
            *_detail(first.ranks, second.ranks, fine=1.2, coarse=5.0), where, matrix, steps=60, precision=1e-5
        )
        agreement, tiles = _agreement(first, second, matrix)
    return matrix, agreement if _distortion(matrix, start) <= _MOST_DISTORTION else 0.0, tiles


def _distortion(matrix: Matrix, start: Matrix) -> float:
    """The largest change of size, turn (radians) or shear since the start."""
    return float(np.abs(matrix[:, :2] @ np.linalg.inv(start[:, :2]) - np.eye(2)).max())


def _detail(
    first: NDArray[np.uint8], second: NDArray[np.uint8], *, fine: float, coarse: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return (
        normalise_contrast(first, fine=fine, coarse=coarse, floor=2.0),
        normalise_contrast(second, fine=fine, coarse=coarse, floor=2.0),
    )


def _maximise(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    where: NDArray[np.uint8],
    start: Matrix,
    *,
    steps: int,
    precision: float,
) -> Matrix:
    """The affine map with the largest correlation near `start`; `start` where there is none to be found."""
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, steps, precision)
    try:
        _, found = cv2.findTransformECC(
            second, first, start.astype(np.float32), cv2.MOTION_AFFINE, criteria, where, 1
        )  # the 1: no further smoothing
    except cv2.error:  # it left the picture, or there is nothing to correlate
        return start
    return np.asarray(found, np.float64)


def _agreement(first: SmallPicture, second: SmallPicture, matrix: Matrix) -> tuple[float, int]:
    """Median over tiles of the correlation of fine detail, and the number of tiles; 0 for too few tiles."""
    shape = second.ranks.shape
    ours, theirs = _detail(first.ranks, second.ranks, fine=0.8, coarse=3.0)
    ours = _warp(ours, matrix, shape, cv2.INTER_LINEAR)
    tissue = _warp(first.tissue.astype(np.uint8), matrix, shape, cv2.INTER_NEAREST)
    weight = ((tissue > 0) & second.tissue).astype(np.float32)
    for side in _TILES:
        correlations = _correlate_tiles(ours * weight, theirs * weight, weight, side)
        if len(correlations) >= _LEAST_TILES:
            return float(np.median(correlations)), len(correlations)
    return 0.0, len(correlations)


def _correlate_tiles(
    first: NDArray[np.float32], second: NDArray[np.float32], weight: NDArray[np.float32], side: int
) -> NDArray[np.float64]:
    """Of the tiles that are tissue for the most part and have detail in both."""
    n = _sum_tiles(weight, side)
    enough = n >= side * side / 2
    n = np.maximum(n, 1)
    mean_a, mean_b = _sum_tiles(first, side) / n, _sum_tiles(second, side) / n
    spread_a = _sum_tiles(first * first, side) / n - mean_a**2
    spread_b = _sum_tiles(second * second, side) / n - mean_b**2
    enough &= (spread_a > _LEAST_SPREAD) & (spread_b > _LEAST_SPREAD)
    shared = (_sum_tiles(first * second, side) / n - mean_a * mean_b)[enough]
    return np.asarray(shared / np.sqrt(spread_a[enough] * spread_b[enough]), np.float64)


def _sum_tiles(values: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """Sums over tiles; the last rows and columns may be part of none."""
    rows, cols = values.shape[0] // side, values.shape[1] // side
    tiles = values[: rows * side, : cols * side].reshape(rows, side, cols, side)
    return np.asarray(tiles.sum(axis=(1, 3), dtype=np.float64))


def _in_crops(first: SmallPicture, second: SmallPicture, matrix: Matrix, turn: tuple[bool, bool]) -> Matrix:
    """The map between the crops themselves, the first as it is stored, not turned."""
    whole = _shape_map(first.ranks.shape, first.shape) @ _at_edges(matrix)
    whole = whole @ _shape_map(second.shape, second.ranks.shape)
    rows, cols = first.shape
    back = np.eye(3)
    if turn[0]:
        back[0] = (-1, 0, cols)
    if turn[1]:
        back[1] = (0, -1, rows)
    return _at_centres(back @ whole)


def _scale_matrix(matrix: Matrix, factor: float) -> Matrix:
    """The map between the same pictures at another size."""
    return _at_centres(np.diag([factor, factor, 1]) @ _at_edges(matrix) @ np.diag([1 / factor, 1 / factor, 1]))


# Sizes scale about the picture's edge, OpenCV counts from the centre of the first pixel, half a pixel inside.
_CENTRE = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])


def _at_edges(matrix: Matrix) -> NDArray[np.float64]:
    return np.asarray(_CENTRE @ np.vstack([matrix, [0, 0, 1]]) @ np.linalg.inv(_CENTRE), np.float64)


def _at_centres(full: NDArray[np.float64]) -> Matrix:
    return np.asarray((np.linalg.inv(_CENTRE) @ full @ _CENTRE)[:2], np.float64)


def _shape_map(source: tuple[int, ...], target: tuple[int, ...]) -> NDArray[np.float64]:
    return np.diag([target[1] / source[1], target[0] / source[0], 1])


def _halve(ranks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = (ranks.shape[1] // 2, ranks.shape[0] // 2)
    return np.asarray(cv2.resize(ranks, size, interpolation=cv2.INTER_AREA), np.uint8)


def _warp(
    picture: NDArray[np.uint8] | NDArray[np.float32], matrix: Matrix, shape: tuple[int, ...], method: int
) -> NDArray[np.float32]:
    """The picture, 0 outside of it, at the places that the matrix gives each pixel of `shape`."""
    flags = method | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, matrix, (shape[1], shape[0]), flags=flags), np.float32)


def _three(row: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(row[0]), float(row[1]), float(row[2])
