"""Scores of every image of a store from exam weights that were never trained on it, by the pipeline of `screen`.

Networks that read single images (image-wise, single-image, a patch network alone) see one image at a time, as the
single-image program of the NYU release does: its score is the one that `screen` gives to an exam of that image alone
(of films if the card says film: see warn_of_films). A view-wise network reads the same view of both breasts together
and answers for each, so an image's score is what it says of the image's breast. Other wirings read both views of a
breast as one and say nothing of an image.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from fourview.exam import VIEWS, Decision, Exam, ExamError, Score, SetupError, View
from fourview.networks.exam import READS_SINGLE_VIEWS, WiredNetwork
from fourview.prepare import Prepared, PreparedExam
from fourview.score import mean_score
from fourview.screen import Screener, make_ahead
from fourview.store.sets import PHANTOM, count_films
from fourview.store.store import Store
from fourview.store.women import key_women
from fourview.train.crops import read_crop

Row = Mapping[str, Any]  # of the manifest
_COLUMNS = ("dataset", "exam", "image", "view", "spacing_mm", "pixel_mode", "faces")


@dataclass(frozen=True)
class ImageResult:
    """What became of one image.

    score  None where there is a problem: why it could not be read;  marks  reasons to distrust it, as on a reading
    """

    image: str
    score: Score | None
    problem: str = ""
    marks: tuple[str, ...] = ()


def reads_alone(screener: Screener) -> bool:
    """Whether these weights read an image on its own; False: beside the same view of the other breast.

    Raises SetupError for networks that say nothing of an image.
    """
    wirings = [member.network.wiring for member in screener.members if member.network is not None]
    if strange := [wiring for wiring in wirings if wiring not in READS_SINGLE_VIEWS and wiring != "view-wise"]:
        raise SetupError(
            f"{screener.name}: found a {strange[0]} network, which reads both views of a breast as one and says "
            "nothing of an image; need an image-wise, single-image or view-wise network, or a patch network alone"
        )
    return all(wiring in READS_SINGLE_VIEWS for wiring in wirings)


def check_origin(store: Store, screener: Screener) -> None:
    """Raises SetupError where weights of phantoms are to read a store without a phantom, and nobody allowed it.

    Of a store with both, the other images are refused one by one.
    """
    only = [member.card.name for member in screener.members if member.card.training.phantoms_only]
    if only and not screener.allow_phantom_weights and not (store.images["dataset"] == PHANTOM).any():
        raise SetupError(
            f"{store.path}: found no phantom in it, and {only[0]} was trained on phantoms only: not for real images; "
            "need other weights (to look all the same: --allow-phantom-weights)"
        )


def warn_of_films(store: Store, screener: Screener) -> tuple[str, ...]:
    """Where `screen` sees other pixels in the same files: it takes the background of films away if the card says so."""
    films, images = count_films(store.images), len(store.images)
    found = []
    for card in (member.card for member in screener.members):
        if films and not card.input.film:
            found.append(
                f"{films} of {images} images are digitised films, of which the store keeps the breast alone; "
                f"{card.name} does not say film, so `screen` reads such files with their background: its scores differ"
            )
        elif card.input.film and films < images:
            found.append(
                f"{images - films} of {images} images are not known as digitised films; {card.name} says film, so "
                "`screen` takes the background of such files away, and its scores may be others"
            )
    return tuple(dict.fromkeys(found))


def warn_of_known(store: Store, screener: Screener) -> tuple[str, ...]:
    """Of members that have learned from women of this store, as far as their weights say it."""
    keys = key_women(store.images)
    who = "images" if (store.images["dataset"] == PHANTOM).all() else "women"
    return tuple(
        f"{member.card.name} has learned from {known} of these {who}: numbers about them flatter it"
        for member in screener.members
        if member.weights.learned is not None and (known := member.weights.learned.count_known(keys))
    )


def read_store(store: Store, screener: Screener, *, done: Collection[str] = ()) -> Iterator[tuple[ImageResult, ...]]:
    """The results of every prepared image, in the order of the manifest, by what is read together.

    done  images that an earlier run has read; what is read together is left out if all of it was

    An image that cannot be read has a problem, and the rest goes on. Raises SetupError, see `reads_alone`.
    """
    groups = [
        rows
        for rows in _group_images(store, alone=reads_alone(screener))
        if not all(row["image"] in done for row in rows)
    ]

    def prepare(rows: Sequence[Row]) -> tuple[Exam, PreparedExam, dict[str, str]]:
        return _prepare(store, rows, screener)

    for rows, prepared in make_ahead(prepare, groups):
        try:
            exam, images, problems = prepared.result()
            reading = screener.read(exam, images)
        except ExamError as error:
            yield tuple(ImageResult(row["image"], None, str(error)) for row in rows)
            continue
        results = []
        for row in rows:
            own = [head for head in reading.heads if row["image"] in head.images]
            score = mean_score(own, View(row["view"]).side)
            problem = problems.get(row["image"], "") if score is None else ""
            results.append(ImageResult(row["image"], score, problem, reading.marks if score is not None else ()))
        yield tuple(results)


def _group_images(store: Store, *, alone: bool) -> list[list[Row]]:
    """The images that are read together: each on its own, or all of an exam in view order."""
    rows = store.images.filter(pl.col("view").is_not_null()).select(_COLUMNS)
    if alone:
        return [[row] for row in rows.iter_rows(named=True)]
    exams: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows.iter_rows(named=True):
        exams[row["dataset"], row["exam"]].append(row)
    return [sorted(found, key=lambda row: VIEWS.index(View(row["view"]))) for found in exams.values()]


def _prepare(store: Store, rows: Sequence[Row], screener: Screener) -> tuple[Exam, PreparedExam, dict[str, str]]:
    """Images that are read together, as every member wants them; and the problems of those that cannot be read.

    Raises ExamError if that is all of them.
    """
    problems = {row["image"]: problem for row in rows if (problem := _find_problem(row, rows, screener))}
    left = [row for row in rows if row["image"] not in problems]
    if not left:
        raise ExamError("; ".join(dict.fromkeys(problems.values())))
    made: dict[str, tuple[Prepared, ...]] = {}
    members = []
    for member in screener.members:
        way = f"{member.card.input}{member.card.geometry}"  # members that crop alike share what is cut
        if way not in made:
            made[way] = tuple(_mark_phantom(read_crop(store, row, member.card), row) for row in left)
        members.append(made[way])
    exam = Exam(rows[0]["exam"], tuple(image.mammogram for image in members[0]))
    return exam, PreparedExam(tuple(members), 0.0), problems


def _find_problem(row: Row, together: Sequence[Row], screener: Screener) -> str:
    """Why a member has no head for this image; empty: all have."""
    there = {other["view"] for other in together}
    for member in screener.members:
        network = member.network
        if network is not None and not any(row["view"] in views and views <= there for views in _views(network)):
            needed = " or ".join(" and ".join(sorted(views)) for views in _views(network) if row["view"] in views)
            return (
                f"{row['view']}: found {', '.join(sorted(there))}; the {network.wiring} network {member.card.name} "
                f"needs {needed or 'other views: ' + ', '.join(head.name for head in network.heads)}"
            )
    return ""


def _views(network: WiredNetwork) -> list[set[str]]:
    return [set(head.views) for head in network.heads]


def _mark_phantom(prepared: Prepared, row: Row) -> Prepared:
    """A phantom says so: the store knows it by its data set."""
    if row["dataset"] != PHANTOM:
        return prepared
    mammogram = prepared.mammogram
    marked = replace(mammogram, decisions=(*mammogram.decisions, Decision.phantom("store")))
    return replace(prepared, mammogram=marked)
