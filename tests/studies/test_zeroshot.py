"""Zero-shot reading of a store: the numbers of `screen` image by image, resumable, refused where it must be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from fourview.cli import app
from fourview.datasets import mini_mias
from fourview.datasets.inbreast import find_inbreast, load_inbreast
from fourview.exam import Exam, SetupError
from fourview.phantom.recipe import load_recipe
from fourview.screen import Screener
from fourview.store.phantom_store import draw_store
from fourview.store.prepare import prepare
from fourview.store.store import Store
from fourview.studies.transfer.zeroshot import read_store, reads_alone, warn_of_films, warn_of_known
from fourview.studies.transfer.zeroshot_folder import ZeroshotFolder, settings_of
from fourview.weights.folder import load_weights, save_weights
from fourview.weights.learned import Learned, number_of
from tests.mini_mias_miniature import write_miniature
from tests.studies.inbreast_miniature import make_store
from tests.studies.small_weights import write_small
from tests.test_patch_network_alone import write_patch


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("inbreast"), women=4, odd_view=True)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    return {
        "single-image": write_small(folder / "single-image"),
        "view-wise": write_small(folder / "view-wise", wiring="view-wise"),
        "of_phantoms": write_small(folder / "of_phantoms", phantoms_only=True),
    }


def load(folder: Path, *, jitter: int = 2) -> Screener:
    return Screener.load(folder, engine="torch", jitter=jitter)


def run(store: Store, weights: Path, out: Path, *more: str) -> Result:
    words = ["zeroshot", str(store.path), "--weights", str(weights), "--out", str(out), "--engine", "torch"]
    return CliRunner().invoke(app, [*words, "--jitter", "0", *more])


def from_files(store: Store) -> dict[str, Exam]:
    """Each image of the set, read from its file, as an exam of its own."""
    records = find_inbreast(store.path.parent / "set").records
    return {record.image: Exam(record.image, (load_inbreast(record),)) for record in records if record.view}


@pytest.mark.parametrize(("wiring", "heatmaps"), [("single-image", False), ("image-wise", True)])
def test_an_images_score_is_what_screen_gives_an_exam_of_its_file_alone(
    store: Store, tmp_path: Path, wiring: str, heatmaps: bool
) -> None:
    folder = write_small(tmp_path / "w", wiring=wiring, heatmaps=heatmaps)  # type: ignore[arg-type]
    screener, other = load(folder), load(folder)
    exams = from_files(store)
    few = Store(store.path, store.manifest.head(4), store.about, store._stored)
    results = [result for group in read_store(few, screener) for result in group]
    assert [result.image for result in results] == few.images["image"].to_list()
    assert len({round(result.score.malignant, 9) for result in results if result.score}) == 4
    for result in results:
        reading = other.read(exams[result.image])
        (breast,) = reading.breasts.values()
        assert result.score is not None
        assert result.score.malignant == pytest.approx(breast.malignant, abs=1e-6)
        assert result.score.benign == pytest.approx(breast.benign, abs=1e-6)
        assert result.score.malignant_sd_windows == pytest.approx(breast.malignant_sd_windows, abs=1e-6)


def test_a_patch_network_alone_gives_its_score_of_the_image(store: Store, tmp_path: Path) -> None:
    folder = write_patch(tmp_path / "patch")
    card = json.loads((folder / "card.json").read_text())
    card["input"] = {"resample": "never"}
    (folder / "card.json").write_text(json.dumps(card))
    few = Store(store.path, store.manifest.head(2), store.about, store._stored)
    screener, exams = load(folder), from_files(store)
    assert reads_alone(screener)
    for (result,) in read_store(few, screener):
        (image,) = load(folder).read(exams[result.image]).images
        assert result.score is not None
        assert image.score is not None
        assert result.score.malignant == pytest.approx(image.score.malignant, abs=1e-6)


def test_a_view_wise_network_answers_for_each_image_as_it_does_in_its_exam(
    store: Store, weights: dict[str, Path]
) -> None:
    screener, singles = load(weights["view-wise"]), from_files(store)
    assert not reads_alone(screener)
    first = store.images.filter(exam=store.images["exam"][0])
    exam = Exam("e", tuple(m for image in first["image"] for m in singles[image].mammograms))
    reading = screener.read(exam)
    found = {result.image: result.score for result in next(iter(read_store(store, load(weights["view-wise"]))))}
    for side, breast in reading.breasts.items():
        own = [found[image] for image in first.filter(side=side)["image"]]
        assert len(own) == 2
        assert np.mean([score.malignant for score in own if score]) == pytest.approx(breast.malignant, abs=1e-6)
        assert own[0] != own[1]


def test_an_image_that_lacks_its_partner_is_named_and_the_rest_goes_on(
    store: Store, weights: dict[str, Path], tmp_path: Path
) -> None:
    assert store.manifest.filter(pl.col("view").is_null()).height == 1  # the view FB
    done = run(store, weights["view-wise"], tmp_path / "out")
    assert done.exit_code == 1, done.output
    table = pl.read_csv(tmp_path / "out/readings.csv", infer_schema_length=None)
    (problem,) = table.filter(pl.col("problem").is_not_null())["problem"]
    assert problem == ("L-MLO: found L-CC, L-MLO, R-CC; the view-wise network view-wise needs L-MLO and R-MLO")
    assert table.height == 15
    assert "14 images read, 1 could not be read" in done.output
    values = json.loads((tmp_path / "out/results.json").read_text())
    sections = {section["name"]: section for section in values["sections"]}
    counts = dict(sections["images"]["parts"][0]["rows"])
    assert counts["listed by the set"] == 16
    assert counts["read"] == 14
    assert "beside the same view of the other breast" in values["methods"][0]


def test_networks_that_read_a_breast_as_one_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"found a side-wise network.*need an image-wise, single-image"):
        reads_alone(load(write_small(tmp_path / "side", wiring="side-wise")))


@pytest.fixture(scope="module")
def out(store: Store, weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command leaves for a single-image network."""
    folder = tmp_path_factory.mktemp("run") / "out"
    done = run(store, weights["single-image"], folder)
    assert done.exit_code == 0, done.output
    return folder


