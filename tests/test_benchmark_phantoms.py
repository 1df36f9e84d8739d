"""The benchmarks of the phantoms: what they measure is right, they find what is wrong, the docs hold their results."""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from benchmarks import phantom_gate, phantom_geometry, phantom_likeness, phantom_log_odds, phantom_result, phantom_speed
from benchmarks.phantom_features import FREQUENCIES, PIXEL_MM, fit_slope, measure, measure_spectrum
from benchmarks.phantom_gate import gate_table, judge_nuisance, judge_observers, judge_plans, run_gate
from benchmarks.phantom_observers import find_blobs, list_setup, measure_exam, ring_contrast, watch_lesion
from benchmarks.phantom_samples import Sample, draw_sample, read_samples
from benchmarks.phantom_views import Seen, find_breast, see

from fourview.exam import SetupError, View
from fourview.phantom import load_recipe, plan_exam
from fourview.phantom.chances import find_chances
from fourview.phantom.draw import draw_planned
from fourview.phantom.recipe import GENERATOR
from fourview.phantom.recipe_card import read_likeness
from fourview.phantom.signs import SIGNS

DOCS = Path(__file__).parents[1] / "docs" / "phantoms.md"
RESULTS = Path(phantom_gate.__file__).parent / "results"


def a_flat_view(light: np.ndarray, *, masks: tuple[np.ndarray, ...] = ()) -> Seen:
    return Seen(View.R_CC, light.astype(np.float32), light > 0, masks, 0.7)


def a_disc(row: int, col: int, radius: float, shape: tuple[int, int] = (200, 150)) -> np.ndarray:
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(y - row, x - col) <= radius


# what is measured


def test_the_blob_detector_answers_most_at_a_disc_and_hardly_at_the_skin() -> None:
    light = np.zeros((200, 150))
    light[20:180, :120] = 0.3
    disc = a_disc(100, 60, 5 / 0.7)
    light[disc] += 0.2
    blobs = find_blobs(a_flat_view(light))
    assert disc.ravel()[np.argmax(blobs * (light > 0))]
    assert blobs[100, 60] > 4 * blobs[30:170, 112:119].max()


def test_a_lesion_is_compared_with_the_breast_around_it_and_not_with_air() -> None:
    light = np.full((200, 150), 0.4)
    light[:, 66:] = 0
    mask = a_disc(100, 60, 6)
    assert ring_contrast(light, mask & (light > 0), light > 0) == pytest.approx(0)
    light[mask & (light > 0)] = 0.5
    assert ring_contrast(light, mask & (light > 0), light > 0) == pytest.approx(0.1)
    seen = a_flat_view(light, masks=(mask,))
    assert watch_lesion(seen, find_blobs(seen), mask)["size"] == (mask & (light > 0)).sum() * 0.7**2


def test_an_exam_is_measured_whole_and_its_measurements_survive_json() -> None:
    recipe = load_recipe("enriched")
    index = next(
        i for i in range(50) if any(f.biopsied and f.visible for f in plan_exam(recipe, seed=0, index=i).findings)
    )
    record = measure_exam(index, recipe, seed=0, scale=0.05)
    plan = plan_exam(recipe, seed=0, index=index)
    assert json.loads(json.dumps(record)) == record
    assert [b["side"] for b in record["breasts"]] == ["L", "R"]
    assert [b["malignant"] for b in record["breasts"]] == [b.malignant for b in plan.breasts.values()]
    assert {v for b in record["breasts"] for v in b["views"]} == {"CC", "MLO"}
    assert len(record["lesions"]) == sum(f.biopsied and f.visible for f in plan.findings)
    nuisance = record["breasts"][0]["nuisance"]
    assert {"CC Rows", "MLO WindowCenter", "CC StudyDate", "MLO file size", "CC noise of breast"} <= nuisance.keys()
    assert not any("PixelData" in name for name in nuisance)


def test_what_is_known_of_an_acquisition_without_drawing_is_what_is_drawn() -> None:
    for index in range(3):
        plan = plan_exam(load_recipe("enriched"), seed=3, index=index)
        setup = draw_planned(plan, scale=0.05).images[0].acquired.setup
        known = list_setup(plan)
        assert known["profile"] == setup.profile.name
        assert (known["lettered"], known["ball"], known["mirrored"]) == (setup.lettered, setup.ball, setup.mirrored)
        assert known["window shift"] == setup.window_shift


