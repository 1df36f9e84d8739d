"""INbreast as it is published (layout and counts; drawn breasts) through every command of the low-resource study.

It also holds what docs/transfer.md says of the image that is left out: 410 are listed, 409 read.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from fourview.cli import app
from fourview.studies.finetune.finetuned import load_finetuned
from fourview.studies.transfer.feature_set import load_features
from tests.studies.inbreast_miniature import write_inbreast
from tests.studies.inbreast_published import list_rows, write_published
from tests.studies.small_weights import write_small

pytestmark = pytest.mark.slow

IMAGES, READ, SUSPICIOUS, WOMEN = 410, 409, 100, 108
OTHER = next(row for row in list_rows() if row.view == "FB")
LEFT_OUT = (
    f"1 of 410 images is neither CC nor MLO, and no network here reads such a view: left out ({OTHER.file} (R FB))"
)
QUICK = ("--folds", 3, "--inner", 2, "--repeats", 1, "--classifier", "lr", "--penalty", 0.5)


DOCS = Path(__file__).parents[1] / "docs/transfer.md"
SMALLER: dict[str, tuple[str, ...]] = {  # what makes the documented commands quick; the rest of them is as documented
    "prepare": ("--crop-iterations", "10", "--crop-buffer", "8"),
    "split": ("--folds", "2"),
    "features": (),
    "transfer": tuple(map(str, (*QUICK, "--folds", 2))),
    "finetune": ("--device", "cpu", "--set", "nyu.micro_batch=4"),
    "zeroshot": ("--jitter", "0", "--engine", "torch"),
}


def run(*words: object, status: int = 0) -> str:
    done: Result = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == status, done.output
    return " ".join(done.output.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inbreast")


@pytest.fixture(scope="module")
def store(folder: Path) -> Path:
    """Prepared by the command; what it said is beside it."""
    out = folder / "store"
    crop = ("--crop-iterations", 10, "--crop-buffer", 8)
    (folder / "prepare.txt").write_text(
        run("data", "prepare", "inbreast", write_published(folder / "set"), "--out", out, *crop)
    )
    return out


@pytest.fixture(scope="module")
def weights(folder: Path) -> Path:
    """Untrained: image-wise, with a patch network for patch_1024 alone."""
    write_small(folder / "views", wiring="image-wise")
    write_small(folder / "patches", wiring="image-wise", heatmaps=True)
    return folder


def extract(store: Path, out: Path, extractor: str, *more: object) -> Path:
    if not out.exists():
        run("features", store, "--extractor", extractor, "--out", out, *more)
    return out


def test_prepare_lists_410_images_and_says_which_one_is_left_out_and_why(store: Path, folder: Path) -> None:
    said = (folder / "prepare.txt").read_text()
    assert LEFT_OUT in said
    assert "410 images listed" in said
    assert "409 images prepared, 1 excluded, 0 failed;" in said
    assert "0 problems in the set's listing." in said
    flow = json.loads((store / "flow.json").read_text())
    assert flow["set_warnings"] == [LEFT_OUT]
    assert [step["images_left"] for step in flow["steps"] if step["name"] == "not CC or MLO"] == [READ]
    assert (store / "failures.csv").read_text().splitlines() == ["kind,file,image,rule,reason"]
    table = pl.read_parquet(store / "manifest.parquet")
    excluded = table.filter(pl.col("status") != "prepared").select("image", "angle", "birads", "rule").rows()
    assert excluded == [(str(OTHER.file), "FB", "2", "not CC or MLO")]
    assert table["patient"].n_unique() == WOMEN
    assert Counter(table["birads"]) == Counter(row.birads for row in list_rows())
    assert table["malignant"].null_count() == table["benign"].null_count() == IMAGES  # BI-RADS is no biopsy


EXTRACTORS: dict[str, tuple[int | None, tuple[str | int, ...]]] = {  # numbers per image, options
    "nyu_gap256": (128, ("--weights", "views")),
    "nyu_matched_fc1_256": (128, ("--weights", "views")),
    "patch_1024": (None, ("--weights", "patches")),
    "imagenet_squeezenet_512": (512, ("--weights", "random:3", "--size", 64)),
    "texture": (60, ()),
}


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_every_kind_of_extractor_gives_all_409_images_numbers_labels_and_patients(
    store: Path, weights: Path, tmp_path: Path, extractor: str
) -> None:
    numbers, options = EXTRACTORS[extractor]
    given = [weights / option if option in ("views", "patches") else option for option in map(str, options)]
    features = load_features(extract(store, tmp_path / "out", extractor, *given))
    assert features.values.shape[0] == READ
    assert numbers in (None, features.values.shape[1])
    assert np.ptp(features.values, axis=0).max() > 0
    rows = {row.file: row for row in list_rows()}
    said = features.rows.select("image", "patient", "side", "view", "birads")
    for image, patient, side, view, birads in said.iter_rows():
        row = rows[int(image)]
        assert (patient, view, birads) == (f"inbreast/{row.patient}", f"{row.side}-{row.view}", row.birads)
        assert side == row.side


def test_as_published_stands_beside_the_rigorous_run_of_the_same_409_images(store: Path, tmp_path: Path) -> None:
    texture = extract(store, tmp_path / "texture", "texture")
    other = extract(store, tmp_path / "other", "imagenet_squeezenet_512", "--weights", "random:0", "--size", 64)
    words = ("--labels", "birads4+", "--protocol", "as_published", "--out", tmp_path / "out")
    said = run("transfer", texture, other, *words, *QUICK)
    assert "LEAKS: SMOTE, selection, patient" in said
    found = json.loads((tmp_path / "out/results.json").read_text())
    areas = [one for one in found["headline"] if one["name"].startswith("AUC")]
    assert len(areas) >= 2
    assert {(one["n"], one["positives"], one["clusters"], one["unit"]) for one in areas} == {
        (READ, SUSPICIOUS, WOMEN, "image")
    }
    scores = pl.read_csv(tmp_path / "out/scores.csv")
    assert {"texture", "imagenet_squeezenet_512"} <= set(scores["features"])
    truth = {row.file: int(row.suspicious) for row in list_rows()}
    assert all(truth[image] == y for image, y in scores.select("image", "truth").iter_rows())
    (piece,) = (tmp_path / "out/pieces").glob("texture.lr.as_published.0.json")
    assert len(json.loads(piece.read_text())["truth"]["y"]) == 204  # as docs/transfer.md says; the paper's are 205
    assert "suspicious by BI-RADS, not cancer" in (tmp_path / "out/report.html").read_text()


def test_the_rigorous_protocol_alone_leaves_a_page_of_images_breasts_and_patients(store: Path, tmp_path: Path) -> None:
    texture = extract(store, tmp_path / "texture", "texture")
    said = run("transfer", texture, "--labels", "birads4+", *QUICK, "--out", tmp_path / "out")
    assert "LEAKS" not in said
    estimates = pl.read_csv(tmp_path / "out/estimates.csv")
    assert {"image", "breast", "patient"} <= set(estimates["unit"])
    assert estimates.filter(unit="patient")["n"].max() == WOMEN


def test_finetune_holds_women_out_and_keeps_a_network_that_loads(store: Path, tmp_path: Path) -> None:
    run("data", "split", store, "--folds", 3, "--stratify", "birads", "--name", "three")
    words = ("--split", "three:fold-1", "--model", "scratch", "--device", "cpu", "--set", "labels=birads4+")
    run("finetune", store, "phantom", *words, "--out", tmp_path / "run")
    table = pl.read_csv(tmp_path / "run/predictions.csv", schema_overrides={"image": pl.Int64})
    rows = {row.file: row for row in list_rows()}
    assert 120 <= table.height <= 150
    for image, patient, truth in table.select("image", "patient", "truth").iter_rows():
        assert patient == f"inbreast/{rows[image].patient}"
        assert truth == ("positive" if rows[image].suspicious else "negative")
    assert load_finetuned(tmp_path / "run/network").card.positive == "suspicious by BI-RADS, not cancer"


def test_zeroshot_counts_409_images_by_birads_and_says_that_410_were_listed(
    store: Path, weights: Path, tmp_path: Path
) -> None:
    words = ("--weights", weights / "views", "--engine", "torch", "--jitter", 0)
    said = run("zeroshot", store, *words, "--out", tmp_path / "out")
    assert "409 images read, 0 could not be read." in said
    chart = pl.read_csv(tmp_path / "out/birads_argmax_pair.csv", schema_overrides={"birads": pl.String})
    counts = dict(zip(chart["birads"], chart["predicted_benign"] + chart["predicted_malignant"], strict=True))
    assert counts == {"1": 67, "2": 219, "3": 23, "4": 43, "5": 49, "6": 8}
    found = json.loads((tmp_path / "out/results.json").read_text())
    images = next(section for section in found["sections"] if section["name"] == "images")
    listed = dict(images["parts"][0]["rows"])
    assert (listed["listed by the set"], listed["prepared in the store"], listed["read"]) == (IMAGES, READ, READ)


def test_the_commands_that_the_docs_give_for_the_papers_tables_run_in_order(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On eight women; the weights are drawn, and the recipe is the short one."""
    write_inbreast(tmp_path / "INBREAST")
    monkeypatch.chdir(tmp_path)
    section = DOCS.read_text().split("## The paper's tables")[1]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    install, *commands = [line for line in block.splitlines() if line]
    assert install == "fourview weights install nyu"
    other = {"nyu-imagewise-image": str(weights / "views"), "resnet50-19c8e357.pth": "random:0", "paper": "phantom"}
    outs = []
    for command in commands:
        program, *words = [other.get(word, word) for word in shlex.split(command)]
        assert program == "fourview"
        verb = words[1] if words[0] == "data" else words[0]
        if verb == "finetune" and "labels=birads6" not in words:
            words += ["--set", "labels=birads4+"]
        run(*words, *SMALLER[verb])
        outs.append(tmp_path / words[words.index("--out") + 1] if "--out" in words else tmp_path / "STORE")
    assert Counter(out.parent.name for out in outs)["F"] == 3
    pages = [out for out in outs if (out / "report.html").is_file()]
    assert [out.name for out in pages] == [
        "TABLE_2",
        "TABLE_2_WITHOUT_SMOTE",
        "TABLE_2_ALL_FEATURES",
        "resnet50",
        "resnet50_birads",
        "nyu_l_mlo",
        "FIGURE_3",
    ]
    leaks = {out.name: (out / "report.html").read_text().count("LEAKS: SMOTE") > 0 for out in pages[:3]}
    assert leaks == {"TABLE_2": True, "TABLE_2_WITHOUT_SMOTE": False, "TABLE_2_ALL_FEATURES": False}
    settings = json.loads((tmp_path / "TABLE_2_ALL_FEATURES/settings.json").read_text())
    sizes = {name: load_features(tmp_path / "F" / name).values.shape[1] for name in settings["kept"]}
    assert settings["kept"] == sizes  # all of them: no selection
