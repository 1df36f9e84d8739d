"""A whole synthetic exam: one woman, two breasts, four images, known findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import generate_uid

from fourview.exam import VIEWS, Decision, Direction, Exam, Mammogram, SetupError, Side, View, hash_label
from fourview.phantom.breast import WHITE, paint_breast
from fourview.phantom.finding import PhantomFinding, draw_finding
from fourview.phantom.outline import outline_view
from fourview.phantom.woman import Density, Woman, draw_breast, draw_woman, side_key

FULL_ROWS, FULL_COLS, FULL_PIXEL_MM = 3328, 2560, 0.07


@dataclass(frozen=True, eq=False)
class PhantomImage:
    """One synthetic mammogram.

    pixels      (rows, cols) uint16, 0 outside the breast and 1 to 4095 in it
    faces       where the nipple points in pixels: as usual (left breasts right, right breasts left)
    findings    those of this breast
    masks       for each of them (rows, cols) bool, where it is
    """

    view: View
    pixels: NDArray[np.uint16]
    faces: Direction
    spacing_mm: float
    findings: tuple[PhantomFinding, ...]
    masks: tuple[NDArray[np.bool_], ...]


@dataclass(frozen=True, eq=False)
class PhantomExam:
    """Four synthetic mammograms of one synthetic woman, in the order L-CC R-CC L-MLO R-MLO.

    number      of the exam: names the patient (PHANTOM^0001) and the files (1_L_CC.dcm)
    identity    what the UIDs are made from: the random draw, the same for the same draw at the same scale
    """

    number: int
    identity: int
    woman: Woman
    findings: tuple[PhantomFinding, ...]
    images: tuple[PhantomImage, ...]

    @property
    def patient_id(self) -> str:
        return f"PHANTOM-{self.number:04d}"

    @property
    def study_uid(self) -> str:
        return self.uid("study")

    def uid(self, part: str) -> str:
        """The UID of a part of this exam ("study", "series", a view): the same each time it is written."""
        rows = str(self.images[0].pixels.shape[0])  # the same woman at another scale is another study
        return str(generate_uid(entropy_srcs=["fourview phantom", str(self.identity), str(self.number), rows, part]))

    def file_name(self, view: View) -> str:
        return f"{self.number}_{view.value.replace('-', '_')}.dcm"

    def to_exam(self) -> Exam:
        """The exam as a reader of its DICOM files hands it on, without files: 12 bits stretched to 16."""
        mammograms = []
        for image in self.images:
            stretched = np.rint(image.pixels * (65535 / WHITE)).astype(np.uint16)
            mammograms.append(
                Mammogram(
                    stretched,
                    image.view,
                    self.file_name(image.view),
                    image.faces,
                    spacing_mm=image.spacing_mm,
                    pixel_mode="stored",
                    decisions=(
                        Decision("orientation", f"faces {image.faces}", "phantom"),
                        Decision("grey scale", "v*65535/4095", "phantom"),
                        Decision("spacing", f"{image.spacing_mm:.4g} mm", "phantom"),
                    ),
                )
            )
        return Exam(hash_label(self.study_uid), tuple(mammograms), label=self.study_uid)


def draw_exam(
    rng: np.random.Generator,
    *,
    scale: float = 0.25,
    findings: Sequence[PhantomFinding] | None = None,
    one_sided: Side | None = None,
    density: Density | None = None,
    number: int = 1,
) -> PhantomExam:
    """A synthetic screening exam. A generator in the same state draws the same woman at every scale.

    scale      1 = 3328 x 2560 pixels of 0.07 mm; s = round(3328 s) x round(2560 s) pixels of 0.07/s mm
    findings   None: one random finding; () a normal exam
    one_sided  instead of findings: one large bright malignant mass in this breast and nothing in the other,
               so that a reading with the sides swapped is seen to be wrong
    density    BI-RADS density; None: random, as common as in screening

    Raises SetupError if the scale is not 0.05 to 1, or findings are given together with one_sided.
    """
    if not 0.05 <= scale <= 1:
        raise SetupError(f"phantom: found scale {scale}, need 0.05 to 1")
    if findings is not None and one_sided is not None:
        raise SetupError("phantom: found both findings and one_sided, need one of them")
    identity = int(rng.integers(2**62))
    woman = draw_woman(rng, density=density)
    drawn = draw_finding(rng)
    if one_sided is not None:
        findings = (PhantomFinding(one_sided, "mass", malignant=True, radius_mm=13, contrast=0.5),)
    findings = (drawn,) if findings is None else tuple(findings)
    breasts = {side: draw_breast(woman, np.random.default_rng([identity, 1, side_key(side)])) for side in Side}
    images = tuple(_draw_image(view, breasts[view.side], findings, identity=identity, scale=scale) for view in VIEWS)
    return PhantomExam(number, identity, woman, findings, images)


def _draw_image(
    view: View, woman: Woman, findings: tuple[PhantomFinding, ...], *, identity: int, scale: float
) -> PhantomImage:
    """One view, painted facing right and mirrored for right breasts."""
    pixel_mm = FULL_PIXEL_MM / scale
    side = side_key(view.side)
    here = tuple(f for f in findings if f.side is view.side)
    # the same woman is positioned alike on both sides: the shape is drawn from her, not from the view
    shape_rng = np.random.default_rng([identity, 2, 0 if view.angle == "CC" else 1])
    pixels, masks = paint_breast(
        woman,
        outline_view(woman, view.angle, shape_rng),
        here,
        shape=(round(FULL_ROWS * scale), round(FULL_COLS * scale)),
        pixel_mm=pixel_mm,
        key=[identity, 3, VIEWS.index(view)],
        lesion_key=[identity, 4, side],
    )
    if view.usual_direction == "left":
        pixels, masks = pixels[:, ::-1], tuple(mask[:, ::-1] for mask in masks)
    masks = tuple(np.ascontiguousarray(mask) for mask in masks)
    return PhantomImage(view, np.ascontiguousarray(pixels), view.usual_direction, pixel_mm, here, masks)