@pytest.mark.parametrize("profile", ["selenia", "dimensions", "inspiration", "senographe"])
def test_the_breast_is_found_from_pixels_alone_and_faces_right(profile) -> None:
    plan = plan_exam(load_recipe("enriched").model_copy(update={"profiles": {profile: 1.0}}), seed=0, index=1)
    for image in draw_planned(plan, scale=0.08).images:
        seen = see(image)
        assert 0.02 < seen.breast.mean() < 0.7
        assert seen.breast[:, :2].any()
        assert not seen.breast[:, -3:].any()
        assert all(seen.breast[mask].mean() > 0.9 for mask in seen.masks if mask.any())


def test_on_film_the_breast_is_found_in_fogged_air() -> None:
    breast = a_disc(150, 0, 110, (300, 200))
    far = cv2.distanceTransform(breast.astype(np.uint8), cv2.DIST_L2, 5)
    light = 0.06 + 0.02 * np.sin(np.arange(200) / 30) + 0.4 * breast * np.clip(far / 15, 0.3, 1)
    light[10:30, 160:190] = 0.95  # a label
    found = find_breast(light.astype(np.float32), pixel_mm=0.5, black=False)
    assert (found ^ breast).sum() < 0.05 * breast.sum()
    assert not found[:35].any()


def test_letters_beside_the_breast_are_cut_off() -> None:
    light = np.zeros((300, 250), np.float32)
    light[50:250, :120] = 0.3
    light[20:40, 200:230] = 1.0
    breast = find_breast(light, pixel_mm=0.5, black=True)
    assert breast[50:250, :120].mean() > 0.99
    assert not breast[:45].any()


# the gate


def some_records(rng: np.random.Generator, *, exams: int, leak: float = 0.0, tell: float = 0.0) -> list[dict[str, Any]]:
    """Exams with random measurements. leak  of the label into a tag;  tell  into an observer's brightness"""
    records = []
    for index in range(exams):
        breasts, lesions = [], []
        tag = rng.normal()
        for side in ("L", "R"):
            malignant = bool(rng.random() < 0.3)
            views = {a: {"blob": rng.normal() + tell * malignant, "size": rng.normal()} for a in ("CC", "MLO")}
            nuisance = {
                "CC Rows": tag + leak * malignant,
                "CC Model": "ab"[index % 2],
                "CC PatientAge": float(malignant),
            }
            breasts.append({"side": side, "malignant": malignant, "views": views, "nuisance": nuisance})
            lesions.append({"kind": "mass", "malignant": malignant, "views": {"CC": views["CC"]}})
        common = {"index": index, "patient": f"P{index}", "profile": "plain", "age": 50 + index % 30, "density": "b"}
        records.append({**common, "breasts": breasts, "lesions": lesions})
    return records


def test_a_tag_that_knows_the_label_fails_the_gate_and_its_absence_does_not() -> None:
    leaky = judge_nuisance(some_records(np.random.default_rng(0), exams=300, leak=1.0), [])
    assert [row.passes for row in leaky if row.level == "nuisance"] == [False, False]
    assert all(row.estimate.value > 0.65 for row in leaky if row.level == "nuisance")
    clean = judge_nuisance(some_records(np.random.default_rng(0), exams=300), [])
    assert all(row.estimate.low < 0.5 for row in clean if row.level == "nuisance")  # age, which knows, is not used


def test_an_observer_that_tells_fails_the_gate_on_either_side() -> None:
    for tell in (1.5, -1.5):
        rows = judge_observers(some_records(np.random.default_rng(1), exams=200, tell=tell), [], difficulty="medium")
        failed = {(row.level, row.observer) for row in rows if row.passes is False}
        assert failed == {("lesion", "blob"), ("breast", "blob")}
    rows = judge_observers(some_records(np.random.default_rng(1), exams=200), [], difficulty="medium")
    assert not any(row.passes is False for row in rows)


def test_of_exams_that_were_added_for_their_cancers_only_the_malignant_counts() -> None:
    full = some_records(np.random.default_rng(2), exams=20)
    more = some_records(np.random.default_rng(3), exams=20)
    found = phantom_gate.pick_units(full, more, "breasts")
    assert len(found) == 40 + sum(b["malignant"] for r in more for b in r["breasts"])
    chosen, cancers = phantom_gate.choose_exams(load_recipe("enriched"), exams=30, plans=90)
    assert len(chosen) == 30
    assert not set(chosen) & set(cancers)
    assert all(
        any(b.malignant for b in plan_exam(load_recipe("enriched"), seed=0, index=i).breasts.values()) for i in cancers
    )


