"""`fourview explain`: an exam's maps in its folder, their tests on their faces, resumed, refused where it must be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from fourview.cli import app
from fourview.exam import Exam, ExamError, SetupError, Side
from fourview.explain.exam_folder import load_maps
from fourview.explain.explain_exams import ExplainStep, explain_exams
from fourview.explain.explainer import Explainer, MapTests
from fourview.explain.store_exams import find_stored
from fourview.store.store import Store
from fourview.weights.folder import load_weights, save_weights
from tests.studies.small_weights import write_small
from tests.test_patch_network_alone import write_patch
from tests.test_screen import draw_exam
from tests.train.planted_set import LEVELS, make_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("planted")
    return make_store(folder / "store", folder / "pictures")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With windows that show the whole breasts of the store."""
    folder = tmp_path_factory.mktemp("weights")
    small = load_weights(write_small(folder / "small", wiring="image-wise"))
    geometry = small.card.geometry.model_copy(update={"window_cc_px": (320, 240), "window_mlo_px": (320, 240)})
    assert small.exam is not None
    save_weights(folder / "wide", small.card.model_copy(update={"geometry": geometry}), exam=small.exam.state_dict())
    return folder / "wide"


def run(store: Store, weights: Path, out: Path, *more: str) -> Result:
    words = ["explain", str(store.path), "--weights", str(weights), "--out", str(out), "--engine", "torch"]
    return CliRunner().invoke(app, [*words, *more])


def test_an_exam_of_a_store_is_what_its_files_were(store: Store) -> None:
    exams = {one.name: one for one in find_stored(store)}
    assert list(exams) == ["e0", "e1", "e2", "e3"]
    for name, found in exams.items():
        for mammogram in found.read().mammograms:
            file = store.path.parent / "pictures" / f"{name}_{mammogram.view.value}.png"
            drawn = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(mammogram.pixels[drawn > 0], drawn[drawn > 0])
            assert mammogram.pixels.shape == drawn.shape
            assert mammogram.faces == mammogram.view.usual_direction


def test_outlines_of_a_finding_stand_where_the_files_have_its_lesions(store: Store) -> None:
    exams = {one.name: one for one in find_stored(store)}
    found = {finding: exams["e2"].read_outlines(finding) for finding in ("malignant", "benign")}  # mirrored views
    (mammogram,) = exams["e2"].read().mammograms
    for finding, masks in found.items():
        np.testing.assert_array_equal(masks[mammogram.name], mammogram.pixels == LEVELS[finding])
    assert exams["e3"].read_outlines("benign") == {}  # a distractor was never biopsied


