"""What every jittered window of every member said: the dots beside a score."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from fourview.exam import Finding, HeadScore


def window_means(heads: Sequence[HeadScore], finding: Finding) -> dict[int, dict[int, float]]:
    """Per member, per window: the mean over heads, before any calibration.

    heads  of one breast or one image

    Every head counts the same, however many combinations of images it saw (as in score.mean_score).
    """
    said: dict[int, dict[int, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for head in heads:
        if head.finding == finding:
            said[head.member][head.window][head.head].append(head.p)
    return {
        member: {
            window: float(np.mean([np.mean(p) for p in per_head.values()]))
            for window, per_head in sorted(per_window.items())
        }
        for member, per_window in sorted(said.items())
    }