def test_the_page_the_chart_and_its_table_say_the_same(out: Path) -> None:
    images = pl.read_csv(out / "images.csv", schema_overrides={"birads": pl.String})
    assert (images["called_argmax_pair"] == (images["p_malignant"] > images["p_benign"])).all()
    for rule in ("argmax_pair", "threshold"):
        table = pl.read_csv(out / f"birads_{rule}.csv", schema_overrides={"birads": pl.String})
        assert table.columns == ["birads", "predicted_benign", "predicted_malignant"]
        assert table["birads"].to_list() == list("123456")
        for birads, benign, malignant in table.iter_rows():
            own = images.filter(pl.col("birads").str.starts_with(birads))
            assert malignant == own[f"called_{rule}"].sum()
            assert benign + malignant == own.height
    values = json.loads((out / "results.json").read_text())
    (chart, table, *_) = values["sections"][0]["parts"]
    assert [row[1] for row in table["rows"]] == chart["data"]["predicted benign"]
    assert "favours benign" in table["note"]
    assert values["headline"][0]["name"] == "AUC of p malignant against BI-RADS 4+"
    assert values["headline"][0]["unit"] == "image"
    assert values["headline"][0]["clusters"] == 4  # women, not images
    assert any("not cancer" in warning for warning in values["warnings"])
    page = (out / "report.html").read_text()
    assert "untrained weights, the numbers mean nothing" in page
    assert "suspicious by BI-RADS 4, 5 or 6, not cancer" in page


