"""Does the malignant map point at the cancer: the right exams are taken, maps are screen's, hits are counted right."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from benchmarks import phantom_localisation
from benchmarks.phantom_localisation import STORED, judge, measure
from benchmarks.phantom_localisation_exams import NO_PIXELS, cancer_views, choose_planned, find_cancer, why_not
from benchmarks.phantom_localisation_maps import (
    BLOBS,
    RANDOM_SEEDS,
    TRAINED,
    find_patch_weights,
    map_blobs,
    name_random,
    open_observers,
)
from benchmarks.phantom_localisation_marks import APART_MM, Observe, ObservedExam, find_marks, join_marks, observe
from benchmarks.phantom_localisation_pictures import draw_pictures
from benchmarks.phantom_localisation_table import localisation_table
from benchmarks.phantom_views import see

from fourview.exam import Heatmap, SetupError, Side, View
from fourview.phantom import PlannedExam, Truth, load_recipe, plan_exam
from fourview.screen import Screener
from fourview.weights.ensemble import save_ensemble
from fourview.weights.folder import load_card, load_weights, save_weights
from fourview.weights.home import resolve
from fourview.weights.untrained import write_untrained

DOCS = Path(__file__).parents[1] / "docs" / "training.md"
SCALE, SEED = 0.1, 17
RECIPE = load_recipe("training")
OBSERVERS = (TRAINED, BLOBS, *(name_random(seed) for seed in RANDOM_SEEDS))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network with heatmaps, and its patch network."""
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    write_untrained(folder, scale=SCALE)
    return folder


@pytest.fixture(scope="module")
def taken() -> list[Truth]:
    """The first exams that the plan allows, drawn."""
    work = Observe(Path("none"), RECIPE, SEED, SCALE, "cpu")
    return [work.draw(index) for index in islice(choose_planned(RECIPE, seed=SEED, wanted=9, passed_over=Counter()), 4)]


def flat_map(shape: tuple[int, int], value: float = 0.2) -> np.ndarray:
    return np.full(shape, value, np.float32)


def as_heatmap(malignant: np.ndarray) -> Heatmap:
    return Heatmap.from_arrays(malignant=malignant.astype(np.float32), benign=np.zeros(malignant.shape, np.float32))


def point_at(truth: Truth, *, cancer: bool, mirrored: bool = False) -> dict[View, Heatmap]:
    """Maps that are high exactly in the malignant finding, or in everything else that was painted."""
    place, maps = find_cancer(truth.plan), {}
    for image in truth.drawn.images:
        found = flat_map(image.pixels.shape)
        for (view, number), mask in truth.masks.items():
            if view is image.view and (number == place) is cancer:
                found[mask[:, ::-1] if mirrored else mask] = 0.9
        maps[image.view] = as_heatmap(found)
    return maps


def said_by_all(maps: Mapping[View, Heatmap] | str) -> dict[str, Mapping[View, Heatmap] | str]:
    return dict.fromkeys(OBSERVERS, maps)


# which exams


def allowed_plan() -> PlannedExam:
    index = next(choose_planned(RECIPE, seed=SEED, wanted=9, passed_over=Counter()))
    return plan_exam(RECIPE, seed=SEED, index=index)


def test_an_exam_is_taken_for_one_cancer_that_shows_with_something_benign_beside_it() -> None:
    plan = allowed_plan()
    assert why_not(plan) is None
    place = find_cancer(plan)
    cancer = plan.findings[place]
    others = plan.findings[:place] + plan.findings[place + 1 :]
    benign = replace(cancer, malignant=False)
    faint = replace(benign, contrast=0.99 * cancer.contrast)
    other_sort = "mass" if cancer.kind == "calcifications" else "calcifications"
    other_side = Side.LEFT if cancer.side is Side.RIGHT else Side.RIGHT
    for findings, reason in (
        (others, "no malignant finding"),
        ((*plan.findings, replace(cancer, visible=False)), "several malignant findings"),
        ((*others, replace(cancer, visible=False)), "its cancer is occult"),
        ((*others, replace(cancer, biopsied=False)), "its cancer is biopsied after another exam"),
        ((cancer,), "nothing benign shows in its breast"),
        ((cancer, replace(benign, visible=False)), "nothing benign shows in its breast"),
        ((cancer, replace(benign, side=other_side)), "nothing benign shows in its breast"),
        ((cancer, faint), "nothing benign in its breast is as conspicuous"),
        ((cancer, replace(benign, kind=other_sort)), "nothing benign in its breast is as conspicuous"),
    ):
        assert why_not(replace(plan, findings=tuple(findings))) == reason
    assert why_not(replace(plan, findings=(benign, cancer))) is None
    assert why_not(replace(plan, findings=(faint, cancer)), "any") is None