def test_a_store_is_explained_into_a_folder_per_exam(store: Store, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(store, weights, out, "--method", "gradient", "--most", "2")
    assert done.exit_code == 0, done.output
    assert "the numbers mean nothing" in done.output
    rows = pl.read_csv(out / "maps.csv")
    assert rows["map"].to_list() == ["left_malignant_L-CC", "right_malignant_R-CC", "right_malignant_R-CC"]
    assert rows["share_in_outlines"].null_count() == 2  # e0's L-CC alone has a malignant outline
    assert rows["deletion"].null_count() == 0
    summary = json.loads((out / "results.json").read_text())
    assert summary["kind"] == "explanation"
    first = out / "exams" / rows["exam"][0]
    page = (first / "report.html").read_text()
    assert "Left breast, CC view" in page
    assert "Research software" in page
    (found, *_) = load_maps(first).values()
    exam = next(iter(find_stored(store))).read()
    assert found.source_shape == exam.mammograms[0].pixels.shape
    picture = cv2.imread(str(first / "left_malignant_L-CC.png"))
    assert picture.shape[1] > 1200


def test_own_names_of_exams_are_shown_on_request_alone(store: Store, weights: Path, tmp_path: Path) -> None:
    quick = ("--method", "gradient", "--drawn", "0", "--no-curves", "--exam", "e2")
    for out, more in ((tmp_path / "hidden", ()), (tmp_path / "shown", ("--show-ids",))):
        assert run(store, weights, out, *quick, *more).exit_code == 0
        exam = next((out / "exams").iterdir())
        for page in (out / "report.html", exam / "report.html"):
            assert ("e2" in re.findall(r"\be2\b", page.read_text())) == bool(more)
    refused = run(store, weights, tmp_path / "hidden", *quick, "--show-ids")
    assert "made otherwise (own names of exams is shown)" in str(refused.exception)


def test_an_exam_that_the_store_does_not_have_is_named(store: Store, weights: Path, tmp_path: Path) -> None:
    refused = run(store, weights, tmp_path / "out", "--exam", "e2", "--exam", "e99")
    assert re.search(r"found no prepared image of the exam e99; need one of e0, ", str(refused.exception))
    assert not (tmp_path / "out").exists()


def test_the_same_command_goes_on_and_another_is_refused(store: Store, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    quick = ("--method", "gradient", "--drawn", "0", "--no-curves")
    assert run(store, weights, out, *quick).exit_code == 0
    folders = sorted((out / "exams").iterdir())
    before = (folders[0] / "maps.npz").stat().st_mtime_ns
    for file in folders[1].iterdir():
        file.unlink()
    folders[1].rmdir()
    assert run(store, weights, out, *quick).exit_code == 0
    assert (folders[0] / "maps.npz").stat().st_mtime_ns == before
    assert (folders[1] / "maps.npz").is_file()
    refused = run(store, weights, out, "--method", "ig", "--drawn", "0", "--no-curves")
    assert refused.exit_code != 0
    assert "made otherwise (method is ig)" in str(refused.exception)


def test_maps_that_were_not_tested_and_maps_that_fail_say_so(store: Store, weights: Path, tmp_path: Path) -> None:
    untested = tmp_path / "untested"
    quick = ("--method", "gradient", "--drawn", "0", "--no-curves", "--most", "1")
    assert run(store, weights, untested, *quick).exit_code == 0
    page = next((untested / "exams").iterdir()) / "report.html"
    assert "nothing says that this map shows what the network does" in page.read_text()
    tested = tmp_path / "tested"
    assert run(store, weights, tested, "--method", "gradient", "--no-curves", "--exam", "e2").exit_code == 0
    rows = pl.read_csv(tested / "maps.csv")
    folder = next((tested / "exams").iterdir())
    failed = bool(rows["fails"][0])
    assert ("THIS MAP FAILS" in (folder / "report.html").read_text()) == failed
    assert ("THIS MAP FAILS" in (folder / "results.json").read_text()) == failed


def test_a_patch_network_alone_is_explained_image_by_image(store: Store, tmp_path: Path) -> None:
    folder = write_patch(tmp_path / "patch", score=3)
    out = tmp_path / "out"
    done = run(store, folder, out, "--method", "gradcam", "--patches", "2", "--exam", "e2")
    assert done.exit_code == 0, done.output
    (name,) = pl.read_csv(out / "maps.csv")["map"].to_list()
    assert name == "right_malignant_R-MLO"
    (found,) = load_maps(next((out / "exams").iterdir())).values()
    assert found.inside.any()


def test_a_benign_finding_can_be_asked_for(weights: Path) -> None:
    explainer = Explainer(load_weights(weights), method="gradient", finding="benign", tests=None, engine="torch")
    explained = explainer.explain(draw_exam())
    assert [score.words for score in explained.scores] == [
        "log-odds of benign, left breast",
        "log-odds of benign, right breast",
    ]
    for score in explained.scores:
        assert {view.view.side for view in score.views} == {score.side}
        assert sum(view.share for view in score.views) == pytest.approx(1)
        assert all(not view.checks for view in score.views)


def test_outlines_of_the_other_breast_are_no_truth_for_a_score(tmp_path: Path) -> None:
    folder = write_small(tmp_path / "w", wiring="view-wise")
    explainer = Explainer(
        load_weights(folder), method="gradient", tests=MapTests(drawn=0, curves=False), engine="torch"
    )
    exam = draw_exam()
    outlines = {"L-CC": np.zeros(exam.mammograms[0].pixels.shape, bool)}
    outlines["L-CC"][150:250, 60:120] = True
    left, right = explainer.explain(exam, outlines=outlines).scores
    assert left.side is Side.LEFT
    assert [view.key for view in left.views if view.localisation] == ["L-CC"]
    assert not any(view.localisation for view in right.views)


def test_weights_of_phantoms_are_not_for_real_images(tmp_path: Path) -> None:
    folder = write_small(tmp_path / "w", phantoms_only=True)
    explainer = Explainer(load_weights(folder), method="gradient", tests=None, engine="torch")
    with pytest.raises(ExamError, match="trained on phantoms only"):
        explainer.explain(draw_exam())


def test_a_gate_needs_a_lesion_network(store: Store, weights: Path, tmp_path: Path) -> None:
    done = run(store, weights, tmp_path / "out", "--method", "gate")
    assert "need one with a gate" in str(done.exception)


def test_what_goes_wrong_in_one_exam_is_told_without_its_text(tmp_path: Path) -> None:
    """Text of an error may quote what a file says of a patient."""

    class Broken:
        exam_id, digest = "a", ""

        def read(self) -> Exam:
            raise ValueError("Jane Doe")

        def read_outlines(self, finding: str) -> dict[str, np.ndarray]:
            return {}

    explainer: Any = SimpleNamespace(finding="malignant", method="gradient", screener=SimpleNamespace(marks=()))
    steps: list[ExplainStep] = []
    with pytest.raises(SetupError, match="unexpected ValueError") as caught:
        explain_exams([Broken()], explainer, tmp_path / "out", settings=(), on_step=steps.append)
    assert "Jane" not in str(caught.value)
    assert "unexpected ValueError at test_explain_exams.py" in str(steps[-1].problem)


def test_files_of_no_exam_are_listed_and_the_others_are_explained(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for mammogram in draw_exam().mammograms:
        cv2.imwrite(str(folder / f"e1_{mammogram.view.value.replace('-', '_')}.png"), mammogram.pixels)
    (folder / "e1_L_CC_again.png").write_bytes(b"no picture")
    words = ["explain", str(folder), "--weights", str(weights), "--out", str(tmp_path / "out"), "--method", "gradient"]
    done = CliRunner().invoke(app, [*words, "--drawn", "0", "--no-curves", "--spacing-mm", "0.56", "--engine", "torch"])
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 1
    assert pl.read_csv(tmp_path / "out/maps.csv").height >= 4
    assert "e1_L_CC_again.png" in (tmp_path / "out/report.html").read_text()
