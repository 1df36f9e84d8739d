"""A patch network alone reads exams: a score per image from its highest patches, and a map. Untrained values."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from fourview.cli import app
from fourview.draws import Streams, draw_grids
from fourview.engine import choose_engine
from fourview.exam import Exam, ExamError, SetupError, Side, View
from fourview.heatmap import find_empty, slide_patches
from fourview.ingest import read_exam
from fourview.screen import Screener
from fourview.weights.card import Card, Geometry, Input, PatchNetwork, Training
from fourview.weights.ensemble import save_ensemble
from fourview.weights.folder import build_birads, build_patch, load_weights, save_weights
from fourview.weights.untrained import untrained_card, write_untrained
from tests.datasets.drawn_film import SPACING_MM as FILM_MM
from tests.datasets.drawn_film import draw_film
from tests.ingest.pictures import write_picture
from tests.test_screen import SPACING_MM, draw_breast, draw_exam

SIDE, STRIDE = 32, 16


def write_patch(
    folder: Path,
    *,
    seed: int = 0,
    film: bool = False,
    score: int | None = None,
    phantoms: bool = False,
    resample: Literal["never", "always"] = "always",
) -> Path:
    """A tiny patch network with drawn values whose answers differ from patch to patch."""
    network = PatchNetwork(blocks=(1, 1), growth=4, stem=4, side_px=SIDE, stride_px=STRIDE, score_patches=score)
    card = Card(
        name=folder.name,
        patch=network,
        input=Input(spacing_mm=SPACING_MM, spacing_range_mm=(0.05, 2.0), resample=resample, film=film),
        geometry=Geometry(crop_iterations=12, crop_buffer_px=6, window_cc_px=(300, 200), window_mlo_px=(300, 200)),
        training=Training(trained=phantoms, data="none", phantoms_only=phantoms),
        licence="Apache-2.0",
    )
    built = build_patch(network)
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(tensor.shape, generator=generator) * 0.4 if tensor.ndim > 1 else tensor
        for name, tensor in built.state_dict().items()
    }
    tensors["classifier.bias"] = torch.zeros(len(network.classes))
    save_weights(folder, card, patch=tensors)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patch(tmp_path_factory.mktemp("patch") / "alone")


def load(folder: Path, **options: object) -> Screener:
    return Screener.load(folder, **{"engine": "torch", **options})


def test_an_images_score_is_the_mean_of_as_many_highest_patches_as_lie_over_one_spot(weights: Path) -> None:
    exam = draw_exam()
    screener = load(weights)
    reading = screener.read(exam)
    prepared = screener.prepare(exam).images[0]
    loaded = load_weights(weights)
    assert loaded.patch is not None
    assert loaded.card.patch is not None
    streams = Streams()
    streams.restart(0)
    crops = [image.crop.pixels for image in prepared]
    grids = draw_grids(prepared, loaded.card.patch, streams)
    read = choose_engine("torch").load_patches(loaded.patch, side_px=SIDE)
    assert reading.unit == "image"
    for image, crop, grid, p in zip(reading.images, crops, grids, slide_patches(crops, grids, read), strict=True):
        assert image.score is not None
        breast = ~find_empty(crop, grid)
        for place, finding in enumerate(("malignant", "benign")):
            highest = sorted(p[breast, place])[-((SIDE // STRIDE) ** 2) :]
            assert getattr(image.score, finding) == pytest.approx(np.mean(highest))
        assert image.score.files == (image.name,)
        assert image.features is None
    left = [image.score.malignant for image in reading.images if image.score and image.view.side is Side.LEFT]
    assert reading.left is not None
    assert reading.left.malignant == pytest.approx(np.mean(left))
    assert reading.marks == (
        "alone: untrained weights, the numbers mean nothing",
        "alone: a patch network alone, its scores rank images and are no probabilities",
    )


def test_windows_play_no_part_and_any_view_alone_is_read(weights: Path) -> None:
    exact, jittered = (load(weights, jitter=jitter).read(draw_exam()) for jitter in (0, 7))
    assert exact.windows == jittered.windows == 1
    assert [image.score for image in exact.images] == [image.score for image in jittered.images]
    alone = load(weights).read(Exam.from_arrays({"R-MLO": draw_breast(3, points="left")}, spacing_mm=SPACING_MM))
    assert [image.view for image in alone.images] == [View.R_MLO]
    assert alone.left is None


def test_more_patches_in_the_score_give_a_lower_one_and_other_weights(tmp_path: Path, weights: Path) -> None:
    one, all_of_them = (write_patch(tmp_path / str(count), score=count) for count in (1, 10_000))
    scores = [load(folder).read(draw_exam()).images[0].score for folder in (one, weights, all_of_them)]
    p = [score.malignant for score in scores if score is not None]
    assert p == sorted(p, reverse=True)
    assert len(set(p)) == 3
    cards = [load_weights(folder).card for folder in (one, weights, all_of_them)]
    assert len({card.weights_hash for card in cards}) == 3
    assert len({card.patch_hash for card in cards}) == 1  # the maps are the same


def test_an_ensemble_is_the_mean_of_its_members_and_so_is_its_map(tmp_path: Path, weights: Path) -> None:
    other = write_patch(tmp_path / "other", seed=1)
    save_ensemble(tmp_path / "both", [weights, other], name="both")
    first, second, both = (load(folder).read(draw_exam()).images[2] for folder in (weights, other, tmp_path / "both"))
    assert first.score
    assert second.score
    assert both.score
    assert both.score.malignant == pytest.approx((first.score.malignant + second.score.malignant) / 2)
    assert both.score.malignant_sd_members == pytest.approx(abs(first.score.malignant - second.score.malignant) / 2)
    assert first.heatmap
    assert second.heatmap
    assert both.heatmap
    mean = (first.heatmap.malignant + second.heatmap.malignant) / 2
    np.testing.assert_allclose(both.heatmap.malignant, mean, atol=1e-6)


def test_networks_that_speak_about_breasts_do_not_join_and_pretraining_reads_nothing(
    tmp_path: Path, weights: Path
) -> None:
    write_untrained(tmp_path / "exam", wiring="view-wise", heatmaps=False, scale=0.125)
    with pytest.raises(SetupError, match="different units"):
        Screener.load([weights, tmp_path / "exam"], engine="torch")
    with pytest.raises(SetupError, match="speak about breast and image"):
        save_ensemble(tmp_path / "both", [weights, tmp_path / "exam"], name="both")
    card = untrained_card("pretrained", heatmaps=True, scale=0.125)
    card = card.model_copy(update={"exam": None, "birads": card.exam})
    assert card.birads is not None
    assert card.patch is not None
    states = {"birads": build_birads(card.birads).state_dict(), "patch": build_patch(card.patch).state_dict()}
    save_weights(tmp_path / "pretrained", card, **states)
    with pytest.raises(SetupError, match=r"BI-RADS pretraining, view-wise.*; need weights of an exam network"):
        load(tmp_path / "pretrained")
    with pytest.raises(SetupError, match="neither an exam network in it nor a patch network alone"):
        save_ensemble(tmp_path / "both", [weights, tmp_path / "pretrained"], name="both")


def test_phantom_only_weights_refuse_other_images(tmp_path: Path) -> None:
    folder = write_patch(tmp_path / "of_phantoms", phantoms=True)
    with pytest.raises(ExamError, match="not for real images"):
        load(folder).read(draw_exam())
    reading = load(folder, allow_phantom_weights=True).read(draw_exam())
    assert reading.marks[-1].startswith("not for real images")


@pytest.mark.parametrize("files", ["all", "readings"])
def test_a_folder_of_films_becomes_a_row_per_film_that_is_evaluated_by_its_name(
    tmp_path: Path, weights: Path, files: str
) -> None:
    for number in range(1, 9):
        view = draw_breast(number, points="right" if number % 2 == 0 else "left")
        write_picture(tmp_path / f"films/mdb{number:03d}.png", (view >> 8).astype(np.uint8))
    out = tmp_path / "out"
    words = ["screen", tmp_path / "films", "--weights", weights, "--spacing-mm", SPACING_MM, "--files", files]
    done = CliRunner().invoke(app, [*map(str, words), "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    rows = pl.read_csv(out / "readings.csv")
    assert rows["files"].to_list() == [f"mdb{number:03d}.png" for number in (2, 1, 4, 3, 6, 5, 8, 7)]
    assert rows["view"].to_list() == ["L-MLO", "R-MLO"] * 4
    assert set(rows["status"]) == {"read"}
    assert rows["marks"].str.contains("no probabilities").all()
    pages = list(out.glob("exams/*/exam.html"))
    assert len(pages) == (4 if files == "all" else 0)
    assert len(set(rows["p_malignant"])) == 8
    truth = rows.select("exam", "side", "view", file="files", malignant=pl.Series([0, 1] * 4), benign=pl.lit(0))
    truth.write_csv(tmp_path / "truth.csv")
    words = ["evaluate", out / "readings.csv", "--truth", tmp_path / "truth.csv", "--out", tmp_path / "evaluated"]
    done = CliRunner().invoke(app, [*map(str, words), "--unit", "image"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    estimates = pl.read_csv(tmp_path / "evaluated/estimates.csv")
    assert {"image"} == set(estimates.filter(pl.col("name").str.starts_with("AUC"))["unit"])
    assert 8 in estimates["n"].to_list()


def test_a_film_is_read_without_its_background_whatever_its_file_is_called(tmp_path: Path) -> None:
    folder = write_patch(tmp_path / "weights", film=True)
    drawn = draw_film()
    write_picture(tmp_path / "film/1_L_MLO.png", drawn.pixels)
    bare = np.where(draw_film(background=0).breast, drawn.pixels, 0).astype(np.uint8)
    write_picture(tmp_path / "bare/1_L_MLO.png", bare)
    screener = load(folder)
    film, cut = (read_exam(tmp_path / name, spacing_mm=FILM_MM) for name in ("film", "bare"))
    (image,) = screener.read(film).images
    assert [decision.topic for decision in image.decisions].count("film") == 1
    assert image.frame.box_source.width < drawn.pixels.shape[1]
    (other,) = screener.read(cut).images
    plain = load(write_patch(tmp_path / "plain")).read(film).images[0]
    assert image.score
    assert other.score
    assert plain.score
    near = abs(image.score.malignant - other.score.malignant)
    assert near < 0.5 * abs(image.score.malignant - plain.score.malignant)
    again = screener.prepare(film).images[0][0].mammogram  # blanked once is blanked
    assert screener.prepare(Exam("e", (again,))).images[0][0].mammogram is again
