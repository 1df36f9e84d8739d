"""`python -m benchmarks.mechanism`: do the paper's ingredients help where we know that they could? Not evidence.

    OMP_NUM_THREADS=1 python -m benchmarks.mechanism --cache FOLDER [--only difficulty=medium] [--hours H] [--explore]
                                                     [--out benchmarks/results/mechanism.json]
    python -m benchmarks.mechanism --estimate        what it would take, measured on 40 exams
    python -m benchmarks.mechanism --cache FOLDER --pilot      small, one seed, other women: does anything learn at all?
    python -m benchmarks.mechanism --show            the stored tables, as in docs/mechanism.md

On phantoms whose cancers we planted, four contrasts, fixed beforehand (mechanism_protocol.py), three seeds each, at
three difficulties with the same women: heatmaps or none; BI-RADS pretraining or none; view-wise or image-wise; full
input or pixels of twice the size. Per difficulty 2,000 training exams, and so many test exams that 2,000 breasts have a
malignant finding. Every arm is trained by fourview's own stages for equally many steps of the exam stage, on one
patch network's heatmaps. Each test breast is read once by every network; AUCs are compared on the same breasts, with
intervals for other breasts and other seeds (mechanism_judge.py).

One process, one thread; for two processors start it twice with the same --cache: each takes what is free. Whatever ends
it (Ctrl-C, --hours, kill), the same command goes on. The protocol is frozen in the cache: with another one, or after a
change of the phantoms' code, it refuses to go on.
"""

from __future__ import annotations

import argparse
import logging
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import torch

from benchmarks.frozen import digest
from benchmarks.mechanism_estimate import estimate_hours
from benchmarks.mechanism_explore import explore
from benchmarks.mechanism_judge import judge
from benchmarks.mechanism_pieces import EXPLORED_AT, Place, list_pieces
from benchmarks.mechanism_protocol import PILOT, REAL, Protocol, digest_training, freeze
from benchmarks.mechanism_table import arm_table, contrast_table, explored_table, hours_table
from benchmarks.phantom_result import find_result, make_parser
from benchmarks.work import Piece, count_hours, count_stamps, is_done, work_off
from fourview.exam import SetupError

NAME = "mechanism"
STORED = Path(__file__).parent / "results" / f"{NAME}.json"
INTERRUPTED = 130


def run(
    protocol: Protocol,
    cache: Path,
    *,
    only: str | None = None,
    exploring: bool = False,
    deadline: float | None = None,
) -> dict[str, Any]:
    """The stored result, of the difficulties whose work is done. Raises KeyboardInterrupt when the deadline is over."""
    described = freeze(protocol, cache)
    pieces = list_pieces(protocol, cache, only=only, explore=exploring)
    work_off(pieces, cache, stamp=digest_training(), deadline=deadline)
    return summarise(protocol, cache, described)


def summarise(protocol: Protocol, cache: Path, described: dict[str, Any]) -> dict[str, Any]:
    """What is done so far, in numbers. described: the frozen protocol"""
    every = list_pieces(protocol, cache, explore=True)
    places = [Place(cache, protocol, d) for d in protocol.difficulties if _is_whole(every, d, cache)]
    more = _is_whole(every, EXPLORED_AT, cache, explored=True)
    return {
        "protocol": described,
        "digest": digest(described),
        "parts": [judge(place) for place in places],
        "explored": [
            row for place in places for row in explore(place, trained=more and place.difficulty == EXPLORED_AT)
        ],
        "hours": count_hours(cache, every),
        "training_code": count_stamps(cache, every),
        "machine": platform.machine(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


def _is_whole(pieces: Sequence[Piece], difficulty: str, cache: Path, *, explored: bool = False) -> bool:
    own = [p for p in pieces if p.name.startswith(f"{difficulty}/") and (p.kind == "explored") == explored]
    return bool(own) and all(is_done(piece.name, cache) for piece in own)


def show(result: dict[str, Any]) -> str:
    """The tables, in Markdown."""
    tables = [
        contrast_table(result),
        contrast_table(result, "benign"),
        arm_table(result),
        explored_table(result),
        hours_table(result["hours"], title="done"),
    ]
    protocol = result["protocol"]
    said = (
        f"protocol {protocol['name']}, {result['digest'][:12]}; positive test breasts {protocol['positives']}; "
        f"pieces of work by training code {result['training_code']}"
    )
    return "\n\n".join([*tables, said]) + "\n"


def main() -> None:
    parser = make_parser(NAME, "Four contrasts on frozen phantoms.", seed=None, jobs=None)
    parser.add_argument("--cache", type=Path, help="folder for populations, runs and scores; it is gone on with")
    parser.add_argument("--only", metavar="difficulty=D", help="work at one difficulty only")
    parser.add_argument("--hours", type=float, help="stop in good order after so many hours")
    parser.add_argument("--explore", action="store_true", help="also side-wise and joint, at medium, one seed")
    parser.add_argument("--pilot", action="store_true", help="small, on other women")
    parser.add_argument("--estimate", action="store_true", help="only measure what it would take")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("fourview").setLevel(logging.WARNING)
    protocol = PILOT if given.pilot else REAL
    try:
        sys.stdout.write(_answer(given, protocol))
    except SetupError as error:
        sys.stderr.write(f"mechanism: {error}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        sys.stderr.write("mechanism: stopped; what is done stays: the same command goes on\n")
        raise SystemExit(INTERRUPTED) from None


def _answer(given: argparse.Namespace, protocol: Protocol) -> str:
    if given.estimate:
        with tempfile.TemporaryDirectory() as folder:
            return hours_table(estimate_hours(protocol, Path(folder)), title=f"{protocol.name}, expected") + "\n"
    if not given.show and given.cache is None:
        raise SetupError("found no --cache, need a folder that is gone on with (or --show, --estimate)")
    deadline = None if given.hours is None else time.monotonic() + 3600 * given.hours
    only = _find_difficulty(given.only, protocol)
    result = find_result(
        given,
        NAME,
        STORED,
        lambda: run(protocol, given.cache, only=only, exploring=given.explore, deadline=deadline),
    )
    return show(result)


def _find_difficulty(only: str | None, protocol: Protocol) -> str | None:
    if only is None:
        return None
    difficulty = only.removeprefix("difficulty=")
    if difficulty not in protocol.difficulties:
        raise SetupError(f"--only: found {only!r}, need difficulty=D, one of {', '.join(protocol.difficulties)}")
    return difficulty


if __name__ == "__main__":
    main()
