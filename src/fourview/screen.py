"""Screener: Exam -> Reading. The whole walk of one exam on one page: read this first.

crop -> heatmap per image (patch network) -> windows -> features per image -> heads -> means over heads, jittered
windows and ensemble members. A patch network alone ends after the heatmap: the highest of its answers are its score.
Nothing is written; a `Reading` comes back, in source pixels.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from fourview.crop import return_to_source
from fourview.draws import Pick, Streams, draw_grids, draw_windows
from fourview.engine import Engine, ReadColumn, ReadPatches, choose_engine, describe
from fourview.exam import (
    FINDINGS,
    Exam,
    ExamError,
    Finding,
    HeadScore,
    Heatmap,
    ImageReading,
    Precision,
    Reading,
    SetupError,
    Side,
    View,
)
from fourview.heads import join_features, mean_features, read_heads, read_patch_scores
from fourview.heatmap import PatchGrid, find_empty, slide_patches, spread_over_pixels
from fourview.networks.exam import WiredNetwork
from fourview.prepare import Prepared, PreparedExam, mark_images, prepare_exam
from fourview.score import mean_score
from fourview.weights.card import Card, PatchNetwork
from fourview.weights.ensemble import resolve_members
from fourview.weights.folder import Weights, load_weights
from fourview.window import Placement, cut_input

Array = NDArray[np.float32]
RngScope = Literal["exam", "upstream"]
T = TypeVar("T")
U = TypeVar("U")


@dataclass(eq=False)
class Member:
    """One network of the ensemble on the engine.

    network  None: its patch network reads alone
    columns  per angle ("CC", "MLO")
    patches  the patch network; None if it wants no heatmaps
    """

    weights: Weights
    network: WiredNetwork | None
    columns: Mapping[str, ReadColumn]
    patches: ReadPatches | None
    streams: Streams = field(default_factory=Streams)

    @property
    def card(self) -> Card:
        return self.weights.card

    @property
    def channels(self) -> int:
        return 3 if self.patches is not None else 1

    @property
    def patch_key(self) -> str | None:
        """Members with the same key see the same heatmaps, which are made once; None: it wants no heatmaps."""
        return _patch_key(self.card)


class Screener:
    """Loaded weights that read exams.

    engine, device, precision  what runs the networks, see engine.choose_engine
    jitter  jittered windows per image; 0 = one exact window
    seed    of both random streams: patch grids and windows
    rng     "exam": the streams start anew for every exam, so a reading does not depend on its neighbours;
            "upstream": one stream runs over all exams in the order that they are read
    pick    images of a view that has several: "all" are used; "random" draws one per jittered window, as upstream.
            None: all, or random with rng "upstream", whose stream would be another one otherwise
    allow_phantom_weights  also read mammograms that are no phantoms with weights that were trained on phantoms only;
            without it such an exam is an ExamError. Their readings say "not for real images" either way
    """

    def __init__(
        self,
        weights: Sequence[Weights],
        *,
        engine: str | Engine = "auto",
        device: str = "auto",
        precision: Precision = "fp32",
        jitter: int = 10,
        seed: int = 0,
        rng: RngScope = "exam",
        pick: Pick | None = None,
        allow_phantom_weights: bool = False,
    ) -> None:
        if jitter < 0:
            raise SetupError(f"jitter is {jitter}; need 0 (one exact window) or more")
        _check_ensemble(weights)
        self._engine = choose_engine(engine, device=device, precision=precision) if isinstance(engine, str) else engine
        self._patch_networks: dict[str, ReadPatches] = {}
        self._one_at_a_time = threading.Lock()
        self.members = tuple(self._member(w) for w in weights)
        self.jitter, self.seed, self.rng = jitter, seed, rng
        self.pick: Pick = pick or ("random" if rng == "upstream" else "all")
        self.allow_phantom_weights = allow_phantom_weights
        self._restart_streams()

    @classmethod
    def load(
        cls,
        folders: str | Path | Sequence[str | Path],
        *,
        engine: str | Engine = "auto",
        device: str = "auto",
        precision: Precision = "fp32",
        jitter: int = 10,
        seed: int = 0,
        rng: RngScope = "exam",
        pick: Pick | None = None,
        allow_phantom_weights: bool = False,
    ) -> Screener:
        """A screener from weights folders or known names; several are an ensemble. Raises SetupError."""
        several = [folders] if isinstance(folders, str | Path) else list(folders)
        weights = [load_weights(member) for folder in several for member in resolve_members(str(folder))]
        return cls(
            weights,
            engine=engine,
            device=device,
            precision=precision,
            jitter=jitter,
            seed=seed,
            rng=rng,
            pick=pick,
            allow_phantom_weights=allow_phantom_weights,
        )

    def _member(self, weights: Weights) -> Member:
        card, network = weights.card, weights.exam
        if not card.reads_exams:
            raise SetupError(f"{card.name}: {card.kind}; need weights of an exam network, or of a patch network alone")
        key, patches = _patch_key(card), None
        if key is not None and card.patch is not None and weights.patch is not None:
            if key not in self._patch_networks:
                self._patch_networks[key] = self._engine.load_patches(weights.patch, side_px=card.patch.side_px)
            patches = self._patch_networks[key]
        channels = 3 if patches is not None else 1
        columns: dict[str, ReadColumn] = {}
        if network is not None:
            for angle in dict.fromkeys(View(view).angle for head in network.heads for view in head.views):
                shape = (channels, *card.geometry.window_px(angle))
                columns[angle] = self._engine.load_column(network.column(angle), shape)
        return Member(weights, network, columns, patches)

    def _restart_streams(self) -> None:
        for member in self.members:
            member.streams.restart(self.seed)

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
    def engine(self) -> str:
        """What runs the networks, e.g. "openvino 2026.4.1 on cpu"."""
        return describe(self._engine)

    @property
    def precision(self) -> Precision:
        return self._engine.precision

    @property
    def unit(self) -> Literal["breast", "image"]:
        return self.members[0].card.unit

    @property
    def marks(self) -> tuple[str, ...]:
        """Reasons to distrust every reading of these weights."""
        texts = {
            False: "untrained weights, the numbers mean nothing",
            None: "weights of unknown origin, nobody can tell what they were trained on",
        }
        marks = [
            f"{member.card.name}: {texts[member.card.training.trained]}"
            for member in self.members
            if member.card.training.trained is not True
        ]
        marks += [
            f"{member.card.name}: a patch network alone, its scores rank images and are no probabilities"
            for member in self.members
            if member.network is None
        ]
        if self._of_phantoms:
            marks.append(f"not for real images: trained on phantoms only ({', '.join(self._of_phantoms)})")
        return tuple(dict.fromkeys(marks))

    @property
    def _of_phantoms(self) -> tuple[str, ...]:
        """The members that have seen nothing but phantoms."""
        return tuple(dict.fromkeys(m.card.name for m in self.members if m.card.training.phantoms_only))

    def _check_origin(self, exam: Exam) -> None:
        """Raises ExamError for mammograms that are no phantoms, where weights are for phantoms only."""
        names = self._of_phantoms
        real = [f"{m.view} {m.name}" for m in exam.mammograms if not m.is_phantom]
        if names and real and not self.allow_phantom_weights:
            raise ExamError(
                f"{', '.join(real)}: found no mark of a phantom, and {', '.join(names)} was trained on phantoms only: "
                "not for real images; need other weights (to look all the same: --allow-phantom-weights, in Python "
                "allow_phantom_weights=True)"
            )

    def prepare(self, exam: Exam) -> PreparedExam:
        """What can be done before an exam's turn, in any thread: crops and centres. Raises ExamError."""
        self._check_origin(exam)
        return prepare_exam(exam, [(member.card, member.network) for member in self.members])

    def read(self, exam: Exam, prepared: PreparedExam | None = None) -> Reading:
        """What the networks say about one exam. Raises ExamError if it cannot be read.

        prepared  of this exam, if `prepare` was called before

        One exam at a time: a call from a second thread waits.
        """
        self._check_origin(exam)
        with self._one_at_a_time:
            return self._read(exam, prepared or self.prepare(exam))

    def _read(self, exam: Exam, prepared: PreparedExam) -> Reading:
        if self.rng == "exam":
            self._restart_streams()
        clock = _Clock({"crop": prepared.seconds})
        groups: dict[tuple[Prepared, ...], list[int]] = {}  # members that see the same crops share what is cut of them
        for number, images in enumerate(prepared.images):
            groups.setdefault(images, []).append(number)
        heads: list[HeadScore] = []
        features: dict[tuple[int, str], Array] = {}
        shown: list[tuple[tuple[Prepared, ...], list[Heatmap]]] = []
        for images, numbers in groups.items():
            maps = self._read_patches(images, numbers, clock)
            found, heatmaps = self.read_images(images, numbers, maps, clock, kept=features)
            heads += [*found, *self._score_patches(images, numbers, maps)]
            shown.append((images, heatmaps))
        heads.sort(key=lambda head: head.member)
        best = max(shown, key=lambda group: (len(group[1]) > 0, len(group[0])))
        with clock.stage("collect"):
            return self._collect(exam, *best, heads, features=features, seconds=clock.seconds)

    def _read_patches(
        self, images: Sequence[Prepared], numbers: Sequence[int], clock: _Clock
    ) -> dict[str, list[_PatchAnswers]]:
        """Per patch network, what it says about every image; the first member that wants it draws the grids."""
        made: dict[str, list[_PatchAnswers]] = {}
        for member in (self.members[number] for number in numbers):
            card, key = member.card, member.patch_key
            if key is None or key in made or member.patches is None or card.patch is None:
                continue
            with clock.stage("patches"):
                grids = draw_grids(images, card.patch, member.streams)
                crops = [image.crop.pixels for image in images]
                p = slide_patches(crops, grids, member.patches, std_floor=card.geometry.std_floor)
                self._engine.release()
                made[key] = [_PatchAnswers(g, c, card.patch, a) for g, c, a in zip(grids, crops, p, strict=True)]
        return made

    def _score_patches(
        self, images: Sequence[Prepared], numbers: Sequence[int], maps: Mapping[str, Sequence[_PatchAnswers]]
    ) -> Iterator[HeadScore]:
        """What the members say that have a patch network alone. maps: of _read_patches"""
        for number in numbers:
            member = self.members[number]
            if member.network is None and member.patch_key is not None and member.card.patch is not None:
                count = member.card.patch.patches_in_score
                tops = [
                    {finding: answers.mean_highest(finding, count) for finding in FINDINGS}
                    for answers in maps[member.patch_key]
                ]
                yield from read_patch_scores(images, tops, member=number)

    def read_images(
        self,
        images: Sequence[Prepared],
        numbers: Sequence[int],
        maps: Mapping[str, Sequence[Callable[[Finding], Array]]],
        clock: _Clock | None = None,
        *,
        kept: dict[tuple[int, str], Array] | None = None,
    ) -> tuple[list[HeadScore], list[Heatmap]]:
        """What the heads of some members say about every window; and the heatmaps of the images, if any.

        images   that these members see
        numbers  of the members
        maps     per patch network, per image: finding -> (rows, cols) in the crop frame
        kept     filled with the features of each (member, image name), the mean over its windows

        Image by image, so that only one image's maps are in memory.
        """
        clock = clock or _Clock()
        readers = {number: network for number in numbers if (network := self.members[number].network) is not None}
        drawn = {number: self._draw_windows(self.members[number], images) for number in readers}
        features: dict[tuple[int, int], dict[int, Array]] = defaultdict(dict)  # (member, window) -> image -> features
        heatmaps = []
        for place, image in enumerate(images):
            with clock.stage("heatmaps"):
                spread = {
                    key: {finding: per_image[place](finding) for finding in FINDINGS} for key, per_image in maps.items()
                }
                if spread:
                    frame = image.crop.frame
                    inside = {
                        finding: return_to_source(_mean_map([one[finding] for one in spread.values()]), frame)
                        for finding in FINDINGS
                    }
                    heatmaps.append(Heatmap(frame.source_shape, frame.box_source, inside))
            placements = {number: [window.get(place) for window in windows] for number, windows in drawn.items()}
            for number, window, vector in self._read_windows(image, placements, spread, clock):
                features[number, window][place] = vector
            if place + 1 == len(images) or images[place + 1].mammogram.view.angle != image.mammogram.view.angle:
                self._engine.release()
        heads: list[HeadScore] = []
        with clock.stage("heads"):
            for number, windows in drawn.items():
                for window in range(len(windows)):
                    heads += read_heads(readers[number], images, features[number, window], member=number, window=window)
                if kept is not None:
                    means = mean_features([features[number, window] for window in range(len(windows))])
                    kept |= {(number, images[place].mammogram.name): vector for place, vector in means.items()}
        return heads, heatmaps

    def _draw_windows(self, member: Member, images: Sequence[Prepared]) -> list[dict[int, Placement]]:
        return draw_windows(images, member.card.geometry, member.streams, jitter=self.jitter, pick=self.pick)

    def _read_windows(
        self,
        image: Prepared,
        placements: Mapping[int, Sequence[Placement | None]],
        maps: Mapping[str, Mapping[Finding, Array]],
        clock: _Clock,
    ) -> Iterator[tuple[int, int, Array]]:
        """(member, window, features) of every window of one image. Members that drew the same window share its cut.

        placements  per member and window; None where the window picked another image
        """
        if not placements:
            return
        angle, pixels = image.mammogram.view.angle, image.crop.pixels.astype(np.float32)
        some_key = next(iter(maps), None)
        users: dict[tuple[Placement, str | None], list[tuple[int, int]]] = defaultdict(list)
        for number, drawn in placements.items():
            key = self.members[number].patch_key or some_key  # one without heatmaps takes the first channel of any cut
            for window, placement in enumerate(drawn):
                if placement is not None:
                    users[placement, key].append((number, window))
        geometry = self.members[next(iter(placements))].card.geometry  # the same for all: they share the crop

        def cut(chunk: Sequence[tuple[Placement, str | None]]) -> list[Array]:
            cuts = []
            for placement, key in chunk:
                channels = [pixels]
                if key is not None:
                    channels += [maps[key]["benign"], maps[key]["malignant"]]  # the order of the network's channels
                cuts.append(cut_input(channels, placement, geometry.window_px(angle), std_floor=geometry.std_floor))
            return cuts

        chunks = _chunks(list(users), self._engine.windows_at_once)
        for chunk, cutting in make_ahead(cut, chunks):
            with clock.stage("windows"):
                cuts = cutting.result()
            for number in placements:
                member = self.members[number]
                mine = [
                    (i, window) for i, drawn in enumerate(chunk) for owner, window in users[drawn] if owner == number
                ]
                if mine:
                    with clock.stage("network"):
                        found = member.columns[angle](_stack([cuts[i][: member.channels] for i, _ in mine]))
                    yield from ((number, window, v) for v, (_, window) in zip(found, mine, strict=True))

    def _collect(
        self,
        exam: Exam,
        prepared: Sequence[Prepared],
        heatmaps: Sequence[Heatmap],
        heads: Sequence[HeadScore],
        *,
        features: Mapping[tuple[int, str], Array],
        seconds: Mapping[str, float],
    ) -> Reading:
        """The reading: means of what the heads said, and everything in source pixels."""
        images = []
        for place, image in enumerate(prepared):
            mammogram = image.mammogram
            own = [h for h in heads if h.images == (mammogram.name,)]
            vectors = [features.get((number, mammogram.name)) for number in range(len(self.members))]
            score = mean_score(own, mammogram.view.side) if self.unit == "image" else None
            images.append(
                ImageReading(
                    name=mammogram.name,
                    view=mammogram.view,
                    faces=mammogram.faces,
                    frame=image.crop.frame,
                    best_centre=image.best_centre,
                    spacing_mm=mammogram.spacing_mm,
                    pixel_mode=mammogram.pixel_mode,
                    heatmap=heatmaps[place] if heatmaps else None,
                    score=score,
                    features=join_features(vectors),
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
            left=mean_score(heads, Side.LEFT),
            right=mean_score(heads, Side.RIGHT),
            images=tuple(images),
            heads=tuple(heads),
            model=self.name,
            weights_hash=self.weights_hash,
            members=len(self.members),
            windows=max(1, self.jitter) if any(member.network is not None for member in self.members) else 1,
            marks=self.marks + tuple(dict.fromkeys(mark_images(images, [m.card for m in self.members]))),
            warnings=exam.warnings + tuple(in_images),
            left_out=exam.left_out,
            engine=self.engine,
            precision=self.precision,
            patch_side_px=max((m.card.patch.side_px for m in self.members if m.patches and m.card.patch), default=None),
            seconds=dict(seconds),
        )


@dataclass(frozen=True, eq=False)
class _PatchAnswers:
    """What the patch network says about one image, spread over its crop when it is asked for."""

    grid: PatchGrid
    crop: NDArray[Any]
    network: PatchNetwork
    p: Array  # (patches, classes)

    def __call__(self, finding: Finding) -> Array:
        of, spreading = self.network.classes.index(finding), self.network.spreading
        return spread_over_pixels(self.p[:, of], self.grid, self.crop.shape, spreading=spreading)

    def mean_highest(self, finding: Finding, count: int) -> float:
        """The mean of the highest probabilities of a finding among patches with breast, or of all if there are fewer.

        One patch's answer would be the most extreme of hundreds; `count` of them must agree, wherever they lie.
        """
        breast = ~find_empty(self.crop, self.grid)
        p = np.sort(self.p[breast, self.network.classes.index(finding)])
        return float(p[-count:].mean(dtype=np.float64))


class _Clock:
    """Seconds per stage."""

    def __init__(self, seconds: Mapping[str, float] | None = None) -> None:
        self.seconds = dict(seconds or {})

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def make_ahead(make: Callable[[T], U], items: Iterable[T]) -> Iterator[tuple[T, Future[U]]]:
    """Each item with what is made of it; the next is being made, in a thread, while the caller works on this one."""
    with ThreadPoolExecutor(1, thread_name_prefix="make ahead") as pool:
        before = None
        for item in items:
            started = item, pool.submit(make, item)
            if before is not None:
                yield before
            before = started
        if before is not None:
            yield before


def _stack(windows: Sequence[Array]) -> Array:
    return windows[0][None] if len(windows) == 1 else np.stack(windows)


def _mean_map(maps: Sequence[Array]) -> Array:
    """Of the members' patch networks; members that share one have one map."""
    return maps[0] if len(maps) == 1 else np.mean(maps, axis=0, dtype=np.float32)


def _patch_key(card: Card) -> str | None:
    reads_patches = card.exam is None or card.exam.heatmaps
    return f"{card.patch}{card.sha256.get('patch.safetensors')}" if reads_patches else None


def _check_ensemble(weights: Sequence[Weights]) -> None:
    cards = [w.card for w in weights]
    if not cards:
        raise SetupError("no weights given")
    for what, found in (
        ("pixel modes", {card.input.pixel_mode for card in cards}),
        ("units", {card.unit for card in cards}),
    ):
        if len(found) > 1:
            raise SetupError(f"ensemble of members with different {what}: {sorted(found)}; need one")
