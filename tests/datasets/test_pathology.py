"""The words of pathology reports as labels of a breast."""

from __future__ import annotations

import pytest

from fourview.datasets.pathology import BENIGN, HIGH_RISK, MALIGNANT, BreastLabels, label_breast


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (["DCIS"], BreastLabels(malignant=True, benign=False)),
        (["Invasive ductal carcinoma"], BreastLabels(malignant=True, benign=False)),
        (["cyst"], BreastLabels(malignant=False, benign=True)),
        (["LCIS"], BreastLabels(malignant=False, benign=True, high_risk=True)),
        (["Intraductal  Papilloma"], BreastLabels(malignant=False, benign=True, high_risk=True)),
        (["intraductal papillary carcinoma"], BreastLabels(malignant=True, benign=False)),
        (["scar"], BreastLabels(malignant=False, benign=True)),
        (["radial-scar"], BreastLabels(malignant=False, benign=True, high_risk=True)),
        (["fibroadenoma", "invasive lobular"], BreastLabels(malignant=True, benign=True)),
        (["normal breast tissue"], BreastLabels(malignant=False, benign=False)),
        ([], BreastLabels(malignant=None, benign=None)),
        ([" "], BreastLabels(malignant=None, benign=None)),
    ],
)
def test_terms_become_labels(terms: list[str], expected: BreastLabels) -> None:
    assert label_breast(terms) == expected


def test_an_unknown_term_leaves_unknown_what_no_other_term_says() -> None:
    found = label_breast(["cyst", "Hamartoma", "hamartoma"])
    assert (found.malignant, found.benign) == (None, True)
    assert found.unknown_terms == ("hamartoma",)


def test_a_negation_is_not_taken_for_its_last_word() -> None:
    assert label_breast(["no invasive ductal carcinoma"]).malignant is None


def test_lobular_carcinoma_in_situ_is_no_carcinoma_here() -> None:
    assert label_breast(["lobular carcinoma in situ"]) == label_breast(["LCIS"])


def test_no_term_is_both_malignant_and_benign() -> None:
    assert not MALIGNANT & BENIGN
    assert HIGH_RISK < BENIGN
