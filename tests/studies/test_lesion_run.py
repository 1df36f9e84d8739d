"""A lesion run from a store to weights, and what these weights say of the same lesions later."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from fourview.cli import app
from fourview.exam import SetupError
from fourview.store.store import Store
from fourview.studies.lesion.lesion_weights import load_lesion_card, load_lesion_weights, save_lesion_weights
from fourview.studies.lesion.run import run_study
from fourview.studies.lesion.run_folder import measure_greys, open_folder
from fourview.studies.lesion.study import LesionStudy, MemberPlan, open_study
from fourview.train.devices import launched, open_fabric
from fourview.train.trained import Step
from tests.studies.planted_lesions import RECIPE, copy_images, plant_lesions, planted_recipe


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    plant_lesions(folder)
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def run(planted: Path) -> Path:
    """One fold, of the command line."""
    out = planted / "run"
    call("train", planted / "recipe.toml", "--data", planted / "store", "--out", out, "--fold", 2, "--device", "cpu")
    return out


def call(*words: object, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["lesion", *map(str, words)])
    assert result.exit_code == status, (result.output, result.exception)
    return result.output


def study_of(store: Store, *settings: str) -> LesionStudy:
    return open_study(store, planted_recipe(*settings), None, about="planted")


def train(study: LesionStudy, out: Path, *, on_step: Callable[[MemberPlan, Step], None], resume: bool = False) -> None:
    open_folder(out, study, (0,), resume=resume)
    read = study.reader(measure_greys(out, study.store, study.images, on_image=lambda done, total: None))
    fabric = open_fabric(study.recipe, accelerator="cpu")
    with launched(fabric):
        run_study(study, out, (0,), read, fabric=fabric, on_step=on_step)


def test_a_run_leaves_weights_tables_and_a_page(run: Path) -> None:
    table = pl.read_csv(run / "lesions.csv")
    assert table.height == 3  # a third of nine patients, a lesion each
    assert set(table["fold"]) == {2}
    assert table["p"].is_between(0, 1).all()
    both = table.filter(pl.col("p_mlo").is_not_null())
    assert both["p"].to_list() == pytest.approx(((both["p_cc"] + both["p_mlo"]) / 2).to_list())
    card = load_lesion_card(run / "weights")
    assert [member.file for member in card.members] == ["fold-2-seed-0-both.safetensors"]
    assert not card.phantoms_only
    assert (card.images.crop_iterations, card.images.crop_buffer_px) == (10, 20)
    results = json.loads((run / "results.json").read_text())
    assert results["kind"] == "lesions"
    assert "1 of 3 folds" in " ".join(results["warnings"])
    assert (run / "report.html").stat().st_size > 10_000


def test_the_weights_say_of_held_out_lesions_what_the_run_said(run: Path, planted: Path, tmp_path: Path) -> None:
    call("read", planted / "store", "--weights", run / "weights", "--out", tmp_path / "read")
    said = pl.read_csv(tmp_path / "read/views.csv").select("image", "lesion", "p")
    held_out = pl.read_csv(run / "views.csv").select("image", "lesion", p_run="p")
    both = held_out.join(said, on=("image", "lesion"))
    assert both.height == held_out.height >= 5
    assert both["p"].to_list() == pytest.approx(both["p_run"].to_list(), abs=1e-5)
    assert both["p"].std() > 3e-4  # and not the same of all


def test_files_with_boxes_are_read_as_the_store_is(run: Path, planted: Path, tmp_path: Path) -> None:
    files = copy_images(tmp_path, pictures=planted / "pictures")
    store = Store.open(planted / "store")
    lines = ["image,lesion,mask,malignant"]
    for row in store.images.iter_rows(named=True):
        (lesion,) = row["lesions"]
        kind = lesion["lesion"]
        name = row["image"].replace("-", "_")
        lines.append(f"{name},{kind},{planted}/pictures/{row['image']}_{kind}.png,{int(kind == 'malignant')}")
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    call("read", planted / "store", "--weights", run / "weights", "--out", tmp_path / "stored")
    boxes = ("--boxes", tmp_path / "boxes.csv", "--spacing-mm", 0.2)
    call("read", files, *boxes, "--weights", run / "weights", "--out", tmp_path / "read")
    stored, read = (pl.read_csv(tmp_path / name / "views.csv") for name in ("stored", "read"))
    ours = stored.with_columns(pl.col("image").str.replace("-", "_")).sort("image")
    theirs = read.with_columns(pl.col("image").str.strip_suffix(".png")).sort("image")
    assert ours["image"].to_list() == theirs["image"].to_list()
    assert theirs["p"].to_list() == pytest.approx(ours["p"].to_list(), abs=1e-6)
    for edge in ("top", "bottom", "left", "right", "diameter_mm"):
        assert theirs[edge].to_list() == ours[edge].to_list()
    lesions = pl.read_csv(tmp_path / "read/lesions.csv")
    assert lesions.filter(pl.col("p_mlo").is_null())["warnings"].to_list() == ["one view alone: no MLO"]
    assert "Against the truth" in (tmp_path / "read/report.html").read_text()


def test_a_row_that_means_images_of_two_exams_is_refused_until_it_says_which(
    run: Path, planted: Path, tmp_path: Path
) -> None:
    files = copy_images(tmp_path, pictures=planted / "pictures")
    for number in (7, 8):  # the documented layout: a folder per exam, the same names in each
        folder = tmp_path / "many" / f"patient{number}"
        folder.mkdir(parents=True)
        for angle in ("CC", "MLO"):
            shutil.copy(files / f"p{number - 7}_L_{angle}.png", folder / f"L_{angle}.png")
    out = ("--weights", run / "weights", "--spacing-mm", 0.2, "--out", tmp_path / "out")
    row = "L_CC,a,129,169,30,100"
    (tmp_path / "boxes.csv").write_text(f"image,lesion,top,bottom,left,right\n{row}\n")
    words = ["lesion", "read", tmp_path / "many", "--boxes", tmp_path / "boxes.csv", *out]
    refused = str(CliRunner().invoke(app, list(map(str, words))).exception)
    assert "line 2, L_CC, lesion a: found images of that name in the exams" in refused
    assert "need a column exam that says which" in refused
    (tmp_path / "boxes.csv").write_text(f"exam,image,lesion,top,bottom,left,right\npatient7,{row}\n")
    call("read", tmp_path / "many", "--boxes", tmp_path / "boxes.csv", *out)
    assert pl.read_csv(tmp_path / "out/views.csv").height == 1


def test_one_row_with_the_truth_is_enough_and_a_second_row_of_an_image_is_a_problem(
    run: Path, planted: Path, tmp_path: Path
) -> None:
    exam = Store.open(planted / "store").images.filter(image="p0_L-CC")["exam"][0]
    header = "exam,image,view,lesion,top,bottom,left,right,malignant"
    lines = [",p0_L-CC,,a,120,160,40,96,1", ",p0_L-MLO,,a,200,240,40,96,"]
    lines.append(f"{exam},,L-CC,a,100,140,40,96,0")  # the same image, by its exam and view
    (tmp_path / "boxes.csv").write_text("\n".join([header, *lines]))
    out = tmp_path / "out"
    boxes = ("--boxes", tmp_path / "boxes.csv", "--weights", run / "weights", "--out", out)
    call("read", planted / "store", *boxes, status=1)
    (lesion,) = pl.read_csv(out / "lesions.csv").to_dicts()
    assert lesion["malignant"] is True
    assert "do not agree" not in (lesion["warnings"] or "")
    (failure,) = pl.read_csv(out / "failures.csv").to_dicts()
    assert "found another row of it for this image" in failure["reason"]


def test_boxes_of_no_image_are_listed_and_the_others_are_read(run: Path, planted: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(
        "image,lesion,top,bottom,left,right\np0_L-CC,a,120,160,40,96\nnobody,b,0,9,0,9\np0_L-MLO,a,0,5,300,310\n"
    )
    out = tmp_path / "out"
    call(
        "read",
        planted / "store",
        "--boxes",
        tmp_path / "boxes.csv",
        "--weights",
        run / "weights",
        "--out",
        out,
        status=1,
    )
    assert pl.read_csv(out / "views.csv")["image"].to_list() == ["p0_L-CC"]
    reasons = pl.read_csv(out / "failures.csv")["reason"].to_list()
    assert reasons[0] == "no such image here"
    assert "found no pixel of it on the breast" in reasons[1]


def test_weights_that_saw_phantoms_alone_refuse_real_images(run: Path, planted: Path, tmp_path: Path) -> None:
    weights = load_lesion_weights(run / "weights")
    tensors = [network.state_dict() for network in weights.networks]
    folder = tmp_path / "phantoms"
    save_lesion_weights(folder, weights.card.model_copy(update={"phantoms_only": True}), tensors)
    said = call("read", planted / "store", "--weights", folder, "--out", tmp_path / "no", status=1)
    assert "0 lesions read" in said
    assert "not for real images" in pl.read_csv(tmp_path / "no/failures.csv")["reason"][0]
    said = call("read", planted / "store", "--weights", folder, "--out", tmp_path / "yes", "--allow-phantom-weights")
    assert "ATTENTION: not for real images" in said


def test_a_run_that_is_interrupted_goes_on_to_the_same_networks(planted: Path, tmp_path: Path) -> None:
    store = Store.open(planted / "store")
    study = study_of(store, "network.gate=attention", "loop.epochs=3")
    train(study, tmp_path / "whole", on_step=lambda plan, step: None)
    steps = []

    def stop_once(plan: MemberPlan, step: Step) -> None:
        steps.append(step)
        if len(steps) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(study, tmp_path / "parts", on_step=stop_once)
    train(study, tmp_path / "parts", on_step=stop_once, resume=True)
    first, second = (last_tensors(tmp_path / name) for name in ("whole", "parts"))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def last_tensors(out: Path) -> dict[str, torch.Tensor]:
    (found,) = (out / "members/fold-1-seed-0-both/checkpoints").glob("last-*")
    return load_file(found / "tensors.safetensors")


def test_a_folder_of_another_run_is_refused(run: Path, planted: Path) -> None:
    study = study_of(Store.open(planted / "store"), "seed=3")
    with pytest.raises(SetupError, match="found another run"):
        open_folder(run, study, (1,), resume=True)


def test_separate_networks_read_their_own_view_and_one_may_begin_with_them(run: Path, planted: Path) -> None:
    store = Store.open(planted / "store")
    study = study_of(store, "ensemble.views=separate", "ensemble.seeds=2", "folds=3")
    plans = study.plan((0, 2))
    assert [plan.name for plan in plans][:4] == [
        f"fold-1-seed-{seed}-{angle}" for seed in (0, 1) for angle in ("cc", "mlo")
    ]
    assert len(plans) == 8
    assert {view.angle for view in study.views_of(plans[1], "train")} == {"MLO"}
    with pytest.raises(SetupError, match="has learned from 11 of these 17 images"):
        open_study(store, planted_recipe(), str(run / "weights"), about="planted")


def test_weights_are_no_start_for_images_that_they_have_seen_whatever_else_differs(run: Path, planted: Path) -> None:
    store = Store.open(planted / "store")
    weights = load_lesion_weights(run / "weights")
    women = [one for one in weights.card.learned if one.startswith("patient ")]
    assert (len(weights.card.learned) - len(women), len(women)) == (11, 6)
    few = replace(store, manifest=store.manifest.filter(pl.col("image") != "p0_L-CC"))
    with pytest.raises(SetupError, match="of these 16 images"):
        open_study(few, planted_recipe("seed=3"), str(run / "weights"), about="planted")


def test_weights_are_no_start_for_women_that_they_have_seen_however_their_images_were_cut(
    run: Path, planted: Path
) -> None:
    store = Store.open(planted / "store")
    cut_otherwise = pl.concat_str(pl.lit("0000"), "pixels_sha256")
    other = replace(store, manifest=store.manifest.with_columns(pixels_sha256=cut_otherwise))
    with pytest.raises(SetupError, match="has learned from 0 of these 17 images, of 6 women, which are tested here"):
        open_study(other, planted_recipe("seed=3"), str(run / "weights"), about="planted")


def test_a_network_of_one_fold_begins_with_what_it_begins_with_among_all(planted: Path) -> None:
    store = Store.open(planted / "store")
    for views, readers in (("shared", 1), ("separate", 2)):
        study = study_of(store, f"ensemble.views={views}", "ensemble.seeds=2", "folds=3")
        every = study.plan((0, 1, 2))
        assert [plan.number for plan in every] == list(range(3 * 2 * readers))
        assert study.plan((2,)) == tuple(plan for plan in every if plan.fold == 2)


def test_of_a_broken_image_the_other_view_is_read(run: Path, planted: Path, tmp_path: Path) -> None:
    files = copy_images(tmp_path, pictures=planted / "pictures")
    (files / "p1_L_CC.png").write_bytes(b"no picture")
    rows = [f"p1_L_{angle},a,{top},{top + 40},30,100" for angle, top in (("CC", 129), ("MLO", 200))]
    (tmp_path / "boxes.csv").write_text("\n".join(["image,lesion,top,bottom,left,right", *rows]))
    words = ("--boxes", tmp_path / "boxes.csv", "--weights", run / "weights", "--out", tmp_path / "out")
    call("read", files, *words, status=1)
    (lesion,) = pl.read_csv(tmp_path / "out/lesions.csv").to_dicts()
    assert (lesion["p_cc"], lesion["images"]) == (None, "p1_L_MLO.png")
    (failure,) = pl.read_csv(tmp_path / "out/failures.csv").to_dicts()
    assert "p1_L_CC" in failure["what"]
    assert "no such image" not in failure["reason"]


def test_another_set_may_begin_with_the_weights_of_a_run(run: Path, planted: Path, tmp_path: Path) -> None:
    weights = load_lesion_weights(run / "weights")
    folder = tmp_path / "others"
    card = weights.card.model_copy(update={"learned": ()})
    save_lesion_weights(folder, card, [network.state_dict() for network in weights.networks])
    study = open_study(Store.open(planted / "store"), planted_recipe(), str(folder), about="planted")
    begun = study.start.build(study.recipe, seed=1, angles=("CC", "MLO"), number=3)
    assert torch.equal(begun.output.weight, weights.networks[0].output.weight)
    assert study.start.note == f"begins with all of {weights.card.name}"
    with pytest.raises(SetupError, match="weights for another network"):
        open_study(
            Store.open(planted / "store"), planted_recipe("network.width_mult=2"), str(folder), about="planted"
        ).start.build(planted_recipe("network.width_mult=2"), seed=1, angles=("CC", "MLO"), number=0)


def test_several_weights_answer_by_their_mean(run: Path, planted: Path, tmp_path: Path) -> None:
    weights = load_lesion_weights(run / "weights")
    other = tmp_path / "other"
    tensors = [{name: tensor * 1.5 for name, tensor in weights.networks[0].state_dict().items()}]
    save_lesion_weights(other, weights.card.model_copy(update={"name": "other", "threshold": 0.9}), tensors)
    one, two = run / "weights", other
    for name, words in (("one", [one]), ("two", [two]), ("both", [one, "--ensemble", two])):
        call("read", planted / "store", "--weights", *words, "--out", tmp_path / name)
    columns = ("p_cc", "p_mlo", "p")
    first, second, both = (pl.read_csv(tmp_path / name / "lesions.csv") for name in ("one", "two", "both"))
    assert first["p"].to_list() != second["p"].to_list()
    for column in columns:
        assert both[column].to_list() == ((first[column] + second[column]) / 2).to_list()
    threshold = (weights.card.threshold + 0.9) / 2
    assert both["called"].to_list() == (both["p"] >= threshold).to_list()
    page = (tmp_path / "both/report.html").read_text()
    assert weights.card.name in page
    assert "answers of these weights are averaged" in page
    images = weights.card.images.model_copy(update={"film": True})
    save_lesion_weights(tmp_path / "film", weights.card.model_copy(update={"images": images}), tensors)
    words = ("--weights", one, "--ensemble", tmp_path / "film", "--out", tmp_path / "no")
    result = CliRunner().invoke(app, ["lesion", "read", *map(str, (planted / "store", *words))])
    assert isinstance(result.exception, SetupError)
    assert "films" in str(result.exception)


def test_a_lesion_of_a_kind_that_was_not_learned_is_read_with_a_doubt(run: Path, planted: Path, tmp_path: Path) -> None:
    rows = ["p0_L-CC,a,120,160,40,96,mass", "p0_L-CC,b,120,160,40,96,calcifications", "p0_L-CC,c,120,160,40,96,"]
    (tmp_path / "boxes.csv").write_text("\n".join(["image,lesion,top,bottom,left,right,kind", *rows]))
    words = ("--boxes", tmp_path / "boxes.csv", "--weights", run / "weights", "--out", tmp_path / "out")
    call("read", planted / "store", *words)
    table = pl.read_csv(tmp_path / "out/views.csv")
    doubts = {row["lesion"]: "learned from mass alone" in (row["warnings"] or "") for row in table.to_dicts()}
    assert doubts == {"a": False, "b": True, "c": False}


def test_damaged_weights_are_refused(run: Path, tmp_path: Path) -> None:
    weights = load_lesion_weights(run / "weights")
    save_lesion_weights(tmp_path / "copy", weights.card, [network.state_dict() for network in weights.networks])
    path = tmp_path / "copy" / weights.card.members[0].file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(SetupError, match="missing, damaged or exchanged"):
        load_lesion_weights(tmp_path / "copy")


def test_runs_can_be_compared_by_the_command_line(run: Path, tmp_path: Path) -> None:
    said = call("compare", run, run, "--out", tmp_path / "out")
    assert "mean of 2 networks" in said
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert "1 folds, 1 networks, 8 to 8 epochs" in json.dumps(results)
