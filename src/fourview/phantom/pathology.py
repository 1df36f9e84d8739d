"""What the biopsy says, once it is drawn whether a finding is malignant.

The terms are those by which the NYU data report labels breasts malignant or benign (Wu et al. 2019). How often each is
found is our assumption, after the usual textbook order: most malignant masses are invasive ductal, most malignant
calcifications carcinoma in situ, distortions often lobular, tubular or a scar. A term says nothing beyond the label:
it is drawn from kind and label alone.
"""

from __future__ import annotations

import numpy as np

from fourview.phantom.signs import Kind

HIGH_RISK = frozenset(
    {"atypical ductal hyperplasia", "atypical lobular hyperplasia", "lobular carcinoma in situ", "papilloma"}
)
MALIGNANT: dict[Kind, dict[str, float]] = {
    "mass": {
        "invasive ductal": 0.74,
        "invasive lobular": 0.10,
        "ductal carcinoma in situ": 0.06,
        "mucinous carcinoma": 0.04,
        "tubular carcinoma": 0.03,
        "intraductal papillary carcinoma": 0.03,
    },
    "calcifications": {"ductal carcinoma in situ": 0.70, "invasive ductal": 0.27, "invasive lobular": 0.03},
    "distortion": {
        "invasive ductal": 0.52,
        "invasive lobular": 0.28,
        "tubular carcinoma": 0.14,
        "ductal carcinoma in situ": 0.06,
    },
    "asymmetry": {"invasive ductal": 0.52, "invasive lobular": 0.34, "ductal carcinoma in situ": 0.14},
}
BENIGN: dict[Kind, dict[str, float]] = {
    "mass": {
        "fibroadenoma": 0.46,
        "cyst": 0.16,
        "papilloma": 0.10,
        "usual ductal hyperplasia": 0.08,
        "sclerosing adenosis": 0.06,
        "scar": 0.03,
        "periductal mastitis": 0.04,
        "atypical ductal hyperplasia": 0.03,
        "atypical lobular hyperplasia": 0.02,
        "lobular carcinoma in situ": 0.02,
    },
    "calcifications": {
        "columnar cell change": 0.22,
        "usual ductal hyperplasia": 0.22,
        "sclerosing adenosis": 0.16,
        "fibroadenoma": 0.16,
        "papilloma": 0.06,
        "atypical ductal hyperplasia": 0.11,
        "atypical lobular hyperplasia": 0.04,
        "lobular carcinoma in situ": 0.03,
    },
    "distortion": {
        "scar": 0.40,
        "sclerosing adenosis": 0.30,
        "usual ductal hyperplasia": 0.14,
        "atypical ductal hyperplasia": 0.10,
        "atypical lobular hyperplasia": 0.03,
        "lobular carcinoma in situ": 0.03,
    },
    "asymmetry": {
        "usual ductal hyperplasia": 0.34,
        "fibroadenoma": 0.16,
        "cyst": 0.16,
        "sclerosing adenosis": 0.14,
        "periductal mastitis": 0.10,
        "atypical ductal hyperplasia": 0.05,
        "lobular carcinoma in situ": 0.05,
    },
}


def draw_pathology(rng: np.random.Generator, kind: Kind, *, malignant: bool) -> tuple[str, bool]:
    """(term, high risk) of a biopsied finding; high risk is benign tissue that marks a risk, never a malignant one."""
    terms = (MALIGNANT if malignant else BENIGN)[kind]
    cumulated = np.cumsum(list(terms.values()))
    term = list(terms)[int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"))]
    return term, term in HIGH_RISK
