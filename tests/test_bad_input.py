"""Bad input through the command line, as a user meets it: a bad exam beside a good one, and what becomes of both.

Every exam carries the same planted patient, in its tags and in the names of its folders, and every run is searched
for it: in the output tree, in the names of its files, in what the terminal shows.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from safetensors.torch import load_file, save_file

from fourview.cli import main
from fourview.crop import crop_breast
from fourview.exam import VIEWS, Mammogram, hash_label
from fourview.phantom import PhantomExam, draw_exam, write_exam
from fourview.weights.folder import sha256_file
from fourview.weights.untrained import write_untrained

SCALE = 0.125  # 416 x 320 pixels
NAME, PATIENT, ACCESSION = "DOE^JANE", "MRN12345", "ACC998877"
IDENTIFIERS = (NAME, "DOE_JANE", "DOE JANE", PATIENT, ACCESSION)
PERSON = f"DOE_JANE {PATIENT}"  # what the folders are called
Edit = Callable[[Dataset], None]


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str
    folder: Path

    @property
    def readings(self) -> pl.DataFrame:
        return pl.read_csv(self.folder / "readings.csv", infer_schema=False)

    @property
    def failures(self) -> pl.DataFrame:
        return pl.read_csv(self.folder / "failures.csv", infer_schema=False).fill_null("")

    def failed(self) -> list[tuple[str, str]]:
        """(exam, reason) of every exam that was not read."""
        exams = self.failures.filter(pl.col("kind") == "exam")
        return list(zip(exams["exam"], exams["reason"], strict=True))

    def read(self) -> set[str]:
        return set(self.readings.filter(pl.col("status") == "read")["exam"])

    def images(self, exam: str) -> dict[str, dict[str, Any]]:
        record = json.loads((self.folder / "exams" / exam / "reading.json").read_text())
        return {image["view"]: image for image in record["images"]}


class Drill:
    """An input folder with one good exam in it, and `fourview screen` over it."""

    def __init__(self, folder: Path, made: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder, self.made, self.capfd = folder, made, capfd
        self.input = folder / PERSON
        self.studies = [copy_exam(made / "1", self.input / f"{PERSON} good")]
        self.good = hash_label(self.studies[0])
        self.bad_folder = self.input / f"{PERSON} bad"

    def add_bad(self, source: str = "2") -> str:
        """The id of a second exam, which is still good: its caller spoils it."""
        self.studies.append(copy_exam(self.made / source, self.bad_folder))
        return hash_label(self.studies[-1])

    def bad(self, view: str) -> Path:
        """The file of one view of the second exam, DICOM or PNG."""
        return next(self.bad_folder.glob(f"*_{view.replace('-', '_')}.*"))

    def screen(self, *options: object, weights: str = "view-wise", out: Path | None = None, secret: bool = True) -> Ran:
        """`fourview screen` in this process, its whole output searched for identifiers and unfinished files."""
        out = out or self.folder / "out"
        words = [
            "screen",
            self.input,
            "--weights",
            self.made / weights,
            "--out",
            out,
            "--jitter",
            0,
            "--engine",
            "torch",
            *options,
        ]
        self.capfd.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["fourview", *map(str, words)])
            with pytest.raises(SystemExit) as exit_info:
                main()
        shown = self.capfd.readouterr()
        code = exit_info.value.code
        ran = Ran(code if isinstance(code, int) else 0, shown.out, shown.err, out)
        assert "Traceback" not in ran.err
        check_whole(out)
        if secret:
            check_secret(ran, *filter(None, self.studies))
        return ran


def copy_exam(source: Path, folder: Path) -> str:
    shutil.copytree(source, folder)
    return next((str(dcmread(p).StudyInstanceUID) for p in folder.glob("*.dcm")), "")


def plant_patient(ds: Dataset) -> None:
    ds.PatientName, ds.PatientID, ds.AccessionNumber = NAME, PATIENT, ACCESSION


def edit(path: Path, *changes: Edit) -> None:
    ds = dcmread(path)
    for change in changes:
        change(ds)
    dcmwrite(path, ds, enforce_file_format=True)


def put(**tags: Any) -> Edit:
    def change(ds: Dataset) -> None:
        for tag, value in tags.items():
            setattr(ds, tag, value)

    return change


def set_pixels(change: Callable[[NDArray[np.uint16]], NDArray[Any]], **tags: Any) -> Edit:
    def step(ds: Dataset) -> None:
        pixels = change(ds.pixel_array)
        ds.Rows, ds.Columns = pixels.shape[:2]
        ds.PixelData = np.ascontiguousarray(pixels).tobytes()
        put(**tags)(ds)

    return step


def check_whole(out: Path) -> None:
    """Nothing half-written: no temporary names, every table, record and picture can be read."""
    for path in out.rglob("*"):
        assert not path.name.startswith("."), path
        assert not path.name.endswith((".part", ".tmp")), path
        if path.suffix == ".png":
            assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED) is not None, path
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".csv":
            pl.read_csv(path, infer_schema=False)
    for folder in out.glob("exams/*"):
        assert (folder / "reading.json").is_file(), folder


def check_secret(ran: Ran, *studies: str) -> None:
    """No identifier in any name or byte of the output tree, nor on the terminal; pictures hold pixels only."""
    texts = {"stdout": ran.out, "stderr": ran.err}
    for path in ran.folder.rglob("*"):
        texts[f"name of {path}"] = str(path.relative_to(ran.folder))
        if path.is_file():
            texts[str(path)] = path.read_bytes().decode("latin-1")
        if path.suffix == ".png":
            assert png_chunks(path) <= {"IHDR", "IDAT", "IEND"}, path
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                texts[f"in {path}"] = " ".join(arrays.files) + str({a.dtype.kind for a in arrays.values()} - {*"fiu"})
    for where, text in texts.items():
        for word in (*IDENTIFIERS, *studies):
            assert word.lower() not in text.lower(), f"{word} in {where}"


def png_chunks(path: Path) -> set[str]:
    data, at, kinds = path.read_bytes(), 8, set()
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        kinds.add(kind.decode("latin-1"))
        at += length + 12
    return kinds


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exams 1, 2, 3 as DICOM, 2-png as PNG, and weights of four kinds."""
    folder = tmp_path_factory.mktemp("made")
    for number, scale in ((1, SCALE), (2, SCALE), (3, SCALE)):
        exam = draw_exam(np.random.default_rng([0, number]), scale=scale, number=number)
        for path in write_exam(exam, folder / str(number)):
            edit(path, plant_patient)
        if number == 2:
            write_png_exam(exam, folder / "2-png")
    write_untrained(folder / "view-wise", heatmaps=False, scale=SCALE)
    write_untrained(folder / "image-wise", wiring="image-wise", heatmaps=False, scale=SCALE)
    write_untrained(folder / "heatmaps", scale=SCALE)
    write_untrained(folder / "quarter", heatmaps=False, scale=0.25)
    return folder


