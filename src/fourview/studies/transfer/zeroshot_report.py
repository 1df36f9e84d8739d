"""The report of a zero-shot reading in its folder: page, JSON, plots, the chart's tables and a row per image."""

from __future__ import annotations

from collections import Counter

import polars as pl

from fourview.exam import SetupError, join_reasons
from fourview.report.document import Document
from fourview.report.document_folder import add_document
from fourview.screen import Screener
from fourview.store.store import Store
from fourview.studies.transfer.zeroshot import reads_alone, warn_of_films, warn_of_known
from fourview.studies.transfer.zeroshot_document import (
    ZeroshotReading,
    call_images,
    describe_zeroshot,
    tabulate_calls,
)
from fourview.studies.transfer.zeroshot_folder import ZeroshotFolder

_LABELS = ("image", "exam", "patient", "dataset", "side", "view", "birads", "malignant", "benign")
_OF_LABELS = ("label_unit", "label_source", "split")


def report_zeroshot(
    store: Store,
    screener: Screener,
    folder: ZeroshotFolder,
    *,
    threshold: float | None = None,
    parts: bool = False,
) -> Document:
    """The document, written into the folder; beside it images.csv and a table per rule, as the chart has it.

    Raises SetupError if no image could be read.
    """
    readings = folder.table
    read = readings.filter(readings["problem"].is_null()).drop("problem")
    problems = readings.filter(readings["problem"].is_not_null()).select("image", "problem").rows()
    if not len(read):
        first = f", the first: {problems[0][1]}" if problems else ""
        raise SetupError(f"{store.path}: found no image that could be read ({len(problems)} could not{first})")
    images = store.images.select(*_LABELS, *_OF_LABELS).join(read, on="image", how="inner", maintain_order="left")
    reading = ZeroshotReading(
        title=f"{screener.name} on {store.about.get('title') or store.path.name}: read without training",
        images=images,
        problems=tuple((image, problem) for image, problem in problems),
        listed=len(store.manifest),
        prepared=len(store.images),
        alone=reads_alone(screener),
        scored=_describe_score(screener),
        marks=(
            *screener.marks,
            *warn_of_known(store, screener),
            *warn_of_films(store, screener),
            *_count_marks(read, screener),
        ),
        origin=_describe_origin(screener),
        settings=(
            ("store", str(store.about.get("dataset", ""))),
            ("weights", f"{screener.name}, {screener.weights_hash}"),
            ("windows per image", str(max(1, screener.jitter))),
            ("seed", str(screener.seed)),
            ("engine", f"{screener.engine}, {screener.precision}"),
            ("threshold", "chosen on other patients" if threshold is None else f"{threshold:g}, given"),
        ),
        terms=str(store.about.get("terms", "")),
        threshold=threshold,
        parts=parts,
        seed=screener.seed,
    )
    calls = call_images(reading)
    document = describe_zeroshot(reading, calls)
    kind = "birads" if reading.has_birads else "label"
    tables = {f"{kind}_{call.name}": tabulate_calls(reading, call) for call in calls}
    called = [pl.Series(f"called_{call.name}", call.called) for call in calls]
    add_document(folder.out, document, tables={**tables, "images": images.with_columns(called)})
    return document


def _count_marks(read: pl.DataFrame, screener: Screener) -> tuple[str, ...]:
    """The marks that some images have, not all that these weights read."""
    common = join_reasons(screener.marks)
    own = (row.removeprefix(common).removeprefix("; ") for row in read["marks"].drop_nulls())
    return tuple(f"{text} ({n} of {len(read)} images)" for text, n in Counter(filter(None, own)).items())


def _describe_origin(screener: Screener) -> tuple[tuple[str, str], ...]:
    """What the cards say of where the numbers come from."""
    found: list[tuple[str, str]] = []
    for card in (member.card for member in screener.members):
        training = card.training
        found += [
            ("name", f"{card.name} ({card.kind}; {card.weights_hash})"),
            ("trained on", training.data),
            *((what, text) for what, text in (("of", training.population), ("terms", training.terms)) if text),
            ("licence", card.licence),
        ]
    return tuple(found)


def _describe_score(screener: Screener) -> str:
    """What an image's score is, in words."""
    if all(member.network is None for member in screener.members):
        return "the mean of its highest patches"
    return f"the mean over {screener.jitter} jittered windows" if screener.jitter else "that of one exact window"
