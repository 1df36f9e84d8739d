"""A classifier's folder: written from a fitted pipeline, whole by itself, read by `screen`."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from imblearn.pipeline import Pipeline
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from typer.testing import CliRunner, Result

from fourview.calibration import sigmoid
from fourview.cli import app
from fourview.datasets import mini_mias
from fourview.datasets.inbreast import find_inbreast, load_inbreast
from fourview.exam import Exam, SetupError, Side
from fourview.store.prepare import prepare
from fourview.store.store import Store
from fourview.studies.transfer.cases import make_cases
from fourview.studies.transfer.classifier_out import Learned, write_chosen, write_classifier
from fourview.studies.transfer.classify import Classifier
from fourview.studies.transfer.extract import Task, extract_features
from fourview.studies.transfer.feature_set import FeatureSet
from fourview.studies.transfer.feature_source import find_source
from fourview.studies.transfer.labels import read_labels
from fourview.studies.transfer.nested import tune
from fourview.studies.transfer.steps import Method
from fourview.weights.card import Metric
from fourview.weights.classifier import ClassifierCard, UnitScale, load_classifier
from fourview.weights.home import resolve
from tests.mini_mias_miniature import write_miniature
from tests.studies.inbreast_miniature import make_store
from tests.studies.small_weights import write_small
from tests.test_patch_network_alone import write_patch

SCALES = {
    "image": UnitScale(threshold=0.2, slope=1.5, intercept=-0.3),
    "breast": UnitScale(threshold=0.1, slope=2, intercept=0),
}
MEANS = "suspicious by BI-RADS 4+, not cancer"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("inbreast"), women=4)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("network") / "single-image", phantoms_only=True)


def extract(store: Store, out: Path, extractor: str, weights: Path | None = None) -> FeatureSet:
    task = Task(store.path, extractor, None if weights is None else str(weights), allow_phantom_weights=True)
    return extract_features(task, out).features


def fit(features: FeatureSet, last: Any) -> Any:
    y = np.array([birads >= "4" for birads in features.rows["birads"]], np.int64)
    pipeline = Pipeline([("scale", StandardScaler()), ("classify", last)])
    return pipeline.fit(features.values.astype(np.float64), y)


def learned(*, phantoms: bool = False) -> Learned:
    auc = Metric(
        name="AUC", value=0.8, interval_95=(0.7, 0.9), unit="image", n=16, positives=6, population="outer folds"
    )
    return Learned(
        label="BI-RADS 4 or more",
        positive=MEANS,
        positive_share=0.25,
        data="INbreast in small",
        population="4 women",
        terms="research only",
        phantoms=phantoms,
        metrics=(auc,),
    )


def write(folder: Path, features: FeatureSet, last: Any, *, phantoms: bool = False) -> tuple[Any, ClassifierCard]:
    pipeline = fit(features, last)
    source = find_source(features)
    more: dict[str, Any] = {"name": "mini", "scales": SCALES, "centre": 0.5, "spread": 2.0}
    return pipeline, write_classifier(folder, pipeline, source, learned(phantoms=phantoms), **more)


def screen(inputs: Path, weights: Path, out: Path, *more: str) -> Result:
    words = ["screen", str(inputs), "--weights", str(weights), "--out", str(out), "--device", "cpu"]
    return CliRunner().invoke(app, [*words, *more])


def files_of(store: Store) -> Path:
    return store.path.parent / "set/INbreast Release 1.0/AllDICOMs"


@pytest.fixture(scope="module")
def texture(store: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FeatureSet, Any]:
    """A classifier's folder, the features that it learned from, and its pipeline."""
    folder = tmp_path_factory.mktemp("texture")
    features = extract(store, folder / "features", "texture")
    pipeline, _ = write(folder / "classifier", features, LogisticRegression(C=0.1))
    return folder / "classifier", features, pipeline