def write_png_exam(exam: PhantomExam, folder: Path) -> None:
    folder.mkdir()
    for image in exam.images:
        cv2.imwrite(str(folder / f"9_{image.view.value.replace('-', '_')}.png"), image.pixels * 16)


@pytest.fixture
def drill(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Drill]:
    monkeypatch.setenv("FOURVIEW_WEIGHTS", str(tmp_path / "home"))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield Drill(tmp_path, made, capfd)
    assert not list(temporary.iterdir()), "copies left behind"
    logging.captureWarnings(False)
    for name in ("py.warnings", "pydicom", "pylibjpeg"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def cut_native(drill: Drill) -> None:
    path = drill.bad("R-CC")
    path.write_bytes(path.read_bytes()[:-1000])


def cut_compressed(syntax: str) -> Callable[[Drill], None]:
    def spoil(drill: Drill) -> None:
        path = drill.bad("R-CC")
        edit(path, lambda ds: ds.compress(syntax, generate_instance_uid=False))
        path.write_bytes(path.read_bytes()[:-4000])

    return spoil


def spoil_tags(view: str, *changes: Edit) -> Callable[[Drill], None]:
    return lambda drill: edit(drill.bad(view), *changes)


def rename_syntax(uid: str) -> Callable[[Drill], None]:
    """The transfer syntax named in the file, its bytes as they were."""

    def spoil(drill: Drill) -> None:
        path, old = drill.bad("L-MLO"), b"1.2.840.10008.1.2.1\x00"
        data = path.read_bytes()
        assert data.count(old) == 1
        path.write_bytes(data.replace(old, uid.encode().ljust(len(old), b"\x00")))

    return spoil


def write_other(view: str, content: bytes) -> Callable[[Drill], None]:
    def spoil(drill: Drill) -> None:
        drill.bad(view).write_bytes(content)

    return spoil


def no_dicom_at_all(drill: Drill) -> None:
    for view in VIEWS:
        drill.bad(view).write_bytes(f"{NAME} {PATIENT} was here".encode() * 20)


def spoil_png(view: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Drill], None]:
    def spoil(drill: Drill) -> None:
        path = drill.bad(view)
        cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))

    return spoil


