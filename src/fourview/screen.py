"""Screener: Exam -> Reading. The whole walk of one exam on one page: read this first.

crop -> heatmap per image (patch network) -> windows -> features per image -> heads -> means over heads, jittered
windows and ensemble members. Nothing is written; a `Reading` comes back, in source pixels.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fourview.crop import return_to_source
from fourview.engine import choose_device, patch_batch
from fourview.exam import (
    FINDINGS,
    Exam,
    ExamError,
    Finding,
    HeadScore,
    Heatmap,
    ImageReading,
    Mammogram,
    Reading,
    SetupError,
    Side,
    View,
)
from fourview.heatmap import draw_grid, network_probabilities, slide_patches, spread_over_pixels
from fourview.networks.exam import Head, WiredNetwork
from fourview.prepare import Prepared, choose_mammograms, crop_for, mark_images
from fourview.score import mean_score
from fourview.weights.card import Card, Geometry, PatchNetwork
from fourview.weights.folder import Weights, load_weights
from fourview.weights.home import resolve
from fourview.window import (
    JitterNoise,
    cut_window,
    draw_jitter,
    place_window,
    standardise_window,
)

Pick = Literal["all", "random"]
RngScope = Literal["exam", "upstream"]


@dataclass(eq=False)
class Member:
    """One network of the ensemble on its device, with its two random streams."""

    weights: Weights
    network: WiredNetwork
    grid_rng: random.Random = field(default_factory=random.Random)
    window_rng: np.random.RandomState = field(default_factory=np.random.RandomState)

    @property
    def card(self) -> Card:
        return self.weights.card

    @property
    def heatmap_key(self) -> str:
        """Members with the same key see the same crops and heatmaps, which are then made once."""
        card = self.card
        patch = f"{card.patch}{card.sha256.get('patch.safetensors')}" if card.exam and card.exam.heatmaps else ""
        return f"{card.input}{card.geometry}{patch}"


class Screener:
    """Loaded weights that read exams.

    jitter  jittered windows per image; 0 = one exact window
    seed    of both random streams: patch grids and windows
    rng     "exam": the streams start anew for every exam, so a reading does not depend on its neighbours;
            "upstream": one stream runs over all exams in the order that they are read
    pick    images of a view that has several: "all" are used; "random" draws one per jittered window, as upstream.
            None: all, or random with rng "upstream", whose stream would be another one otherwise
    """

    def __init__(
        self,
        weights: Sequence[Weights],
        *,
        device: str = "auto",
        jitter: int = 10,
        seed: int = 0,
        rng: RngScope = "exam",
        pick: Pick | None = None,
    ) -> None:
        if jitter < 0:
            raise SetupError(f"jitter is {jitter}; need 0 (one exact window) or more")
        self._device = choose_device(device)
        self.members = tuple(self._member(w) for w in weights)
        _check_ensemble([member.card for member in self.members])
        self.jitter, self.seed, self.rng = jitter, seed, rng
        self.pick: Pick = pick or ("random" if rng == "upstream" else "all")
        self._restart_streams()

    @classmethod
    def load(
        cls,
        folders: str | Path | Sequence[str | Path],
        *,
        device: str = "auto",
        jitter: int = 10,
        seed: int = 0,
        rng: RngScope = "exam",
        pick: Pick | None = None,
    ) -> Screener:
        """A screener from weights folders or known names; several are an ensemble. Raises SetupError."""
        several = [folders] if isinstance(folders, str | Path) else list(folders)
        weights = [load_weights(resolve(str(folder))) for folder in several]
        return cls(weights, device=device, jitter=jitter, seed=seed, rng=rng, pick=pick)

    def _member(self, weights: Weights) -> Member:
        if weights.exam is None:
            raise SetupError(f"{weights.card.name}: a patch network alone; need weights of an exam network")
        for network in (weights.exam, weights.patch):
            if network is not None:  # channels last: the same numbers, 1.5 times as fast on a CPU
                network.to(self._device)
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs
        return Member(weights, weights.exam)

    def _restart_streams(self) -> None:
        for member in self.members:
            member.grid_rng.seed(self.seed)
            member.window_rng.seed(self.seed)

    @property
    def name(self) -> str:
        return "+".join(member.card.name for member in self.members)

    @property
    def weights_hash(self) -> str:
        return "+".join(member.card.weights_hash for member in self.members)

    @property
    def pixel_mode(self) -> Literal["stored", "presentation"]:
        """The grey scale that the weights were trained on."""
        return self.members[0].card.input.pixel_mode

    @property
    def device(self) -> str:
        if self._device.type == "cuda":
            return f"{self._device} ({torch.cuda.get_device_name(self._device)})"
        return "cpu"

    @property
    def unit(self) -> Literal["breast", "image"]:
        wiring = self.members[0].network.wiring
        return "image" if wiring == "single-image" else "breast"

    @property
    def populations(self) -> tuple[str | None, ...]:
        """Per member, what its scores are calibrated for; None: they only rank."""
        calibrations = [member.card.calibration for member in self.members]
        return tuple(None if c is None else c.population for c in calibrations)

    @property
    def marks(self) -> tuple[str, ...]:
        """Reasons to distrust every reading of these weights."""
        texts = {
            False: "untrained weights, the numbers mean nothing",
            None: "weights of unknown origin, nobody can tell what they were trained on",
        }
        return tuple(
            f"{member.card.name}: {texts[member.card.training.trained]}"
            for member in self.members
            if member.card.training.trained is not True
        )

    def read(self, exam: Exam) -> Reading:
        """What the networks say about one exam. Raises ExamError if it cannot be read."""
        if self.rng == "exam":
            self._restart_streams()
        clock = _Clock()
        made: dict[object, tuple[Prepared, ...]] = {}
        heads: list[HeadScore] = []
        for number, member in enumerate(self.members):
            mammograms = choose_mammograms(exam, member.network, model=member.card.name)
            key = (member.heatmap_key, tuple(m.name for m in mammograms))
            if key not in made:
                made[key] = self._prepare(mammograms, member, clock)
            for window in range(max(1, self.jitter)):
                with clock.stage("network"):
                    heads += self.read_windows(member, made[key], number=number, window=window)
        shown = max(made.values(), key=lambda images: (images[0].heatmaps is not None, len(images)))
        with clock.stage("collect"):
            return self._collect(exam, shown, heads, clock.seconds)

    def _prepare(self, mammograms: Sequence[Mammogram], member: Member, clock: _Clock) -> tuple[Prepared, ...]:
        """Every image cropped, centred and, if the network wants them, with its heatmaps."""
        card, prepared = member.card, []
        for mammogram in mammograms:
            with clock.stage("crop"):
                image = crop_for(mammogram, card)
            heatmaps = None
            if card.exam and card.exam.heatmaps and card.patch:
                with clock.stage("heatmaps"):
                    heatmaps = self._make_heatmaps(image, member, card.patch, card.geometry)
            prepared.append(Prepared(image.mammogram, image.crop, image.best_centre, heatmaps))
        return tuple(prepared)

    def _make_heatmaps(
        self, image: Prepared, member: Member, patch: PatchNetwork, geometry: Geometry
    ) -> dict[Finding, NDArray[np.float32]]:
        """Per finding, (rows, cols) in the crop frame."""
        pixels, network = image.crop.pixels, member.weights.patch
        if network is None:
            raise SetupError(f"{member.card.name}: no patch network")
        try:
            grid = draw_grid(pixels.shape, side_px=patch.side_px, stride_px=patch.stride_px, rng=member.grid_rng)
        except ExamError as error:
            view, name = image.mammogram.view, image.mammogram.name
            raise ExamError(f"{view} {name}: the breast is smaller than a patch: {error}") from error
        p = slide_patches(
            pixels,
            grid,
            network_probabilities(network, self._device),
            batch=patch_batch(self._device, side_px=patch.side_px),
            std_floor=geometry.std_floor,
        )
        return {
            finding: spread_over_pixels(p[:, patch.classes.index(finding)], grid, pixels.shape) for finding in FINDINGS
        }

    def read_windows(
        self, member: Member, prepared: Sequence[Prepared], *, number: int, window: int
    ) -> Iterator[HeadScore]:
        """What every head of member `number` says about one (drawn) window of every image."""
        features: dict[View, list[tuple[str, Tensor]]] = defaultdict(list)
        for image in self._pick_images(prepared, member):
            cut = self._cut_input(image, member)
            view = image.mammogram.view
            with torch.inference_mode():
                found = member.network.features(view, torch.from_numpy(cut[None]).to(self._device))
            features[view].append((image.mammogram.name, found))
        for head in member.network.heads:
            if set(head.views) <= set(features):
                yield from _read_head(member.network, head, features, number, window)

    def _pick_images(self, prepared: Sequence[Prepared], member: Member) -> Iterator[Prepared]:
        """The images of this window, view by view. Upstream draws the image before its window, so this is lazy."""
        for _, group in itertools.groupby(prepared, key=lambda image: image.mammogram.view):
            images = list(group)
            if self.pick == "all":
                yield from images
            else:
                yield images[member.window_rng.randint(0, len(images)) if self.jitter else 0]

    def _cut_input(self, image: Prepared, member: Member) -> NDArray[np.float32]:
        """(channels, rows, cols) float32: one window of one image as the network wants it."""
        geometry, angle = member.card.geometry, image.mammogram.view.angle
        noise = JitterNoise(geometry.location_noise_px, geometry.size_noise_px) if self.jitter else JitterNoise()
        window = geometry.window_px(angle)
        placement = place_window(
            image.crop.pixels.shape,
            angle=angle,
            window=window,
            centre=image.best_centre,
            noise=noise,
            jitter=draw_jitter(member.window_rng, noise),
        )
        channels = [image.crop.pixels.astype(np.float32)]
        if image.heatmaps:
            channels += [image.heatmaps["benign"], image.heatmaps["malignant"]]  # the order of the network's channels
        return standardise_window(
            cut_window(np.stack(channels, axis=-1), placement, window), std_floor=geometry.std_floor
        )

    def _collect(
        self, exam: Exam, prepared: Sequence[Prepared], heads: Sequence[HeadScore], seconds: Mapping[str, float]
    ) -> Reading:
        """The reading: means of what the heads said, and everything in source pixels."""
        calibrations = [m.card.calibration for m in self.members]
        images = []
        for image in prepared:
            mammogram, frame = image.mammogram, image.crop.frame
            heatmap = None
            if image.heatmaps:
                maps = {finding: return_to_source(h, frame) for finding, h in image.heatmaps.items()}
                heatmap = Heatmap(frame.source_shape, frame.box_source, maps)
            own = [h for h in heads if h.images == (mammogram.name,)]
            score = mean_score(own, mammogram.view.side, calibrations) if self.unit == "image" else None
            images.append(
                ImageReading(
                    name=mammogram.name,
                    view=mammogram.view,
                    faces=mammogram.faces,
                    frame=frame,
                    best_centre=image.best_centre,
                    spacing_mm=mammogram.spacing_mm,
                    pixel_mode=mammogram.pixel_mode,
                    heatmap=heatmap,
                    score=score,
                    decisions=mammogram.decisions,
                    warnings=mammogram.warnings + image.crop.warnings,
                )
            )
        in_images = [f"{i.view} {i.name}: {text}" for i in images for text in i.warnings]
        return Reading(
            exam_id=exam.exam_id,
            patient_key=exam.patient_key,
            label=exam.label,
            unit=self.unit,
            left=mean_score(heads, Side.LEFT, calibrations),
            right=mean_score(heads, Side.RIGHT, calibrations),
            images=tuple(images),
            heads=tuple(heads),
            model=self.name,
            weights_hash=self.weights_hash,
            members=len(self.members),
            windows=max(1, self.jitter),
            marks=self.marks + tuple(dict.fromkeys(mark_images(images, [m.card for m in self.members]))),
            warnings=exam.warnings + tuple(in_images),
            left_out=exam.left_out,
            populations=self.populations,
            seconds=dict(seconds),
        )


class _Clock:
    """Seconds per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def _check_ensemble(cards: Sequence[Card]) -> None:
    if not cards:
        raise SetupError("no weights given")
    for what, found in (
        ("pixel modes", {card.input.pixel_mode for card in cards}),
        ("units", {"image" if card.exam and card.exam.wiring == "single-image" else "breast" for card in cards}),
    ):
        if len(found) > 1:
            raise SetupError(f"ensemble of members with different {what}: {sorted(found)}; need one")


def _read_head(
    network: WiredNetwork,
    head: Head,
    features: Mapping[View, Sequence[tuple[str, Tensor]]],
    number: int,
    window: int,
) -> Iterator[HeadScore]:
    """A head's answers for every combination of one image per view."""
    for combination in itertools.product(*(features[View(view)] for view in head.views)):
        names = tuple(name for name, _ in combination)
        with torch.inference_mode():
            per_view = {view: found for view, (_, found) in zip(head.views, combination, strict=True)}
            yes = network.read_head(head, per_view)[0, :, 1].exp().cpu()
        for (side, finding), p in zip(head.labels, yes.tolist(), strict=True):
            kind: Finding = "benign" if finding == "benign" else "malignant"
            yield HeadScore(number, window, head.name, names, Side(side), kind, p, tuple(map(View, head.views)))
