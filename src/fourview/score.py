"""What heads said -> the score of a breast or an image: means over heads, windows and members."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np

from fourview.exam import FINDINGS, HeadScore, Score, Side


def mean_score(heads: Sequence[HeadScore], side: Side) -> Score | None:
    """The mean over heads, then windows, then members, and how much windows and members differ.

    Returns None if no head spoke about this side. Method: Wu et al. 2019, test-time augmentation and ensembles.
    """
    own = [h for h in heads if h.side is side]
    if not own:
        return None
    numbers: dict[str, float] = {}
    for finding in FINDINGS:
        members = []
        spreads = []
        for member in dict.fromkeys(h.member for h in own):
            chosen = [h for h in own if h.finding == finding and h.member == member]
            windows = np.array([_mean_over_heads(group) for group in _by(chosen, "window")])
            members.append(float(windows.mean()))
            spreads.append(float(windows.std()))
        numbers[finding] = float(np.minimum(1.0, np.mean(members)))  # NaN stays NaN and is refused by Score
        numbers[f"{finding}_sd_windows"] = float(np.mean(spreads))
        numbers[f"{finding}_sd_members"] = float(np.std(members))
    names = tuple(dict.fromkeys(name for h in own for name in h.images))
    views = tuple(dict.fromkeys(view for h in own for view in h.views))
    return Score(**numbers, views=views, files=names)


def _by(heads: Sequence[HeadScore], key: Literal["window", "head"]) -> list[list[HeadScore]]:
    groups: dict[object, list[HeadScore]] = defaultdict(list)
    for head in heads:
        groups[getattr(head, key)].append(head)
    return list(groups.values())


def _mean_over_heads(heads: Sequence[HeadScore]) -> float:
    """Every head counts the same, however many images its views have."""
    return float(np.mean([np.mean([h.p for h in group]) for group in _by(heads, "head")]))
