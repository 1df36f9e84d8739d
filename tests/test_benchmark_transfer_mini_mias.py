"""The benchmark of frozen features on real film, on a miniature; and the stored tables as the docs tell them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import transfer_mini_mias
from benchmarks.transfer_mini_mias_runs import Protocol, draw_by_name, list_arms, name_as_upstream

from fourview.weights.card import ExamNetwork
from fourview.weights.convert import convert_file
from fourview.weights.folder import build_exam, load_weights
from tests.mini_mias_miniature import write_miniature

DOCS = Path(__file__).parents[1] / "docs/transfer.md"


@pytest.mark.slow
def test_a_miniature_gives_every_table_and_once_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    films = write_miniature(tmp_path / "films", women=24)
    protocol = Protocol(films, tmp_path / "cache", only=("texture", "noise"))
    monkeypatch.setattr(transfer_mini_mias, "CLASSIFIERS", ("lr",))
    monkeypatch.setattr(transfer_mini_mias, "FOLDS", (2, 2))
    result = transfer_mini_mias.run(protocol, repeats=1)
    assert (result["films"], result["women"], result["without_features"]) == (48, 24, {})
    assert [row["numbers"] for row in result["features"]] == [60, 4096]
    for label, positives in (("abnormal", 16), ("malignant", 8)):
        for row in result["labels"][label]["rows"]:
            area = row["rigorous"]["auc"]
            assert (area["n"], area["positives"], area["clusters"]) == (48, positives, 24)
            assert row["processor_s"]["rigorous"] > 0
    shown = transfer_mini_mias.show(json.loads(json.dumps(result)))
    assert "| noise | 4,096 |" in shown
    assert "| noise features, `rigorous` |" in shown

    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("fourview.studies.transfer.pieces.do_task", fail)
    monkeypatch.setattr("benchmarks.transfer_mini_mias_runs.extract_features", fail)
    assert transfer_mini_mias.run(protocol, repeats=1) == result


def test_texture_comes_first_and_names_are_unique(tmp_path: Path) -> None:
    arms = list_arms(Protocol(tmp_path, tmp_path, only=("texture", "noise", "imagenet")))
    assert [arm.name for arm in arms] == [
        "texture",
        "noise",
        "imagenet_resnet50_2048 random",
        "imagenet_resnet18_512 random",
        "imagenet_squeezenet_512 random",
    ]


def test_a_network_drawn_by_name_comes_back_from_a_file_in_upstreams_layout(tmp_path: Path) -> None:
    network = build_exam(ExamNetwork(wiring="image-wise", heatmaps=False, width=2))
    drawn = draw_by_name(network)
    torch.save(name_as_upstream(drawn), tmp_path / "file.p")
    card = convert_file(tmp_path / "file.p", kind="image-wise", out=tmp_path / "weights")
    assert card.training.trained is None
    loaded = load_weights(tmp_path / "weights").exam
    assert loaded is not None
    assert {name: tensor.shape for name, tensor in loaded.state_dict().items()} == {
        name: tensor.shape for name, tensor in drawn.items()
    }
    assert all(torch.equal(tensor, drawn[name]) for name, tensor in loaded.state_dict().items())
    first = drawn["columns.cc.first_conv.weight"]
    assert np.ptp(first.numpy()) > 0
    assert not torch.equal(first, drawn["columns.mlo.first_conv.weight"])


def test_the_stored_tables_stand_in_the_docs() -> None:
    if not transfer_mini_mias.STORED.is_file():
        pytest.skip("no stored result yet")
    result = json.loads(transfer_mini_mias.STORED.read_text())
    assert (result["films"], result["women"], result["repeats"]) == (242, 121, 5)
    assert "/" not in result["command"]
    text = DOCS.read_text()
    assert transfer_mini_mias.time_table(result) in text
    for label in transfer_mini_mias.LABELS:
        assert transfer_mini_mias.area_table(result, label) in text
        assert transfer_mini_mias.check_table(result, label) in text