def cut_png(drill: Drill) -> None:
    path = drill.bad("R-CC")
    path.write_bytes(path.read_bytes()[:-200])


def both_left(drill: Drill) -> None:
    for view in ("R-CC", "R-MLO"):
        edit(drill.bad(view), put(ImageLaterality="L"))


def both_left_without_orientation(drill: Drill) -> None:
    both_left(drill)
    for view in VIEWS:
        edit(drill.bad(view), put(PatientOrientation=[]), drop("FieldOfViewHorizontalFlip"))


def drop(tag: str) -> Edit:
    return lambda ds: delattr(ds, tag)


def repeat_instance(drill: Drill) -> None:
    uid = dcmread(drill.bad("L-CC")).SOPInstanceUID
    edit(drill.bad("R-CC"), put(SOPInstanceUID=uid))


def small_breast(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Thick enough for the crop, and with its margins still below the 32 pixels of a patch. Faces right."""
    out = np.zeros_like(pixels)
    out[200:300, :25] = 900
    return out


def shrink_breast(drill: Drill) -> None:
    edit(drill.bad("L-CC"), set_pixels(small_breast))


def colour(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    return np.repeat((pixels >> 4).astype(np.uint8)[..., None], 3, axis=2)


COLOUR_TAGS = {
    "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0,
    "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
}  # fmt: skip


def remove(*views: str) -> Callable[[Drill], None]:
    def spoil(drill: Drill) -> None:
        for view in views:
            drill.bad(view).unlink()

    return spoil


@dataclass(frozen=True)
class Refused:
    """What is spoilt in the second exam, and what its reason must name."""

    spoil: Callable[[Drill], None]
    says: str
    source: str = "2"
    weights: str = "view-wise"


REFUSED = {
    "not DICOM, one view": Refused(
        write_other("R-CC", b"no mammogram" * 50), r"R-CC missing.*2_R_CC\.dcm: no DICOM file.*need one"
    ),
    "not DICOM, no view": Refused(no_dicom_at_all, r"2_L_CC\.dcm: no DICOM file.*need one"),
    "an empty file": Refused(write_other("R-CC", b""), r"2_R_CC\.dcm: an empty file, need a DICOM file"),
    "truncated pixels": Refused(cut_native, r"R-CC 2_R_CC\.dcm: .*(truncated|bytes of pixel data).*need"),
    "truncated RLE": Refused(cut_compressed(RLELossless), r"R-CC 2_R_CC\.dcm: truncated.*need the whole file"),
    "truncated JPEG-LS": Refused(cut_compressed(JPEGLSLossless), r"R-CC 2_R_CC\.dcm: truncated.*need the whole"),
    "truncated JPEG 2000": Refused(cut_compressed(JPEG2000Lossless), r"R-CC 2_R_CC\.dcm: truncated.*need the whole"),
    "truncated PNG": Refused(cut_png, r"9_R_CC\.png: the PNG is cut off after \d+ bytes, need", "2-png"),
    "unknown transfer syntax": Refused(
        rename_syntax("1.2.3.4.5"), r"L-MLO 2_L_MLO\.dcm: transfer syntax .* cannot be decoded; need"
    ),
    "malformed transfer syntax": Refused(
        rename_syntax("1.2.840.10008.1.2.4."), r"L-MLO 2_L_MLO\.dcm: transfer syntax .* cannot be decoded; need"
    ),
    "colour": Refused(
        spoil_tags("R-CC", set_pixels(colour, **COLOUR_TAGS)),
        r"R-CC 2_R_CC\.dcm: found 3 samples per pixel, RGB: need one",
    ),
    "multi-frame": Refused(
        spoil_tags("R-CC", set_pixels(lambda p: np.concatenate([p, p]), NumberOfFrames=2, Rows=416)),
        r"R-CC 2_R_CC\.dcm: found 2 frames, need one",
    ),
    "colour PNG": Refused(
        spoil_png("R-CC", lambda p: np.repeat(p[..., None], 3, axis=2)), r"9_R_CC\.png: found colour, need", "2-png"
    ),
    "all black": Refused(
        spoil_tags("R-MLO", set_pixels(np.zeros_like)), r"R-MLO 2_R_MLO\.dcm: all pixels are black.*need a breast"
    ),
    "all black PNG": Refused(
        spoil_png("R-MLO", np.zeros_like), r"R-MLO 9_R_MLO\.png: all pixels are 0, need a breast", "2-png"
    ),
    "all white": Refused(
        spoil_tags("R-MLO", set_pixels(lambda p: np.full_like(p, 4095))), r"R-MLO 2_R_MLO\.dcm: .*need"
    ),
    "no breast, only specks": Refused(
        spoil_tags("R-MLO", set_pixels(lambda p: np.where(np.indices(p.shape).sum(0) % 9, 0, p + 500))),
        r"R-MLO 2_R_MLO\.dcm: no breast found.*need",
    ),
    "breast smaller than a patch": Refused(
        shrink_breast, r"L-CC 2_L_CC\.dcm: the breast is smaller than a patch.*\d+", weights="heatmaps"
    ),
    "both sides tagged L": Refused(both_left, r"L-CC 2_R_CC\.dcm: PatientOrientation P\\L: .*the side L is wrong"),
    "both sides tagged L, no orientation": Refused(both_left_without_orientation, r"R_CC\.dcm: .*need"),
    "duplicate SOP": Refused(repeat_instance, r"2_L_CC\.dcm and 2_R_CC\.dcm have the same SOPInstanceUID, need"),
    "a view missing": Refused(remove("R-MLO"), r"R-MLO missing: found L-CC, R-CC, L-MLO.*needs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_exam_is_listed_with_its_reason_and_the_good_one_beside_it_is_read(drill: Drill, case: str) -> None:
    refused = REFUSED[case]
    bad = drill.add_bad(refused.source)
    refused.spoil(drill)
    ran = drill.screen(weights=refused.weights)
    assert ran.status == 1, ran.err
    assert ran.read() == {drill.good}
    ((exam, reason),) = ran.failed()
    assert re.search(refused.says, reason), reason
    assert exam == bad or refused.source == "2-png" or case == "not DICOM, no view"
    assert reason in ran.out
    assert [p.name for p in (ran.folder / "exams").iterdir()] == [drill.good]
    assert "1 exams read, 1 failed" in ran.out


@dataclass(frozen=True)
class Warned:
    """What is spoilt in the second exam, which is read all the same, and what its rows must warn of."""

    spoil: Callable[[Drill], None]
    says: str
    weights: str = "view-wise"


def eight_bits(drill: Drill) -> None:
    narrow = set_pixels(lambda p: (p >> 4).astype(np.uint8), BitsAllocated=8, BitsStored=8, HighBit=7)
    edit(drill.bad("R-CC"), narrow)


def copy_pixels(drill: Drill) -> None:
    data = dcmread(drill.bad("R-CC")).PixelData
    edit(drill.bad("R-MLO"), put(PixelData=data))


def all_as_left(drill: Drill) -> None:
    """Right images made left ones in every tag and pixel: nothing in a single image contradicts it."""
    for view in ("R-CC", "R-MLO"):
        turned = dcmread(drill.bad(f"L{view[1:]}")).PatientOrientation
        edit(drill.bad(view), put(ImageLaterality="L", PatientOrientation=turned), set_pixels(np.fliplr))


WARNED = {
    "8-bit DICOM": Warned(eight_bits, r"R-CC 2_R_CC\.dcm: only 8 bits per pixel: mammograms have 10 to 16"),
    "identical pixels under two views": Warned(
        copy_pixels, r"R-CC 2_R_CC\.dcm and R-MLO 2_R_MLO\.dcm hold identical pixels"
    ),
    "both sides tagged L in all tags and pixels": Warned(
        all_as_left, r"no right-sided view in this exam.*no R-CC in this exam, but 2 images of L-CC", "image-wise"
    ),
    "a view missing": Warned(
        remove("R-CC", "R-MLO"),
        r"no right-sided view in this exam",
        "image-wise",
    ),
    "a view not DICOM": Warned(
        write_other("R-CC", b"no mammogram" * 50), r"broken file, a view may be missing: 2_R_CC\.dcm", "image-wise"
    ),
}


@pytest.mark.parametrize("case", WARNED)
def test_what_can_still_be_read_is_read_with_a_warning(drill: Drill, case: str) -> None:
    warned = WARNED[case]
    bad = drill.add_bad()
    warned.spoil(drill)
    ran = drill.screen(weights=warned.weights)
    assert ran.status == 0, ran.out
    assert ran.read() == {drill.good, bad}
    rows = dict(zip(ran.readings["exam"], ran.readings["warnings"], strict=True))
    assert re.search(warned.says, rows[bad]), rows[bad]
    assert not rows[drill.good]
    assert "1 exams have warnings" in ran.out


def test_sides_that_are_all_left_are_refused_by_weights_that_need_both(drill: Drill) -> None:
    drill.add_bad()
    all_as_left(drill)
    ran = drill.screen()
    assert ran.status == 1
    assert re.search(r"R-CC, R-MLO missing: found L-CC, L-MLO;.*2 images of L-CC.*may be mis", ran.failed()[0][1])


def test_two_studies_in_one_folder_are_two_exams_and_the_incomplete_one_is_listed(drill: Drill) -> None:
    second, third = drill.add_bad(), drill.made / "3"
    for name in ("3_L_CC.dcm", "3_R_CC.dcm", "3_L_MLO.dcm"):
        shutil.copy(third / name, drill.bad_folder)
    ran = drill.screen()
    assert ran.status == 1
    assert ran.read() == {drill.good, second}
    ((exam, reason),) = ran.failed()
    assert exam == hash_label(dcmread(third / "3_L_CC.dcm").StudyInstanceUID)
    assert reason.startswith("R-MLO missing: found L-CC, R-CC, L-MLO")
    shutil.copy(third / "3_R_MLO.dcm", drill.bad_folder)
    again = drill.screen("--resume")
    assert again.status == 0
    assert again.read() == {drill.good, second, exam}


def test_an_empty_folder_beside_a_good_exam_is_listed(drill: Drill) -> None:
    drill.bad_folder.mkdir()
    ran = drill.screen()
    assert ran.status == 1
    assert ran.read() == {drill.good}
    assert ran.failed() == [(hash_label(f"{PERSON} bad"), "an empty folder, need mammograms in it")]
    shown = drill.screen("--show-ids", out=drill.folder / "shown", secret=False)
    assert f"{PERSON} bad" in shown.failures["exam_label"].to_list()


FRAMES = {"L-CC": (10, False), "R-CC": (40, False), "L-MLO": (0, True), "R-MLO": (25, True)}  # width, with text


def draw_frame(pixels: NDArray[Any], view: str, white: int) -> NDArray[Any]:
    """A bright frame around the whole image, and text burned into the background."""
    out, (width, text) = pixels.copy(), FRAMES[view]
    if text:
        burned = np.zeros(out.shape, np.uint8)
        for row, words in ((90, f"{view} 12:34"), (780, PATIENT)):
            cv2.putText(burned, words, (300 if view[0] == "L" else 45, row), cv2.FONT_HERSHEY_SIMPLEX, 2, 255, 6)
        out[(burned > 0) & (pixels == 0)] = white
    if width:
        inside = out[width:-width, width:-width].copy()
        out[:] = white
        out[width:-width, width:-width] = inside
    return out


@pytest.mark.parametrize("kind", ["DICOM", "PNG"])
def test_a_white_frame_and_text_leave_the_crop_on_the_breast(drill: Drill, kind: str) -> None:
    exam = draw_exam(np.random.default_rng([0, 6]), scale=0.25, number=4)
    write_exam(exam, drill.bad_folder)
    for image in exam.images:
        path, view = drill.bad(image.view.value), image.view.value
        if kind == "DICOM":
            edit(path, plant_patient, set_pixels(lambda p, view=view: draw_frame(p, view, 4095)))
        else:
            path.unlink()
            cv2.imwrite(str(path.with_suffix(".png")), draw_frame(image.pixels * 16, view, 65535))
    ran = drill.screen("--spacing-mm", 0.28, weights="quarter")
    assert ran.status == 0, ran.out
    (framed,) = ran.read() - {drill.good}
    images = ran.images(framed)
    for image in exam.images:
        view, (width, _) = image.view.value, FRAMES[image.view.value]
        clean = image.pixels.copy()  # what the frame covers is lost; all else is cropped as if it had never been there
        clean[:width] = clean[clean.shape[0] - width :] = 0
        clean[:, :width] = clean[:, clean.shape[1] - width :] = 0
        plain = crop_breast(Mammogram(clean, image.view, "clean", image.faces), iterations=25, buffer_px=12)
        assert images[view]["frame"]["box_source"] == asdict(plain.frame.box_source), view
        widths = [d["value"] for d in images[view]["decisions"] if d["topic"] == "frame"]
        said = f"top {width}, bottom {width}, left {width}, right {width} pixels set to 0"
        assert widths == ([said] if width else []), view
        assert images[view]["faces"] == image.faces


def alter_wiring(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    card["exam"]["wiring"] = "image-wise"
    (folder / "card.json").write_text(json.dumps(card))


def plant_nan(folder: Path) -> None:
    file = folder / "network.safetensors"
    tensors = load_file(file)
    next(t for t in tensors.values() if t.is_floating_point()).view(-1)[0] = float("nan")
    save_file(tensors, file)
    card = json.loads((folder / "card.json").read_text())
    card["sha256"][file.name] = sha256_file(file)
    (folder / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("spoil", "options", "says"),
    [
        (alter_wiring, (), r"network\.safetensors: weights for another network: missing head_layers\.\S+, .* more"),
        (plant_nan, (), r"network\.safetensors: 1 tensors hold NaN or infinity, first .*; need finite numbers"),
        (None, ("--device", "cuda"), r"device 'cuda': found 0 usable GPUs; use --device cpu"),
    ],
)
def test_a_wrong_set_up_stops_before_anything_is_written(
    drill: Drill,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path], None] | None,
    options: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    weights = drill.folder / "weights"
    shutil.copytree(drill.made / "view-wise", weights)
    if spoil is not None:
        spoil(weights)
    ran = drill.screen(*options, weights=str(weights))
    assert ran.status == 2
    assert re.search(says, ran.err), ran.err
    assert len(ran.err.splitlines()) == 1
    assert not ran.folder.exists()


def test_an_empty_folder_alone_is_a_wrong_set_up(drill: Drill) -> None:
    shutil.rmtree(drill.input)
    drill.input.mkdir()
    ran = drill.screen(secret=False)
    assert ran.status == 2
    assert "found 0 files" in ran.err
    assert not ran.folder.exists()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system in memory with these options: small, or read-only. Skips where that is not allowed."""
    point = tmp_path / "disk"
    point.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(point)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("a small disk needs root and the right to mount")
        return point

    yield mount
    if point.is_mount():
        subprocess.run(["umount", str(point)], check=True)


def test_a_disk_that_fills_up_ends_the_run_with_whole_exams_only(drill: Drill, mounted: Callable[[str], Path]) -> None:
    second = drill.add_bad()
    whole = drill.screen(out=drill.folder / "whole")
    assert whole.status == 0
    size = sum(-(-p.stat().st_size // 4096) * 4096 for p in whole.folder.rglob("*") if p.is_file())
    disk = mounted(f"size={int(size * 0.65)}")
    ran = drill.screen(out=disk / "out")
    assert ran.status == 2, ran.err
    (stopped_at,) = re.findall(r"cannot write .*/(\w+): No space left on device; need a folder .* with room", ran.err)
    assert {stopped_at, *(p.name for p in (ran.folder / "exams").iterdir())} == {drill.good, second}
    assert ran.read() == {drill.good, second} - {stopped_at}
    assert json.loads((ran.folder / "run.json").read_text())["status"] == "stopped"


def test_an_output_that_cannot_be_written_is_a_wrong_set_up(drill: Drill, mounted: Callable[[str], Path]) -> None:
    ran = drill.screen(out=mounted("ro") / "out")
    assert ran.status == 2
    assert "Read-only file system; need a folder that can be written to" in ran.err
    assert not ran.folder.exists()


def test_an_interrupted_run_resumes_to_the_same_bytes(drill: Drill) -> None:
    drill.add_bad()
    cut_native(drill)
    shutil.copytree(drill.made / "3", drill.input / f"{PERSON} third")
    options = ("--jitter", 2)
    whole = drill.screen(*options, weights="heatmaps", out=drill.folder / "whole")
    out = drill.folder / "out"
    words = ["screen", drill.input, "--weights", drill.made / "heatmaps", "--out", out, "--engine", "torch", *options]
    process = subprocess.Popen(
        [sys.executable, "-c", "from fourview.cli import main; main()", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), "TMPDIR": tempfile.gettempdir()},
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while not list(out.glob("exams/[0-9a-f]*")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        shown, said = process.communicate(timeout=60)
    finally:
        process.kill()
    stopped = Ran(process.returncode, shown, said, out)
    assert stopped.status == 130, said
    assert "Interrupted: " in said
    assert "Traceback" not in said
    check_whole(out)
    check_secret(stopped)
    # On a busy machine the third exam may have been ready too, but nothing that the whole run does not have.
    assert {drill.good} <= stopped.read() <= whole.read()
    resumed = drill.screen(*options, "--resume", weights="heatmaps")
    assert (resumed.status, whole.status) == (1, 1)
    for name in ("readings.csv", "upstream.csv", "failures.csv", "contact_sheet_001.png"):
        assert (out / name).read_bytes() == (whole.folder / name).read_bytes(), name


def test_show_ids_shows_them(drill: Drill) -> None:
    ran = drill.screen("--show-ids", secret=False)
    with pytest.raises(AssertionError, match="DOE_JANE in "):
        check_secret(ran)


def test_files_named_after_the_patient_are_shown_under_other_names(drill: Drill) -> None:
    second = drill.add_bad()
    for path in sorted(drill.bad_folder.iterdir()):
        path.rename(path.with_name(f"{PERSON}{path.name}"))
    (drill.bad_folder / f"{PERSON}_3.dcm").write_bytes(b"cut" * 50)
    (drill.bad_folder / f"{PERSON}.pdf").write_bytes(b"a letter")
    (drill.input / f"{PERSON}_L_XX.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (drill.input / f"{PERSON}.zip").write_bytes(b"PK cut")
    shutil.copy(drill.made / "2-png/9_L_CC.png", drill.input / f"{PERSON}_L_CC.png")
    ran = drill.screen()
    assert ran.status == 1
    assert ran.read() == {drill.good, second}
    left_out = ran.failures.filter(pl.col("kind") == "file")
    assert [re.sub("[0-9a-f]{8}", "#", name) for name in left_out["name"]] == ["file-#.pdf", "file-#.png", "file-#.dcm"]
    (_, missing), (_, broken) = ran.failed()
    assert missing.startswith("R-CC, L-MLO, R-MLO missing: found L-CC")
    assert re.fullmatch(r"file-[0-9a-f]{8}\.zip: not a readable zip \(BadZipFile\), need a whole zip file", broken)


def test_a_list_of_files_named_after_the_patient_shows_other_names(drill: Drill) -> None:
    drill.add_bad("2-png")
    listed = drill.folder / f"{PERSON} listed"
    listed.mkdir()
    rows = ["file,exam,side,view,patient"]
    for view in VIEWS:
        path = drill.bad(view.value).rename(listed / f"{PATIENT}_{view.value.replace('-', '_')}.png")
        rows.append(f"{PERSON} listed/{path.name},{PERSON},{view.side.value},{view.angle},{PATIENT}")
    drill.bad_folder.rmdir()
    for name, angle in ((f"{PATIENT}.dcm", "CC"), (f"{PATIENT}_L_ML.png", "ML")):
        (listed / name).write_bytes(b"cut" * 50)
        rows.append(f"{PERSON} listed/{name},{PERSON},L,{angle},{PATIENT}")
    (drill.folder / "list.csv").write_text("\n".join(rows))
    ran = drill.screen(drill.folder / "list.csv")
    assert ran.status == 1
    assert ran.read() == {drill.good}
    ((exam, reason),) = ran.failed()
    assert exam == hash_label(PERSON)
    assert re.search(r"file-[0-9a-f]{8}\.dcm: no DICOM file", reason)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only some systems have a device that is always full")
def test_a_log_that_cannot_be_written_loses_no_reading(drill: Drill) -> None:
    out = drill.folder / "out"
    words = ["screen", drill.input, "--weights", drill.made / "view-wise", "--out", out, "--jitter", "0"]
    command = [sys.executable, "-c", "from fourview.cli import main; main()", *map(str, words)]
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert ran.returncode == 2
    assert "cannot show the result on standard output (No space left on device); need one" in ran.stderr
    assert "Traceback" not in ran.stderr
    check_whole(out)
    assert Ran(ran.returncode, "", ran.stderr, out).read() == {drill.good}
    assert json.loads((out / "run.json").read_text())["status"] == "finished"