def test_screen_gives_each_file_the_score_of_its_features(
    texture: tuple[Path, FeatureSet, Any], store: Store, tmp_path: Path
) -> None:
    folder, features, pipeline = texture
    done = screen(files_of(store), folder, tmp_path / "out")
    assert done.exit_code == 0, done.output
    images = pl.read_csv(tmp_path / "out/images.csv")
    decisions = pipeline.decision_function(features.values.astype(np.float64))
    wanted = dict(zip(features.rows["image"], (decisions - 0.5) / 2, strict=True))
    found = {file[:8]: score for file, score in images.select("files", "score").iter_rows()}
    assert found.keys() == wanted.keys()
    assert [found[image] for image in wanted] == pytest.approx(list(wanted.values()), abs=1e-6)
    scores = images["score"].to_numpy()
    np.testing.assert_allclose(images["p"], sigmoid(1.5 * scores - 0.3))
    assert images["called"].to_list() == (scores >= 0.2).tolist()


def test_rows_and_page_say_what_a_score_means_and_none_says_malignant(
    texture: tuple[Path, FeatureSet, Any], store: Store, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for path in sorted(files_of(store).glob("2000000*")):  # one woman
        shutil.copy(path, tmp_path / "in")
    done = screen(tmp_path / "in", texture[0], tmp_path / "out")
    assert done.exit_code == 0, done.output
    readings, images = (pl.read_csv(tmp_path / f"out/{name}.csv") for name in ("readings", "images"))
    for table in (readings, images):
        assert set(table["means"]) == {MEANS}
        assert not [name for name in table.columns if "malignant" in name]
    document = json.loads((tmp_path / "out/results.json").read_text())
    text = document["sections"][0]["text"][0]
    assert text.startswith(f"A high score means: {MEANS}.")
    assert "25% of images" in text
    assert "malignant" not in json.dumps(document)
    page = (tmp_path / "out/report.html").read_text()
    assert MEANS in page
    assert "AUC 0.800 (95 % 0.700 to 0.900; 16 images, 6 positive; outer folds)" in page
    assert "Research software, not a medical device" in done.output
    assert MEANS in " ".join(done.output.split())


def test_a_breasts_score_is_the_mean_of_its_images(texture: tuple[Path, FeatureSet, Any], store: Store) -> None:
    records = find_inbreast(store.path.parent / "set").records[:4]
    answer = Classifier.open(texture[0], device="cpu").read(Exam("e", tuple(map(load_inbreast, records))))
    assert [breast.side for breast in answer.breasts] == [Side.LEFT, Side.RIGHT]
    for breast in answer.breasts:
        own = [image for image in answer.images if image.side is breast.side]
        assert len(own) == 2
        assert breast.score == pytest.approx(np.mean([image.score for image in own]))
        assert breast.files == tuple(name for image in own for name in image.files)
        assert breast.called == (breast.score >= 0.1)


def test_a_tuned_method_says_the_same_of_files_as_of_the_features_that_it_learned_from(
    texture: tuple[Path, FeatureSet, Any], store: Store, tmp_path: Path
) -> None:
    features, method = texture[1], Method(share=0.3, value=1.0)
    labels, values = read_labels(features, "birads4+"), features.values.astype(np.float64)
    cases = make_cases(features, labels)
    made: dict[str, Any] = {"labels": labels, "features": features.card, "name": "mini", "inner": 2}
    card = write_chosen(tmp_path / "c", values, cases, method, find_source(features), **made)
    assert card.positive == "suspicious by BI-RADS, not cancer"
    assert card.training.population == "4 women, 16 images, 4 of them positive"
    tuned = tune(values, cases, method, inner=2)
    records = find_inbreast(store.path.parent / "set").records[:4]
    answer = Classifier.open(tmp_path / "c", device="cpu").read(Exam("e", tuple(map(load_inbreast, records))))
    score = dict(zip(features.rows["image"], tuned.score(values), strict=True))
    for image in answer.images:
        reading = tuned.readings["image"]
        own = score[image.files[0][:8]]
        assert image.score == pytest.approx(own, abs=1e-6)
        assert image.p == pytest.approx(float(sigmoid(np.array(reading.slope * own + reading.intercept))), abs=1e-6)
        assert image.called == (own >= reading.threshold)


def test_a_method_that_screen_cannot_read_is_refused_before_it_is_tuned(
    texture: tuple[Path, FeatureSet, Any], tmp_path: Path
) -> None:
    features, labels = texture[1], read_labels(texture[1], "birads4+")
    values, cases, source = features.values.astype(np.float64), make_cases(features, labels), find_source(features)
    for method in (Method("ridge"), Method("boosting"), Method("knn", imbalance="none"), Method("majority")):
        with pytest.raises(SetupError, match=f"classifier {method.classifier}: cannot be written as plain arrays"):
            write_chosen(
                tmp_path / "c", values, cases, method, source, labels=labels, features=features.card, name="mini"
            )
    noise = features.card.model_copy(update={"extractor": "noise"})
    with pytest.raises(SetupError, match="features noise: know nothing of an image"):
        write_chosen(tmp_path / "c", values, cases, Method(), source, labels=labels, features=noise, name="mini")


def test_the_folder_holds_the_network_and_phantom_weights_are_told_apart(
    store: Store, network: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(network, tmp_path / "network")
    features = extract(store, tmp_path / "features", "nyu_matched_gap256", copied)
    pipeline, card = write(tmp_path / "classifier", features, SVC(), phantoms=True)
    assert card.kind == "RBF SVM on nyu_matched_gap256"
    assert card.training.phantoms_only
    assert set(card.sha256) == {"classifier.safetensors", "network/card.json", "network/network.safetensors"}
    _, other = write(tmp_path / "real", features, SVC(kernel="linear"))
    assert not other.training.phantoms_only  # it has seen real images
    assert other.licence == "the terms of the training data decide (see training.terms)"
    assert other.training.terms == "research only"
    shutil.rmtree(copied)
    (tmp_path / "in").mkdir()
    for path in sorted(files_of(store).glob("2000000*")):  # one woman
        shutil.copy(path, tmp_path / "in")
    refused = screen(tmp_path / "in", tmp_path / "classifier", tmp_path / "no")
    assert refused.exit_code == 1
    reasons = pl.read_csv(tmp_path / "no/failures.csv").filter(kind="exam")["reason"]
    assert len(reasons) == 4
    assert reasons.str.contains("was trained on phantoms only: not for real images").all()
    allowed = screen(tmp_path / "in", tmp_path / "classifier", tmp_path / "yes", "--allow-phantom-weights")
    assert allowed.exit_code == 0, allowed.output
    images = pl.read_csv(tmp_path / "yes/images.csv")
    wanted = dict(zip(features.rows["image"], pipeline.decision_function(features.values), strict=True))
    for file, score in images.select("files", "score").iter_rows():
        assert score == pytest.approx((wanted[file[:8]] - 0.5) / 2, abs=1e-4)
    mark = "not for real images: trained on phantoms only (mini)"
    assert set(images["marks"]) == {mark}
    assert mark in (tmp_path / "yes/report.html").read_text()


def test_what_cannot_be_arrays_is_refused_and_leaves_nothing(
    texture: tuple[Path, FeatureSet, Any], tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="KNeighborsClassifier, which cannot be written as plain arrays"):
        write(tmp_path / "c", texture[1], KNeighborsClassifier(3))
    assert not (tmp_path / "c").exists()
    other = texture[1].card.model_copy(update={"preprocessing_hash": "0" * 16})
    with pytest.raises(SetupError, match=r"of texture: found the settings .* now, and they were made with 0000"):
        find_source(replace(texture[1], card=other))


def test_a_damaged_or_exchanged_file_is_named(texture: tuple[Path, FeatureSet, Any], tmp_path: Path) -> None:
    folder = shutil.copytree(texture[0], tmp_path / "c")
    path = folder / "classifier.safetensors"
    path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(SetupError, match=r"classifier.safetensors: SHA-256 is .*damaged or exchanged"):
        load_classifier(folder)
    path.unlink()
    with pytest.raises(SetupError, match="SHA-256 is missing"):
        load_classifier(folder)


def test_options_of_networks_and_verbs_for_networks_refuse_a_classifier(
    texture: tuple[Path, FeatureSet, Any], store: Store, tmp_path: Path
) -> None:
    given = screen(files_of(store), texture[0], tmp_path / "out", "--prevalence", "0.01", "--rng", "upstream")
    assert "found --rng, --prevalence, which a classifier of features does not have" in str(given.exception)
    with pytest.raises(SetupError, match="found a classifier of features, which `fourview screen` alone reads"):
        resolve(str(texture[0]))


@pytest.mark.parametrize("extractor", ["texture", "patch_1024"])
def test_films_are_read_without_their_background_whatever_made_the_features(extractor: str, tmp_path: Path) -> None:
    write_miniature(tmp_path / "films", women=2)
    prepare(mini_mias.DATASET, tmp_path / "films", tmp_path / "store")
    network = write_patch(tmp_path / "network", resample="never") if extractor == "patch_1024" else None
    features = extract(Store.open(tmp_path / "store"), tmp_path / "features", extractor, network)
    y = np.arange(len(features.rows)) % 2
    pipeline = Pipeline([("scale", StandardScaler()), ("classify", LogisticRegression(C=0.1))])
    pipeline.fit(features.values.astype(np.float64), y)
    source = find_source(features)
    assert source.maker.film
    write_classifier(tmp_path / "classifier", pipeline, source, learned(), name="films", scales=SCALES)
    done = screen(tmp_path / "films", tmp_path / "classifier", tmp_path / "out")
    assert done.exit_code == 0, done.output
    rows = pl.read_csv(tmp_path / "out/images.csv").select("files", "score").rows()
    wanted = pipeline.decision_function(features.values.astype(np.float64))
    found = {file.removesuffix(".png"): score for file, score in rows}
    assert found == pytest.approx(dict(zip(features.rows["image"], wanted, strict=True)), abs=1e-4)


def test_an_answer_says_by_itself_who_says_it_what_it_means_and_why_to_distrust_it(
    texture: tuple[Path, FeatureSet, Any], store: Store, tmp_path: Path
) -> None:
    shutil.copytree(texture[0], tmp_path / "c")
    card = json.loads((tmp_path / "c/classifier.json").read_text())
    card["training"]["phantoms_only"] = True
    (tmp_path / "c/classifier.json").write_text(json.dumps(card))
    (tmp_path / "in").mkdir()
    for path in sorted(files_of(store).glob("2000000*")):
        shutil.copy(path, tmp_path / "in")
    done = screen(tmp_path / "in", tmp_path / "c", tmp_path / "out", "--allow-phantom-weights")
    assert done.exit_code == 0, done.output
    answer = json.loads(next((tmp_path / "out/exams").glob("*/answer.json")).read_text())
    assert (answer["model"], answer["means"]) == ("mini", MEANS)
    assert answer["marks"] == ["not for real images: trained on phantoms only (mini)"]


@pytest.mark.parametrize(
    "option", [("--jitter", "10"), ("--seed", "7"), ("--engine", "openvino"), ("--files", "readings")]
)
def test_options_that_mean_nothing_to_a_classifier_are_refused(
    texture: tuple[Path, FeatureSet, Any], store: Store, tmp_path: Path, option: tuple[str, str]
) -> None:
    done = screen(files_of(store), texture[0], tmp_path / "out", *option)
    assert isinstance(done.exception, SetupError)
    assert f"found {option[0]}, which a classifier of features does not have" in str(done.exception)


def test_another_grey_scale_than_was_learned_is_said_of_each_image(
    texture: tuple[Path, FeatureSet, Any], store: Store, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for path in sorted(files_of(store).glob("2000000*")):
        shutil.copy(path, tmp_path / "in")
    done = screen(tmp_path / "in", texture[0], tmp_path / "out", "--pixels", "presentation")
    assert done.exit_code == 0, done.output
    warnings = pl.read_csv(tmp_path / "out/images.csv")["warnings"].to_list()
    assert warnings
    assert all("pixels: presentation; mini learned from stored" in text for text in warnings)
