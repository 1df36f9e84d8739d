"""The mistakes that archives make with sides, views and directions, planted in one written file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from fourview.exam import SetupError, View
from fourview.phantom.write_dicom import name_view, save_dataset

Fault = Literal[
    "side tag swapped",
    "pixels mirrored",
    "side tag swapped and pixels mirrored",
    "rotated 180 degrees",
    "flipped top to bottom",
    "orientation tag contradicts pixels",
    "view mislabelled",
    "pixels and orientation tag mirrored",
    "side tag, orientation tag and pixels mirrored",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)


def plant(folder: Path, fault: Fault, view: View) -> Path:
    """The path of the one file of this view in `folder` (as write_exam wrote it), which now holds the fault.

    The file is replaced in one step; its UIDs stay as they were. Compressed files come back uncompressed.
    Raises SetupError for an unknown fault, or if the folder does not hold exactly one image of the view.
    """
    if fault not in FAULTS:
        raise SetupError(f"phantom fault: found {fault!r}, need one of: {', '.join(FAULTS)}")
    paths = sorted(folder.glob(f"*_{view.value.replace('-', '_')}.dcm"))
    if len(paths) != 1:
        raise SetupError(f"phantom fault: found {len(paths)} files of {view}, need 1")
    dataset = dcmread(paths[0])
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress(generate_instance_uid=False)
    for step in _STEPS[fault]:
        step(dataset)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    save_dataset(dataset, paths[0])
    return paths[0]


def swap_side_tag(ds: Dataset) -> None:
    """ImageLaterality L <-> R."""
    ds.ImageLaterality = "R" if ds.ImageLaterality == "L" else "L"


def swap_view_tag(ds: Dataset) -> None:
    """CC <-> MLO, in the plain tag and in the code."""
    name_view(ds, "MLO" if ds.ViewPosition == "CC" else "CC")


def mirror_pixels(ds: Dataset) -> None:
    """Columns in reverse order."""
    _replace_pixels(ds, lambda pixels: pixels[:, ::-1])


def flip_pixels(ds: Dataset) -> None:
    """Rows in reverse order."""
    _replace_pixels(ds, lambda pixels: pixels[::-1])


def rotate_pixels(ds: Dataset) -> None:
    """Rows and columns in reverse order."""
    _replace_pixels(ds, lambda pixels: pixels[::-1, ::-1])


def contradict_orientation(ds: Dataset) -> None:
    """PatientOrientation names the opposite direction along the rows; the direction of the columns stays."""
    along, down = ds.PatientOrientation
    ds.PatientOrientation = [{"A": "P", "P": "A"}[along], down]


def mirror_orientation(ds: Dataset) -> None:
    """PatientOrientation of the mirror image of the other breast: both directions are exchanged."""
    along, down = ds.PatientOrientation
    turned = down.translate(str.maketrans("LR", "RL"))
    ds.PatientOrientation = [{"A": "P", "P": "A"}[along], turned]


def _replace_pixels(ds: Dataset, change: Callable[[NDArray[np.uint16]], NDArray[np.uint16]]) -> None:
    ds.PixelData = np.ascontiguousarray(change(ds.pixel_array)).astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"


_STEPS: dict[Fault, tuple[Callable[[Dataset], None], ...]] = {
    "side tag swapped": (swap_side_tag,),
    "pixels mirrored": (mirror_pixels,),
    "side tag swapped and pixels mirrored": (swap_side_tag, mirror_pixels),
    "rotated 180 degrees": (rotate_pixels,),
    "flipped top to bottom": (flip_pixels,),
    "orientation tag contradicts pixels": (contradict_orientation,),
    "view mislabelled": (swap_view_tag,),
    "pixels and orientation tag mirrored": (mirror_pixels, contradict_orientation),
    "side tag, orientation tag and pixels mirrored": (swap_side_tag, mirror_pixels, mirror_orientation),
}
