"""Every lesion of a store through its networks, image by image; a run that was stopped goes on.

OUT/parts/KEY.npz: one lesion. KEY: the image's pixels, the outline, the networks, how they are asked.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fourview.exam import ExamError, SetupError
from fourview.studies.lesion.cases import LesionView
from fourview.studies.lesion.signs.cases import AskedLesion
from fourview.studies.lesion.signs.read import LesionLens, LesionSeen, UnitsSeen
from fourview.studies.lesion.signs.zones import Shares
from fourview.whole_files import remove_parts, write_whole

PARTS = "parts"
_VERSION = 2  # raised when what is kept changes


@dataclass(frozen=True, eq=False)
class Seen:
    """Lesions that could be read, and what came of each; problems: (lesion image, why not) of the others."""

    cases: tuple[AskedLesion, ...]
    found: tuple[LesionSeen, ...]
    problems: tuple[tuple[str, str], ...]

    @property
    def views(self) -> tuple[LesionView, ...]:
        return tuple(case.view for case in self.cases)


def collect_seen(
    lens: LesionLens,
    cases: Sequence[AskedLesion],
    out: Path,
    *,
    seed: int,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Seen:
    """All lesions; those that an earlier run left in OUT/parts are taken.

    seed     of the lens, for the names of the parts
    on_step  lesions done, total; may raise

    Raises SetupError if no lesion can be read; OSError if OUT cannot be written.
    """
    if lens.store is None:
        raise ValueError("found no store to read lesions from")
    folder = out / PARTS
    folder.mkdir(parents=True, exist_ok=True)
    remove_parts(folder)
    pixels = dict(lens.store.images.select("image", "pixels_sha256").iter_rows())
    kept, found, problems = [], [], []
    for number, case in enumerate(cases):
        try:
            path = folder / f"{_make_key(lens, case, pixels[case.view.image], seed=seed)}.npz"
            seen = _read(path)
            if seen is None:
                seen = lens.read(case.view, case.networks)
                _write(path, seen)
        except ExamError as error:
            problems.append((case.view.name, str(error)))
            on_step(number + 1, len(cases))
            continue
        kept.append(case)
        found.append(seen)
        on_step(number + 1, len(cases))
    if not kept:
        raise SetupError(f"{lens.store.path}: found no lesion that could be read; the first: {problems[0][1]}")
    return Seen(tuple(kept), tuple(found), tuple(problems))


def _make_key(lens: LesionLens, case: AskedLesion, pixels: str, *, seed: int) -> str:
    view = case.view
    box = [view.box.top, view.box.bottom, view.box.left, view.box.right]
    networks = [lens.card.members[place].sha256 for place in case.networks]
    mask = b"" if lens.store is None else lens.store.read_masks(view.image, view.box)[view.lesion].tobytes()
    outline = hashlib.sha256(mask).hexdigest()
    said = [_VERSION, view.name, box, outline, pixels, networks, case.networks, list(lens.methods), seed]
    return f"seen-{hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]}"


def _write(path: Path, seen: LesionSeen) -> None:
    names = list(seen.shares)
    arrays = {
        "said": np.array([seen.p, seen.logit]),
        "names": np.array(names),
        "shares": np.array([[s.core, s.margin, s.outside, s.lesion] for s in seen.shares.values()]),
        "networks": np.array(list(seen.units)),
    }
    for network, units in seen.units.items():
        arrays |= {
            f"highest_{network}": units.highest,
            f"cells_{network}": units.cells,
            f"seen_{network}": units.seen,
            f"drawn_{network}": units.seen_drawn,
        }
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type] # numpy types allow_pickle only
    write_whole(path, content.getvalue())


def _read(path: Path) -> LesionSeen | None:
    """None where there is none, or one that a failing disk has cut short."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            p, logit = (float(value) for value in arrays["said"])
            shares = {
                str(name): Shares(*(float(value) for value in own))
                for name, own in zip(arrays["names"], arrays["shares"], strict=True)
            }
            units = {
                int(network): UnitsSeen(
                    *(arrays[f"{what}_{network}"] for what in ("highest", "cells", "seen", "drawn"))
                )
                for network in arrays["networks"]
            }
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None
    return LesionSeen(p, logit, shares, units)
