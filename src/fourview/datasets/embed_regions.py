"""The regions that EMBED's metadata table gives for an image, as boxes in the pixels of its file.

The first release (column num_roi) gives them in pixels of pictures that its authors had made of the files, and they had
mirrored some: those whose rows run towards P, or, without that tag, those of right breasts (DCM_to_PNG.ipynb and
Sample_Notebook.ipynb of Emory-HITI/EMBED_Open_Data; issue 9 there shows what comes of forgetting it). The release with
num_ROI and ROI_frames gives pixels of the file (docs.hitilab.com, EMBED, ROIs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fourview.datasets.record import ImageRecord, Lesion
from fourview.datasets.regions import draw_region
from fourview.datasets.tables import number_of
from fourview.exam import Box, ExamError, Mammogram, Side
from fourview.ingest.dicom_file import read_dataset
from fourview.ingest.dicom_values import number, text

OF_PICTURES, OF_FILES = COUNTS = ("num_roi", "num_ROI")  # one of them is in the table, and tells the release
_INNERMOST = re.compile(r"[\[(]([^\[\]()]*)[\])]")  # "((61, 30, 84, 48), ())", also with square brackets
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_MIRRORED_VIEWS = ("CC", "MLO", "ML")  # of other views the authors mirrored none
_MOSTLY = 0.5
Row = Mapping[str, str]


def read_regions(row: Row, path: Path, side: Side) -> tuple[Lesion, ...]:
    """The regions of one image; which of a breast's findings they outline the set does not say.

    row   of the metadata table;  path  of the image, whose header is read where regions may be mirrored
    Raises ExamError for coordinates that cannot be understood, and if a header that is needed cannot be read.
    """
    groups = _INNERMOST.findall(row["ROI_coords"])
    groups = groups if any(map(str.strip, groups)) else []
    filled = sum(bool(group.strip()) for group in groups)
    count = int(number_of(row.get(OF_PICTURES, row.get(OF_FILES, ""))) or 0)
    if count not in (filled, len(groups)):  # "(61, 30, 84, 48), ()": whether the empty one counts nobody says
        raise ExamError(f"found {filled} regions in ROI_coords, the table counts {count}")
    if not groups:
        return ()
    cols = _mirrored_cols(row, path, side) if OF_PICTURES in row else None
    return tuple(_lesions(row, groups, path.stem, cols))


def _lesions(row: Row, groups: list[str], image: str, cols: int | None) -> Iterator[Lesion]:
    """cols: of the image, if the regions are those of its mirror image."""
    levels = re.findall(r"\d+", row.get("match_level", ""))  # "1" drawn on it, "2" carried over from another image
    levels = levels if len(levels) == len(groups) else [""] * len(groups)
    found = 0
    for group, level in zip(groups, levels, strict=True):
        if not group.strip():
            continue
        found += 1
        numbers = [round(float(word)) for word in _NUMBER.findall(group)]
        top, left, bottom, right = numbers if len(numbers) == 4 else (0, 0, 0, 0)  # ymin, xmin, ymax, xmax
        if not (0 <= top < bottom and 0 <= left < right):
            raise ExamError(f"found the region ({group}), need ymin, xmin, ymax, xmax")
        if cols is not None:
            left, right = cols - right, cols - left
        descriptors = {"match_level": level} if level else {}
        yield Lesion(f"{image}_{found}", "other", region=Box(top, bottom, left, right), descriptors=descriptors)


def _mirrored_cols(row: Row, path: Path, side: Side) -> int | None:
    """Columns of the file, if the authors mirrored it for their picture; None if they did not."""
    if row["ViewPosition"].upper() not in _MIRRORED_VIEWS:
        return None
    dataset = read_dataset(path, path.name, pixels=False)
    towards = text(dataset, "PatientOrientation")  # of its two words the first: where rows run to
    if not (towards == "P" if towards else side is Side.RIGHT):
        return None
    cols = number(dataset, "Columns")
    if not cols:
        raise ExamError(f"{path.name}: no Columns in its header; need it, as its regions are those of a mirror image")
    return int(cols)


def warn_of_regions(record: ImageRecord, mammogram: Mammogram) -> tuple[str, ...]:
    """A warning for each region of which most is background, as a region of the mirror image would be."""
    warnings = []
    for lesion in record.lesions:
        if lesion.region is None:
            continue
        mask = draw_region(lesion.region, mammogram.pixels.shape)
        share = float((mammogram.pixels[mask] == 0).mean()) if mask.any() else 1.0
        if share > _MOSTLY:
            warnings.append(
                f"region {lesion.lesion}: {share:.0%} of it lies outside of the breast; is it that of a mirror image?"
            )
    return tuple(warnings)
