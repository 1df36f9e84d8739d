"""What EMBED's clinical table says about one breast of one exam, and about the exam: codes -> labels.

Source of the codes: README of Emory-HITI/EMBED_Open_Data, sections VI and VIII; of desc and age_at_study: its
Sample_Notebook.ipynb.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fourview.datasets.record import LabelSource
from fourview.datasets.tables import number_of, side_of
from fourview.exam import Side

FINDING_NEEDS = ("empi_anon", "acc_anon", "side", "asses", "path_severity")
_WORDS = ("massshape", "massmargin", "calcfind", "calcdistri", "path_severity")
FINDING_KEEPS = ("tissueden", "bside", "desc", "age_at_study", *_WORDS[:-1])  # a reduced table may lack some
_BIRADS = {"A": "0", "N": "1", "B": "2", "P": "3", "S": "4", "M": "5", "K": "6"}
_GRAVITY = "NBPASMK"  # of several assessments of a breast the gravest counts; A (incomplete) is graver than P
_DENSITIES = {1: "A", 2: "B", 3: "C", 4: "D"}  # 5 is a male breast
_CANCER, _HIGH_RISK, _BENIGN, _NEGATIVE = {0, 1}, {2}, {2, 4}, {5}  # 3 borderline, 6 another cancer: neither, here
_EXAM_TYPES = {"screen": "screening", "diag": "diagnostic"}  # in a description such as "MG Screen Bilat w/Tomo/CAD"
Row = Mapping[str, str]


@dataclass(frozen=True)
class Findings:
    """Rows of the table by (patient, exam), in its order. lacks: columns of FINDING_KEEPS that it does not have."""

    exams: Mapping[tuple[str, str], Sequence[Row]]
    lacks: tuple[str, ...] = ()

    def of(self, patient: str, exam: str, side: Side) -> list[Row]:
        """The rows that speak of one breast: findings of its side, of both or of no side, and specimens from it."""
        rows = self.exams.get((patient, exam), ())
        return [row for row in rows if side_of(row["side"]) in (side, None) or _side_of_specimen(row) is side]


@dataclass(frozen=True)
class BreastSaid:
    """Labels of one breast; None: nobody says."""

    malignant: bool | None = None
    benign: bool | None = None
    high_risk: bool = False
    source: LabelSource = "unknown"
    birads: str | None = None
    density: str | None = None
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ExamSaid:
    """About the whole exam. age: in years, None where its rows do not agree; more: "exam type", "desc"."""

    age: float | None = None
    more: Mapping[str, str] = field(default_factory=dict)


def findings_by_breast(rows: Iterable[Row]) -> Findings:
    """The rows, findable by exam and breast."""
    exams: dict[tuple[str, str], list[Row]] = defaultdict(list)
    lacks: tuple[str, ...] = ()
    for row in rows:
        exams[row["empi_anon"], row["acc_anon"]].append(row)
        lacks = lacks or tuple(column for column in FINDING_KEEPS if column not in row)
    return Findings(exams, lacks)


def describe_exam(rows: Sequence[Row]) -> ExamSaid:
    """What the rows of one exam say of all of it; the age and the description of the study stand in each of them.

    "exam type" is screening or diagnostic where all descriptions say the same: "screen" or "diag", in any case.
    """
    ages = {age for row in rows if (age := number_of(row.get("age_at_study", ""))) is not None}
    descriptions = dict.fromkeys(desc for row in rows if (desc := row.get("desc", "")))
    types = {next((type_ for word, type_ in _EXAM_TYPES.items() if word in desc.lower()), "") for desc in descriptions}
    more = {"exam type": types.pop() if len(types) == 1 else "", "desc": ", ".join(descriptions)}
    return ExamSaid(ages.pop() if len(ages) == 1 else None, {word: value for word, value in more.items() if value})


def describe_findings(rows: Sequence[Row], side: Side) -> BreastSaid:
    """What the rows of one breast say together.

    Pathology counts for the side that was biopsied (bside); where that is blank, for the finding's side; where both are
    blank or "B", for both breasts, as the set's own join has it. Severities 0 (invasive) and 1 (in situ) are malignant,
    4 benign, 2 benign and high-risk, 5 neither; 3 and 6 say nothing here. BI-RADS and density are those of the side of
    the finding.
    """
    severities = [severity for row in rows if (severity := _severity(row, side)) is not None]
    rows = [row for row in rows if side_of(row["side"]) in (side, None)]
    letters = [row["asses"].upper() for row in rows if row["asses"].upper() in _BIRADS]
    densities = {density for row in rows if (density := _DENSITIES.get(int(number_of(row.get("tissueden", "")) or 0)))}
    known = [s for s in severities if s in _CANCER | _BENIGN | _NEGATIVE]
    malignant = any(s in _CANCER for s in known) if known else None
    benign = any(s in _BENIGN for s in known) if known else None
    if known != severities:  # of a specimen that says neither, nothing follows
        malignant, benign = malignant or None, benign or None
    more = {word: ", ".join(dict.fromkeys(row[word] for row in rows if row.get(word))) for word in _WORDS}
    return BreastSaid(
        malignant,
        benign,
        high_risk=any(s in _HIGH_RISK for s in severities),
        source="biopsy" if severities else "unknown",
        birads=_BIRADS[max(letters, key=_GRAVITY.index)] if letters else None,
        density=densities.pop() if len(densities) == 1 else None,
        more={word: value for word, value in more.items() if value},
    )


def _severity(row: Row, side: Side) -> int | None:
    """Of the specimen of a row, if it is of this side."""
    severity = number_of(row["path_severity"])
    return None if severity is None or _side_of_specimen(row) not in (side, None) else int(severity)


def _side_of_specimen(row: Row) -> Side | None:
    return side_of(row.get("bside", "")) or side_of(row["side"])
