"""`python -m benchmarks.lesion_words`: are the published numbers of words alone found again?

    python -m benchmarks.lesion_words --cbis FOLDER --uci FOLDER [--out benchmarks/results/lesion_words.json]
    python -m benchmarks.lesion_words --show

CBIS   the four tables of CBIS-DDSM. Expected are the eight rows of the project's specification, of the official
       training part to the official test part, row by row
UCI    mammographic_masses.data, by ten folds. Nobody states what to expect, so it is computed here by scikit-learn
       alone: one-hot columns, the same regression, stratified folds, the mean over ten shuffles (AUC: the mean of the
       folds). It shares no code with what is tested

Required: AUC, accuracy and balanced accuracy of each row within 0.005. Exit status 1 if not.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import OneHotEncoder

from benchmarks.phantom_result import find_result, make_parser
from fourview.evaluate import Estimate
from fourview.exam import SetupError
from fourview.studies.lesion.descriptors.cbis import rate_tables
from fourview.studies.lesion.descriptors.uci import FILE, rate_masses, read_masses
from fourview.studies.lesion.descriptors.words import WordsWorth

NAME = "lesion_words"
STORED = Path(__file__).parent / "results" / f"{NAME}.json"
NUMBERS = ("auc", "accuracy", "balanced_accuracy")
Row = tuple[float, float, float]  # of NUMBERS
EXPECTED: Mapping[str, tuple[Row, ...]] = {
    "mass": ((0.823, 0.720, 0.743), (0.837, 0.762, 0.773), (0.836, 0.690, 0.734), (0.885, 0.780, 0.796)),
    "calcification": ((0.777, 0.730, 0.671), (0.803, 0.730, 0.712), (0.754, 0.727, 0.655), (0.852, 0.782, 0.742)),
}
CBIS, UCI = "CBIS-DDSM", "UCI Mammographic Mass"
MOST = 0.005  # between expected and found
FOLDS, SHUFFLES = 10, 10
_DIGITS = 6
_ASSESSMENT, _AGE, _SHAPE, _MARGIN, _DENSITY = range(5)  # columns of the UCI file
_UCI_COLUMNS = (
    (_SHAPE, _MARGIN),
    (_SHAPE, _MARGIN, _DENSITY),
    (_SHAPE, _MARGIN, _DENSITY, _AGE),
    (_ASSESSMENT,),
    (_SHAPE, _MARGIN, _DENSITY, _AGE, _ASSESSMENT),
)


def expect_uci(root: Path, *, shuffles: int = SHUFFLES) -> tuple[Row, ...]:
    """What scikit-learn finds of each set of words of the UCI file, on its own."""
    table = np.array([line.split(",") for line in (root / FILE).read_text().split()])
    y = table[:, 5].astype(int)
    words = table[:, :5].astype(object)
    words[words[:, _ASSESSMENT] == "55", _ASSESSMENT] = "5"
    words[:, _AGE] = [age if age == "?" else f"{int(age) // 10}" for age in words[:, _AGE]]
    found = []
    for columns in _UCI_COLUMNS:
        encoded = OneHotEncoder(sparse_output=False).fit_transform(words[:, columns])
        each = [_rate_shuffle(encoded, y, shuffle) for shuffle in range(shuffles)]
        area, accuracy, balanced = (float(value) for value in np.mean(each, axis=0))
        found.append((area, accuracy, balanced))
    return tuple(found)


def _rate_shuffle(encoded: np.ndarray, y: np.ndarray, shuffle: int) -> Row:
    p, areas = np.empty(len(y)), []
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=shuffle).split(encoded, y):
        model = LogisticRegression(C=0.5, max_iter=1000).fit(encoded[train], y[train])
        p[test] = model.predict_proba(encoded[test])[:, 1]
        areas.append(roc_auc_score(y[test], p[test]))
    return float(np.mean(areas)), accuracy_score(y, p >= 0.5), balanced_accuracy_score(y, p >= 0.5)


def measure_all(cbis: Path | None, uci: Path | None) -> dict[str, Any]:
    """Every row, expected and found. Raises SetupError where a folder is missing."""
    if cbis is None or uci is None:
        raise SetupError("found no --cbis or no --uci; need both folders, or --show")
    rows: list[dict[str, Any]] = []
    for own in rate_tables(cbis):
        rows += _join(CBIS, own.kind, own.train, EXPECTED[own.kind], own.rows)
    masses = read_masses(uci)
    rows += _join(UCI, "mass", len(masses.y), expect_uci(uci), rate_masses(masses))
    command = f"python -m benchmarks.{NAME} --cbis FOLDER --uci FOLDER"
    return {"command": command, "scikit-learn": sklearn.__version__, "rows": rows, "passes": passes(rows)}


def _join(
    dataset: str, kind: str, train: int, expected: Sequence[Row], found: Sequence[WordsWorth]
) -> list[dict[str, Any]]:
    rows = []
    for wanted, own in zip(expected, found, strict=True):
        numbers = {
            name: _hold_against(value, estimate)
            for name, value, estimate in zip(
                NUMBERS, wanted, (own.auc, own.accuracy, own.balanced_accuracy), strict=True
            )
        }
        about = {"set": dataset, "kind": kind, "words": own.inputs.title, "learned": train, "n": own.auc.n}
        about |= {"malignant": own.auc.positives, "patients": own.auc.clusters, "auc_at_most": round(own.most, _DIGITS)}
        rows.append(about | numbers)
    return rows


def _hold_against(expected: float, found: Estimate) -> dict[str, float]:
    return {
        "expected": round(expected, _DIGITS),
        "found": round(found.value, _DIGITS),
        "low": round(found.low, _DIGITS),
        "high": round(found.high, _DIGITS),
    }


def differ_most(row: Mapping[str, Any]) -> float:
    """The largest difference of a row's three numbers, found minus expected, with its sign."""
    return max((float(row[name]["found"] - row[name]["expected"]) for name in NUMBERS), key=abs)


