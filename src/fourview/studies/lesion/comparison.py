"""Several lesion runs on the same lesions: by view, the mean across architectures, baselines, differences."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import polars as pl

from fourview.evaluate import Estimate
from fourview.exam import SetupError
from fourview.studies.lesion.ensemble import LESION_COLUMNS
from fourview.studies.lesion.lesion_weights import load_lesion_card
from fourview.studies.lesion.measures import Worth, compare_columns, compare_views, mean_tables, measure_lesions
from fourview.studies.lesion.recipe_parts import Network
from fourview.studies.lesion.run_folder import LESIONS, MEMBERS, RECIPE, WEIGHTS, read_run_card
from fourview.studies.lesion.run_folder import RUN as RUN_FILE
from fourview.studies.transfer.compare import adjust_holm
from fourview.train.recipe import check_values

KEYS = ("patient", "exam", "side", "lesion")
NETWORK, MEAN = "network", "mean of networks"
SHOWN_BASELINES = ("hand-crafted", "words", "ceiling")
_BASELINE_COLUMNS = {"sort": pl.String, "baseline": pl.String}


@dataclass(frozen=True, eq=False)
class Candidate:
    """One row of the comparison.

    kind      NETWORK, MEAN, or what kind of baseline;  table  held-out lesions (ensemble.LESION_COLUMNS), by KEYS
    about     folds, networks and epochs, in words; "" for baselines;  folds  how many it has networks of; 0: baselines
    """

    kind: str
    name: str
    table: pl.DataFrame
    about: str = ""
    folds: int = 0

    @cached_property
    def worth(self) -> tuple[Worth, ...]:
        return measure_lesions(self.table, {})

    @cached_property
    def added(self) -> tuple[Estimate, ...]:
        return compare_views(self.table)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Networks first, then their mean, then baselines. differences: of AUC, the first minus each other, p by Holm."""

    candidates: tuple[Candidate, ...]
    differences: tuple[Estimate, ...]
    notes: tuple[str, ...]


def load_candidates(folder: Path) -> tuple[Candidate, ...]:
    """A run of `lesion train`, or the baselines of `lesion handcrafted`. Raises SetupError: neither, or unfinished."""
    path = folder / LESIONS
    if not path.is_file():
        raise SetupError(f"{folder}: found no {LESIONS}; need a finished run of `lesion train` or `lesion handcrafted`")
    try:
        if not (folder / RUN_FILE).is_file():
            table = pl.read_csv(path, schema_overrides={**_BASELINE_COLUMNS, **LESION_COLUMNS})
            return tuple(_baselines(table))
        card, recipe = read_run_card(folder), json.loads((folder / RECIPE).read_text())
        table = pl.read_csv(path, schema=pl.Schema(LESION_COLUMNS)).sort(KEYS)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise SetupError(f"{path}: cannot be read ({str(error).splitlines()[0]}); need what the run wrote") from error
    network = check_values(recipe["network"], Network, where=str(folder / RECIPE))
    start = f", from {card.start}" if card.start else ""
    return (Candidate(NETWORK, f"{network.words}{start}", table, *_describe(folder)),)


def compare_runs(candidates: Sequence[Candidate]) -> Comparison:
    """Everything about them.

    The mean across architectures is of the runs that have networks of as many folds as any. Differences are to the
    first candidate, on the lesions that both have.
    Raises SetupError: the same lesion with another truth or in another fold, no lesion in common.
    """
    ordered = sorted(_rename(candidates), key=lambda one: one.kind != NETWORK)
    for other in ordered[1:]:
        _check_same(ordered[0], other)
    networks = [one for one in ordered if one.kind == NETWORK]
    folds = max((one.folds for one in networks), default=0)
    most = max((one.table.height for one in networks), default=0)
    whole = [one for one in networks if one.folds == folds and one.table.height == most]
    notes = [
        f"{one.name}: {one.folds} of {folds} folds, {one.table.height} of {most} lesions, not in the mean"
        for one in networks
        if one not in whole
    ]
    rows = list(ordered)
    if len(whole) > 1:
        joined = mean_tables([_on_same(one.table, whole[0].table) for one in whole])
        mean = Candidate(MEAN, f"mean of {len(whole)} networks", joined, about=", ".join(one.name for one in whole))
        rows.insert(len(networks), mean)
    return Comparison(tuple(rows), tuple(_differences(rows)), tuple(notes))


def _describe(folder: Path) -> tuple[str, int]:
    """Folds, networks and epochs of a run in words; folds."""
    card = load_lesion_card(folder / WEIGHTS)
    folds = len({member.fold for member in card.members})
    epochs = []
    for member in card.members:
        history = folder / MEMBERS / member.file.removesuffix(".safetensors") / "history.csv"
        if history.is_file():
            epochs.append(pl.read_csv(history).height)
    said = f", {min(epochs)} to {max(epochs)} epochs" if epochs else ""
    return f"{folds} folds, {len(card.members)} networks{said}", folds


def _baselines(table: pl.DataFrame) -> Iterator[Candidate]:
    missing = [name for name in ("sort", "baseline", *LESION_COLUMNS) if name not in table.columns]
    if missing:
        raise SetupError(f"{LESIONS}: found no column {', '.join(missing)}; need a lesion run")
    for sort, baseline in table.select("sort", "baseline").unique(maintain_order=True).iter_rows():
        if sort in SHOWN_BASELINES:
            own = table.filter(pl.col("sort") == sort, pl.col("baseline") == baseline)
            yield Candidate(sort, baseline, own.select(list(LESION_COLUMNS)).sort(KEYS))


def _rename(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Names that come twice get numbers."""
    names = [one.name for one in candidates]
    found = []
    for place, one in enumerate(candidates):
        number = names[: place + 1].count(one.name)
        found.append(replace(one, name=f"{one.name} ({number})") if names.count(one.name) > 1 else one)
    return found


def _check_same(first: Candidate, other: Candidate) -> None:
    both = first.table.join(other.table, on=KEYS, suffix="_other")
    if not both.height:
        raise SetupError(f"{first.name} and {other.name}: found no lesion in common; need runs on the same data")
    for column in ("malignant", "fold"):
        if (differ := int((both[column] != both[f"{column}_other"]).sum())) > 0:
            raise SetupError(
                f"{first.name} and {other.name}: found {differ} of {both.height} lesions with another {column}; need "
                "runs on the same lesions and folds (same seed, folds, kinds and split)"
            )


def _on_same(table: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """The rows of lesions that the other table has too, in one order. Raises SetupError if they are not all of them."""
    found = table.join(other.select(KEYS), on=KEYS, how="semi").sort(KEYS)
    if found.height != other.height:
        raise SetupError(f"found {found.height} lesions in common of {other.height}; need the same lesions for a mean")
    return found


def _differences(rows: Sequence[Candidate]) -> Iterator[Estimate]:
    first = rows[0]
    found = []
    for other in rows[1:]:
        both = first.table.join(other.table.select(*KEYS, pl.col("p").alias("p_other")), on=KEYS)
        if 0 < both["malignant"].sum() < both.height:
            found.append(compare_columns(both, "p", "p_other", name=f"AUC of {first.name} minus {other.name}"))
    adjusted = adjust_holm([math.nan if one.p is None else one.p for one in found])
    for one, p in zip(found, adjusted, strict=True):
        yield replace(one, p=p, method=f"{one.method}; p of {len(found)} differences by Holm")
