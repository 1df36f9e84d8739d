"""Masks in files lie on the findings in the pixels of the files, as a reader gets both, for every unit."""

from __future__ import annotations

import csv
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest

from fourview.ingest import read_exam
from fourview.phantom import PROFILES, Recipe, load_recipe, plan_exam
from fourview.phantom.acquisition import draw_setup
from fourview.phantom.folder import draw_folder
from fourview.phantom.ring import measure_ring_contrast

UNITS = [
    (name, mirrored)
    for name, profile in PROFILES.items()
    for mirrored in (False, True)[: 1 + bool(profile.mirrored_share)]
]


def find_exam(recipe: Recipe, profile: str, *, mirrored: bool) -> int:
    """The first exam that is stored this way and shows at least two masses."""
    for index in count():
        plan = plan_exam(recipe, seed=0, index=index)
        setup = draw_setup(PROFILES[profile], [plan.acquisition_key, 3])
        if setup.mirrored == mirrored and sum(f.visible and f.kind == "mass" for f in plan.findings) >= 2:
            return index
    raise AssertionError


@pytest.mark.parametrize(("profile", "mirrored"), UNITS)
def test_masses_in_files_are_bright_under_their_masks_and_not_at_the_mirrored_place(
    profile: str, mirrored: bool, tmp_path: Path
) -> None:
    recipe = load_recipe("enriched", difficulty="easy").model_copy(update={"name": "one", "profiles": {profile: 1.0}})
    index = find_exam(recipe, profile, mirrored=mirrored)
    film = PROFILES[profile].film
    draw_folder(recipe, tmp_path, exams=1, start=index, scale=0.12, files="png" if film else "dicom")
    found = {str(m.view): m for m in read_exam(tmp_path / f"exam_{index:06d}").mammograms}
    assert {m.faces == m.view.usual_direction for m in found.values()} == {not mirrored}
    own, turned = [], []
    for row in csv.DictReader((tmp_path / "masks.csv").read_text().splitlines()):
        if row["kind"] == "mass":
            mask = cv2.imread(str(tmp_path / row["mask"]), cv2.IMREAD_GRAYSCALE) > 0
            light = found[row["view"]].pixels.astype(np.float32)
            own.append(measure_ring_contrast(light, mask))
            turned.append(measure_ring_contrast(light, np.ascontiguousarray(mask[:, ::-1])))
    assert len(own) >= 3
    assert min(own) > 0
    assert np.mean(own) > 3 * max(np.mean(turned), 0)