def test_a_given_threshold_and_the_parts_of_four_need_no_new_reading(
    store: Store, weights: dict[str, Path], out: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(out, tmp_path / "out")
    read = (out / "readings.csv").read_bytes()
    again = run(store, weights["single-image"], out, "--threshold", "0.45", "--4abc")
    assert again.exit_code == 0, again.output
    assert "reading images: 15 of 15" in again.output
    assert (out / "readings.csv").read_bytes() == read
    table = pl.read_csv(out / "birads_threshold.csv", schema_overrides={"birads": pl.String})
    assert table["birads"].to_list() == ["1", "2", "3", "4a", "4b", "4c", "5", "6"]
    images = pl.read_csv(out / "images.csv", schema_overrides={"birads": pl.String})
    assert (images["called_threshold"] == (images["p_malignant"] >= 0.45)).all()
    assert "0.45, given" in (out / "results.json").read_text()
    wrong = run(store, weights["single-image"], out, "--threshold", "7")
    assert wrong.exit_code != 0
    assert "need a number from 0 to 1" in str(wrong.exception)


def test_an_image_that_cannot_be_read_is_listed_and_tried_again(
    store: Store, weights: dict[str, Path], tmp_path: Path
) -> None:
    row = store.images.row(3, named=True)
    path, out = store.path / row["blob"], tmp_path / "out"
    content = path.read_bytes()
    try:
        path.write_bytes(content[:100])
        broken = run(store, weights["single-image"], out)
    finally:
        path.write_bytes(content)
    assert broken.exit_code == 1
    assert f"{row['image']}: " in broken.output
    before = pl.read_csv(out / "readings.csv", infer_schema_length=None)
    assert before.filter(pl.col("problem").is_not_null())["image"].to_list() == [int(row["image"])]
    whole = run(store, weights["single-image"], out)
    assert whole.exit_code == 0
    after = pl.read_csv(out / "readings.csv", infer_schema_length=None)
    assert after["problem"].is_null().all()
    columns = ["image", "p_malignant", "p_benign"]
    assert after.height == before.height
    same = before.filter(pl.col("problem").is_null()).select(columns).sort("image")
    assert same.equals(after.filter(pl.col("image") != int(row["image"])).select(columns).sort("image"))


def test_a_folder_of_another_reading_is_refused(store: Store, weights: dict[str, Path], tmp_path: Path) -> None:
    ZeroshotFolder.open(tmp_path / "out", settings_of(store, load(weights["single-image"], jitter=0)))
    other = run(store, weights["single-image"], tmp_path / "out", "--seed", "1")
    assert "of a run with other seed" in str(other.exception)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/text.txt").write_text("something")
    assert "not empty" in str(run(store, weights["single-image"], tmp_path / "full").exception)


def test_weights_of_phantoms_read_no_real_images_unless_they_are_told_to(
    store: Store, weights: dict[str, Path], tmp_path: Path
) -> None:
    refused = run(store, weights["of_phantoms"], tmp_path / "no")
    assert isinstance(refused.exception, SetupError)
    assert "trained on phantoms only: not for real images" in str(refused.exception)
    assert not (tmp_path / "no").exists()
    allowed = run(store, weights["of_phantoms"], tmp_path / "yes", "--allow-phantom-weights")
    assert allowed.exit_code == 0, allowed.output
    mark = "not for real images: trained on phantoms only (of_phantoms)"
    assert f"ATTENTION: {mark}" in allowed.output
    assert mark in (tmp_path / "yes/report.html").read_text()
    assert mark in json.loads((tmp_path / "yes/results.json").read_text())["warnings"]
    for name in ("readings", "images"):
        table = pl.read_csv(tmp_path / f"yes/{name}.csv").filter(pl.col("p_malignant").is_not_null())
        assert table["marks"].to_list() == [mark] * table.height


def test_pixels_unlike_those_of_the_training_are_marked_image_by_image_and_counted(
    store: Store, weights: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(weights["single-image"], tmp_path / "narrow"))
    card = json.loads((folder / "card.json").read_text())
    card["input"]["spacing_range_mm"] = [0.2, 0.3]
    (folder / "card.json").write_text(json.dumps(card))
    done = run(store, folder, tmp_path / "out")
    assert done.exit_code in (0, 1), done.output
    marks = pl.read_csv(tmp_path / "out/images.csv")["marks"].to_list()
    assert marks
    assert all("is outside the 0.2-0.3 mm that" in mark for mark in marks)
    warnings = json.loads((tmp_path / "out/results.json").read_text())["warnings"]
    assert any(f"({len(marks)} of {len(marks)} images)" in text for text in warnings)


def test_women_whom_the_weights_have_learned_from_are_counted_on_the_page(
    store: Store, weights: dict[str, Path], tmp_path: Path
) -> None:
    loaded = load_weights(weights["single-image"])
    assert loaded.exam is not None
    two = store.images["patient"].unique().sort()[:2].to_list()
    learned = Learned(number_of([two[0], "someone else"]), number_of([two[1]]))
    save_weights(tmp_path / "known", loaded.card, exam=loaded.exam.state_dict(), learned=learned)
    assert warn_of_known(store, load(weights["single-image"])) == ()
    run(store, tmp_path / "known", tmp_path / "out")
    warnings = json.loads((tmp_path / "out/results.json").read_text())["warnings"]
    assert any("has learned from 2 of these women" in text for text in warnings)


def test_films_are_read_as_the_store_has_them_and_the_page_says_that_screen_does_not(
    weights: dict[str, Path], tmp_path: Path
) -> None:
    write_miniature(tmp_path / "films", women=2)
    prepare(mini_mias.DATASET, tmp_path / "films", tmp_path / "store")
    store = Store.open(tmp_path / "store")
    assert any("does not say film" in text for text in warn_of_films(store, load(weights["single-image"])))
    for number in (2, 4):
        (tmp_path / f"films/mdb{number:03d}.png").unlink()  # the rest are exams of one film each
    film = load(write_patch(tmp_path / "film", film=True, resample="never"))
    plain = load(write_patch(tmp_path / "plain", resample="never"))
    assert warn_of_films(store, film) == ()
    for screener, name in ((film, "film"), (plain, "plain")):
        words = [
            "screen",
            str(tmp_path / "films"),
            "--weights",
            str(tmp_path / name),
            "--out",
            str(tmp_path / f"o-{name}"),
        ]
        done = CliRunner().invoke(app, [*words, "--engine", "torch", "--device", "cpu", "--spacing-mm", "0.2"])
        assert done.exit_code == 0, done.output
        rows = pl.read_csv(tmp_path / f"o-{name}/readings.csv").select("files", "p_malignant").rows()
        wanted = {file.removesuffix(".png"): p for file, p in rows}
        found = {r.image: r.score.malignant for results in read_store(store, screener) for r in results if r.score}
        assert found.keys() > wanted.keys()
        found = {image: found[image] for image in wanted}
        assert (found == pytest.approx(wanted, abs=1e-5)) is (name == "film")


@pytest.mark.slow
def test_phantoms_are_read_by_weights_of_phantoms_and_compared_with_biopsies_too(
    weights: dict[str, Path], tmp_path: Path
) -> None:
    draw_store(load_recipe("enriched"), tmp_path / "store", exams=6, seed=2, scale=0.05)
    store = Store.open(tmp_path / "store")
    done = run(store, weights["of_phantoms"], tmp_path / "out")
    assert done.exit_code == 0, done.output
    values = json.loads((tmp_path / "out/results.json").read_text())
    assert values["sections"][-1]["parts"][0]["rows"][2] == ["read", 24]
    found = {section["name"] for section in values["sections"]}
    images = pl.read_csv(tmp_path / "out/images.csv")
    assert set(images["malignant"].drop_nulls()) == {True, False}
    assert {"curves_birads4+", "curves_malignant"} <= found
    assert "malignant finding in the breast" in json.dumps(values)
