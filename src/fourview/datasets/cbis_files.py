"""Which files of CBIS-DDSM hold which series, and which of them is a mask: decided by size and content.

The paths in the tables exist in no download. An NBIA download says in metadata.csv where a series lies; the DICOM
headers say it too. The Kaggle mirror keeps the series as a folder name and lists its files in dicom_info.csv. What
a picture shows is not taken from descriptions: 566 of the mirror's are empty.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fourview.datasets.mask_files import ASPECTS_AGREE, aspects_agree, is_two_valued, read_grey
from fourview.datasets.tables import files_below, read_table
from fourview.exam import ExamError, SetupError
from fourview.ingest.dicom_file import read_dataset
from fourview.ingest.dicom_values import text, whole_number

SIZES_AGREE = 0.1  # a mask and its mammogram differ by some pixels, but not by more than this share of a side


@dataclass(frozen=True)
class SeriesFile:
    """One file of a series and the size of its picture; what it shows is not asked here."""

    path: Path
    rows: int
    cols: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, self.cols


@dataclass(frozen=True)
class SeriesFiles:
    """The files of each series on disk.

    by_series  SeriesInstanceUID -> its files, in the order of their names
    unnamed    (file or series, reason) of what no table names, or cannot be read
    lossy      the Kaggle mirror: 8-bit JPEG
    """

    by_series: Mapping[str, tuple[SeriesFile, ...]]
    unnamed: tuple[tuple[str, str], ...]
    lossy: bool


def find_series(root: Path, wanted: Container[str]) -> SeriesFiles:
    """The files of the series that the tables name, by headers only: no pixels are read.

    wanted  SeriesInstanceUIDs of the tables
    Raises SetupError if the folder holds no images, or DICOM files beside the JPEG files of the mirror.
    """
    dicom_info = next(_tables(root, "dicom_info.csv"), None)
    jpeg = [folder for folder in (root / "jpeg", root / "CBIS-DDSM" / "jpeg") if folder.is_dir()]
    dicom = next(files_below(root, ".dcm"), None)
    if (jpeg or dicom_info) and dicom is not None:
        raise SetupError(
            f"{root.name} holds DICOM files and the JPEG files of the Kaggle mirror: "
            "they differ in depth and detail and are never mixed; point at one of them"
        )
    if jpeg and dicom_info is not None:
        return _mirror(jpeg[0], dicom_info, wanted)
    if jpeg:
        raise SetupError(f"no dicom_info.csv in {root.name}: need the csv folder of the Kaggle mirror")
    if dicom is None:
        raise SetupError(f"no DICOM file in or below {root.name}: need an NBIA download or the Kaggle mirror")
    return _by_metadata(list(_tables(root, "metadata.csv")), wanted) or _by_headers(root, wanted)


def _tables(root: Path, name: str) -> Iterator[Path]:
    """Files of that name in the folder and at most two folders below it."""
    for stars in ("", "*/", "*/*/"):
        yield from sorted(root.glob(f"{stars}{name}"))


def _by_metadata(tables: Sequence[Path], wanted: Container[str]) -> SeriesFiles | None:
    """The series at the places that NBIA downloads note; None where none of them is there (they were moved).

    tables  one metadata.csv per download: the set is offered in several parts
    """
    found: dict[str, tuple[SeriesFile, ...]] = {}
    unnamed = []
    needs = ("Series UID", "File Location")
    rows = [(path.parent, row) for path in tables for row in read_table(path, needs=needs)]
    for base, row in rows:
        folder = base / PurePosixPath(row["File Location"].replace("\\", "/"))
        files = sorted(folder.glob("*.dcm")) if folder.is_dir() else []
        subject = row.get("Subject ID") or row["Series UID"]
        if row["Series UID"] not in wanted:
            if files:
                unnamed.append((subject, f"series {row['Series UID']}: no row of the four tables names it"))
            continue
        headers = [_header(path, unnamed) for path in files]
        found[row["Series UID"]] = tuple(file for _, file in filter(None, headers)) or found.get(row["Series UID"], ())
    return SeriesFiles(found, tuple(unnamed), lossy=False) if any(found.values()) else None


def _by_headers(root: Path, wanted: Container[str]) -> SeriesFiles:
    found: dict[str, list[SeriesFile]] = defaultdict(list)
    unnamed: list[tuple[str, str]] = []
    for path in files_below(root, ".dcm"):
        header = _header(path, unnamed)
        if header is None:
            continue
        series, file = header
        if series in wanted:
            found[series].append(file)
        else:
            unnamed.append((str(path.relative_to(root)), "no row of the four tables names its series"))
    return SeriesFiles({series: tuple(files) for series, files in found.items()}, tuple(unnamed), lossy=False)


def _header(path: Path, unreadable: list[tuple[str, str]]) -> tuple[str, SeriesFile] | None:
    """The series and the size of a DICOM file; None, noted in `unreadable`, where it cannot be read."""
    name = f"{path.parent.name}/{path.name}"
    try:
        dataset = read_dataset(path, path.name, pixels=False)
        rows, cols = whole_number(dataset, "Rows"), whole_number(dataset, "Columns")
        if not rows or not cols:
            raise ExamError(f"{path.name}: found {rows} rows and {cols} columns, need an image")
    except ExamError as error:
        unreadable.append((name, str(error)))
        return None
    return text(dataset, "SeriesInstanceUID"), SeriesFile(path, rows, cols)


def _mirror(jpeg: Path, dicom_info: Path, wanted: Container[str]) -> SeriesFiles:
    """The files of the Kaggle mirror: jpeg/{series}/{1 or 2}-NNN.jpg, listed with a prefix that is not on disk."""
    found: dict[str, list[SeriesFile]] = defaultdict(list)
    unnamed = []
    listed = set()
    table = read_table(dicom_info, needs=("image_path", "SeriesInstanceUID", "Rows", "Columns"))
    for number, row in enumerate(table, 1):
        series, place = row["SeriesInstanceUID"], f"dicom_info.csv, row {number}"
        path = jpeg / PurePosixPath(*PurePosixPath(row["image_path"]).parts[-2:])
        listed.add(path)
        if not (row["Rows"].isdecimal() and row["Columns"].isdecimal()) or path.parent.name != series:
            unnamed.append((place, "its size is no number, or its path leads to another series"))
        elif series not in wanted:
            unnamed.append((place, f"series {series}: no row of the four tables names it"))
        elif path.is_file():
            found[series].append(SeriesFile(path, int(row["Rows"]), int(row["Columns"])))
    for path in files_below(jpeg, ".jpg"):
        if path not in listed:
            unnamed.append((f"{path.parent.name}/{path.name}", "dicom_info.csv does not list it"))
    ordered = {series: tuple(sorted(files, key=lambda file: file.path)) for series, files in found.items()}
    return SeriesFiles(ordered, tuple(unnamed), lossy=True)


def find_mammogram(files: Sequence[SeriesFile]) -> SeriesFile:
    """The mammogram of its series. Raises ExamError if there is none, or several to choose from."""
    if len(files) != 1:
        raise ExamError(f"found {len(files)} files in the series of the mammogram, need 1")
    return files[0]


def find_mask(files: Sequence[SeriesFile], mammogram: SeriesFile) -> SeriesFile:
    """The mask among the files of one abnormality, whatever the order and the names of the files.

    files  mask and crop, of one series or of two
    A mask has about the size of its mammogram and at most two grey values; a crop is smaller and has many. Pixels
    are read only where sizes leave a choice. Raises ExamError if there is no mask, or its shape is another one.
    """
    full = [file for file in files if _sizes_agree(file.shape, mammogram.shape)]
    masks = full if len(full) == 1 else [file for file in full or files if is_mask(file.path)]
    if len(masks) != 1:
        sizes = ", ".join(f"{file.rows} x {file.cols}" for file in files) or "none"
        raise ExamError(f"found {len(masks)} masks among its files ({sizes}), need 1")
    mask = masks[0]
    if not aspects_agree(mask.shape, mammogram.shape):
        raise ExamError(
            f"the mask has {mask.rows} x {mask.cols} pixels, the mammogram {mammogram.rows} x {mammogram.cols}: "
            f"need the same shape to within {ASPECTS_AGREE:.0%}"
        )
    return mask


def _sizes_agree(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return all(abs(a / b - 1) <= SIZES_AGREE for a, b in zip(one, other, strict=True))


def is_mask(path: Path) -> bool:
    """Whether the pixels of a file are those of a mask. Raises ExamError if they cannot be read."""
    return is_two_valued(read_grey(path), lossy=path.suffix == ".jpg")
