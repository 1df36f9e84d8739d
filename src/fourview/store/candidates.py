"""Which pairs of pictures may be the same one: nearest neighbours among all, by their coefficients.

Every picture, turned and with its sides cut off in all ways, is compared with every other as it is: first by a few
coarse coefficients, and with the likeliest then by more. What is left is for registration to confirm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fourview.store.fingerprint import CUTS, ORDERS, TURNS, WHOLE, Cut, describe, sign_of_turn

LEAST_LIKENESS = 0.7  # planted copies: 0.82 and more
MOST = 6  # candidates per picture; planted copies were the likeliest one
SHORTLIST = 64  # of the coarse comparison, per picture
ROUGH_ORDERS = 8  # coefficients per direction in it
_CELLS = 1 << 22  # of the table of likenesses that is held at a time
_BLOCK = 512  # pictures
_PRIOR = 100  # pictures' worth of "the mean picture is flat", so that the mean of a few copies is not the copies

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Candidate:
    """Two pictures, by number. The first one, turned and then cut, looks like the second."""

    first: int
    second: int
    likeness: float
    turn: tuple[bool, bool]
    cut: Cut


def find_candidates(
    squares: Sequence[NDArray[np.uint8]], *, on_step: Callable[[], None] | None = None
) -> list[Candidate]:
    """Each pair once, the likeliest way round, sorted by numbers; pictures without detail are in none.

    squares  (2, 64, 64) uint8 of each picture (fingerprint.square)
    Memory: about 12 kB per picture and 500 MB. The time grows with the square of their number:
    benchmarks/leak_audit.py.
    """
    if len(squares) < 2:
        return []
    whole = np.stack([describe(planes, (WHOLE,))[:, 0] for planes in squares], axis=1)  # (2, pictures, orders, orders)
    has_detail = (whole[0] != 0).any(axis=(1, 2))
    mean = whole.sum(axis=1, keepdims=True) / (whole.shape[1] + _PRIOR)
    known, roughly_known = _unit(whole - mean), _unit(_rough(whole - mean))
    signs = np.stack([sign_of_turn(turn) for turn in TURNS])[:, None]
    best: dict[tuple[int, int], Candidate] = {}
    block = min(max(1, _CELLS // len(squares)), _BLOCK)
    for start in range(0, len(squares), block):
        described = np.stack([describe(planes) for planes in squares[start : start + block]], axis=1)
        asked = described[:, :, None] * signs - mean[:, :, None, None]  # (2, block, turns, cuts, orders, orders)
        asked = asked.reshape(2, described.shape[1], -1, ORDERS, ORDERS)
        shortlists = _shortlist(asked, roughly_known, start)
        for place, shortlist in enumerate(shortlists):
            number = start + place
            if has_detail[number]:
                for found in _compare(number, asked[:, place], shortlist[has_detail[shortlist]], known):
                    pair = (min(number, found.second), max(number, found.second))
                    if pair not in best or found.likeness > best[pair].likeness:
                        best[pair] = found
            if on_step is not None:
                on_step()
    return [best[pair] for pair in sorted(best)]


def _shortlist(asked: Floats, known: Floats, start: int) -> NDArray[np.intp]:
    """(block, up to SHORTLIST) the pictures that look most like each of a block, in any of its ways, coarsely.

    asked  (2, block, ways, orders, orders);  known  (2, pictures, coefficients)
    """
    likeness = np.full((asked.shape[1], known.shape[1]), -2, np.float32)
    for way in range(asked.shape[2]):
        for kind in range(2):
            np.maximum(likeness, _unit(_rough(asked[kind, :, way])) @ known[kind].T, out=likeness)
    itself = np.arange(len(likeness))
    likeness[itself, start + itself] = -2
    length = min(SHORTLIST, likeness.shape[1] - 1)
    return np.argpartition(-likeness, length - 1, axis=1)[:, :length]


def _compare(number: int, asked: Floats, shortlist: NDArray[np.intp], known: Floats) -> list[Candidate]:
    """The likeliest of a shortlist; asked: (2, turns x cuts, orders, orders) of the one picture."""
    if not len(shortlist):
        return []
    likeness = (_unit(asked) @ known[:, shortlist].swapaxes(1, 2)).max(axis=0)
    way, likeliest = likeness.argmax(axis=0), likeness.max(axis=0)
    return [
        Candidate(
            number,
            int(shortlist[i]),
            float(likeliest[i]),
            TURNS[way[i] // len(CUTS)],
            CUTS[way[i] % len(CUTS)],
        )
        for i in np.lexsort((shortlist, -likeliest))[:MOST]
        if likeliest[i] >= LEAST_LIKENESS
    ]


def _rough(described: Floats) -> Floats:
    return described[..., :ROUGH_ORDERS, :ROUGH_ORDERS]


def _unit(described: Floats) -> Floats:
    """(..., orders, orders) -> (..., orders x orders), each of length 1, or 0."""
    flat = described.reshape(*described.shape[:-2], -1)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=-1, keepdims=True), 1e-6), np.float32)
