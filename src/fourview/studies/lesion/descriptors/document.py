"""The page of words alone, from tables that come without images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fourview.exam import SetupError
from fourview.report.document import Document, Figure, Section, Table
from fourview.report.plots import draw_forest
from fourview.report.versions import package_versions
from fourview.studies.lesion.descriptors.cbis import KindWorth, rate_tables
from fourview.studies.lesion.descriptors.uci import FILE, FOLDS, rate_masses, read_masses
from fourview.studies.lesion.descriptors.words import PENALTY, WordsWorth

_COLUMNS = ("words", "AUC", "at most", "accuracy at 1/2", "balanced accuracy at 1/2")
_MOST = (
    "At most: the AUC that nobody who is told these words alone can exceed on these rows, where every combination of "
    "words is ranked by its own share of malignant rows; of many rare combinations it says little."
)
_TITLES = {"mass": "Masses", "calcification": "Calcifications"}
_ENCODING = (
    "Words are split at hyphens into tokens and encoded as zeros and ones, a missing one as a token of its own; "
    "density, subtlety and assessment have a column per value. Nothing is scaled. Logistic regression, "
    f"C = {PENALTY:g}."
)


def describe_tables(root: Path) -> Document:
    """The page of a folder with CBIS-DDSM's four tables, or with the file of the UCI set Mammographic Mass.

    Raises SetupError: neither, or rows that are not theirs.
    """
    if (root / FILE).is_file():
        return _describe_uci(root)
    if root.is_dir() and not any(any(root.glob(f"{below}*_case_description_*.csv")) for below in ("", "*/", "*/*/")):
        raise SetupError(f"{root}: found neither the four tables of CBIS-DDSM nor {FILE}; need one of the two")
    return _describe_cbis(rate_tables(root))


def _describe_cbis(kinds: Sequence[KindWorth]) -> Document:
    sections = tuple(
        _section(
            own.kind,
            f"{_TITLES[own.kind]}: {own.train:,} rows learned from, {own.test:,} tested on",
            own.rows,
            f"A row is a lesion in a view. Intervals keep a patient's rows together. {_MOST}",
        )
        for own in kinds
    )
    return Document(
        kind="lesion baselines",
        title="CBIS-DDSM: lesions in words alone",
        headline=tuple(own.rows[0].auc for own in kinds),
        sections=sections,
        methods=(
            f"The official training part of CBIS-DDSM's tables to its test part; benign without callback is benign. "
            f"{_ENCODING}",
        ),
        versions=package_versions(),
    )


def _describe_uci(root: Path) -> Document:
    masses = read_masses(root)
    rows = rate_masses(masses)
    note = f"A row is a mass. The set names no patients: intervals take every mass for another woman's. {_MOST}"
    return Document(
        kind="lesion baselines",
        title="UCI Mammographic Mass: lesions in words alone",
        headline=(rows[0].auc,),
        sections=(_section("masses", f"{len(masses.y):,} masses, {int(masses.y.sum()):,} malignant", rows, note),),
        methods=(
            f"{FOLDS} folds; each mass by a regression of the other folds. The AUC is of ranks in folds, accuracies of "
            f"probabilities. Age in bands of ten years. {_ENCODING}",
        ),
        versions=package_versions(),
    )


def _section(name: str, title: str, rows: Sequence[WordsWorth], note: str) -> Section:
    cells = tuple((row.inputs.title, row.auc, round(row.most, 3), row.accuracy, row.balanced_accuracy) for row in rows)
    forest = draw_forest([(row.inputs.title, row.auc) for row in rows], x_label="AUC, 95 %")
    return Section(name, title, (Figure(name, "AUC", forest), Table(name, "Words", _COLUMNS, cells, note)))