def test_units_are_compared_within_their_profile() -> None:
    records = some_records(np.random.default_rng(4), exams=200)
    for record in records[::2]:
        record["profile"] = "film"
        for unit in record["lesions"] + record["breasts"]:
            for view in unit["views"].values():
                view["blob"] = 100 + 7 * view["blob"]
    before = judge_observers(some_records(np.random.default_rng(4), exams=200), [], difficulty="medium")
    after = judge_observers(records, [], difficulty="medium")
    for one, other in zip(before, after, strict=True):
        assert one.estimate.value == pytest.approx(other.estimate.value, abs=0.03)


def test_no_tag_knows_the_label_of_planned_exams() -> None:
    rows = judge_plans(load_recipe("enriched"), plans=1500)
    assert [row.estimate.name for row in rows] == ["logistic regression", "gradient boosting"]
    assert all(row.estimate.low < 0.5 for row in rows)


def test_a_gate_that_was_interrupted_goes_on_where_it_was(tmp_path) -> None:
    recipe = load_recipe("enriched")
    kept = {"seed": 0, "scale": 0.05, "tags": False, "jobs": 1, "cache": tmp_path, "sources": "abc"}
    first = phantom_gate.measure_exams(recipe, [0, 1], **kept)
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text() + '{"index": 2, "cut o')
    again = phantom_gate.measure_exams(recipe, [1, 0, 2], **kept)
    assert again[:2] == first[::-1]
    assert len(file.read_text().splitlines()) == 3


@pytest.mark.slow
def test_the_gate_runs_small_and_gives_every_row() -> None:
    result = run_gate("enriched", exams=40, plans=200, other_exams=12, scale=0.05)
    assert {(row["level"], row["difficulty"]) for row in result["rows"]} == {
        ("nuisance", "medium"), ("woman", "medium"),
        *((level, d) for level in ("lesion", "breast") for d in ("easy", "medium", "hard")),
    }  # fmt: skip
    assert json.loads(json.dumps(result, allow_nan=False))["recipe"] == "enriched"


# geometry


def test_findings_of_an_exam_lie_equally_deep_in_both_views() -> None:
    rows = [row for index in range(6) for row in phantom_geometry.measure_findings(index, scale=0.1)]
    assert len(rows) >= 5
    found = phantom_geometry.judge(rows)
    assert found["agree"] == 1


def test_a_finding_in_the_wrong_place_and_a_dark_mass_are_found() -> None:
    row = {"profile": "plain", "mirrored": False, "kind": "mass", "radius_mm": 5.0, "cc_mm": 50.0, "mlo_mm": 52.0}
    good = [{**row, "exam": n, "contrasts": [0.1, 0.2]} for n in range(20)]
    assert phantom_geometry.judge(good)["passes"]
    assert not phantom_geometry.judge([*good, {**good[0], "mlo_mm": 61.0}])["passes"]
    dark = phantom_geometry.judge([{**one, "contrasts": [-0.1, 0.1]} for one in good[:3]] + good[3:])
    assert dark["brighter"] == pytest.approx(37 / 40)
    assert not dark["passes"]


# speed


def test_an_exam_drawn_again_is_the_same_and_another_is_not() -> None:
    first, again, other = (phantom_speed.draw_once(index, scale=0.05)[0] for index in (4, 4, 5))
    assert first == again != other


@pytest.mark.slow
def test_two_processes_draw_what_one_draws() -> None:
    result = phantom_speed.measure(exams=3, full_size=2, scales=(0.05, 0.06))
    assert all(row["same_with_one_process"] and row["same_alone"] for row in result["rows"])
    assert all(row["exams_per_second"] > 0 and row["peak_memory_mb"] < 2000 for row in result["rows"])


# the command line that they share


def test_a_result_is_measured_and_stored_or_shown(tmp_path, monkeypatch) -> None:
    path = tmp_path / "stored.json"
    words = ["--seed", "3", "--out", str(path)]
    monkeypatch.setattr(sys, "argv", ["phantom_gate.py", *words])
    parser = phantom_result.make_parser("phantom_gate", "It tells.", seed=0, jobs=2)
    measured = phantom_result.find_result(parser.parse_args(words), "phantom_gate", path, lambda: {"value": 1})
    assert measured == {"command": "python -m benchmarks.phantom_gate --seed 3", "value": 1}
    assert phantom_result.find_result(parser.parse_args(["--show"]), "phantom_gate", path, lambda: {}) == measured
    assert phantom_result.make_parser("phantom_speed", "", seed=None, jobs=None).parse_args([]).out is None


# log-odds


