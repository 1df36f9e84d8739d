"""Can a word be read from what the last layer sees? A linear probe per word, tested on patients that are new to it.

Method: Alain and Bengio 2016. Beside it the same probe of a network with weights drawn anew, whose features know the
image but nothing that was learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fourview.evaluate import Estimate, auc
from fourview.exam import SetupError
from fourview.studies.lesion.signs.adjust import adjust_bh, difference_by_t, known_p, tested_auc
from fourview.studies.lesion.signs.cases import group_networks
from fourview.studies.lesion.signs.collect import Seen
from fourview.studies.lesion.signs.words import LEAST, UNIT, Token, frequent_tokens, having
from fourview.studies.transfer.folds import draw_folds, walk_folds

Floats = NDArray[np.float64]
PENALTY = 0.01  # C, the inverse: features are as many as lesions
FOLDS = 5


@dataclass(frozen=True)
class ProbeTest:
    """One word.

    area, drawn  AUC of the probe, of the network and of one with weights drawn anew;  more  their difference
    within       among malignant lesions; None: too few
    The p values of area and more are adjusted by Benjamini and Hochberg, each over all words.
    """

    token: Token
    area: Estimate
    drawn: Estimate
    more: Estimate
    within: Estimate | None


def measure_probes(seen: Seen, tokens: Sequence[frozenset[Token]], *, seed: int = 0) -> tuple[ProbeTest, ...]:
    """Every frequent word that can be put into folds of patients."""
    found = []
    for token in frequent_tokens(tokens):
        if (test := _test(seen, tokens, token, seed=seed)) is not None:
            found.append(test)
    areas = adjust_bh([known_p(test.area) for test in found])
    more = adjust_bh([known_p(test.more) for test in found])
    return tuple(
        replace(test, area=replace(test.area, p=a), more=replace(test.more, p=m))
        for test, a, m in zip(found, areas, more, strict=True)
    )


def _test(seen: Seen, tokens: Sequence[frozenset[Token]], token: Token, *, seed: int) -> ProbeTest | None:
    y = having(tokens, token)
    patients = np.array([view.patient for view in seen.views])
    malignant = np.array([view.malignant for view in seen.views])
    scores = {drawn: _score(seen, y, patients, drawn=drawn, seed=seed) for drawn in (False, True)}
    kept = np.isfinite(scores[False]) & np.isfinite(scores[True])
    if min(int(y[kept].sum()), int((~y[kept]).sum())) < LEAST:
        return None
    own, drawn = (scores[which][kept] for which in (False, True))
    name = " ".join(token)
    among = kept & malignant
    within = None
    if min(int(y[among].sum()), int((~y[among]).sum())) >= LEAST:
        within = auc(y[among], scores[False][among], cluster=patients[among], unit=UNIT, name=f"{name}, malignant")
    return ProbeTest(
        token,
        tested_auc(y[kept], own, cluster=patients[kept], unit=UNIT, name=name),
        auc(y[kept], drawn, cluster=patients[kept], unit=UNIT, name=f"{name}, drawn anew"),
        difference_by_t(y[kept], own, drawn, cluster=patients[kept], unit=UNIT, name=f"{name}, minus drawn anew"),
        within,
    )


def _score(seen: Seen, y: NDArray[np.bool_], patients: NDArray[np.str_], *, drawn: bool, seed: int) -> Floats:
    """(lesion images,) out-of-fold scores, the mean over the networks of each; NaN where no folds could be made."""
    total, times = np.zeros(len(y)), np.zeros(len(y))
    for network, places in group_networks(seen.cases).items():
        units = [seen.found[int(place)].units[network] for place in places]
        features = np.stack([one.seen_drawn if drawn else one.seen for one in units]).astype(np.float64)
        scores = _cross_validate(features, y[places].astype(np.int64), patients[places], seed=seed)
        if scores is not None:
            total[places] += scores
            times[places] += 1
    return np.where(times > 0, total / np.maximum(times, 1), np.nan)


def _cross_validate(features: Floats, y: NDArray[np.int64], patients: NDArray[np.str_], *, seed: int) -> Floats | None:
    """(rows,) log-odds by probes that have not seen the row's patient, each fold's with deviation 1; None: no folds."""
    numbers = np.unique(patients, return_inverse=True)[1].astype(np.int64)
    owners = min(len(np.unique(numbers[y == value])) for value in (0, 1))
    if owners < 2:
        return None
    try:
        folds = draw_folds(y, numbers, folds=min(FOLDS, owners), seed=seed)
    except SetupError:
        return None
    scores = np.empty(len(y))
    for train, test in walk_folds(folds, numbers):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=1000))
        model.fit(features[train], y[train])
        learned = model.decision_function(features[train])
        scores[test] = (model.decision_function(features[test]) - learned.mean()) / max(float(learned.std()), 1e-9)
    return scores