def passes(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every number is near enough, and all rows are there."""
    return len(rows) == 8 + len(_UCI_COLUMNS) and all(abs(differ_most(row)) <= MOST + 1e-9 for row in rows)


def tell(result: Mapping[str, Any]) -> str:
    """Markdown: expected and found of every number, and the largest difference of each row."""
    lines = [
        "| set | words | rows (malignant), patients | AUC: expected | found (95 %) | accuracy: expected, found | "
        "balanced accuracy: expected, found | largest difference | AUC at most |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in result["rows"]:
        area, accuracy, balanced = (row[name] for name in NUMBERS)
        patients = f"{row['patients']}" if row["set"] == CBIS else "not said"
        cells = (
            f"{row['set']}, {row['kind']}" if row["set"] == CBIS else row["set"],
            row["words"],
            f"{row['n']} ({row['malignant']}), {patients}",
            f"{area['expected']:.3f}",
            f"{area['found']:.3f} ({area['low']:.3f} to {area['high']:.3f})",
            f"{accuracy['expected']:.3f}, {accuracy['found']:.3f}",
            f"{balanced['expected']:.3f}, {balanced['found']:.3f}",
            f"{differ_most(row):+.4f}",
            f"{row['auc_at_most']:.3f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Print the table, and write the numbers if asked to."""
    parser = make_parser(NAME, "words of lesions without pixels: expected and found", seed=None, jobs=None)
    parser.add_argument("--cbis", type=Path, help="folder with CBIS-DDSM's four tables")
    parser.add_argument("--uci", type=Path, help=f"folder with {FILE}")
    given = parser.parse_args(arguments)
    try:
        result = find_result(given, NAME, STORED, lambda: measure_all(given.cbis, given.uci))
    except SetupError as error:
        parser.error(str(error))
    sys.stdout.write(tell(result))
    return 0 if result["passes"] else 1


if __name__ == "__main__":
    sys.exit(main())
