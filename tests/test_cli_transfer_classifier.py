"""Store -> features -> transfer -> OUT/classifier -> screen: the same score for the same image, all the way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from fourview.calibration import sigmoid
from fourview.cli import app
from fourview.exam import SetupError
from fourview.store.manifest import read_manifest, write_manifest
from fourview.store.store import Store
from fourview.studies.transfer.cases import make_cases
from fourview.studies.transfer.feature_set import load_features
from fourview.studies.transfer.feature_source import find_source
from fourview.studies.transfer.labels import read_labels
from fourview.studies.transfer.nested import Tuned, tune
from fourview.studies.transfer.steps import Method
from fourview.weights.classifier import load_classifier_card
from tests.studies.inbreast_miniature import make_store
from tests.studies.small_weights import write_small

QUICK = ("--folds", "2", "--inner", "2", "--repeats", "2", "--penalty", "0.5", "--no-controls")
LINEAR = ("--classifier", "lr,linear_svm")
NETWORK = "nyu_matched_gap256"


def run(*words: object, catch: bool = False) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=catch)
    assert catch or result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 32 images, features of two extractors, and what transfer made of both. Only read it."""
    base = tmp_path_factory.mktemp("low")
    make_store(base / "mini")
    network = write_small(base / "network", phantoms_only=True)
    images = ("features", base / "mini/store", "--engine", "torch", "--allow-phantom-weights", "--extractor")
    run(*images, "texture", "--out", base / "texture")
    run(*images, NETWORK, "--weights", network, "--out", base / NETWORK)
    run("transfer", base / "texture", base / NETWORK, *LINEAR, *QUICK, "--out", base / "out")
    return base


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def screen(
    base: Path, classifier: Path, out: Path, *more: str, files: Path | None = None, catch: bool = False
) -> Result:
    files = files or base / "mini/set/INbreast Release 1.0/AllDICOMs"
    words = ("--out", out, "--device", "cpu", "--allow-phantom-weights", *more)
    return run("screen", files, "--weights", classifier, *words, catch=catch)


def tune_again(folder: Path, classifier: str) -> tuple[Tuned, dict[str, float]]:
    """The pipeline that transfer fitted on all images, and image -> its score."""
    features = load_features(folder)
    values = features.values.astype(np.float64)
    cases = make_cases(features, read_labels(features))
    method = Method("lr" if classifier == "lr" else "linear_svm", share=0.5)
    tuned = tune(values, cases, method, inner=2)
    return tuned, dict(zip(features.rows["image"], tuned.score(values), strict=True))


def check_scores(images: pl.DataFrame, base: Path, tuned: Tuned, scores: dict[str, float]) -> None:
    """Every image of the store, its score within 1e-5, its side and its view."""
    stored = Store.open(base / "mini/store").images
    own = images.with_columns(pl.col("files").str.slice(0, 8).alias("image")).sort("image")
    assert own["image"].to_list() == sorted(stored["image"])
    wanted = np.array([scores[image] for image in own["image"]])
    np.testing.assert_allclose(own["score"], wanted, atol=1e-5)
    reading = tuned.readings["image"]
    np.testing.assert_allclose(own["p"], sigmoid(reading.slope * wanted + reading.intercept), atol=1e-5)
    assert own["called"].to_list() == (wanted >= reading.threshold).tolist()
    assert own["view"].to_list() == stored.sort("image")["view"].to_list()
    assert own["side"].to_list() == stored.sort("image")["side"].to_list()


def test_screen_says_of_every_stored_image_what_the_pipeline_that_was_chosen_says(base: Path, tmp_path: Path) -> None:
    card = load_classifier_card(base / "out/classifier")
    extractor, _, classifier = card.name.rpartition("-")
    assert card.features.extractor == extractor
    screen(base, base / "out/classifier", tmp_path / "out")
    tuned, scores = tune_again(base / extractor, classifier)
    images = pl.read_csv(tmp_path / "out/images.csv")
    check_scores(images, base, tuned, scores)
    assert not images["warnings"].str.contains("pixel size").any()
    other, wrong = tune_again(base / extractor, "linear_svm" if classifier == "lr" else "lr")
    with pytest.raises(AssertionError):  # the comparison can fail
        check_scores(images, base, other, wrong)


def test_the_cards_metrics_are_those_of_the_choice_in_the_inner_folds(base: Path) -> None:
    card = load_classifier_card(base / "out/classifier")
    numbers = json.loads((base / "out/results.json").read_text())
    tables = {part["name"]: part for section in numbers["sections"] for part in section["parts"]}
    who, _, area = tables["rigorous_image"]["rows"][0][:3]
    assert who == "chosen in the inner folds"
    areas = [metric for metric in card.metrics if metric.name == "AUC"]
    assert [metric.unit for metric in areas] == ["image", "breast"]
    assert areas[0].value == pytest.approx(area["value"])
    assert areas[0].population.endswith("in each the best of 4 in its inner folds")
    rows = tables["candidates"]["rows"]
    assert sum(int(often.split()[0]) for _, _, often, *_ in rows) == 4
    whole = [
        json.loads((base / f"out/pieces/{name}.{classifier}.all_images.json").read_text())["inner_auc"]
        for name in ("texture", NETWORK)
        for classifier in ("lr", "linear_svm")
    ]
    best = int(np.argmax(whole))
    assert [row[-1] for row in rows] == ["chosen, written" if place == best else "" for place in range(4)]
    assert card.name == f"{('texture', NETWORK)[best // 2]}-{('lr', 'linear_svm')[best % 2]}"


