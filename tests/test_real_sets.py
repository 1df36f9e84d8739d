"""Real images through the command line: the sample exams and all development films of mini-MIAS."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fourview.cli import app
from fourview.weights.convert import convert_file
from fourview.weights.untrained import write_untrained


def screen(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["screen", *map(str, words)], catch_exceptions=False)
    return done.exit_code, done.output


def rows(file: Path) -> list[dict[str, str]]:
    with file.open() as table:
        return list(csv.DictReader(table))


@pytest.mark.slow
def test_the_sample_exams_are_read_right_and_the_partial_one_as_its_weights_can(
    shared: Path, key_weights: Path, tmp_path: Path
) -> None:
    convert_file(key_weights / "sample_image_model.p", kind="view-wise", out=tmp_path / "view")
    convert_file(key_weights / "ImageOnly__ModeImage_weights.p", kind="image-wise", out=tmp_path / "image")
    labels = shared / "data/nyu_sample_exams/labels.csv"

    words = [labels, "--mirrored", "auto", "--jitter", 0]
    status, output = screen(*words, "--weights", tmp_path / "view", "--out", tmp_path / "view_out")
    assert status == 1
    assert "L-MLO, R-MLO missing: found L-CC, R-CC" in output
    assert Counter(row["status"] for row in rows(tmp_path / "view_out/readings.csv")) == {"read": 4, "failed": 1}
    recorded = json.loads((shared / "goldens/gmic_exam0_pipeline.json").read_text())["predictions"]
    expected = recorded["view_split_image/augmentation=False/epochs=1"]
    first = rows(tmp_path / "view_out/upstream.csv")[0]
    assert {name: float(p) for name, p in first.items()} == pytest.approx(expected, abs=1e-4)

    status, _ = screen(*words, "--weights", tmp_path / "image", "--out", tmp_path / "image_out")
    assert status == 0
    readings = rows(tmp_path / "image_out/readings.csv")
    assert [row["views"] for row in readings][2:4] == ["L-CC", "R-CC"]
    faces = {}
    for file in (tmp_path / "image_out/exams").glob("*/reading.json"):
        for image in json.loads(file.read_text())["images"]:
            faces[image["name"]] = image["faces"], image["frame"]["mirrored"]
    assert {faces[f"{view}.png"] for view in ("L-CC", "L-MLO", "R-CC", "R-MLO")} == {("right", False)}
    assert faces["0_R-CC.png"] == faces["1_R_CC.png"] == ("left", True)


@pytest.mark.slow
def test_the_mirrored_sample_exam_is_refused_unless_the_pixels_may_decide(shared: Path, tmp_path: Path) -> None:
    write_untrained(tmp_path / "weights", wiring="view-wise", heatmaps=False, scale=0.25)
    folder = shared / "data/nyu_sample_exams/birads_density_exam"
    words = [folder, "--weights", tmp_path / "weights", "--jitter", 0, "--spacing-mm", 0.09]
    status, output = screen(*words, "--out", tmp_path / "refused")
    assert status == 1
    assert "--mirrored auto" in output
    assert screen(*words, "--mirrored", "auto", "--out", tmp_path / "read")[0] == 0


@pytest.mark.slow
def test_every_development_film_of_mini_mias_is_cropped_and_read_facing_the_right_way(
    shared: Path, tmp_path: Path
) -> None:
    write_untrained(tmp_path / "weights", wiring="image-wise", heatmaps=False, scale=0.25)
    out = tmp_path / "out"
    status, _ = screen(
        shared / "data/mini_mias", "--weights", tmp_path / "weights", "--jitter", 0, "--out", out, "--jobs", 2
    )
    assert status == 0
    images = [
        image for file in (out / "exams").glob("*/reading.json") for image in json.loads(file.read_text())["images"]
    ]
    assert len(images) == 242
    for image in images:
        left = int(image["name"][3:6]) % 2 == 0
        assert (image["view"], image["faces"]) == (("L-MLO", "right") if left else ("R-MLO", "left"))
        box = image["frame"]["box_source"]
        assert box["bottom"] - box["top"] > 300
        assert box["right"] - box["left"] > 150
