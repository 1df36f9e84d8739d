"""A biopsy's term follows the label, and says nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from fourview.phantom.pathology import BENIGN, HIGH_RISK, MALIGNANT, draw_pathology
from fourview.phantom.signs import KINDS, Kind


@pytest.mark.parametrize("kind", KINDS)
def test_terms_are_drawn_as_often_as_stated_and_high_risk_is_benign(kind: Kind) -> None:
    rng = np.random.default_rng(1)
    for malignant, table in ((True, MALIGNANT), (False, BENIGN)):
        terms = table[kind]
        assert sum(terms.values()) == pytest.approx(1)
        drawn = [draw_pathology(rng, kind, malignant=malignant) for _ in range(4000)]
        for term, share in terms.items():
            assert np.mean([name == term for name, _ in drawn]) == pytest.approx(share, abs=0.03)
        assert all(risk == (name in HIGH_RISK) for name, risk in drawn)
        assert any(risk for _, risk in drawn) != malignant


def test_no_term_is_both_malignant_and_benign() -> None:
    malignant = {term for terms in MALIGNANT.values() for term in terms}
    benign = {term for terms in BENIGN.values() for term in terms}
    assert not malignant & benign
    assert benign >= HIGH_RISK