def test_the_stream_is_gone_through_in_order_and_nothing_is_lost() -> None:
    passed: Counter[str] = Counter()
    indices = list(islice(choose_planned(RECIPE, seed=SEED, wanted=9, passed_over=passed), 6))
    assert indices == [i for i in range(indices[-1] + 1) if why_not(plan_exam(RECIPE, seed=SEED, index=i)) is None]
    assert passed.total() + len(indices) == indices[-1] + 1


def test_of_one_woman_only_one_exam_is_taken() -> None:
    twice = RECIPE.model_copy(
        update={
            "women": RECIPE.women.model_copy(update={"rounds": 2}),
            "biopsies": RECIPE.biopsies.model_copy(update={"exams": 0.5}),
            "history": RECIPE.history.model_copy(update={"untreated": 1.0}),
        }
    )
    passed: Counter[str] = Counter()
    indices = list(islice(choose_planned(twice, seed=SEED, wanted=9, passed_over=passed), 20))
    patients = [plan_exam(twice, seed=SEED, index=i).patient for i in indices]
    assert len(set(patients)) == len(patients)
    assert passed["its cancer is biopsied after another exam"] > 0


def test_a_population_without_cancers_is_refused() -> None:
    none = RECIPE.model_copy(update={"biopsies": RECIPE.biopsies.model_copy(update={"exams": 0.0})})
    with pytest.raises(SetupError, match="found too few with one malignant finding that shows; need 1"):
        next(choose_planned(none, seed=SEED, wanted=1, passed_over=Counter()))


# the maps


@pytest.mark.slow
def test_maps_are_those_that_screen_shows_beside_its_readings(weights: Path, taken: list[Truth]) -> None:
    exam = taken[0].drawn.to_exam()
    shown = Screener.load(weights, device="cpu", jitter=0).read(exam).heatmaps
    found = open_observers(weights, "cpu").map_exam(exam)
    assert list(found) == [name for name in OBSERVERS if name != BLOBS]
    for view, heatmap in shown.items():
        for finding in ("benign", "malignant"):
            np.testing.assert_array_equal(found[TRAINED][view][finding], heatmap[finding])
            assert not np.array_equal(found[name_random(0)][view][finding], found[name_random(1)][view][finding])


def test_a_patch_network_alone_and_that_of_an_ensemble_are_found_and_none_is_refused(
    weights: Path, tmp_path: Path
) -> None:
    loaded = load_weights(weights)
    assert loaded.patch is not None
    alone = save_weights(
        tmp_path / "alone", loaded.card.model_copy(update={"exam": None}), patch=loaded.patch.state_dict()
    )
    assert find_patch_weights(str(tmp_path / "alone")) == tmp_path / "alone"
    assert alone.patch_hash == loaded.card.patch_hash
    write_untrained(tmp_path / "image", scale=SCALE, heatmaps=False)
    save_ensemble(tmp_path / "both", [tmp_path / "image", weights], name="both")
    assert find_patch_weights(str(tmp_path / "both")).name == "member_2"
    write_untrained(tmp_path / "other", scale=SCALE, seed=1)
    save_ensemble(tmp_path / "differing", [weights, tmp_path / "other"], name="differing")
    for name, count in (("image", 0), ("differing", 2)):
        with pytest.raises(SetupError, match=f"found {count} different patch networks in it, need one"):
            find_patch_weights(str(tmp_path / name))


def test_the_blob_map_lies_where_the_file_has_its_pixels(taken: list[Truth]) -> None:
    exam = taken[0].drawn.to_exam()
    assert {m.faces for m in exam.mammograms} == {"left", "right"}
    for image, mammogram in zip(taken[0].drawn.images, exam.mammograms, strict=True):
        answers = map_blobs(see(image), image)["malignant"]
        assert answers.any()
        assert (mammogram.pixels[answers > 0] > 0).mean() > 0.99


# marks


