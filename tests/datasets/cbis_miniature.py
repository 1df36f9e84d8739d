"""CBIS-DDSM in miniature, in the two layouts in which it is downloaded, with the quirks of its tables and headers."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import ImplicitVRLittleEndian

from tests.ingest.pictures import write_picture
from tests.ingest.synthetic_dicom import breast, mammogram_dataset, save

ROOT_UID = "1.3.6.1.4.1.9590.100.1.2"
SPOT = slice(60, 84), slice(30, 48)  # rows, columns of the lesion in a film that faces right; not symmetric at all
_COMMON_1 = ["left or right breast", "image view", "abnormality id", "abnormality type"]
_COMMON_2 = ["assessment", "pathology", "subtlety"]
_PATHS = ["image file path", "cropped image file path", "ROI mask file path"]
HEADERS = {
    "mass": ["patient_id", "breast_density", *_COMMON_1, "mass shape", "mass margins", *_COMMON_2, *_PATHS],
    "calc": ["patient_id", "breast density", *_COMMON_1, "calc type", "calc distribution", *_COMMON_2, *_PATHS],
}


def film(side: str) -> NDArray[np.uint16]:
    """A film of 16 bits in the usual direction, its lesion at SPOT (mirrored in right breasts)."""
    image = breast(low=8000, high=20000).astype(np.uint16)
    image[SPOT] = 50000
    return image if side == "LEFT" else np.ascontiguousarray(image[:, ::-1])


def spot(side: str, shape: tuple[int, int] = (240, 180)) -> NDArray[np.bool_]:
    mask = np.zeros((240, 180), bool)
    mask[SPOT] = True
    mask = mask if side == "LEFT" else mask[:, ::-1]
    if shape == mask.shape:
        return mask
    return cv2.resize(mask.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT) > 0


@dataclass
class Miniature:
    """Rows and files, added one abnormality at a time; then written as NBIA or Kaggle would have it."""

    root: Path
    rows: dict[str, list[list[str]]] = field(default_factory=lambda: defaultdict(list))
    series: list[tuple[str, str, str, list[NDArray[Any]]]] = field(default_factory=list)  # folder, study, series, files
    uids: int = 100000

    def add(  # noqa: PLR0917 - a row of a table
        self,
        kind: str = "mass",
        part: str = "train",
        patient: str = "P_00001",
        side: str = "LEFT",
        view: str = "CC",
        number: int = 1,
        *,
        pathology: str = "MALIGNANT",
        density: str = "3",
        assessment: str = "4",
        words: tuple[str, str] = ("IRREGULAR", "SPICULATED"),
        subtlety: str = "4",
        mask: NDArray[Any] | None = None,
        mask_first: bool = False,
        two_series: bool = False,
        with_film: bool = True,
    ) -> None:
        folder = f"{kind.capitalize()}-{'Training' if part == 'train' else 'Test'}_{patient}_{side}_{view}"
        known = next(((study, series) for name, study, series, _ in self.series if name == folder), None)
        study, series = known or (self._uid(), self._uid())
        if known is None:
            self.series.append((folder, study, series, [film(side)] if with_film else []))
        roi_study, roi = self._uid(), self._uid()
        crop = film(side)[50:95, 20:60]
        picture = spot(side).astype(np.uint8) * 255 if mask is None else mask
        if two_series:
            crop_series = self._uid()
            self.series += [(f"{folder}_{number}", roi_study, roi, [picture])]
            self.series += [(f"{folder}_{number}", roi_study, crop_series, [crop])]
        else:
            crop_series = roi
            files = [picture, crop] if mask_first else [crop, picture]
            self.series.append((f"{folder}_{number}", roi_study, roi, files))
        crop_path = f"{folder}_{number}/{roi_study}/{crop_series}/00000{int(kind == 'calc')}.dcm"
        mask_path = f"{folder}_{number}/{roi_study}/{roi}/00000{int(kind == 'mass')}.dcm"
        if kind == "calc":  # a line end sits in the last but one cell of calcifications, in the last one of masses
            crop_path += "\n"
        else:
            mask_path += "\n"
        name = "calcification" if kind == "calc" else "mass"
        cells = [patient, density, side, view, str(number), name, *words, assessment, pathology, subtlety]
        film_path = f"{folder}/{study}/{series}/000000.dcm"
        self.rows[f"{kind}_case_description_{part}_set.csv"].append([*cells, film_path, crop_path, mask_path])

    def _uid(self) -> str:
        self.uids += 1
        return f"{ROOT_UID}.{self.uids}"

    def write_tables(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, header in HEADERS.items():
            for part in ("train", "test"):
                name = f"{kind}_case_description_{part}_set.csv"
                with (folder / name).open("w", newline="") as file:
                    csv.writer(file).writerows([header, *self.rows.get(name, [])])

    def write_nbia(self, *, metadata: bool = True) -> Path:
        """Folders by subject, study and series, files 1-1.dcm ...; metadata.csv says where each series lies."""
        self.write_tables(self.root)
        lines = [["Series UID", "Collection", "Subject ID", "Study UID", "Series Description", "File Location"]]
        for folder, study, series, files in self.series:
            words = "full mammogram images" if len(folder.split("_")) == 5 else "ROI mask images"
            place = f"CBIS-DDSM/{folder}/08-29-2017-DDSM-{study[-5:]}/1.000000-{words}-{series[-5:]}"
            for number, pixels in enumerate(files, 1):
                (self.root / place).mkdir(parents=True, exist_ok=True)
                write_film(self.root / place / f"1-{number}.dcm", pixels, folder, study, series)
            lines.append([series, "CBIS-DDSM", folder, study, words, f".\\{place}".replace("/", "\\")])
        if metadata:
            with (self.root / "metadata.csv").open("w", newline="") as file:
                csv.writer(file).writerows(lines)
        return self.root

    def write_mirror(self, *, described: bool = True) -> Path:
        """csv/ with the tables and dicom_info.csv; jpeg/{series}/{1,2}-NNN.jpg, 8 bits, lossy."""
        self.write_tables(self.root / "csv")
        lines = [["file_path", "image_path", "PatientID", "SeriesDescription", "SeriesInstanceUID", "Rows", "Columns"]]
        for at, (folder, study, series, files) in enumerate(self.series):
            for number, pixels in enumerate(files, 1):
                grey = (pixels // 257).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
                name = f"{series}/{number}-{at:03d}.jpg"
                write_picture(self.root / "jpeg" / name, grey)
                words = "ROI mask images" if described else ""  # crops are called so too
                rows, cols = grey.shape
                paths = [f"CBIS-DDSM/dicom/{study}/{name}", f"CBIS-DDSM/jpeg/{name}"]
                lines.append([*paths, folder, words, series, str(rows), str(cols)])
        with (self.root / "csv/dicom_info.csv").open("w", newline="") as file:
            csv.writer(file).writerows(lines)
        return self.root


def write_film(path: Path, pixels: NDArray[Any], folder: str, study: str, series: str) -> None:
    """A file with the header that the set's files have: secondary captures whose PatientID is the folder."""
    dataset = mammogram_dataset(
        pixels,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.7",
        PresentationIntentType=None,
        ImageType=None,
        ViewPosition=None,
        ImageLaterality=None,
        ImagerPixelSpacing=None,
        ConversionType="WSD",
        PatientID=folder,
        PatientName=folder,
        PatientOrientation=folder.split("_")[4],
        Laterality=folder.split("_")[3][0],
        StudyInstanceUID=study,
        SeriesInstanceUID=series,
        BitsStored=8 * pixels.dtype.itemsize,
        HighBit=8 * pixels.dtype.itemsize - 1,
    )
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset["PixelData"].VR = "OW"
    save(dataset, path)
