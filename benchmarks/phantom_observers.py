"""What untrained observers see in one exam of a population, and everything about how it was acquired.

For `python -m benchmarks.phantom_gate`. Observers know nothing of labels: a blob detector (Laplacian of Gaussian),
brightness, contrast, size. Nuisance is what no cancer should show in: sizes, markers, noise, tags, files.
"""

from __future__ import annotations

import json
import re
from typing import Any

import cv2
import numpy as np
from pydicom import Dataset
from pydicom.uid import JPEGLSLossless

from benchmarks.phantom_views import Light, Mask, Seen, erode, see
from fourview.phantom import PhantomExam, PhantomImage, PlannedExam, Recipe, draw_woman, find_profile, plan_exam
from fourview.phantom.acquisition import Setup, draw_setup
from fourview.phantom.compress import compress
from fourview.phantom.draw import draw_planned
from fourview.phantom.write_dicom import build_dataset

BLOB_RADII_MM = (3.0, 5.0, 8.0, 12.0)

Nuisance = dict[str, float | str]
Record = dict[str, Any]


def measure_exam(index: int, recipe: Recipe, *, seed: int, scale: float, tags: bool = True) -> Record:
    """Everything that the gate needs of one exam, ready for JSON.

    tags  with what nuisance is made of

    {"index", "patient", "profile", "age", "density", "breasts": [{"side", "malignant", "views": {"CC": {observer:
    value}}, "nuisance"}], "lesions": [{"kind", "malignant", "views"}]}; lesions are the visible biopsied ones.
    """
    cv2.setNumThreads(1)
    plan = plan_exam(recipe, seed=seed, index=index)
    exam = draw_planned(plan, scale=scale)
    breasts, lesions = [], []
    for side, planned in plan.breasts.items():
        images = [image for image in exam.images if image.view.side is side]
        seen = [see(image) for image in images]
        blobs = [find_blobs(one) for one in seen]
        own = {one.view.angle: watch_breast(one, found) for one, found in zip(seen, blobs, strict=True)}
        nuisance: Nuisance = {}
        for image, one in zip(images, seen, strict=True) if tags else ():
            found = {**list_tags(exam, image), **measure_noise(image, one), **list_marks(image)}
            nuisance |= {f"{image.view.angle} {name}": value for name, value in found.items()}
        breasts.append({"side": side.value, "malignant": planned.malignant, "views": own, "nuisance": nuisance})
        for number, finding in enumerate(images[0].findings):
            at = {}
            for one, found_blobs in zip(seen, blobs, strict=True):
                if finding.biopsied and (one.masks[number] & one.breast).any():
                    around = {f"{name} of its breast": v for name, v in own[one.view.angle].items() if name != "size"}
                    at[one.view.angle] = watch_lesion(one, found_blobs, one.masks[number]) | around
            if at:
                lesions.append({"kind": finding.kind, "malignant": finding.malignant, "views": at})
    return {
        "index": index,
        "patient": plan.patient,
        "profile": plan.profile,
        "age": plan.age,
        "density": plan.density,
        "breasts": breasts,
        "lesions": lesions,
    }


def find_blobs(seen: Seen) -> Light:
    """(rows, cols) float32: the strongest answer of Laplacians of Gaussians to bright discs of the radii above.

    Scale-normalised (Lindeberg 1998). Air is filled with the brightness of the nearby breast, so the skin is no blob.
    """
    mm = 1 / seen.pixel_mm
    inside = seen.breast.astype(np.float32)
    lit = cv2.GaussianBlur(seen.light * inside, (0, 0), 6 * mm)
    near = cv2.GaussianBlur(inside, (0, 0), 6 * mm)
    filled = np.where(seen.breast, seen.light, lit / np.maximum(near, 1e-3)).astype(np.float32)
    strongest = np.full(seen.light.shape, -np.inf, np.float32)
    for radius in BLOB_RADII_MM:
        sigma = radius / 2**0.5 * mm
        answer = -(sigma**2) * cv2.Laplacian(cv2.GaussianBlur(filled, (0, 0), sigma), cv2.CV_32F)
        strongest = np.maximum(strongest, answer)
    return strongest


def watch_breast(seen: Seen, blobs: Light) -> dict[str, float]:
    """What untrained observers say of one image of a breast."""
    if not seen.breast.any():
        return {}
    within = erode(seen.breast, 6.0, seen.pixel_mm)
    within = within if within.any() else seen.breast
    values = seen.light[seen.breast]
    return {
        "blob": float(blobs[within].max()),
        "brightest spot": float(_smooth(seen)[within].max()),
        "mean brightness": float(values.mean()),
        "spread of brightness": float(values.std()),
        "size": float(seen.breast.sum() * seen.pixel_mm**2),
    }


