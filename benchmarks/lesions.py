"""`python -m benchmarks.lesions`: benign or malignant, by architecture, view and baseline, on frozen phantom masses.

    OMP_NUM_THREADS=1 python -m benchmarks.lesions --cache FOLDER [--hours H] [--out benchmarks/results/lesions.json]
    python -m benchmarks.lesions --estimate          what it would take here, measured on 12 exams
    python -m benchmarks.lesions --cache FOLDER --pilot      small, other women: does anything learn at all?
    python -m benchmarks.lesions --show              the stored tables, as in docs/lesions.md

2,000 exams of lesion_recipes/population.toml, in which every woman has masses that were biopsied and show. Fixed
beforehand (lesions_protocol.py; what was changed since is said below the tables): five architectures from scratch on
crops of 96 pixels, folds by patient (VGG-11, the full GoogLeNet and two gates: one, the others five), at most 24 epochs
of which validation chooses one. Beside them, on the same lesions and folds: the mean over the architectures that did
all folds, hand-crafted numbers, the planted words alone, and the label ceiling. Phantoms: no number here says anything
about women.

One process, one thread; for two processors start it twice with the same --cache: each takes what is free. Whatever ends
it (Ctrl-C, --hours, kill), the same command goes on. The protocol is frozen in the cache: with another one, or after a
change of the phantoms' code, it refuses to go on. lesions.csv beside the JSON has every lesion's probabilities.
"""

from __future__ import annotations

import argparse
import logging
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import polars as pl
import torch

from benchmarks.frozen import digest
from benchmarks.lesions_estimate import estimate_hours
from benchmarks.lesions_protocol import PILOT, REAL, Protocol, freeze
from benchmarks.lesions_table import added_table, area_table, describe, difference_table, join
from benchmarks.lesions_work import HANDCRAFTED, list_pieces, run_of
from benchmarks.mechanism_table import hours_table
from benchmarks.phantom_result import find_result, make_parser
from benchmarks.work import count_hours, work_off
from fourview.cli.app import INTERRUPTED
from fourview.exam import SetupError
from fourview.studies.lesion.comparison import KEYS, Candidate, Comparison, compare_runs, load_candidates
from fourview.whole_files import write_whole

NAME = "lesions"
STORED = Path(__file__).parent / "results" / f"{NAME}.json"
_DIGITS = 5


def run(protocol: Protocol, cache: Path, *, deadline: float | None = None, table: Path | None = None) -> dict[str, Any]:
    """The stored result. table: where every lesion's probabilities go. Raises KeyboardInterrupt when time is over."""
    described = freeze(protocol, cache)
    pieces = list_pieces(protocol, cache)
    work_off(pieces, cache, deadline=deadline)
    folders = [run_of(cache, arm.name) for arm in protocol.arms] + [run_of(cache, HANDCRAFTED)]
    comparison = compare_runs([one for folder in folders for one in load_candidates(folder)])
    if table is not None:
        write_whole(table, tabulate(comparison).write_csv())
    first = comparison.candidates[0].table
    return {
        "protocol": described,
        "digest": digest(described),
        "lesions": first.height,
        "malignant": int(first["malignant"].sum()),
        "patients": first["patient"].n_unique(),
        **describe(comparison),
        "hours": count_hours(cache, pieces),
        "machine": platform.machine(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


def tabulate(comparison: Comparison) -> pl.DataFrame:
    """A row per lesion: whose, truth, fold, and each candidate's probability by CC and by MLO."""
    found = comparison.candidates[0].table.select(*KEYS, "malignant", "fold")
    for one in comparison.candidates:
        found = found.join(_own_columns(one), on=KEYS, how="left")
    return found.sort(KEYS)


def _own_columns(one: Candidate) -> pl.DataFrame:
    columns = (("p_cc", "CC"), ("p_mlo", "MLO"))
    return one.table.select(*KEYS, *(pl.col(name).round(_DIGITS).alias(f"{one.name}: {to}") for name, to in columns))


def show(result: dict[str, Any]) -> str:
    """The tables, in Markdown."""
    return join(_tables(result))


def _tables(result: dict[str, Any]) -> Iterator[str]:
    protocol = result["protocol"]
    yield (
        f"protocol {protocol['name']}, {result['digest'][:12]}; {protocol['exams']:,} exams, seed {protocol['seed']}, "
        f"scale {protocol['scale']:g}; {result['lesions']:,} masses of {result['patients']:,} patients, "
        f"{result['malignant']:,} malignant"
    )
    yield area_table(result["rows"])
    yield added_table(result["rows"])
    yield difference_table(result["differences"])
    yield from result["notes"]
    yield from (f"Changed after the protocol was frozen: {note}" for note in protocol["amended"])
    yield hours_table(result["hours"], title="done")


def main(words: Sequence[str] | None = None) -> None:
    parser = make_parser(NAME, "Lesion networks on frozen phantom masses.", seed=None, jobs=None)
    parser.add_argument("--cache", type=Path, help="folder for the population, runs and numbers; it is gone on with")
    parser.add_argument("--hours", type=float, help="stop in good order after so many hours")
    parser.add_argument("--pilot", action="store_true", help="small, on other women")
    parser.add_argument("--estimate", action="store_true", help="only measure what it would take")
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("fourview").setLevel(logging.WARNING)
    try:
        sys.stdout.write(_answer(given, PILOT if given.pilot else REAL))
    except SetupError as error:
        sys.stderr.write(f"{NAME}: {error}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        sys.stderr.write(f"{NAME}: stopped; what is done stays: the same command goes on\n")
        raise SystemExit(INTERRUPTED) from None


def _answer(given: argparse.Namespace, protocol: Protocol) -> str:
    if given.estimate:
        with tempfile.TemporaryDirectory() as folder:
            return hours_table(estimate_hours(protocol, Path(folder)), title=f"{protocol.name}, at most") + "\n"
    if not given.show and given.cache is None:
        raise SetupError("found no --cache, need a folder that is gone on with (or --show, --estimate)")
    deadline = None if given.hours is None else time.monotonic() + 3600 * given.hours
    table = None if given.out is None else given.out.with_suffix(".csv")
    measure = lambda: run(protocol, given.cache, deadline=deadline, table=table)  # noqa: E731 - as find_result asks
    return show(find_result(given, NAME, STORED, measure))


if __name__ == "__main__":
    main()
