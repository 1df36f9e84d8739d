"""`python -m benchmarks.leak_audit`: does the leak audit find planted copies, and nothing else?

    python -m benchmarks.leak_audit [--mini-mias FOLDER] [--women 440] [--copies 200] [--seed 20261122] [--out FILE]

Quarter-scale phantom exams (four views of each woman) and, where given, the films of mini-MIAS, cropped as `fourview
data prepare` does. Of random images a copy is added: one to five of mirrored, scaled by 0.5 to 1.5, re-windowed to
8 bits (gamma 0.5 to 2, up to 2 % of the tissue clipped at either end), JPEG of quality 50 to 90, cut by up to 5 % a
side; all five equally likely. The audit must find every copy, no pair of a woman's two breasts, and at most one
false pair in a million.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.crop import crop_breast
from fourview.ingest.mini_mias import find_mini_mias
from fourview.ingest.sources import IngestOptions
from fourview.phantom import draw_exam
from fourview.store.candidates import find_candidates
from fourview.store.copies import Copies, find_copies
from fourview.store.fingerprint import WHOLE, shrink
from fourview.store.registration import LEAST_AGREEMENT, register
from fourview.whole_files import write_whole

SEED = 20261122
SCALE = 0.25
MANY = 8000  # pictures of noise, for the time of the search alone, which grows with the square of their number
WAYS = ("cut", "mirrored", "scaled", "windowed", "jpeg")  # in the order in which they are applied
STORED = Path(__file__).parent / "results" / "leak_audit.json"

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


def draw_phantoms(women: int, *, seed: int = SEED) -> Iterator[tuple[str, Pixels]]:
    """(name, crop) of four images per woman; the name is "woman view"."""
    for number in range(women):
        exam = draw_exam(np.random.default_rng([seed, 1, number]), scale=SCALE).to_exam()
        for mammogram in exam.mammograms:
            crop = crop_breast(mammogram, iterations=round(100 * SCALE), buffer_px=round(50 * SCALE))
            yield f"phantom-{number:04d} {mammogram.view}", crop.pixels


def read_films(folder: Path) -> Iterator[tuple[str, Pixels]]:
    """(name, crop) of the films of mini-MIAS; the name is "pair view"."""
    for number, source in enumerate(find_mini_mias(folder, IngestOptions()).exams):
        for mammogram in source.read().mammograms:
            yield f"film-{number:04d} {mammogram.view}", crop_breast(mammogram).pixels


def plant_copy(pixels: Pixels, ways: tuple[str, ...], rng: np.random.Generator) -> Pixels:
    """The picture changed in these ways, each to a random degree."""
    white = np.iinfo(pixels.dtype).max
    copy: NDArray[Any] = pixels
    if "cut" in ways:
        rows, cols = copy.shape
        top, bottom, left, right = rng.uniform(0, 0.05, 4)
        copy = copy[int(top * rows) : rows - int(bottom * rows), int(left * cols) : cols - int(right * cols)]
    if "mirrored" in ways:
        copy = copy[:, ::-1]
    if "scaled" in ways:
        factor = float(rng.uniform(0.5, 1.5))
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        copy = cv2.resize(np.ascontiguousarray(copy), None, fx=factor, fy=factor, interpolation=method)
    if "windowed" in ways:
        gamma = float(np.exp(rng.uniform(np.log(0.5), np.log(2))))
        share = copy / white
        low, high = np.quantile(share[copy > 0], [rng.uniform(0, 0.02), 1 - rng.uniform(0, 0.02)])
        grey = np.maximum(np.rint(255 * np.clip((share - low) / (high - low), 0, 1) ** gamma), 1)
        copy, white = np.where(copy > 0, grey, 0).astype(np.uint8), 255
    if "jpeg" in ways:
        grey = np.rint(copy / (white / 255)).astype(np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 91))]
        copy = np.asarray(cv2.imdecode(cv2.imencode(".jpg", grey, quality)[1], cv2.IMREAD_GRAYSCALE), np.uint8)
    return np.ascontiguousarray(copy)


def plant_copies(images: dict[str, Pixels], copies: int, rng: np.random.Generator) -> dict[str, tuple[str, ...]]:
    """`copies` more images, each of another picture: their names ("copy of NAME") and in which ways they differ."""
    originals = sorted(images)
    planted = {}
    for place in rng.choice(len(originals), copies, replace=False):
        chosen = rng.choice(len(WAYS), int(rng.integers(1, len(WAYS) + 1)), replace=False)
        ways = tuple(WAYS[i] for i in sorted(chosen))
        name = f"copy of {originals[place]}"
        planted[name] = ways
        images[name] = plant_copy(images[originals[place]], ways, rng)
    return planted


def judge(found: Copies, images: dict[str, Pixels], planted: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """How many copies were found, and what else was. Pairs of one woman: left and right, CC and MLO, not her copies."""
    pairs = {frozenset((pair.first, pair.second)): pair for pair in found.pairs}
    true = {frozenset((name, name.removeprefix("copy of "))) for name in planted}
    false = sorted(sorted(pair) for pair in pairs.keys() - true)
    compared = len(images) * (len(images) - 1) // 2
    women = Counter(map(_woman, images))
    return {
        "images": len(images),
        "pairs": compared,
        "copies": len(planted),
        "found": len(true & pairs.keys()),
        "missed": {min(pair): planted[min(pair)] for pair in sorted(true - pairs.keys(), key=sorted)},
        "false_pairs": false,
        "false_pairs_per_million": 1e6 * len(false) / compared,
        "pairs_of_one_woman": sum(n * (n - 1) // 2 for n in women.values()) - len(true),
        "found_of_one_woman": sum(_woman(first) == _woman(second) for first, second in false),
        "least_agreement_of_a_copy": min(
            (pair.match.agreement for key, pair in pairs.items() if key in true and pair.match is not None),
            default=None,
        ),
        "candidates_per_image": found.candidates / len(images),
        "seconds": {step: round(seconds, 2) for step, seconds in found.seconds.items()},
        "ms_per_image": 1000 * sum(found.seconds.values()) / len(images),
    }


def agree_most(images: dict[str, Pixels]) -> tuple[int, float, list[str]]:
    """Pairs of images of one woman, none of them a copy, all registered: how many, the greatest agreement, of which."""
    pictures = {name: shrink(pixels) for name, pixels in images.items() if not name.startswith("copy of ")}
    groups = itertools.groupby(sorted(pictures), key=_woman)
    pairs = [pair for _, names in groups for pair in itertools.combinations(names, 2)]
    agreements = [register(pictures[a], pictures[b], turn=(False, False), cut=WHOLE).agreement for a, b in pairs]
    return len(pairs), max(agreements), list(pairs[int(np.argmax(agreements))])


def _woman(name: str) -> str:
    return name.removeprefix("copy of ").split()[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leak_audit", description="Planted copies, found?")
    parser.add_argument("--mini-mias", type=Path, help="folder with Info.txt and images/, to be added")
    parser.add_argument("--women", type=int, default=440, help="phantom exams, of four images each")
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--show", action="store_true", help="only print the stored result")
    given = parser.parse_args()
    if given.show:
        sys.stdout.write(STORED.read_text())
        return
    cv2.setNumThreads(1)
    started = time.perf_counter()
    images = dict(draw_phantoms(given.women, seed=given.seed))
    phantoms = len(images)
    if given.mini_mias is not None:
        images |= read_films(given.mini_mias)
    films = len(images) - phantoms
    planted = plant_copies(images, given.copies, np.random.default_rng([given.seed, 2]))
    drawn = time.perf_counter()
    found = find_copies(sorted(images), images.__getitem__)
    own_pairs, agreement, whose = agree_most(images)
    searched = time.perf_counter()
    find_candidates(list(np.random.default_rng(given.seed).integers(0, 256, (MANY, 2, 64, 64), dtype=np.uint8)))
    searched = time.perf_counter() - searched
    words = shlex.join(["FOLDER" if word == str(given.mini_mias) else word for word in sys.argv[1:]])
    result = {
        "command": f"python -m benchmarks.leak_audit {words}".strip(),
        "seed": given.seed,
        "phantoms": phantoms,
        "films": films,
        **judge(found, images, planted),
        "registered_pairs_of_one_woman": own_pairs,
        "their_greatest_agreement": agreement,
        "between": whose,
        "needed_agreement": LEAST_AGREEMENT,
        f"search_seconds_of_{MANY}": round(searched, 1),
        "drawing_seconds": round(drawn - started, 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "load_before": round(os.getloadavg()[0], 1),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "opencv": cv2.__version__},
    }
    text = json.dumps(result, indent=2) + "\n"
    if given.out is not None:
        write_whole(given.out, text)
    sys.stdout.write(text)
    clean = result["found"] == given.copies and result["false_pairs_per_million"] <= 1
    raise SystemExit(0 if clean and not result["found_of_one_woman"] else 1)


if __name__ == "__main__":
    main()
