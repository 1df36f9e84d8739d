"""One folder per explained exam: page, pictures, maps as arrays, a row per map. Whole or absent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fourview.exam import Box, SetupError
from fourview.explain.exam_document import Settings, describe_exam, read_maps, tabulate_maps
from fourview.explain.exam_pictures import draw_explained, name_map
from fourview.explain.explained import ExplainedExam
from fourview.explain.source_map import SourceMap
from fourview.report.document_folder import add_document
from fourview.report.picture import png_bytes
from fourview.whole_files import whole_folder

MAPS, ROWS = "maps.npz", "maps.csv"


def write_explained(
    folder: Path,
    explained: ExplainedExam,
    *,
    marks: tuple[str, ...],
    settings: Settings,
    outlines: Mapping[str, NDArray[np.bool_]] | None = None,
    name: str = "",
) -> None:
    """FOLDER/report.html, results.json, maps.csv, maps.npz, and a PNG per map.

    maps.npz  float32 of the crop in the direction of the file, see `load_maps`
    name      the exam's own; "": not shown

    Raises OSError; then the folder is not there.
    """
    drawn = tuple(draw_explained(explained, marks=marks, outlines=outlines))
    arrays: dict[str, NDArray[Any]] = {}
    for score in explained.scores:
        for view in score.views:
            key, found = name_map(score, view), view.map
            arrays[f"{key}_values"] = found.inside
            arrays[f"{key}_box"] = _edges(found.box)
            arrays[f"{key}_seen"] = _edges(found.seen)
            arrays[f"{key}_shape"] = np.array(found.source_shape)
    with whole_folder(folder) as part:
        for one in drawn:
            (part / f"{one.name}.png").write_bytes(png_bytes(one.picture))
        np.savez_compressed(part / MAPS, **arrays)  # type: ignore[arg-type] # numpy types allow_pickle only
        document = describe_exam(explained, drawn, marks=marks, settings=settings, name=name)
        add_document(part, document, tables={"maps": tabulate_maps(explained)})


def load_maps(folder: Path) -> dict[str, SourceMap]:
    """The maps of an exam's folder by name ("left_malignant_L-CC"). Raises SetupError if the file is damaged."""
    file = folder / MAPS
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            names = [name.removesuffix("_values") for name in arrays.files if name.endswith("_values")]
            return {name: _load(arrays, name) for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise SetupError(f"{file}: damaged ({type(error).__name__}); remove its folder") from error


def load_rows(folder: Path) -> Any:
    """The rows of an exam's maps. Raises SetupError."""
    try:
        return read_maps((folder / ROWS).read_bytes())
    except OSError as error:
        raise SetupError(f"{folder / ROWS}: cannot be read ({error.strerror}); remove its folder") from error


def _load(arrays: np.lib.npyio.NpzFile, name: str) -> SourceMap:
    rows, cols = (int(n) for n in arrays[f"{name}_shape"])
    box, seen = (Box(*(int(n) for n in arrays[f"{name}_{which}"])) for which in ("box", "seen"))
    return SourceMap((rows, cols), box, np.asarray(arrays[f"{name}_values"], np.float32), seen)


def _edges(box: Box) -> NDArray[np.int64]:
    return np.array([box.top, box.bottom, box.left, box.right])