def test_a_mark_is_the_middle_of_a_plateau_and_knows_nothing_of_the_mask() -> None:
    values = flat_map((300, 200))
    values[96:136, 40:120] = 0.8  # its middle: row 115 or 116, column 79 or 80
    grazed = np.zeros(values.shape, bool)
    grazed[100:132, 40:60] = True
    middle = np.zeros(values.shape, bool)
    middle[113:119, 77:83] = True
    for mask, hits in ((grazed, False), (middle, True), (None, False)):
        mark = find_marks(as_heatmap(values), mask, view=View.L_CC, spacing_mm=0.7)[0]
        assert mark.value == pytest.approx(0.8)
        assert abs(mark.row - 115.5) < 1
        assert abs(mark.col - 79.5) < 1
        assert mark.hits is hits


def test_of_maxima_nearer_than_a_patch_only_the_higher_is_a_mark() -> None:
    apart_px = round(APART_MM / 0.7)
    values = flat_map((300, 200), 0.0)
    values[50, 50], values[50 + apart_px // 2, 50], values[50 + 3 * apart_px, 50] = 0.9, 0.8, 0.7
    marks = [m for m in find_marks(as_heatmap(values), None, view=View.L_CC, spacing_mm=0.7) if m.value > 0.1]
    assert [(m.row, m.col) for m in marks] == [(50, 50), (50 + 3 * apart_px, 50)]


def test_maps_that_point_at_the_cancer_hit_every_time_and_others_never(taken: list[Truth]) -> None:
    exams = [
        observe(truth, said_by_all(point_at(truth, cancer=False)) | {TRAINED: point_at(truth, cancer=True)})
        for truth in taken
    ]
    rows = {row["observer"]: row for row in judge(exams)}
    assert rows[TRAINED]["hits"]["positives"] == len(taken)
    assert [found["value"] for found in rows[TRAINED]["froc"]] == [1.0] * 4
    assert all(rows[name]["hits"]["positives"] == 0 for name in OBSERVERS if name != TRAINED)
    assert all(row["passes"] for row in rows.values())
    assert rows[TRAINED]["images"] == 4 * len(taken)


def test_a_map_that_was_mirrored_is_seen_to_miss(taken: list[Truth]) -> None:
    exams = [observe(truth, said_by_all(point_at(truth, cancer=True, mirrored=True))) for truth in taken]
    row = judge(exams)[0]
    assert row["hits"]["positives"] == 0
    assert row["passes"] is False


def test_only_the_breast_of_the_cancer_is_asked_and_the_others_marks_are_false(taken: list[Truth]) -> None:
    truth = taken[0]
    maps = point_at(truth, cancer=True)
    side = truth.findings[find_cancer(truth.plan)].side
    for view in View:
        if view.side is not side:
            values = flat_map(maps[view].source_shape)
            values[100:110, 60:70] = 0.99
            maps[view] = as_heatmap(values)
    exam = observe(truth, said_by_all(maps))
    assert exam.is_hit(TRAINED)
    marked = join_marks([exam], TRAINED)
    assert (marked.mark_score[marked.false_positives] > 0.98).sum() == 2
    assert judge([exam])[0]["froc"][0]["value"] == 0.0  # at 0.125 false marks; the two higher ones come first
    assert judge([exam])[0]["froc"][2]["value"] == 1.0


def test_an_exam_that_the_network_cannot_read_is_missed_and_not_left_out(taken: list[Truth]) -> None:
    read = observe(taken[0], said_by_all(point_at(taken[0], cancer=True)))
    unread = observe(taken[1], said_by_all("too small") | {BLOBS: point_at(taken[1], cancer=True)})
    row = judge([read, unread])[0]
    assert (row["hits"]["positives"], row["hits"]["n"], row["unread"]) == (1, 2, 1)
    assert row["froc"][-1]["value"] == 0.5
    assert unread.problem == "too small"


def test_the_share_of_chance_is_the_findings_part_of_its_breast(taken: list[Truth]) -> None:
    exam = observe(taken[0], said_by_all("none") | {BLOBS: point_at(taken[0], cancer=True)})
    place = find_cancer(taken[0].plan)
    images = [i for i in taken[0].drawn.images if i.view.side is exam.side]
    masks = sum(int(taken[0].masks[i.view, place].sum()) for i in images if i.view in exam.shown_in)
    breasts = sum(int(see(i).breast.sum()) for i in images)
    assert exam.shown_in == cancer_views(taken[0])
    assert exam.share == pytest.approx(masks / breasts, rel=0.1)


# the whole of it


@pytest.fixture(scope="module")
def small(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    folder = tmp_path_factory.mktemp("out") / "pictures"
    return measure(str(weights), recipe=RECIPE, exams=2, seed=SEED, scale=SCALE, device="cpu", pictures=folder), folder


def test_a_small_run_says_what_was_taken_and_passed_over(small: tuple[dict, Path]) -> None:
    result, _ = small
    assert json.loads(json.dumps(result, allow_nan=False))["seed"] == SEED
    assert sum(result["passed_over"].values()) + result["exams"] == result["planned"]
    assert [row["observer"] for row in result["rows"]] == list(OBSERVERS)
    assert [case["index"] for case in result["cases"]] == sorted(case["index"] for case in result["cases"])
    for row in result["rows"]:
        hits = sum(bool(case["peaks"][row["observer"]]["hits"]) for case in result["cases"])
        assert hits == row["hits"]["positives"]
    assert "/" not in result["command"].replace("benchmarks.", "")
    assert "tiny" in result["command"]


def test_the_table_has_a_row_per_observer_and_says_who_fails(small: tuple[dict, Path]) -> None:
    result, _ = small
    lines = localisation_table(result).splitlines()
    assert len(lines) == 2 + len(OBSERVERS) + 1
    assert {line.count("|") for line in lines} == {8}
    result["rows"][0]["passes"] = False
    assert "at least 80%: FAILS" in localisation_table(result)


def test_pictures_show_the_breast_and_say_whether_it_was_hit(
    small: tuple[dict, Path], weights: Path, tmp_path: Path
) -> None:
    result, folder = small
    names = sorted(path.name for path in folder.iterdir())
    said = ["hit" if case["peaks"][TRAINED]["hits"] else "miss" for case in result["cases"]]
    assert names == [f"exam_{c['index']:05d}_{s}.png" for c, s in zip(result["cases"], said, strict=True)]
    picture = cv2.imread(str(folder / names[0]))
    orange = (picture == (30, 140, 255)).all(axis=2)
    assert orange.sum() > 20
    with pytest.raises(SetupError, match="need a new or empty folder"):
        draw_pictures(folder, Observe(weights, RECIPE, SEED, SCALE, "cpu"), ())


def test_exams_whose_finding_lies_outside_of_the_image_are_passed_over_and_others_taken(
    monkeypatch: pytest.MonkeyPatch, weights: Path
) -> None:
    def work(index: int) -> ObservedExam | None:
        calls.append(index)
        return None if len(calls) == 2 else made

    calls: list[int] = []
    made = Observe(weights, RECIPE, SEED, SCALE, "cpu")
    monkeypatch.setattr(phantom_localisation, "spread", lambda _, items, jobs: (work(i) for i in items))
    taken, passed = phantom_localisation.take_exams(made, wanted=3, jobs=1)
    assert len(taken) == 3
    assert passed[NO_PIXELS] == 1
    assert calls == list(islice(choose_planned(RECIPE, seed=SEED, wanted=3, passed_over=Counter()), 4))


def test_without_weights_there_is_nothing_to_measure_and_a_stored_failure_fails_again(
    small: tuple[dict, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["phantom_localisation"])
    with pytest.raises(SystemExit, match="2"):
        phantom_localisation.main()
    assert "need a weights folder" in capsys.readouterr().err
    (tmp_path / "stored.json").write_text(json.dumps(small[0] | {"passes": False}))
    monkeypatch.setattr(phantom_localisation, "STORED", tmp_path / "stored.json")
    monkeypatch.setattr(sys, "argv", ["phantom_localisation", "--show"])
    with pytest.raises(SystemExit, match="1"):
        phantom_localisation.main()
    assert "FAILS" in capsys.readouterr().out


@pytest.mark.skipif(not STORED.exists(), reason="no shipped patch network has been measured yet")
def test_the_stored_result_is_of_the_frozen_plan_and_in_the_docs() -> None:
    result = json.loads(STORED.read_text())
    assert (result["exams"], result["seed"], result["recipe"], result["difficulty"]) == (
        100,
        6000,
        "training",
        "medium",
    )
    assert result["hash"] == RECIPE.hash
    assert result["beside"] == "any"
    assert result["passes"] is all(row["passes"] for row in result["rows"])
    card = load_card(resolve("phantom-patch"))
    assert result["weights"]["patch_hash"] == card.patch_hash, "of other weights than those that ship"
    assert localisation_table(result) in DOCS.read_text()
