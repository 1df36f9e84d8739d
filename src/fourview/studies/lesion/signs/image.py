"""Signs that are measured in the pixels against what networks say, with and without the lesion's size held fixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fourview.evaluate import Estimate
from fourview.evaluate.rank_correlation import spearman
from fourview.store.store import Store
from fourview.studies.lesion.handcrafted.numbers import Family, list_names
from fourview.studies.lesion.handcrafted.store import measure_views
from fourview.studies.lesion.signs.adjust import adjust_bh
from fourview.studies.lesion.signs.collect import Seen
from fourview.studies.lesion.signs.words import UNIT

SIZE: tuple[Family, str] = ("shape", "log diameter")
SIGNS: tuple[tuple[Family, str, str], ...] = (  # family and name of a hand-crafted number, what it stands for
    ("margin", "spiculation, lines of 1.5 px", "spiculation: lines that run outwards"),
    ("margin", "spiculation, gradients", "spiculation: gradients along the outline"),
    ("margin", "acutance", "boundary acutance"),
    ("margin", "radial gradient index", "radial gradient index"),
    ("shape", "dents", "lobulations: dents of the outline"),
)


@dataclass(frozen=True)
class SignTest:
    """One sign against the log-odds of malignant: Spearman, and with the size of the lesion held fixed.

    malignant  the second among malignant lesions alone; None: too few. The p values of each column are adjusted by
    Benjamini and Hochberg
    """

    name: str
    plain: Estimate
    of_size: Estimate
    malignant: Estimate | None


def measure_signs(
    store: Store,
    seen: Seen,
    out: Path,
    *,
    jobs: int = 1,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[SignTest, ...]:
    """Every sign of SIGNS, on the lesion images that can be measured. out: keeps what was measured (OUT/parts)"""
    numbers = measure_views(store, seen.views, out, jobs=jobs, on_step=on_step)
    place = {view.name: k for k, view in enumerate(seen.views)}
    rows = np.array([place[view.name] for view in numbers.views])
    columns = {name: k for k, name in enumerate(list_names())}
    logit = np.array([one.logit for one in seen.found])[rows]
    patients = np.array([view.patient for view in seen.views])[rows]
    malignant = np.array([view.malignant for view in seen.views])[rows]
    size = numbers.values[:, columns[SIZE]]
    found = []
    for family, key, words in SIGNS:
        own = numbers.values[:, columns[family, key]]
        among = None
        if malignant.sum() >= 20:
            among = spearman(
                own[malignant],
                logit[malignant],
                fixed=size[malignant],
                cluster=patients[malignant],
                unit=UNIT,
                name=words,
            )
        found.append(
            SignTest(
                words,
                spearman(own, logit, cluster=patients, unit=UNIT, name=words),
                spearman(own, logit, fixed=size, cluster=patients, unit=UNIT, name=words),
                among,
            )
        )
    return _adjust(found)


def _adjust(tests: list[SignTest]) -> tuple[SignTest, ...]:
    def column(estimates: list[Estimate | None]) -> list[Estimate | None]:
        p = adjust_bh([np.nan if one is None or one.p is None else one.p for one in estimates])
        return [None if one is None else replace(one, p=value) for one, value in zip(estimates, p, strict=True)]

    plain = column([test.plain for test in tests])
    of_size = column([test.of_size for test in tests])
    malignant = column([test.malignant for test in tests])
    return tuple(
        replace(test, plain=a or test.plain, of_size=b or test.of_size, malignant=c)
        for test, a, b, c in zip(tests, plain, of_size, malignant, strict=True)
    )