@pytest.mark.slow
def test_twenty_thousand_findings_of_the_whole_population_show_the_planted_log_odds() -> None:
    result = phantom_log_odds.recover(load_recipe("enriched"), findings=20_000, seed=7)
    assert result["findings"] == 20_000
    assert result["slope"] == pytest.approx(1, abs=0.1)
    assert 1.96 * result["slope_se"] < 0.1  # so many findings can tell
    assert result["p"] > phantom_log_odds.P_LEAST
    assert result["coefficients_compared"] >= 15
    assert result["sharp_within"] == result["sharp"] >= 2


@pytest.mark.slow
def test_a_label_that_forgets_part_of_its_words_is_found_out(monkeypatch) -> None:
    recipe = load_recipe("enriched")
    planted = phantom_log_odds.list_planted(recipe)
    weaker = {name: 0.8 * value if name[0] in ("margin", "shape") else value for name, value in planted.items()}
    monkeypatch.setattr(phantom_log_odds, "list_planted", lambda recipe: weaker)
    result = phantom_log_odds.recover(recipe, findings=20_000, seed=7)
    assert result["p"] < phantom_log_odds.P_LEAST
    assert not result["passes"]


def test_planted_are_the_differences_of_the_logits_that_labels_are_drawn_with() -> None:
    for recipe in (load_recipe("enriched", difficulty="easy"), load_recipe("screening", difficulty="hard")):
        planted = phantom_log_odds.list_planted(recipe)
        middle = find_chances(recipe).middle_age
        for index in range(60):
            plan = plan_exam(phantom_log_odds.raise_biopsies(recipe), seed=1, index=index)
            for finding in plan.findings:
                if finding.biopsied and finding.visible:
                    words = [getattr(finding, axis) for axis in SIGNS[finding.kind].axes]
                    names = phantom_log_odds.name_terms((finding.kind, *words, plan.age))
                    logit = planted["kind", "mass"] + sum(planted[name] for name in names)
                    logit += planted["age", "per ten years"] * (plan.age - middle) / 10
                    assert 1 / (1 + np.exp(-logit)) == pytest.approx(finding.p_malignant, rel=1e-6)


def test_a_regression_of_a_two_by_two_table_gives_its_odds_ratio() -> None:
    x = np.array([[1.0, 0.0], [1.0, 1.0]])
    beta, covariance = phantom_log_odds.fit_logistic(x, np.array([[30.0, 10.0], [20.0, 40.0]]))
    assert beta == pytest.approx([np.log(1 / 3), np.log(6)])
    assert covariance[1, 1] == pytest.approx(1 / 30 + 1 / 10 + 1 / 20 + 1 / 40)
    with pytest.raises(SetupError, match="too few for 2 coefficients"):
        phantom_log_odds.fit_logistic(np.ones((2, 2)), np.ones((2, 2)))


# likeness


@pytest.mark.parametrize("slope", [2.0, 3.0])
def test_the_slope_of_a_power_law_is_found(slope) -> None:
    f = np.hypot(np.fft.fftfreq(700)[:, None], np.fft.rfftfreq(600))
    f[0, 0] = np.inf
    spectrum = np.fft.rfft2(np.random.default_rng(0).standard_normal((700, 600))) * f ** (-slope / 2)
    field = np.fft.irfft2(spectrum, s=(700, 600)).astype(np.float32)
    found = measure_spectrum(field / field.std(), np.ones(field.shape, bool))
    assert fit_slope(found) == pytest.approx(slope, abs=0.1)
    white = np.random.default_rng(1).standard_normal((700, 600)).astype(np.float32)
    flat = measure_spectrum(white, np.ones(white.shape, bool))
    assert flat == pytest.approx(np.full(len(FREQUENCIES), PIXEL_MM**2), rel=0.1)  # all power of white noise, mm2


def test_features_do_not_depend_on_brightness_and_contrast_of_the_display() -> None:
    rng = np.random.default_rng(2)
    breast = np.pad(np.ones((500, 300), bool), ((60, 60), (0, 90)))
    light = (cv2.GaussianBlur(rng.standard_normal(breast.shape), (0, 0), 4) * 0.5 + 0.4).astype(np.float32) * breast
    first, second = measure(light, breast), measure(0.3 * light + 0.2, breast)
    for name, value in first.values.items():
        assert second.values[name] == pytest.approx(value, abs=2e-3), name
    assert first.area_cm2 == pytest.approx(150000 * PIXEL_MM**2 / 100)


