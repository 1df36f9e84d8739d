"""One image's work, wherever it runs: read, crop, cut masks, write one file. What comes back is small."""

from __future__ import annotations

import hashlib
import json
import re
import traceback
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

from fourview import __version__
from fourview.crop import Cropped, crop_breast
from fourview.datasets.record import Dataset, ImageRecord, MaskFile, Region
from fourview.datasets.regions import draw_region
from fourview.exam import Box, ExamError, Mammogram, SetupError
from fourview.store.image_file import FORMAT, About, Outline, check_image, encode_image, hash_pixels, write_image
from fourview.store.masks import CutMask, cut_mask
from fourview.store.selection import CROP_FAILED, UNREADABLE
from fourview.store.writable import writable

BLOBS = "images"  # folder of the store
# Words of ImageRecord.more that importers read images by, and all that they get: so an image is made anew when one of
# them changes, and only then. ddsm: cols, digitizer, rows; phantom, upstream: faces
LOAD_READS = ("cols", "digitizer", "faces", "rows")


@dataclass(frozen=True)
class CropSettings:
    """How breasts are cut (crop.crop_breast); the defaults are those of the published weights, pixels of the file."""

    iterations: int = 100
    buffer_px: int = 50

    def __post_init__(self) -> None:
        if self.iterations < 0 or self.buffer_px < 0:
            raise SetupError(
                f"found {self.iterations} erosions and a margin of {self.buffer_px} pixels, need 0 or more"
            )


@dataclass(frozen=True)
class Prepared:
    """What became of one image. problem: (rule, reason) if it failed, and then `about` is None.

    blob           path of its file, relative to the store
    already_there  an earlier run had written it
    """

    blob: str | None
    about: About | None
    problem: tuple[str, str] | None = None
    already_there: bool = False


@dataclass(frozen=True)
class PrepareImage:
    """The work: record -> Prepared. Sent to other processes whole."""

    dataset: Dataset
    out: Path
    crop: CropSettings

    def __call__(self, record: ImageRecord) -> Prepared:
        """One file written to the store, if it is not there yet.

        A bad image is a problem in the answer, whatever is wrong with it. Raises SetupError if the store cannot be
        written, or if the data set says that it is wrong as a whole.
        """
        try:
            return self._prepare(record)
        except SetupError:
            raise
        except ExamError as error:
            return Prepared(None, None, (UNREADABLE, writable(str(error))))
        except Exception as error:  # one image must not stop a set, whatever its file holds
            frames = traceback.extract_tb(error.__traceback__)
            place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown place"
            said = str(error)
            if isinstance(error, OSError) and error.strerror:
                said = error.strerror  # without its path, which may name a patient
            reason = writable(f"unexpected {type(error).__name__} at {place}: {said}")
            return Prepared(None, None, (UNREADABLE, reason))

    def _prepare(self, record: ImageRecord) -> Prepared:
        name = name_image(record, self.crop)
        blob = f"{BLOBS}/{name[:2]}/{name}.h5"
        path = self.out / blob
        about = check_image(path)
        if about is not None:
            return Prepared(blob, about, already_there=True)
        mammogram = self.dataset.load(replace(record, more=_read_by_load(record)))
        if mammogram.view is not record.view:
            raise ExamError(
                f"{record.image}: the set says {record.view}, the file {mammogram.view}: need one corrected"
            )
        try:
            cropped = crop_breast(mammogram, iterations=self.crop.iterations, buffer_px=self.crop.buffer_px)
        except ExamError as error:
            return Prepared(None, None, (CROP_FAILED, writable(str(error))))
        masks, muscle, warnings = _cut_masks(record, cropped)
        about = _describe(record, mammogram, cropped, name=name, masks=masks, muscle=muscle, warnings=warnings)
        content = encode_image(cropped.pixels, about, masks=masks, muscle=muscle)
        try:
            write_image(path, content)
        except OSError as error:
            raise SetupError(
                f"cannot write {self.out}: {error.strerror or error}; make room or fix it, then run again with --resume"
            ) from None
        return Prepared(blob, about)


