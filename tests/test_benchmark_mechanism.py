"""The mechanism check: its protocol is frozen, its work resumes, its intervals find what is there and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import polars as pl
import pytest
from benchmarks import mechanism, mechanism_judge, mechanism_protocol, work
from benchmarks.mechanism_judge import compare_arms, find_value, measure_arm, read_scores
from benchmarks.mechanism_pieces import Place, list_pieces, name_run
from benchmarks.mechanism_protocol import ARMS, CONTRASTS, PILOT, REAL, Draw, Protocol, count_positives, freeze, halve
from benchmarks.mechanism_reading import Reader, read_block
from benchmarks.mechanism_table import arm_table, contrast_table, explored_table, hours_table
from benchmarks.work import Piece, Watch, count_hours, count_stamps, is_done, work_off

from fourview.exam import FINDINGS, SetupError, Side
from fourview.phantom import plan_exam
from fourview.phantom.draw import draw_planned
from fourview.screen import Screener
from fourview.store.store import Store
from fourview.weights.folder import load_weights

DOCS = Path(__file__).parents[1] / "docs" / "mechanism.md"
SMALL = ("exam.width=2", "loop.epochs=1", "loop.patience=1")
TINY = Protocol(
    "tiny",
    REAL.scale,
    Draw(7900, 14),
    Draw(7901, 8),
    ("medium",),
    (0, 1),
    1,
    fractions=(0.5, 0.3, 0.2),
    block=5,
    changes={
        "patch": (
            "patches.per_epoch=100",
            "patches.validation=100",
            "loop.epochs=1",
            "loop.patience=1",
            "patch.blocks=[1,1]",
            "patch.growth=4",
            "patch.stem=4",
        ),
        "birads": SMALL,
        "exam": SMALL,
    },
)


def invented_scores(
    rng: np.random.Generator, *, strengths: dict[str, float], seed_sd: float = 0.0, exams: int = 1500
) -> pl.DataFrame:
    """Scores of all arms and three seeds on the same breasts: normal, apart by a strength, which seeds change."""
    truth = rng.random(2 * exams) < 0.2
    hard = rng.normal(size=2 * exams)  # what makes a breast hard for every network
    columns: dict[str, Any] = {
        "exam": [f"E{i // 2}" for i in range(2 * exams)],
        "patient": [f"P{i // 2}" for i in range(2 * exams)],
        "side": ["L", "R"] * exams,
        **{finding: truth.astype(int) for finding in FINDINGS},
    }
    for arm in ARMS:
        for seed in (0, 1, 2):
            strength = strengths.get(arm.name, 1.0) + seed_sd * rng.normal()
            score = strength * truth + 0.8 * hard + 0.6 * rng.normal(size=2 * exams)
            columns |= {f"{name_run(arm, seed)} {finding}": score for finding in FINDINGS}
    return pl.DataFrame(columns)


def verdicts(table: pl.DataFrame) -> dict[str, str]:
    population = REAL.population("medium")
    rows = [compare_arms(table, contrast, (0, 1, 2), "malignant", population=population) for contrast in CONTRASTS]
    return {row["contrast"]: row["verdict"] for row in rows}


# the protocol


@pytest.mark.slow
def test_the_test_population_has_2000_positive_breasts_at_every_difficulty_and_is_no_larger_than_that_needs() -> None:
    counts = {d: count_positives(REAL.population(d), REAL.test) for d in REAL.difficulties}
    assert min(counts.values()) >= 2000
    assert max(counts.values()) < 2050
    assert REAL.seeds == (0, 1, 2)
    assert REAL.difficulties == ("medium", "easy", "hard")


def test_training_test_and_pilot_are_of_other_women() -> None:
    draws = [REAL.train, REAL.test, PILOT.train, PILOT.test]
    assert len({draw.seed for draw in draws}) == 4
    assert all(7000 <= draw.seed < 8000 for draw in draws)


def test_arms_of_a_contrast_differ_in_one_thing() -> None:
    arms = {arm.name: arm for arm in ARMS}
    for contrast in CONTRASTS:
        first, second = arms[contrast.first], arms[contrast.second]
        values = set(first.values) ^ set(second.values)
        assert len(values) + (first.pretrained != second.pretrained) + (first.halved != second.halved) == 1
        loops = {REAL.recipe("exam", arm=arm).loop for arm in (first, second)}
        assert len(loops) == 1
    assert {arm for contrast in CONTRASTS for arm in (contrast.first, contrast.second)} == arms.keys()


def test_patience_never_ends_a_run() -> None:
    for stage in ("patch", "birads", "exam"):
        loop = REAL.recipe(stage).loop
        assert loop.patience == loop.epochs
        assert loop.workers == 0


def test_at_half_resolution_lengths_are_the_same_millimetres() -> None:
    full, half = REAL.recipe("exam"), REAL.recipe("exam", arm=ARMS[-1])
    assert half.input.spacing_mm == 2 * full.input.spacing_mm
    for name in ("window_cc_px", "window_mlo_px", "location_noise_px"):
        for one, other in zip(getattr(full.geometry, name), getattr(half.geometry, name), strict=True):
            assert other == pytest.approx(one / 2, abs=0.51)
    assert half.geometry.std_floor == full.geometry.std_floor
    assert halve(full).exams == full.exams


def test_every_parameter_that_a_contrast_names_is_one_of_the_recipe() -> None:
    for contrast in CONTRASTS:
        assert all(find_value(REAL.population("hard"), driver) > 0 for driver in contrast.drivers)
    assert find_value(REAL.population("easy"), "level.distractors") == 0.5


def test_work_of_another_protocol_is_not_gone_on_with(tmp_path: Path) -> None:
    assert freeze(TINY, tmp_path) == freeze(TINY, tmp_path)
    for changed, what in (
        (replace(TINY, seeds=(0, 2)), "seeds"),
        (replace(TINY, test=Draw(7901, 9)), "test"),
        (replace(TINY, changes={**TINY.changes, "exam": ("exam.width=3",)}), "arms, changes"),
    ):
        with pytest.raises(SetupError, match=f"another protocol.*{what}"):
            freeze(changed, tmp_path)


def test_a_change_of_the_phantoms_code_is_another_protocol(tmp_path: Path, monkeypatch: Any) -> None:
    freeze(TINY, tmp_path)
    monkeypatch.setattr(mechanism_protocol, "digest_sources", lambda: "0" * 64)
    with pytest.raises(SetupError, match="sources differ"):
        freeze(TINY, tmp_path)


def test_too_few_positive_breasts_are_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="need 2000"):
        freeze(replace(TINY, least_positives=2000), tmp_path)
    assert not list(tmp_path.iterdir())


# pieces of work


def noting(done: list[str], name: str) -> Callable[[Watch], None]:
    return lambda _watch: done.append(name)


def test_pieces_are_done_once_and_after_what_they_need(tmp_path: Path) -> None:
    done: list[str] = []
    pieces = [Piece("m/b", "x", ("m/a",), noting(done, "b")), Piece("m/a", "x", (), noting(done, "a"))]
    assert work_off(pieces, tmp_path)
    assert work_off(pieces, tmp_path)
    assert done == ["a", "b"]
    assert set(count_hours(tmp_path, pieces)) == {"m x"}


def test_work_that_was_done_by_other_code_is_counted_apart(tmp_path: Path) -> None:
    pieces = [Piece(f"m/{name}", "x", (), noting([], name)) for name in "abc"]
    work_off(pieces[:1], tmp_path, stamp="old")
    work_off(pieces, tmp_path, stamp="new")
    assert count_stamps(tmp_path, pieces) == {"old": 1, "new": 2}


def test_a_piece_that_another_process_is_at_waits_while_others_are_done(tmp_path: Path, monkeypatch: Any) -> None:
    done: list[str] = []
    pieces = [Piece("m/a", "x", (), noting(done, "a")), Piece("m/b", "x", (), noting(done, "b"))]
    (tmp_path / "locks").mkdir()
    other = filelock.FileLock(tmp_path / "locks" / "m--a", is_singleton=False)
    other.acquire()
    monkeypatch.setattr(work.time, "sleep", lambda _seconds: other.release())
    assert work_off(pieces, tmp_path)
    assert done == ["b", "a"]


def test_work_stops_when_time_is_up_and_goes_on_later(tmp_path: Path) -> None:
    done: list[str] = []
    steps = iter([True, False])

    def stopped_once(watch: Watch) -> None:
        if next(steps):
            watch._deadline = time.monotonic() - 1
        watch.check()
        done.append("a")

    pieces = [Piece("m/a", "x", (), stopped_once)]
    with pytest.raises(KeyboardInterrupt):
        work_off(pieces, tmp_path)
    assert not is_done("m/a", tmp_path)
    assert work_off(pieces, tmp_path)
    assert done == ["a"]
    assert len(list((tmp_path / "cpu").glob("m--a.*.json"))) == 2
    with pytest.raises(KeyboardInterrupt):
        work_off([Piece("m/c", "x", (), noting(done, "c"))], tmp_path, deadline=time.monotonic() - 1)


def test_of_pieces_whose_needs_nobody_fills_none_is_done(tmp_path: Path) -> None:
    assert not work_off([Piece("m/b", "x", ("m/a",), noting([], "b"))], tmp_path)


def test_every_arm_and_seed_is_a_piece_and_medium_comes_first(tmp_path: Path) -> None:
    names = [piece.name for piece in list_pieces(REAL, tmp_path)]
    assert len(names) == len(set(names))
    for difficulty in REAL.difficulties:
        assert {f"{difficulty}/{name_run(arm, seed)}" for arm in ARMS for seed in REAL.seeds} <= set(names)
    assert [name.split("/")[0] for name in names] == sorted(
        (name.split("/")[0] for name in names), key=REAL.difficulties.index
    )
    known = set(names)
    assert all(set(piece.needs) <= known for piece in list_pieces(REAL, tmp_path))
    assert {piece.name.split("/")[0] for piece in list_pieces(REAL, tmp_path, only="hard")} == {"hard"}


# what is judged


def test_a_planted_difference_is_confirmed_the_other_way_round_reversed_and_none_is_not_shown() -> None:
    found = verdicts(invented_scores(np.random.default_rng(0), strengths={"no-heatmaps": 0.7, "half-resolution": 0.7}))
    assert found["heatmaps or none"] == "confirmed"
    assert found["full input or half resolution"] == "not shown"
    assert found["view-wise or image-wise"] == "not shown"
    found = verdicts(invented_scores(np.random.default_rng(1), strengths={"no-pretraining": 1.3}))
    assert found["BI-RADS pretraining or none"] == "reversed"


def test_a_difference_that_seeds_explain_is_not_shown() -> None:
    """Networks that differ by luck alone: with each seed for itself, most of these differences look certain."""
    shown = certain = 0
    for number in range(20):
        table = invented_scores(np.random.default_rng([3, number]), strengths={}, seed_sd=0.3, exams=600)
        row = compare_arms(table, CONTRASTS[0], (0, 1, 2), "malignant", population=REAL.population("medium"))
        shown += row["verdict"] != "not shown"
        certain += sum(one["low"] > 0 or one["high"] < 0 for one in row["seeds"])
    assert shown <= 4
    assert certain >= 30  # of 60


def test_the_interval_holds_the_variance_between_seeds_and_their_covariance_over_breasts() -> None:
    table = invented_scores(np.random.default_rng(4), strengths={"no-heatmaps": 0.8}, seed_sd=0.1)
    row = compare_arms(table, CONTRASTS[0], (0, 1, 2), "malignant", population=REAL.population("medium"))
    values = np.array([one["value"] for one in row["seeds"]])
    assert row["estimate"]["value"] == pytest.approx(values.mean())
    assert row["estimate"]["se"] ** 2 >= values.var(ddof=1) / 3 - 1e-12
    assert "random seeds, random cases" in row["estimate"]["method"]
    arm = measure_arm(table, ARMS[0], (0, 1, 2), "malignant")
    assert arm["estimate"]["value"] == pytest.approx(np.mean(arm["seeds"]))


def test_one_seed_is_judged_by_its_breasts_alone() -> None:
    table = invented_scores(np.random.default_rng(5), strengths={"no-heatmaps": 0.6})
    row = compare_arms(table, CONTRASTS[0], (0,), "malignant", population=REAL.population("medium"))
    assert row["estimate"] == row["seeds"][0]
    assert row["estimate"]["method"].startswith("paired")


# the whole of it, tiny


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The tiny protocol, worked off."""
    cache = tmp_path_factory.mktemp("mechanism")
    return cache, mechanism.run(TINY, cache, exploring=True)


