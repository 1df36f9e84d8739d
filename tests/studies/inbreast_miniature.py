"""INbreast Release 1.0 in small: drawn breasts, four images a woman, every BI-RADS; suspicious ones have a lump."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fourview.datasets import DATASETS
from fourview.store.prepare import prepare
from fourview.store.prepare_image import CropSettings
from fourview.store.store import Store
from tests.ingest.synthetic_dicom import mammogram_dataset, save

HEADER = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
SHAPE = (240, 180)
CROP = CropSettings(iterations=10, buffer_px=8)
_OF_SIDES = (("1", "2"), ("2", "4a"), ("3", "1"), ("2", "4c"), ("5", "2"), ("1", "1"), ("2", "6"), ("4b", "2"))
_VIEWS = (("L", "CC"), ("R", "CC"), ("L", "ML"), ("R", "ML"))


def draw_breast(seed: int, *, suspicious: bool, points: str = "right") -> NDArray[np.uint16]:
    """A half ellipse with grain on 0; a suspicious one has a bright lump."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    inside = ((rows - 120) / rng.integers(85, 100)) ** 2 + (cols / rng.integers(95, 115)) ** 2 < 1
    lump = (rows - rng.integers(90, 150)) ** 2 + (cols - rng.integers(25, 60)) ** 2 < 12**2
    image = np.where(inside, rng.integers(800, 1600, SHAPE) + (1800 * lump if suspicious else 0), 0)
    return np.ascontiguousarray(image[:, ::-1] if points == "left" else image).astype(np.uint16)


def write_inbreast(folder: Path, *, women: int = 8, odd_view: bool = False) -> Path:
    """The release's folder. odd_view: the last image is of a view named FB, as one of the real set is."""
    release = folder / "INbreast Release 1.0"
    for name in ("AllDICOMs", "AllXML"):
        (release / name).mkdir(parents=True)
    lines = [HEADER]
    for woman in range(women):
        left, right = _OF_SIDES[woman % len(_OF_SIDES)]
        patient = f"{woman + 1:016x}"
        for number, (side, angle) in enumerate(_VIEWS):
            birads = left if side == "L" else right
            file = str(20_000_000 + 10 * woman + number)
            name = "FB" if odd_view and woman == women - 1 and number == 3 else angle
            pixels = draw_breast(
                10 * woman + number, suspicious=birads >= "4", points="right" if side == "L" else "left"
            )
            tags = {
                "ViewPosition": "MLO" if angle == "ML" else angle,
                "ImageLaterality": side,
                "PatientOrientation": None,
                "PatientID": "removed",
            }
            dataset = mammogram_dataset(pixels, **tags, ImagerPixelSpacing=[0.07, 0.07])
            save(dataset, release / "AllDICOMs" / f"{file}_{patient}_MG_{side}_{name}_ANON.dcm")
            view = "MLO" if name == "ML" else name
            lines.append(f"removed;removed;{side};{view};201001;{file};{1 + woman % 4};{birads}")
    (release / "INbreast.csv").write_text("\n".join(lines) + "\n")
    return release


def make_store(folder: Path, *, women: int = 8, odd_view: bool = False) -> Store:
    """The miniature, prepared."""
    release = write_inbreast(folder / "set", women=women, odd_view=odd_view)
    prepare(DATASETS["inbreast"], release, folder / "store", crop=CROP)
    return Store.open(folder / "store")