def name_image(record: ImageRecord, crop: CropSettings) -> str:
    """The name of an image's stored file: 32 hex digits over its file's content and all that changes the result.

    That is: this program's version, the crop settings, and what the record says that reading or masks depend on.
    Labels are not in it, nor other columns that are only carried: when they are corrected, no image is made anew.
    Raises ExamError if the image cannot be read.
    """
    made = {
        "fourview": __version__,
        "format": FORMAT,
        "crop": asdict(crop),
        "dataset": record.dataset,
        "image": record.image,  # two images of equal bytes are two files: what is said of one is not said of the other
        "view": record.view,
        "vendor": record.vendor,
        "spacing_mm": record.spacing_mm,
        "more": _read_by_load(record),
        "lesions": [(lesion.lesion, _plain(lesion.region)) for lesion in record.lesions],
        "muscle": _plain(record.muscle),
        "file": _hash_file(record),
    }
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:32]


def _read_by_load(record: ImageRecord) -> dict[str, str]:
    return {word: record.more[word] for word in LOAD_READS if word in record.more}


def _plain(region: Region | None) -> Any:
    """A region as plain values; a mask picture by its content, not its path: None if it cannot be read."""
    if isinstance(region, MaskFile):
        try:
            content = hashlib.sha256(region.path.read_bytes()).hexdigest()
        except OSError:
            content = None
        return ["MaskFile", content, region.least, region.outline]
    return [type(region).__name__, asdict(region)] if is_dataclass(region) else None


def _hash_file(record: ImageRecord) -> str:
    try:
        with record.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:  # named as the set shows it: the file's own name may be a patient's
        raise ExamError(f"{record.image}: its file cannot be read ({error.strerror}); need the image") from None


def _cut_masks(record: ImageRecord, cropped: Cropped) -> tuple[list[CutMask | None], CutMask | None, list[str]]:
    """The masks of the lesions and the muscle in the crop frame, and what to know about them.

    A mask that cannot be had is a warning: the image itself is good.
    """
    warnings: list[str] = []

    def cut(region: Region | None, name: str) -> CutMask | None:
        if region is None:
            return None
        try:
            mask = draw_region(region, cropped.frame.source_shape)
        except ExamError as error:
            warnings.append(f"{name}: no mask: {error}")
            return None
        found = cut_mask(mask, cropped.frame)
        if found is None:
            warnings.append(f"{name}: its outline lies outside the {'crop' if mask.any() else 'image'}")
        elif found.share < 1:
            warnings.append(f"{name}: {1 - found.share:.1%} of its outline lies outside the crop")
        return found

    masks = [cut(lesion.region, f"lesion {lesion.lesion}") for lesion in record.lesions]
    return masks, cut(record.muscle, "pectoral muscle"), warnings


def _describe(
    record: ImageRecord,
    mammogram: Mammogram,
    cropped: Cropped,
    *,
    name: str,
    masks: list[CutMask | None],
    muscle: CutMask | None,
    warnings: list[str],
) -> About:
    rows, cols = cropped.frame.source_shape
    return About(
        source_rows=rows,
        source_cols=cols,
        bits=_stored_bits(mammogram),
        pixel_mode=mammogram.pixel_mode,
        spacing_mm=mammogram.spacing_mm,
        faces=mammogram.faces,
        box=cropped.frame.box,
        mirrored=cropped.frame.mirrored,
        gap_px=cropped.gap_px,
        pixels_sha256=hash_pixels(cropped.pixels),
        name=name,
        outlines=tuple(Outline(lesion.lesion, _box(mask)) for lesion, mask in zip(record.lesions, masks, strict=True)),
        muscle=_box(muscle),
        decisions=tuple((d.topic, writable(d.value), writable(d.source)) for d in mammogram.decisions),
        warnings=tuple(map(writable, (*mammogram.warnings, *cropped.warnings, *warnings))),
    )


def _box(mask: CutMask | None) -> Box | None:
    return None if mask is None else mask.box


def _stored_bits(mammogram: Mammogram) -> int:
    """Bits per pixel as the reader's decision on the grey scale says, else those of the array."""
    for decision in mammogram.decisions:
        said = re.search(r"BitsStored (\d+)", decision.source) or re.search(r"(\d+) bits", decision.value)
        if decision.topic == "grey scale" and said:
            return int(said[1])
    return 8 * mammogram.pixels.dtype.itemsize
