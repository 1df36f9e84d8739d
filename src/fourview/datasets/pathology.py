"""Breast labels from the words of pathology reports.

As in the NYU report (Wu et al. 2019): malignant, and benign, which can both be true of one breast. High-risk are the
benign lesions of uncertain malignant potential (B3) of Rageth et al. 2019 (Breast Cancer Res Treat 174:279-296):
atypical ductal hyperplasia, flat epithelial atypia, lobular neoplasia, papillary lesions, benign phyllodes tumour,
radial scar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

UNKNOWN_TERM = "unknown pathology term: "  # how the warning of a word that no list here holds begins
MALIGNANT = frozenset(
    {
        "dcis",
        "ductal carcinoma in situ",
        "invasive ductal",
        "invasive ductal carcinoma",
        "idc",
        "invasive lobular",
        "invasive lobular carcinoma",
        "ilc",
        "invasive carcinoma of special type",
        "special type invasive carcinoma",
        "mucinous carcinoma",
        "tubular carcinoma",
        "intraductal papillary carcinoma",
        "mammary carcinoma",
        "invasive mammary carcinoma",
        "other mammary carcinoma",
    }
)
HIGH_RISK = frozenset(
    {
        "lcis",
        "lobular carcinoma in situ",
        "alh",
        "atypical lobular hyperplasia",
        "lobular neoplasia",
        "adh",
        "atypical ductal hyperplasia",
        "flat epithelial atypia",
        "fea",
        "papilloma",
        "intraductal papilloma",
        "radial scar",
        "complex sclerosing lesion",
        "benign phyllodes tumor",
        "benign phyllodes tumour",
    }
)
BENIGN = HIGH_RISK | {
    "cyst",
    "fibroadenoma",
    "scar",
    "sclerosing adenosis",
    "columnar cell change",
    "periductal mastitis",
    "usual ductal hyperplasia",
    "udh",
}
NEITHER = frozenset({"normal", "normal breast tissue"})


@dataclass(frozen=True)
class BreastLabels:
    """What pathology says about one breast. None: unknown. unknown_terms: words that no list here holds."""

    malignant: bool | None
    benign: bool | None
    high_risk: bool = False
    unknown_terms: tuple[str, ...] = ()


def label_breast(terms: Iterable[str]) -> BreastLabels:
    """The labels that follow from the pathology terms of one breast.

    terms  as reports write them; case, hyphens and blanks do not matter, abbreviations count, parts of words do not
    No term: unknown. With an unknown term a label is True where another term says so, and else unknown.
    """
    words = [word for term in terms if (word := " ".join(re.split(r"[\s\-_]+", term.strip().lower())))]
    unknown = tuple(dict.fromkeys(w for w in words if w not in MALIGNANT | BENIGN | NEITHER))
    otherwise = None if unknown or not words else False
    return BreastLabels(
        malignant=True if MALIGNANT.intersection(words) else otherwise,
        benign=True if BENIGN.intersection(words) else otherwise,
        high_risk=bool(HIGH_RISK.intersection(words)),
        unknown_terms=unknown,
    )
