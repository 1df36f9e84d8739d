"""What all rows of a user's table say about one breast: labels, pathology terms, lesions, and whether they agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from fourview.datasets.own_table import LABELS, LINE, TERMS, Row, exam_of, truth_in
from fourview.datasets.pathology import BreastLabels, label_breast
from fourview.datasets.tables import side_of
from fourview.exam import ExamError, Side

BreastKey = tuple[str, str, Side | None]


@dataclass
class Breast:
    """One breast in one exam.

    terms    lower-case term -> as written, and its first line
    labels   (column, label) -> first line that says so
    lesions  pathology -> first line with a lesion of it
    """

    terms: dict[str, tuple[str, str]] = field(default_factory=dict)
    labels: dict[tuple[str, bool], str] = field(default_factory=dict)
    lesions: dict[str, str] = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        """The terms as written, each once."""
        return tuple(word for word, _ in self.terms.values())

    def label(self) -> BreastLabels | None:
        """Its labels: those of its rows, and where these are blank those of its terms; None unless it has both."""
        if not self.terms or not self.labels:
            return None
        found = label_breast(self.words)
        given = dict(self.labels.keys())
        return BreastLabels(
            malignant=given.get("malignant", found.malignant),
            benign=given.get("benign", found.benign),
            high_risk=given.get("high_risk", found.high_risk),
            unknown_terms=found.unknown_terms,
        )

    def check(self) -> None:
        """Raises ExamError where labels or lesions of a breast with terms contradict these, or each other.

        A breast without terms has labels per image, and a finding may be seen in one image of it only.
        """
        if not self.terms:
            return
        found = label_breast(self.words)
        risk = True if found.high_risk else None if found.unknown_terms else False
        for column, by_terms in zip(LABELS, (found.malignant, found.benign, risk), strict=True):
            no, yes = self.labels.get((column, False)), self.labels.get((column, True))
            if no and yes:
                raise ExamError(f"line {no}: {column} is 0, line {yes} of the same breast says 1; need one value")
            if no and by_terms:
                raise ExamError(f"line {no}: {column} is 0, but {self._say_terms(column)}; need {column} 1 or blank")
            lesion = self.lesions.get(column)
            if (yes or lesion) and by_terms is False:
                what = f"line {yes}: {column} is 1" if yes else f"line {lesion}: the lesion is {column}"
                need = f"{column} 0 or blank" if yes else "another pathology"
                raise ExamError(f"{what}, but {self._say_terms()}; need {need}, or a {column} term")

    def _say_terms(self, column: str | None = None) -> str:
        """The terms, or the first one that makes `column` true, with the line where they begin."""
        words = self.words
        if column is not None:
            words = tuple(word for word in words if getattr(label_breast([word]), column))[:1]
        line = self.terms[words[0].lower()][1]
        said = ", ".join(map(repr, words))
        return f"line {line} of the same breast has the {TERMS} {said}"


def breast_key(row: Row) -> BreastKey:
    """Which breast a row is of: patient, exam, side."""
    return row.get("patient", ""), exam_of(row), side_of(row["side"])


def collect_breasts(rows: Iterable[Row]) -> dict[BreastKey, Breast]:
    """What the rows say, by breast."""
    breasts: dict[BreastKey, Breast] = defaultdict(Breast)
    for row in rows:
        breast = breasts[breast_key(row)]
        for term in filter(None, map(str.strip, row.get(TERMS, "").split(";"))):
            breast.terms.setdefault(term.lower(), (term, row[LINE]))
        for column in LABELS:
            if (label := truth_in(row, column)) is not None:
                breast.labels.setdefault((column, label), row[LINE])
        if pathology := row.get("pathology", "").lower():
            breast.lesions.setdefault(pathology, row[LINE])
    return breasts