@pytest.mark.slow
def test_the_tiny_protocol_gives_every_row_and_nothing_is_done_twice(done: Any) -> None:
    cache, result = done
    (part,) = result["parts"]
    assert {(row["contrast"], row["finding"]) for row in part["contrasts"]} == {
        (contrast.name, finding) for contrast in CONTRASTS for finding in FINDINGS
    }
    assert all(row["estimate"]["n"] == 16 for row in part["arms"])
    assert part["arms"][0]["estimate"]["positives"] == result["protocol"]["positives"]["medium"]
    assert len(result["explored"]) == len(ARMS) + 1 + 2
    stamps = {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")}
    again = mechanism.run(TINY, cache, exploring=True)
    assert json.dumps(again, allow_nan=False) == json.dumps(result)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")} == stamps
    text = mechanism.show(result)
    assert "half-resolution" in text
    assert result["digest"][:12] in text


@pytest.mark.slow
def test_test_exams_are_read_as_screen_reads_them_without_jitter(done: Any) -> None:
    cache, _ = done
    place = Place(cache, TINY, "medium")
    scores = read_scores(place)
    plans = [plan_exam(TINY.population("medium"), seed=TINY.test.seed, index=index) for index in range(3)]
    exact = 0
    for arm in ARMS:
        screener = Screener.load(place.weights(name_run(arm, 0)), engine="torch", device="cpu", jitter=0)
        for plan in plans:
            exam = draw_planned(plan, scale=TINY.scale).to_exam()
            resampled = arm.halved or exam.mammograms[0].spacing_mm != TINY.recipe("exam").input.spacing_mm
            near = 2e-2 if resampled else 1e-5  # stored crops are resampled after they are cut, whole images before
            exact += not resampled
            reading = screener.read(exam)
            for side, score in ((Side.LEFT, reading.left), (Side.RIGHT, reading.right)):
                (row,) = scores.filter(exam=plan.name, side=side.value).to_dicts()
                for finding in FINDINGS:
                    assert row[f"{name_run(arm, 0)} {finding}"] == pytest.approx(getattr(score, finding), abs=near)
    assert exact >= len(ARMS) - 1


@pytest.mark.slow
def test_scores_of_other_women_are_found_out(done: Any, monkeypatch: Any) -> None:
    cache, _ = done
    place = Place(cache, replace(TINY, test=Draw(7902, 8)), "medium")
    with pytest.raises(SetupError, match="other labels than were planned"):
        mechanism_judge.find_ceilings(place, read_scores(place))
    with pytest.raises(SetupError, match="need each test exam once"):
        read_scores(Place(cache, replace(TINY, test=Draw(7901, 9)), "medium"))


@pytest.mark.slow
def test_a_reading_needs_as_many_exams_as_it_is_asked_for(done: Any) -> None:
    cache, _ = done
    place = Place(cache, TINY, "medium")
    reader = Reader("x", load_weights(place.weights("no-heatmaps-0")), False, False)
    recipes = {halved: TINY.recipe("exam", halved=halved) for halved in (False, True)}
    patch = load_weights(place.weights("patch"))
    with pytest.raises(SetupError, match="found 8 exams with four views, need 9"):
        read_block(Store.open(place.store("test")), [reader], range(5, 9), recipes=recipes, patch=patch)


# what is stored, and what the docs say


@pytest.mark.skipif(not mechanism.STORED.is_file(), reason="the check has not been run yet")
def test_the_stored_result_is_of_this_protocol_and_in_the_docs() -> None:
    result = json.loads(mechanism.STORED.read_text())
    assert result["parts"][0]["difficulty"] == "medium"
    assert min(result["protocol"]["positives"].values()) >= 2000
    assert "/" not in result["command"]
    described = json.loads(json.dumps(REAL.describe()))
    for key in ("arms", "contrasts", "seeds", "train", "test", "patch_recipe", "birads_recipes", "scale"):
        assert result["protocol"][key] == described[key], key
    text = DOCS.read_text()
    tables = [contrast_table(result), contrast_table(result, "benign"), arm_table(result), explored_table(result)]
    for table in (*tables, hours_table(result["hours"], title="done")):
        assert table in text


def test_the_docs_say_what_is_fixed_beforehand() -> None:
    text = " ".join(DOCS.read_text().split())
    for contrast in CONTRASTS:
        assert contrast.name in text
    assert f"{REAL.train.exams:,} training exams" in text
    assert f"{REAL.test.exams:,} test exams" in text
    assert "no result about patients" in text
