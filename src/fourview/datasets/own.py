"""Your own images: a folder with a CSV that has one row per image, or several where an image has several lesions.

    file,patient,exam,side,view,malignant,benign,pathology_terms,birads,density,age,vendor,date,split,spacing_mm,
    lesion,kind,pathology,mask,top,bottom,left,right,row,col,radius

`file` (relative to the CSV), `side` and `view` must be there; every other column may be absent or blank. A lesion is
a mask picture of the image's size, or a box (half-open, source pixels), or a circle. `pathology_terms` are the words
of a breast's pathology reports, separated by ";", said in one row of the breast or in several: all its images of that
exam take them, and where malignant and benign are blank, the store derives them from the words (store.labels). Other
columns are kept.

Patients become keys under the site's secret and exams hashes. File names are shown, except those that contain the
patient's id or words of it (three letters or more), of which a hash is shown.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from fourview.datasets.own_lesion import LESION_COLUMNS, number_in, read_lesion, real_file
from fourview.datasets.reading import load_record
from fourview.datasets.record import BIRADS, DENSITIES, Dataset, ImageRecord, Lesion, Listing
from fourview.datasets.tables import rows_of, side_of
from fourview.exam import ExamError, Mammogram, SetupError, Side, hash_label
from fourview.ingest.identity import distinct_names, patient_key, redacted_name, telling_words

_NAME = "own"
_NEEDS = ("file", "side", "view")
_TERMS = "pathology_terms"
_OPTIONAL = (
    "patient", "exam", "malignant", "benign", _TERMS, "birads", "density", "age", "vendor", "date", "split",
    "spacing_mm",
)  # fmt: skip
_TRUTH = {"": None, "0": False, "1": True, "no": False, "yes": True, "false": False, "true": True}
_TRUTH |= {"0.0": False, "1.0": True}  # as tables that knew blanks write them
_SPLITS = ("", "train", "validation", "test")
_LINE = "line of the table"  # a column that no table has: added here, for messages
_IMAGES = (".png", ".pgm", ".dcm", ".dicom")
_NOT_READ = (".jpg", ".jpeg", ".tif", ".tiff")
_NAMING = ("patient", "exam")  # columns whose cells no message quotes
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")  # a cell in a message, as repr writes it
Row = Mapping[str, str]
_BreastKey = tuple[str, str, Side | None]


@dataclass(frozen=True)
class _Table:
    path: Path
    rows: list[dict[str, str]]


@dataclass
class _Breast:
    """What all rows of one breast in one exam say. terms, lines  lower-case term -> as written, and its first line

    labels  (column, label) -> first line that says so
    """

    terms: dict[str, str] = field(default_factory=dict)
    lines: dict[str, str] = field(default_factory=dict)
    labels: dict[tuple[str, bool], str] = field(default_factory=dict)

    def check(self) -> None:
        """Raises ExamError where labels of a breast with pathology terms contradict each other or stand beside them."""
        if not self.terms:
            return
        for column in ("malignant", "benign"):
            no, yes = self.labels.get((column, False)), self.labels.get((column, True))
            if no and yes:
                raise ExamError(f"line {no}: {column} is 0, line {yes} of the same breast says 1; need one value")
            if no:
                at = next(iter(self.lines.values()))
                raise ExamError(
                    f"line {no}: {column} is 0, line {at} of the same breast has {_TERMS}; give labels or terms, "
                    "not both"
                )


def find(root: Path) -> Listing:
    """The images of the CSV in the order of their first rows. Raises SetupError.

    Rows of one image that contradict each other are a problem of the image, named by line; images of the folder
    that the CSV does not name are listed.
    """
    table = _read(root)
    images: dict[str, list[Row]] = {}
    records, problems = [], []
    for row in table.rows:
        if row["file"]:
            images.setdefault(row["file"], []).append(row)
        else:
            problems.append((f"line {row[_LINE]}", f"line {row[_LINE]}: no file, need a path below the folder"))
    mixed, breasts = _exams_of_several(table.rows), _breasts(table.rows)
    patients = {row.get("patient", "") for row in table.rows}
    keys = {patient: patient_key(patient) for patient in patients}
    words = {file: _words(row.get("patient", "") for row in rows) for file, rows in images.items()}
    shown = distinct_names(redacted_name(file, words[file]) for file in images)
    lines: dict[Path, str] = {}
    for (file, rows), image in zip(images.items(), shown, strict=True):
        try:
            if rows[0].get("exam") in mixed:
                raise ExamError(f"line {rows[0][_LINE]}: the rows of this exam name different patients, need one")
            real = _find_file(file, rows[0], root)
            if (line := lines.setdefault(real, rows[0][_LINE])) != rows[0][_LINE]:
                raise ExamError(f"line {rows[0][_LINE]}: the same file as in line {line}, need each file once")
            record = _record(image, rows, root, breasts[_breast_key(rows[0])])
            lesions = tuple(replace(each, lesion=redacted_name(each.lesion, words[file])) for each in record.lesions)
            records.append(replace(record, patient=keys[rows[0].get("patient", "")], lesions=lesions))
        except ExamError as error:
            problems.append((image, _hide(str(error), words[file])))
    cells = [*images, *(row["mask"] for row in table.rows if row.get("mask"))]
    named = {real_file(root, cell) for cell in cells}
    problems += _not_named(root, named, _words(patients), table.path.name)
    unknown = sum(record.patient is None for record in records)
    said = f"{unknown} of {len(records)} images have no patient: this set cannot be split by patient"
    return Listing(tuple(records), tuple(problems), (said,) if unknown else ())


def _not_named(root: Path, named: set[Path | None], words: Iterable[str], table: str) -> list[tuple[str, str]]:
    """The pictures of the folder that are not `named`; words: of all patients."""
    known = set(words)
    lengths = {len(word) for word in known}
    problems = []
    for path in sorted(path for path in root.rglob("*") if path.suffix.lower() in _IMAGES + _NOT_READ):
        if (real := real_file(root, path.relative_to(root).as_posix())) is None or real in named:
            continue
        name = path.relative_to(root).as_posix()
        low = name.lower()
        held = known & {low[at : at + length] for length in lengths for at in range(len(low) - length + 1)}
        not_read = path.suffix.lower() in _NOT_READ
        reason = "not named; and of a kind that is not read" if not_read else f"{table} does not name it"
        problems.append((redacted_name(name, held), reason))
    return problems


def _words(patients: Iterable[str]) -> tuple[str, ...]:
    """What names the patients in a text: their ids and the parts of them."""
    return telling_words(word for patient in patients for word in (patient, *re.split(r"[\W_]+", patient)))


def _hide(said: str, words: Iterable[str]) -> str:
    """A message without the quoted cells that hold one of the words."""
    held = tuple(words)
    return _QUOTED.sub(lambda cell: "'...'" if any(word in cell[0].lower() for word in held) else cell[0], said)


def _breast_key(row: Row) -> _BreastKey:
    return row.get("patient", ""), row.get("exam") or row["file"], side_of(row["side"])


def _breasts(rows: Iterable[Row]) -> dict[_BreastKey, _Breast]:
    breasts: dict[_BreastKey, _Breast] = defaultdict(_Breast)
    for row in rows:
        breast = breasts[_breast_key(row)]
        for term in filter(None, map(str.strip, row.get(_TERMS, "").split(";"))):
            breast.terms.setdefault(term.lower(), term)
            breast.lines.setdefault(term.lower(), row[_LINE])
        for column in ("malignant", "benign"):
            if (label := _TRUTH.get(row.get(column, "").lower())) is not None:
                breast.labels.setdefault((column, label), row[_LINE])
    return breasts


def _exams_of_several(rows: Iterable[Row]) -> set[str]:
    """Exams whose rows name more than one patient, or none in some rows."""
    patients: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.get("exam"):
            patients[row["exam"]].add(row.get("patient", ""))
    return {exam for exam, found in patients.items() if len(found) > 1}


def _read(root: Path) -> _Table:
    """The folder's CSV: labels.csv, or the only one; column names in any case."""
    if not root.is_dir():
        raise SetupError(f"{root.name}: no such folder")
    tables = sorted(root.glob("*.csv"))
    path = next((table for table in tables if table.name.lower() == "labels.csv"), tables[0] if tables else None)
    if path is None or (path.name.lower() != "labels.csv" and len(tables) > 1):
        raise SetupError(f"found {len(tables)} CSV files in {root.name}: need labels.csv, or one with another name")
    try:
        content = path.read_text(encoding="utf-8-sig")
        head = content.lstrip().partition("\n")[0]
        if ";" in head and "," not in head:
            raise SetupError(f"{path.name}: found semicolons between the cells, need commas")
        reader = csv.reader(io.StringIO(content, newline=""), strict=True)
        lines = [[*line, str(reader.line_num)] for line in reader if any(cell.strip() for cell in line)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SetupError(f"{path.name}: cannot be read as comma-separated UTF-8 ({type(error).__name__})") from None
    if not lines:
        raise SetupError(f"{path.name}: an empty table, need its header and rows")
    header = [cell.strip().lower() for cell in lines[0][:-1]] + [_LINE]
    for line in lines[1:]:
        if len(line) != len(header):
            raise SetupError(f"{path.name}, line {line[-1]}: found {len(line) - 1} cells, need {len(header) - 1}")
    return _Table(path, rows_of([header, *lines[1:]], path.name, needs=_NEEDS))


def _find_file(file: str, row: Row, root: Path) -> Path:
    """The image that a row names, links followed."""
    place = PurePosixPath(file)
    if "\\" in file:
        raise ExamError(f"line {row[_LINE]}: found file {file!r}, need / between folders")
    if place.is_absolute() or ".." in place.parts:
        raise ExamError(f"line {row[_LINE]}: found file {file!r}, need a path below the folder")
    if (real := real_file(root, file)) is None:
        raise ExamError(f"line {row[_LINE]}: the table names it, but it is not there")
    return real


def _record(image: str, rows: list[Row], root: Path, breast: _Breast) -> ImageRecord:
    first = _agreed(rows)
    try:
        breast.check()
        return _checked(image, first, rows, root, ";".join(breast.terms.values()))
    except ExamError as error:
        said = str(error)
        raise ExamError(said if said.startswith("line ") else f"line {first[_LINE]}: {said}") from None


def _agreed(rows: list[Row]) -> Row:
    """The first row of an image, after a look that the others say the same of all but lesions and terms."""
    first = rows[0]
    for row in rows[1:]:
        for column in row.keys() - {_LINE, _TERMS, *LESION_COLUMNS}:
            if row[column] != first[column] and column in _NAMING:
                raise ExamError(
                    f"line {row[_LINE]}: another {column} than in line {first[_LINE]} of the same image; need one value"
                )
            if row[column] != first[column]:
                raise ExamError(
                    f"line {row[_LINE]}: {column} is {row[column]!r}, line {first[_LINE]} of the same image says "
                    f"{first[column]!r}; need one value"
                )
    return first


def _checked(image: str, row: Row, rows: list[Row], root: Path, terms: str) -> ImageRecord:
    side, angle = side_of(row["side"]), row["view"].upper()
    if side is not None and angle[:2] in ("L-", "R-"):
        if angle[0] != side.value:
            raise ExamError(f"found side {row['side']!r} and view {row['view']!r}, need one side in both")
        angle = angle[2:]
    if side is None or not angle:
        raise ExamError(f"found side {row['side']!r} and view {row['view']!r}; need L or R, CC or MLO")
    birads, density = row.get("birads", "").lower() or None, row.get("density", "").upper() or None
    _check_words(row, birads, density)
    lesions = [found for at, one in enumerate(rows, 1) if (found := _lesion(one, f"{image}_{at}", root)) is not None]
    if len({lesion.lesion for lesion in lesions}) < len(lesions):
        raise ExamError("two rows of this image name the same lesion, need one row per lesion")
    known = {*_NEEDS, *_OPTIONAL, *LESION_COLUMNS, _LINE}
    malignant, benign = (_TRUTH[row.get(word, "").lower()] for word in ("malignant", "benign"))
    more = {column: value for column, value in row.items() if value and column not in known}
    return ImageRecord(
        _NAME,
        None,  # the caller has the patients' keys
        exam=hash_label(row.get("exam") or row["file"]),
        image=image,
        path=root / row["file"],
        side=side,
        angle=angle,
        malignant=malignant,
        benign=benign,
        label_unit="breast" if terms else "image",
        label_source="biopsy" if terms else "unknown",
        birads=birads,
        density=density,
        age=number_in(row, "age", 0, 130),
        vendor=row.get("vendor") or None,
        date=row.get("date") or None,
        spacing_mm=number_in(row, "spacing_mm", 0.001, 10),
        lesions=tuple(lesions),
        split=row.get("split", "").lower() or None,
        more={**more, "pathology": terms} if terms else more,
    )


def _lesion(row: Row, name: str, root: Path) -> Lesion | None:
    try:
        lesion = read_lesion(row, name, root)
    except ExamError as error:
        raise ExamError(f"line {row[_LINE]}: {error}") from None
    if lesion is not None and _TRUTH.get(row.get(lesion.pathology, "").lower()) is False:
        raise ExamError(
            f"line {row[_LINE]}: {lesion.pathology} is 0, but the lesion of this line is {lesion.pathology}"
        )
    return lesion


def _check_words(row: Row, birads: str | None, density: str | None) -> None:
    for column in ("malignant", "benign"):
        if row.get(column, "").lower() not in _TRUTH:
            raise ExamError(f"found {column} {row[column]!r}, need 1, 0 or nothing")
    if birads not in (None, *BIRADS) or density not in (None, *DENSITIES):
        raise ExamError(f"found birads {birads!r} and density {density!r}; need {', '.join(BIRADS)}, and A to D")
    if row.get("split", "").lower() not in _SPLITS:
        raise ExamError(f"found split {row['split']!r}, need train, validation or test")


def load(record: ImageRecord) -> Mammogram:
    """The image as ingest reads it; the pixels decide its direction where no tag says it. Raises ExamError."""
    try:
        return load_record(record, mirrored_auto=True)
    except ExamError as error:
        raise ExamError(str(error).replace(record.path.name, PurePosixPath(record.image).name)) from None


DATASET = Dataset(
    _NAME,
    "Your own folder of images with a CSV",
    has="what its columns say: labels, BI-RADS, density, lesions as masks, boxes or circles, splits",
    terms="yours",
    source="a folder with images (DICOM, PNG or PGM) and labels.csv; its columns are described in docs/data.md",
    read_here="10 images of public sample sets",
    find=find,
    load=load,
    public=False,
)