@pytest.mark.slow
def test_the_same_images_cannot_be_told_apart_and_others_can() -> None:
    ours = [sample for index in range(4) for sample in draw_sample(index, film=False)]
    twins = [_renamed(sample) for index in range(20, 24) for sample in draw_sample(index, film=False)]
    alike = phantom_likeness.compare(twins, ours)[0]
    assert phantom_likeness.tell_apart(alike).value < 0.9
    for sample in twins:
        for name in [name for name in sample.features.values if name.startswith("grey")]:
            sample.features.values[name] += 20.0
    other = phantom_likeness.compare(twins, ours)[0]
    assert phantom_likeness.tell_apart(other).value > 0.95
    assert phantom_likeness.rank_giveaways(other)[0].feature.startswith("grey")
    page = phantom_likeness.make_page([other])
    assert [section.name for section in page.sections] == ["montage", "twins"]
    numbers = phantom_likeness.summarise([other])
    assert json.loads(json.dumps(numbers, allow_nan=False))[0]["real"]["images"] == 16


def _renamed(sample: Sample) -> Sample:
    return Sample("twins", sample.exam, sample.view, sample.film, sample.features, sample.picture)


def test_real_samples_are_read_with_their_views_and_face_right(shared) -> None:
    found = read_samples(shared / "data/nyu_sample_exams")
    assert len(found) == 10
    assert len({sample.exam for sample in found}) == 3
    assert not any(sample.film for sample in found)
    for sample in found:
        assert sample.picture[:, :8].sum() > sample.picture[:, -8:].sum()


def test_a_folder_without_mammograms_is_refused(tmp_path) -> None:
    with pytest.raises(SetupError, match="found no mammograms"):
        read_samples(tmp_path)


# what is stored, and what the docs say


def stored(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"phantom_{name}.json").read_text())


@pytest.mark.parametrize("recipe", phantom_gate.RECIPES)
def test_the_stored_gate_passes_on_at_least_4000_breasts_of_the_recipe_that_ships(recipe: str) -> None:
    result = stored(f"gate_{recipe}")
    assert result["passes"]
    assert all(row["passes"] is not False for row in result["rows"])
    assert result["hashes"] == {d: load_recipe(recipe, difficulty=d).hash for d in ("easy", "medium", "hard")}
    drawn = [row for row in result["rows"] if row["level"] == "nuisance" and row["units"].startswith("drawn")]
    assert min(row["n"] for row in drawn) >= 4000
    assert max(row["high"] for row in drawn) < phantom_gate.NUISANCE_LIMIT
    assert "/" not in result["command"]
    lesions = [row["value"] for row in result["rows"] if row["level"] == "lesion" and row["gated"]]
    assert 0.35 <= min(lesions) <= max(lesions) <= 0.65


def test_the_stored_geometry_and_speed_pass_for_the_recipe_that_ships() -> None:
    for name in ("geometry", "speed"):
        assert stored(name)["passes"]
        assert stored(name)["hash"] == load_recipe("enriched").hash
    assert stored("geometry")["findings"] >= 200


@pytest.mark.slow
def test_the_stored_log_odds_are_those_of_the_recipes_that_ship() -> None:
    result = stored("log_odds")
    assert result["passes"]
    medium = next(row for row in result["rows"] if row["difficulty"] == "medium" and row["findings"] == 20_000)
    again = phantom_log_odds.recover(load_recipe("enriched"), findings=20_000)
    assert medium["slope"] == pytest.approx(again["slope"], abs=1e-3)
    for name in ("malignant", "used", "sharp", "sharp_within", "within", "coefficients_compared"):
        assert medium[name] == again[name], name


def test_the_stored_likeness_holds_numbers_and_no_pictures() -> None:
    result = stored("likeness")
    assert result["hash"] == load_recipe("enriched").hash
    assert "base64" not in json.dumps(result)
    assert len(json.dumps(result)) < 40_000


def test_the_card_prints_the_stored_likeness() -> None:
    shipped = json.loads((files("fourview.phantom") / "recipes/likeness.json").read_text())
    assert shipped == phantom_likeness.summarise_for_card(stored("likeness"))
    assert shipped["generator"] == GENERATOR, "drawing has changed: measure the likeness again"
    assert read_likeness() == shipped["samples"]


def test_the_tables_in_the_docs_are_the_stored_ones() -> None:
    text = DOCS.read_text()
    for level in ("nuisance", "lesion", "breast"):
        assert gate_table(stored("gate_enriched"), level) in text
    for level in ("nuisance", "breast"):
        assert gate_table(stored("gate_training"), level) in text
    assert phantom_geometry.geometry_table(stored("geometry")) in text
    assert phantom_speed.speed_table(stored("speed")) in text
    assert phantom_log_odds.log_odds_table(stored("log_odds")) in text
    assert phantom_likeness.likeness_table(stored("likeness")) in text
    assert phantom_likeness.family_table(stored("likeness")) in text
