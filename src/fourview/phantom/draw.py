"""A whole synthetic exam: one woman, two breasts, four images, known findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import generate_uid

from fourview.exam import VIEWS, Decision, Direction, Exam, Mammogram, SetupError, Side, View, hash_label
from fourview.phantom.acquisition import Acquired, acquire, read_stored
from fourview.phantom.breast import paint_breast
from fourview.phantom.finding import PhantomFinding, draw_finding
from fourview.phantom.outline import outline_view
from fourview.phantom.population import PlannedExam
from fourview.phantom.profiles import Profile, find_profile
from fourview.phantom.rim import lift_rim, thin_rim
from fourview.phantom.woman import Breast, Density, Woman, draw_breast, draw_woman

SCALES = (0.05, 1.0)
_DATE = "20200101"  # of exams without a plan: nothing depends on the day of drawing


@dataclass(frozen=True, eq=False)
class PhantomImage:
    """One synthetic mammogram, as its file holds it.

    findings    those of this breast that are painted
    """

    view: View
    acquired: Acquired
    spacing_mm: float
    findings: tuple[PhantomFinding, ...]

    @property
    def pixels(self) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """(rows, cols) stored values; what they mean: acquired.profile."""
        return self.acquired.pixels

    @property
    def faces(self) -> Direction:
        """Where the nipple points in pixels."""
        return self.acquired.faces

    @property
    def masks(self) -> tuple[NDArray[np.bool_], ...]:
        """For each finding (rows, cols) bool, where it is; empty where it cannot be seen in this view."""
        return self.acquired.masks


@dataclass(frozen=True, eq=False)
class PhantomExam:
    """Four synthetic mammograms of one synthetic woman, in the order L-CC R-CC L-MLO R-MLO.

    number      of the exam: names the files (1_L_CC.dcm), and without a plan the patient (PHANTOM^0001)
    identity    what UIDs are made from: the random draw, the same for the same draw at the same scale
    findings    of both breasts, occult ones too
    plan        the exam of a population that was drawn; None for an exam on its own
    """

    number: int
    identity: int
    woman: Woman
    findings: tuple[PhantomFinding, ...]
    images: tuple[PhantomImage, ...]
    plan: PlannedExam | None = None

    @property
    def patient_id(self) -> str:
        return f"PHANTOM-{self.plan.patient if self.plan else f'{self.number:04d}'}"

    @property
    def date(self) -> str:
        """YYYYMMDD."""
        return self.plan.date if self.plan else _DATE

    @property
    def study_uid(self) -> str:
        return self.uid("study")

    def uid(self, part: str) -> str:
        """The UID of a part of this exam ("study", "series", a view): the same each time it is written."""
        rows = str(self.images[0].pixels.shape[0])  # the same woman at another scale is another study
        if self.plan:
            sources = [self.plan.recipe_hash, str(self.plan.seed), str(self.plan.index), rows, part]
        else:
            profile = self.images[0].acquired.profile.name
            sources = [str(self.identity), str(self.number), rows, part, *([] if profile == "plain" else [profile])]
        return str(generate_uid(entropy_srcs=["fourview phantom", *sources]))

    def file_name(self, view: View) -> str:
        return f"{self.number}_{view.value.replace('-', '_')}.dcm"

    def to_exam(self) -> Exam:
        """The exam as a reader of its DICOM files hands it on, without files: stretched to 16 bits."""
        mammograms = []
        for image in self.images:
            profile = image.acquired.profile
            mammograms.append(
                Mammogram(
                    read_stored(image.pixels, profile),
                    image.view,
                    self.file_name(image.view),
                    image.faces,
                    spacing_mm=image.spacing_mm,
                    pixel_mode="file" if profile.film else "stored",
                    decisions=(
                        Decision.phantom("memory"),
                        Decision("orientation", f"faces {image.faces}", "phantom"),
                        Decision("grey scale", f"profile {profile.name}", "phantom"),
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
    profile: str = "plain",
) -> PhantomExam:
    """A synthetic screening exam. A generator in the same state draws the same woman at every scale.

    scale      1 = the profile's own pixels (plain: 3328 x 2560 of 0.07 mm); s = as many times fewer and larger ones
    findings   None: one random finding; () a normal exam
    one_sided  instead of findings: one large bright malignant mass in this breast and nothing in the other,
               so that a reading with the sides swapped is seen to be wrong
    density    BI-RADS density; None: random, as common as in screening
    profile    name of the unit that takes the images, one of profiles.PROFILES

    Raises SetupError if the scale is not 0.05 to 1, the profile is unknown, or findings are given together with
    one_sided.
    """
    if findings is not None and one_sided is not None:
        raise SetupError("phantom: found both findings and one_sided, need one of them")
    identity = int(rng.integers(2**62))
    woman = draw_woman(rng, density=density)
    drawn = draw_finding(rng)
    if one_sided is not None:
        findings = (PhantomFinding(one_sided, "mass", malignant=True, radius_mm=13, contrast=0.5),)
    findings = (drawn,) if findings is None else tuple(findings)
    images = _draw_images(
        woman, findings, identity=identity, key=[identity], scale=scale, profile=find_profile(profile)
    )
    return PhantomExam(number, identity, woman, findings, images)


def draw_planned(plan: PlannedExam, *, scale: float = 0.25) -> PhantomExam:
    """The images of an exam of a population. Her anatomy is the same in all her exams, her positioning is not.

    scale  1 = the pixels of the plan's profile; s = as many times fewer and larger ones
    Raises SetupError if it is not 0.05 to 1.
    """
    woman = draw_woman(np.random.default_rng([plan.identity, 0]), density=plan.density, age=plan.age)
    images = _draw_images(
        woman,
        plan.findings,
        identity=plan.identity,
        key=[plan.acquisition_key],
        scale=scale,
        profile=find_profile(plan.profile),
    )
    return PhantomExam(plan.index, plan.identity, woman, plan.findings, images, plan)


def _draw_images(
    woman: Woman,
    findings: tuple[PhantomFinding, ...],
    *,
    identity: int,
    key: Sequence[int],
    scale: float,
    profile: Profile,
) -> tuple[PhantomImage, ...]:
    """identity seeds the anatomy, key the positioning and the acquisition."""
    if not SCALES[0] <= scale <= SCALES[1]:
        raise SetupError(f"phantom: found scale {scale}, need {SCALES[0]:g} to {SCALES[1]:g}")
    breasts = {side: draw_breast(woman, side, identity=identity) for side in Side}
    images = []
    for view in VIEWS:
        here = tuple(finding for finding in findings if finding.side is view.side and finding.visible)
        images.append(
            _draw_image(view, breasts[view.side], here, identity=identity, key=key, scale=scale, profile=profile)
        )
    return tuple(images)


def _draw_image(
    view: View,
    breast: Breast,
    findings: tuple[PhantomFinding, ...],
    *,
    identity: int,
    key: Sequence[int],
    scale: float,
    profile: Profile,
) -> PhantomImage:
    """One view, painted facing right; acquire turns it as it is stored."""
    shape, pixel_mm = profile.grid(scale)
    # both sides are positioned alike: the same numbers for a view of either breast
    rng = np.random.default_rng([*key, 2, 0 if view.angle == "CC" else 1])
    field_mm = (profile.rows * profile.pixel_mm, profile.cols * profile.pixel_mm)
    tissue, inside, masks = paint_breast(
        breast,
        outline_view(breast, view.angle, rng, field_mm=field_mm),
        findings,
        shape=shape,
        pixel_mm=pixel_mm,
        key=[identity, 3, VIEWS.index(view)],
    )
    tissue = (thin_rim if profile.film else lift_rim)(tissue, inside, pixel_mm=pixel_mm, key=[*key, 3])
    acquired = acquire(tissue, inside, masks, view=view, profile=profile, pixel_mm=pixel_mm, key=[*key, 3])
    return PhantomImage(view, acquired, pixel_mm, findings)
