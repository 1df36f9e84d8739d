"""One exam of a population as a folder of its own: images, masks of what is painted, and what the tables need of both.

exam_000012/12_L_CC.dcm                     or .png
exam_000012/masks/12_L_CC_finding_1.png     1 bit: the first painted finding of that breast
exam_000012/.drawn.json                     boxes and file names, so that nothing is drawn twice
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fourview.exam import Box, SetupError, View, hash_label
from fourview.phantom.compress import SYNTAXES
from fourview.phantom.draw import draw_planned
from fourview.phantom.population import plan_exam
from fourview.phantom.recipe import Recipe
from fourview.phantom.stream import Truth
from fourview.phantom.write_dicom import write_exam
from fourview.phantom.write_png import list_pictures, write_exam_png, write_masks
from fourview.whole_files import whole_folder

Files = Literal["dicom", "png"]
DRAWN_FILE = ".drawn.json"  # hidden: no reader of a folder of mammograms looks at it


@dataclass(frozen=True)
class DrawnImage:
    """One image file. file  its place below the population's folder;  masks  (place in plan.findings, file, box)."""

    file: str
    view: View
    faces: str
    spacing_mm: float
    masks: tuple[tuple[int, str, Box], ...]


@dataclass(frozen=True)
class DrawnExam:
    """What lies in the folder of one exam.

    label          what `fourview screen` calls the exam: a DICOM study, or folder/number of pictures
    already_there  an earlier run had written it
    """

    index: int
    label: str
    images: tuple[DrawnImage, ...]
    already_there: bool = False

    @property
    def exam_id(self) -> str:
        """The id in readings.csv."""
        return hash_label(self.label)

    @property
    def boxes(self) -> dict[tuple[View, int], Box]:
        """(view, place in plan.findings) -> box in source pixels."""
        return {(image.view, number): box for image in self.images for number, _, box in image.masks}


@dataclass(frozen=True)
class DrawExam:
    """The work: index -> DrawnExam. Sent to other processes whole.

    files   "dicom" in the transfer syntax `syntax` (a name of compress.SYNTAXES), or "png"
    """

    out: Path
    recipe: Recipe
    seed: int
    scale: float
    files: Files
    syntax: str

    def __call__(self, index: int) -> DrawnExam:
        """The exam drawn and written, whole or not at all, if it is not there yet.

        Raises SetupError if the folder cannot be written.
        """
        folder = self.out / name_exam(index)
        if (folder / DRAWN_FILE).is_file():
            return _load(folder)
        try:
            with whole_folder(folder) as part:
                return self._draw(index, part, folder.name)
        except (OSError, SetupError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(cause, OSError):
                raise
            raise SetupError(
                f"cannot write {folder}: {cause.strerror or cause}; make room or fix it, then run the same command "
                "with --resume"
            ) from error

    def _draw(self, index: int, part: Path, name: str) -> DrawnExam:
        plan = plan_exam(self.recipe, seed=self.seed, index=index)
        exam = draw_planned(plan, scale=self.scale)
        if self.files == "dicom":
            paths = write_exam(exam, part, transfer_syntax=SYNTAXES[self.syntax])
            write_masks(exam, part)
            label = exam.study_uid
        else:
            paths = write_exam_png(exam, part)
            label = f"{name}/{exam.number}"  # as a reader of a folder of pictures names it
        boxes = Truth(plan, exam).boxes
        numbers = {id(finding): number for number, finding in enumerate(plan.findings)}
        images = []
        for path, picture in zip(paths, list_pictures(exam), strict=True):
            masks = tuple(
                (number, f"{name}/{file}", boxes[picture.view, number])
                for number, file in ((numbers[id(finding)], file) for finding, file in picture.findings)
                if file is not None
            )
            images.append(DrawnImage(f"{name}/{path.name}", picture.view, picture.faces, picture.spacing_mm, masks))
        drawn = DrawnExam(index, label, tuple(images))
        (part / DRAWN_FILE).write_text(json.dumps(_values(drawn), indent=1) + "\n", encoding="utf-8", newline="")
        return drawn


def name_exam(index: int) -> str:
    """The folder of an exam."""
    return f"exam_{index:06d}"


def _values(drawn: DrawnExam) -> dict[str, Any]:
    return {
        "index": drawn.index,
        "label": drawn.label,
        "images": [
            {
                "file": image.file,
                "view": image.view.value,
                "faces": image.faces,
                "spacing_mm": image.spacing_mm,
                "masks": [[n, file, [b.top, b.bottom, b.left, b.right]] for n, file, b in image.masks],
            }
            for image in drawn.images
        ],
    }


def _load(folder: Path) -> DrawnExam:
    again = "remove that folder, and the same command with --resume draws it again"
    try:
        values = json.loads((folder / DRAWN_FILE).read_text(encoding="utf-8"))
        images = tuple(
            DrawnImage(
                image["file"],
                View(image["view"]),
                image["faces"],
                image["spacing_mm"],
                tuple((number, file, Box(*box)) for number, file, box in image["masks"]),
            )
            for image in values["images"]
        )
        drawn = DrawnExam(values["index"], values["label"], images, already_there=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SetupError(f"{folder}: its {DRAWN_FILE} cannot be read ({type(error).__name__}); {again}") from error
    files = [*(image.file for image in images), *(file for image in images for _, file, _ in image.masks)]
    missing = [file for file in files if not (folder.parent / file).is_file()]
    if missing:
        raise SetupError(f"{folder}: found no {missing[0]}; {again}")
    return drawn