def test_a_second_run_with_resume_leaves_the_same_bytes(base: Path, tmp_path: Path) -> None:
    out = shutil.copytree(base / "out", tmp_path / "out")
    (out / ".classifier.0123.part").mkdir()  # what a killed run leaves
    before = content(base / "out")
    run("transfer", base / "texture", base / NETWORK, *LINEAR, *QUICK, "--out", out, "--resume")
    assert content(out) == before
    assert not (out / ".classifier.0123.part").exists()


def test_a_classifier_is_chosen_by_name_and_carries_its_network(base: Path, tmp_path: Path) -> None:
    """In place of the one that an earlier run wrote. A network file that was exchanged is refused."""
    out = shutil.copytree(base / "out", tmp_path / "out")
    same = ("transfer", base / "texture", base / NETWORK, *LINEAR, *QUICK, "--out", out, "--resume")
    said = run(*same, "--choose", f"{NETWORK}:linear_svm").output
    assert f"OUT/classifier holds {NETWORK}, linear SVM, chosen by its name" in said
    card = load_classifier_card(out / "classifier")
    assert card.name == f"{NETWORK}-linear_svm"
    assert card.features.network == "folder"
    assert card.metrics[0].population == "outer folds, 2 x 2, of the same data"
    screen(base, out / "classifier", tmp_path / "screened")
    check_scores(pl.read_csv(tmp_path / "screened/images.csv"), base, *tune_again(base / NETWORK, "linear_svm"))
    write_small(tmp_path / "other", seed=1)
    shutil.copy(tmp_path / "other/network.safetensors", out / "classifier/network/network.safetensors")
    refused = screen(base, out / "classifier", tmp_path / "refused", catch=True)
    assert isinstance(refused.exception, SetupError)
    assert "network.safetensors: SHA-256 is" in str(refused.exception)
    with pytest.raises(SetupError, match="--choose: found 'texture:knn'"):
        run(*same, "--choose", "texture:knn")


def test_images_of_another_pixel_size_are_marked_and_a_store_of_them_is_not_the_source(
    base: Path, tmp_path: Path
) -> None:
    features = load_features(base / "texture")
    assert find_source(features).maker.spacing_range_mm == (0.07, 0.07)
    (tmp_path / "in").mkdir()
    for path in (base / "mini/set/INbreast Release 1.0/AllDICOMs").glob("2000000*"):  # one woman
        shutil.copy(path, tmp_path / "in")
    screen(base, base / "out/classifier", tmp_path / "screened", "--spacing-mm", "0.14", files=tmp_path / "in")
    images = pl.read_csv(tmp_path / "screened/images.csv")
    assert len(images) == 4
    assert (
        images["warnings"].str.contains(r"pixel size 0.14 mm is outside the 0.07-0.07 mm that \S+ learned from").all()
    )
    store = shutil.copytree(base / "mini/store", tmp_path / "store")
    write_manifest(store, read_manifest(store).with_columns(pl.col("spacing_mm") * 2))
    with pytest.raises(
        SetupError, match="found 32 of the 32 images missing, or with other pixels or another pixel size"
    ):
        find_source(features, store=store)


def test_where_the_source_is_gone_transfer_ends_well_and_says_why(base: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(base / "texture", tmp_path / "texture")
    card = json.loads((moved / "features.json").read_text())
    card["store"] = str(tmp_path / "gone")
    (moved / "features.json").write_text(json.dumps(card))
    command = ("transfer", moved, "--classifier", "lr", *QUICK, "--out", tmp_path / "out")
    said = run(*command).output
    assert "No OUT/classifier of texture, logistic regression: " in said
    assert str(tmp_path / "gone") in said
    assert not (tmp_path / "out/classifier").exists()
    page = (tmp_path / "out/report.html").read_text()
    assert "takes --store and --weights" in page
    assert str(tmp_path) not in page
    again = run(*command, "--resume", "--store", base / "mini/store").output
    assert "OUT/classifier holds texture, logistic regression" in again
    assert load_classifier_card(tmp_path / "out/classifier").notes == "Nothing was chosen: it was the only one."
    later = run(*command, "--resume").output
    assert "The OUT/classifier that is there is an earlier run's." in later


def test_classifiers_that_are_no_arrays_leave_no_folder_and_one_sentence(base: Path, tmp_path: Path) -> None:
    said = run("transfer", base / "texture", "--classifier", "ridge,majority", *QUICK, "--out", tmp_path / "out").output
    assert "No OUT/classifier: none of these can be written as plain arrays." in said
    assert not (tmp_path / "out/classifier").exists()
    assert "chosen in the inner folds" not in (tmp_path / "out/results.json").read_text()


def test_pieces_without_inner_scores_are_refused(base: Path, tmp_path: Path) -> None:
    out = shutil.copytree(base / "out", tmp_path / "out")
    settings = json.loads((out / "settings.json").read_text())
    del settings["format"]
    (out / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(SetupError, match="pieces of another version of fourview"):
        run("transfer", base / "texture", base / NETWORK, *LINEAR, *QUICK, "--out", out, "--resume")
