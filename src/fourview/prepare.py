"""What a network's card asks of an exam before it can be read: which images, resampled, cropped and centred."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from fourview.crop import Cropped, crop_breast
from fourview.exam import Exam, ExamError, ImageReading, Mammogram, View
from fourview.film import blank_film
from fourview.networks.exam import READS_SINGLE_VIEWS, WiredNetwork
from fourview.weights.card import Card
from fourview.window import find_best_centre


@dataclass(frozen=True, eq=False)
class Prepared:
    """One mammogram, cropped for one set of weights."""

    mammogram: Mammogram
    crop: Cropped
    best_centre: tuple[int, int]


@dataclass(frozen=True, eq=False)
class PreparedExam:
    """An exam as every member of an ensemble wants it; members that want the same share it.

    images   per member, in view order
    seconds  that it took
    """

    images: tuple[tuple[Prepared, ...], ...]
    seconds: float


def prepare_exam(exam: Exam, members: Sequence[tuple[Card, WiredNetwork | None]]) -> PreparedExam:
    """Every image that a member reads, cropped and centred once per way of cropping. Raises ExamError.

    members  card and exam network; None: a patch network alone, which reads every image
    """
    start = time.perf_counter()
    made: dict[tuple[str, Mammogram], Prepared] = {}
    images = []
    for card, network in members:
        if network is None:
            chosen = tuple(mammogram for images in exam.views.values() for mammogram in images)
        else:
            chosen = choose_mammograms(exam, network, model=card.name)
        way = f"{card.input}{card.geometry}"
        for mammogram in chosen:
            if (way, mammogram) not in made:
                made[way, mammogram] = crop_for(mammogram, card)
        images.append(tuple(made[way, mammogram] for mammogram in chosen))
    return PreparedExam(tuple(images), time.perf_counter() - start)


def choose_mammograms(exam: Exam, network: WiredNetwork, *, model: str) -> tuple[Mammogram, ...]:
    """The images that the network has heads for, in view order. Raises ExamError if a needed view is missing."""
    needed = dict.fromkeys(View(view) for head in network.heads for view in head.views)
    found = exam.views
    missing = [view for view in needed if view not in found]
    wiring = network.wiring
    if missing and (wiring not in READS_SINGLE_VIEWS or len(missing) == len(needed)):
        raise ExamError(
            f"{', '.join(missing)} missing: found {', '.join(found)}; the {wiring} network {model} needs "
            f"{', '.join(needed)}" + ("" if wiring in READS_SINGLE_VIEWS else "; image-wise weights read what is there")
        )
    return tuple(m for view in found if view in needed for m in found[view])


def crop_for(mammogram: Mammogram, card: Card) -> Prepared:
    """The mammogram cropped and centred as the card asks; of a film, its breast alone."""
    geometry, angle = card.geometry, mammogram.view.angle
    mammogram = blank_film_once(mammogram) if card.input.film else mammogram
    crop = crop_breast(
        mammogram,
        working_spacing_mm=card.input.spacing_mm if _is_resampled(mammogram, card) else None,
        iterations=geometry.crop_iterations,
        buffer_px=geometry.crop_buffer_px,
    )
    centre = find_best_centre(
        crop.pixels,
        angle=angle,
        window=geometry.window_px(angle),
        rightmost_col=crop.rightmost[1],
        bottommost_row=crop.bottommost[0],
    )
    return Prepared(mammogram, crop, centre)


def blank_film_once(mammogram: Mammogram) -> Mammogram:
    """The film with all but its breast 0; as it is if that was done before, where it came from."""
    if any(decision.topic == "film" for decision in mammogram.decisions):
        return mammogram
    pixels, decided, warnings = blank_film(mammogram.pixels, spacing_mm=mammogram.spacing_mm)
    return replace(
        mammogram,
        pixels=pixels,
        decisions=(*mammogram.decisions, *decided),
        warnings=(*mammogram.warnings, *warnings),
    )


def _is_resampled(mammogram: Mammogram, card: Card) -> bool:
    if card.input.resample == "outside_range":
        return _is_out_of_range(mammogram.spacing_mm, card)
    return card.input.resample == "always"


def _is_out_of_range(spacing_mm: float | None, card: Card) -> bool:
    if spacing_mm is None or card.input.spacing_range_mm is None:
        return False
    low, high = card.input.spacing_range_mm
    return not low <= spacing_mm <= high


def mark_images(images: Iterable[ImageReading], cards: Sequence[Card]) -> Iterator[str]:
    """What makes a reading less than it seems: pixels unlike those of the training images."""
    for image in images:
        for card in cards:
            if image.pixel_mode not in ("file", card.input.pixel_mode):
                yield f"pixels: {image.pixel_mode}; {card.name} was trained on {card.input.pixel_mode}"
            if image.spacing_mm is not None and _is_out_of_range(image.spacing_mm, card):
                low, high = card.input.spacing_range_mm or (0, 0)
                done = f", resampled to {card.input.spacing_mm:g} mm" if image.frame.resampled else ""
                yield (
                    f"pixel size {image.spacing_mm:.4g} mm is outside the {low:g}-{high:g} mm that {card.name} "
                    f"was trained on{done}"
                )
