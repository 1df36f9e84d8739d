"""The page of a run: every number in the JSON, what is not as published with its reason, inputs as they are."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import polars as pl
import pytest

from fourview.evaluate.question import Question
from fourview.exam import SetupError
from fourview.report.document import Document, Figure, Gallery, Table
from fourview.report.document_folder import add_document
from fourview.report.document_json import document_json
from fourview.report.overlay import COLOURS
from fourview.report.page.document_page import draw_document_page
from fourview.report.training_document import Confusion, TrainingRun, describe_training, write_setting
from fourview.report.training_pictures import TrainingInput, draw_view

UNITS = 120


def question(name: str, seed: int = 0) -> Question:
    rng = np.random.default_rng(seed)
    truth = np.arange(UNITS) % 3 == 0
    return Question(name, "patch", truth, truth + rng.normal(size=UNITS), (np.arange(UNITS) // 4).astype(np.str_))


def history(epochs: int) -> pl.DataFrame:
    steps = np.arange(1, epochs + 1)
    return pl.DataFrame(
        {
            "epoch": steps,
            "step": 10 * steps,
            "loss": 1 / steps,
            "lr": 1e-3 / steps,
            "score": 0.6 + 0.01 * steps,
            "auc_benign": 0.6 + 0.01 * steps,
            "auc_malignant": 0.7 + 0.01 * steps,
            "n_benign": 0.0 * steps,
            "samples_per_second": 10.0 + steps,
            "waiting_share": 0.01 * steps,
            "seconds": 1.0 * steps,
        }
    )


def inputs() -> tuple[TrainingInput, ...]:
    rng = np.random.default_rng(1)
    planes = {"L-CC": np.concatenate([rng.normal(size=(1, 60, 40)), rng.uniform(size=(2, 60, 40))]).astype(np.float32)}
    return (TrainingInput("exam 7", ("left malignant yes",), planes),)


@pytest.fixture
def run() -> TrainingRun:
    rng = np.random.default_rng(2)
    true = np.arange(UNITS) % 2
    return TrainingRun(
        name="small",
        stage="patch",
        history=history(4),
        best_epoch=3,
        stopped="patience",
        questions=tuple(question(f"AUC, {name} patches", n) for n, name in enumerate(("malignant", "benign", "other"))),
        confusion=Confusion(("a", "b"), true, rng.integers(0, 2, UNITS), (np.arange(UNITS) // 4).astype(str), "patch"),
        inputs=inputs(),
        facts=(("parameters", "12"),),
        recipe=(("loop.batch", "4"),),
        deviations=(("loop.batch", "100", "4", "a laptop"), ("optimiser.lr", "1e-05", "0.1", "not said")),
        settings=(("data SHA-256", "abc"),),
    )


def parts(document: Document) -> dict[str, Table | Figure | Gallery]:
    return {part.name: part for section in document.sections for part in section.parts}


def test_the_questions_that_choose_the_epoch_head_the_page_and_all_are_in_its_table(run: TrainingRun) -> None:
    document = describe_training(run)
    assert [area.name for area in document.headline] == ["AUC, malignant patches", "AUC, benign patches"]
    table = parts(document)["areas"]
    assert isinstance(table, Table)
    assert [row[1] for row in table.rows] == [q.area for q in run.questions]
    assert len(describe_training(replace(run, stage="exam")).headline) == 3


def test_every_number_of_the_page_is_in_the_json(run: TrainingRun) -> None:
    document = describe_training(run)
    values = json.loads(document_json(document))
    figures = {p["name"]: p["data"] for s in values["sections"] for p in s["parts"] if p["part"] == "figure"}
    assert figures["course_loss"]["loss"] == [1, 1 / 2, 1 / 3, 1 / 4]
    assert figures["course_validation"]["auc_malignant"] == pytest.approx([0.71, 0.72, 0.73, 0.74])
    assert "n_benign" not in figures["course_validation"]  # a count is no curve beside areas
    assert figures["course_rate"]["lr"][0] == 1e-3
    assert list(figures["roc"]) == [q.name for q in run.questions]
    page = draw_document_page(document)
    for text in ("a laptop", "not said", "loop.batch", "abc", "exam 7", "left malignant yes", "predictions.csv"):
        assert text in page


def test_one_epoch_and_a_constant_rate_make_no_curve(run: TrainingRun) -> None:
    assert not [name for name in parts(describe_training(replace(run, history=history(1)))) if "course" in name]
    constant = history(3).with_columns(lr=pl.lit(0.1))
    assert "course_rate" not in parts(describe_training(replace(run, history=constant)))


def test_intervals_of_the_history_are_drawn_where_it_has_them(run: TrainingRun) -> None:
    with_bounds = history(3).with_columns(
        auc_malignant_low=pl.col("auc_malignant") - 0.1, auc_malignant_high=pl.col("auc_malignant") + 0.1
    )
    figure = parts(describe_training(replace(run, history=with_bounds)))["course_validation"]
    assert isinstance(figure, Figure)
    assert set(figure.data) == {"epoch", "auc_malignant", "auc_malignant_low", "auc_malignant_high"}
    assert "95 %" in figure.caption


def test_the_confusion_matrix_counts_each_pair_and_its_rows_have_intervals(run: TrainingRun) -> None:
    assert run.confusion is not None
    table = parts(describe_training(run))["confusion"]
    assert isinstance(table, Table)
    for number, (name, *counts, right) in enumerate(table.rows):
        own = run.confusion.true == number
        assert name == "ab"[number]
        assert counts == [int((run.confusion.said[own] == said).sum()) for said in (0, 1)]
        assert (right.n, right.positives, right.clusters) == (60, counts[number], 30)


def test_the_page_says_what_the_weights_are_not_for(run: TrainingRun) -> None:
    assert not [w for w in describe_training(run).warnings if "phantoms" in w]
    document = describe_training(replace(run, phantoms_only=True, unasked=("one class was missing",)))
    assert "not for real images" in document.warnings[0]
    assert document.warnings[-1] == "one class was missing"


def test_a_view_is_drawn_with_its_heatmaps_below_in_their_colours() -> None:
    planes = np.zeros((3, 100, 80), np.float32)
    planes[0, :, :40] = 2.0
    planes[1, :50], planes[2, 50:] = 1.0, 1.0  # benign above, malignant below
    picture = draw_view("L-CC", planes)
    benign, malignant = (np.all(picture == COLOURS[finding], axis=2) for finding in ("benign", "malignant"))
    rows, cols = np.nonzero(benign)
    below, right = np.nonzero(malignant)
    assert cols.max() < 40 <= right.min()  # side by side
    assert rows.min() < below.min()
    assert rows.min() > 100  # under the image
    assert picture.shape[1] == 80


def test_a_gallery_holds_a_picture_per_view_that_can_be_read(run: TrainingRun) -> None:
    gallery = parts(describe_training(run))["inputs"]
    assert isinstance(gallery, Gallery)
    (name, content), *others = gallery.items[0].images
    assert name == "exam 7, L-CC"
    assert others == []
    assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR).shape[1] == 40


@pytest.mark.parametrize("name", ["L-CC", "patch"])
def test_pictures_of_phantoms_say_in_their_pixels_that_nobody_was_imaged(run: TrainingRun, name: str) -> None:
    seen = (replace(run.inputs[0], planes={name: next(iter(run.inputs[0].planes.values()))}),)
    pictures = []
    for phantoms_only in (False, True):
        gallery = parts(describe_training(replace(run, inputs=seen, phantoms_only=phantoms_only)))["inputs"]
        assert isinstance(gallery, Gallery)
        ((words, content),) = gallery.items[0].images
        assert words.endswith(", synthetic") == phantoms_only
        pictures.append(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR))
    image, marked = pictures
    head = len(marked) - len(image) if name == "patch" else 24
    assert marked[:head].max() > 100  # there is a text above the image
    assert marked[:head].shape != image[:head].shape or (marked[:head] != image[:head]).any()


def test_a_page_beside_other_files_takes_the_place_of_an_older_one(run: TrainingRun, tmp_path) -> None:
    (tmp_path / "history.csv").write_text("kept")
    add_document(tmp_path, describe_training(run))
    first = (tmp_path / "report.html").read_text()
    add_document(tmp_path, describe_training(replace(run, best_epoch=2)))
    assert (tmp_path / "report.html").read_text() != first
    assert (tmp_path / "history.csv").read_text() == "kept"
    assert (tmp_path / "plots" / "roc.svg").is_file()


def test_values_of_recipes_are_written_as_texts() -> None:
    assert [write_setting(v) for v in (None, True, 1e-5, (1, 2), "bf16")] == ["none", "yes", "1e-05", "1, 2", "bf16"]


def test_a_question_needs_both_answers() -> None:
    with pytest.raises(SetupError, match="found 0 positive of 3 breasts"):
        Question("AUC, x", "breast", np.zeros(3, bool), np.zeros(3), np.array(["a", "b", "c"]))