def watch_lesion(seen: Seen, blobs: Light, mask: Mask) -> dict[str, float]:
    """What untrained observers say of one lesion in one image."""
    mask = mask & seen.breast
    return {
        "blob": float(blobs[mask].max()),
        "brightest spot": float(_smooth(seen)[mask].max()),
        "mean brightness": float(seen.light[mask].mean()),
        "contrast": ring_contrast(seen.light, mask, seen.breast),
        "size": float(mask.sum() * seen.pixel_mm**2),
    }


def _smooth(seen: Seen) -> Light:
    return np.asarray(cv2.GaussianBlur(seen.light, (0, 0), max(0.5 / seen.pixel_mm, 0.5)), np.float32)


def ring_contrast(light: Light, mask: Mask, breast: Mask) -> float:
    """Mean brightness in the mask minus that of the breast 1.1 to 1.5 equivalent radii from its middle; else 0."""
    rows, cols = np.nonzero(mask)
    radius = max((len(rows) / np.pi) ** 0.5, 1.0)
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    far = np.hypot(y - rows.mean(), x - cols.mean()) / radius
    ring = (far >= 1.1) & (far <= 1.5) & ~mask & breast
    return float(light[mask].mean() - light[ring].mean()) if ring.any() else 0.0


def list_tags(exam: PhantomExam, image: PhantomImage) -> Nuisance:
    """Every tag of the image's file but its pixels, and the size of the file: as it is, and compressed (JPEG-LS)."""
    dataset = build_dataset(exam, image, number=1)
    found: Nuisance = {}
    _flatten(dataset, "", found)
    plain = len(dataset.PixelData)
    compress(dataset, JPEGLSLossless)
    return {**found, "file size": plain + len(json.dumps(found)), "compressed size": len(dataset.PixelData)}


def _flatten(dataset: Dataset, above: str, found: Nuisance) -> None:
    for element in dataset:
        name = above + (element.keyword or str(element.tag))
        if element.VR == "SQ":
            for item in element.value:
                _flatten(item, f"{name}.", found)
            continue
        if element.keyword in ("PixelData", "LUTData"):
            continue
        values = element.value if element.VM > 1 else [element.value]
        for number, value in enumerate(values):
            found[f"{name}[{number}]" if number else name] = _as_number(value)


def _as_number(value: Any) -> float | str:
    """Numbers as they are, of long texts with digits their last nine, short texts as they are."""
    if isinstance(value, (int, float)):
        return float(value)
    text = str(value)
    try:
        return float(text)
    except ValueError:
        digits = re.sub(r"\D", "", text)
        return float(digits[-9:]) if digits and len(text) > 3 and "density" not in text else text


def measure_noise(image: PhantomImage, seen: Seen) -> dict[str, float]:
    """Power of the finest detail, in air and in breast (robust: half of the pixels may hold anything)."""
    stored = image.pixels.astype(np.float32)
    stored = stored[:, ::-1] if image.faces == "left" else stored
    air = stored[~cv2.dilate(seen.breast.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)]
    fine = seen.light - cv2.blur(seen.light, (3, 3))
    within = erode(seen.breast, 6.0, seen.pixel_mm)
    within = within if within.any() else seen.breast
    dark = within & (seen.light < np.median(seen.light[within]))
    return {
        "air mean": float(air.mean()) if air.size else 0.0,
        "air median": float(np.median(air)) if air.size else 0.0,
        "air spread": float(air.std()) if air.size else 0.0,
        "noise of breast": _spread(fine[within]),
        "noise of dark breast": _spread(fine[dark]) if dark.any() else 0.0,
    }


def _spread(values: Light) -> float:
    return float(np.median(np.abs(values - np.median(values)))) if values.size else 0.0


def list_marks(image: PhantomImage) -> Nuisance:
    """What is burned in, and how the file is turned."""
    return {"letters": " ".join(image.acquired.texts).replace("L", "").replace("R", ""), **_marks(image.acquired.setup)}


def _marks(setup: Setup) -> Nuisance:
    return {
        "lettered": float(setup.lettered),
        "ball": float(setup.ball),
        "mirrored": float(setup.mirrored),
        "window shift": float(setup.window_shift),
        "film number": float(setup.film_number),
    }


def list_setup(plan: PlannedExam) -> Nuisance:
    """What is known of an exam's acquisition without drawing it. Thickness is the woman's: it is a tag of the file."""
    profile = find_profile(plan.profile)
    setup = draw_setup(profile, [plan.acquisition_key, 3])
    woman = draw_woman(np.random.default_rng([plan.identity, 0]), density=plan.density, age=plan.age)
    return {
        "profile": profile.name,
        "date": float(plan.date),
        "patient": float(plan.patient[1:]),
        "thickness": float(round(woman.thickness_mm)),
        "key": float(plan.acquisition_key % 2**20),
        **_marks(setup),
    }
