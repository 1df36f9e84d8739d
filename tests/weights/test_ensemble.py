"""Ensembles: several weights folders under one name, read together wherever one is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fourview.cli import app
from fourview.exam import SetupError
from fourview.phantom import draw_exam
from fourview.screen import Screener
from fourview.weights.ensemble import list_members, load_ensemble_card, resolve_members, save_ensemble
from fourview.weights.folder import load_weights, save_weights
from fourview.weights.home import installed
from fourview.weights.untrained import write_untrained

SCALE = 0.1


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Two view-wise networks with the same patch network, and one with another."""
    folder = tmp_path_factory.mktemp("members")
    for seed in range(3):
        write_untrained(folder / f"w{seed}", scale=SCALE, seed=seed)
    first, second = load_weights(folder / "w0"), load_weights(folder / "w1")
    assert first.patch is not None
    assert second.exam is not None
    save_weights(folder / "same", second.card, exam=second.exam.state_dict(), patch=first.patch.state_dict())
    return folder / "w0", folder / "same", folder / "w2"


@pytest.fixture
def ensemble(members: tuple[Path, ...], tmp_path: Path) -> Path:
    save_ensemble(tmp_path / "both", members[:2], name="both")
    return tmp_path / "both"


def test_an_ensemble_reads_as_its_members_do_together(members: tuple[Path, ...], ensemble: Path) -> None:
    exam = draw_exam(np.random.default_rng(2), scale=SCALE).to_exam()
    together = Screener.load(ensemble, engine="torch", jitter=0).read(exam)
    apart = Screener.load(members[:2], engine="torch", jitter=0).read(exam)
    assert together.members == 2
    assert (together.left, together.right, together.weights_hash) == (apart.left, apart.right, apart.weights_hash)


def test_members_share_one_patch_file_if_they_have_the_same_patch_network(
    members: tuple[Path, ...], ensemble: Path, tmp_path: Path
) -> None:
    assert [path.parent.name for path in ensemble.rglob("patch.safetensors")] == ["both"]
    save_ensemble(tmp_path / "differing", [members[0], members[2]], name="differing")
    assert len(list((tmp_path / "differing").glob("member_*/patch.safetensors"))) == 2
    assert not (tmp_path / "differing" / "patch.safetensors").exists()


def test_a_shared_file_that_was_exchanged_is_refused(members: tuple[Path, ...], ensemble: Path) -> None:
    shutil.copy(members[2] / "patch.safetensors", ensemble / "patch.safetensors")
    with pytest.raises(SetupError, match="damaged or was exchanged"):
        Screener.load(ensemble, engine="torch")


def test_a_member_that_was_exchanged_or_is_missing_is_refused(members: tuple[Path, ...], ensemble: Path) -> None:
    shutil.copy(members[0] / "card.json", ensemble / "member_2" / "card.json")
    with pytest.raises(SetupError, match=r"member_2: found the weights .* need"):
        list_members(ensemble)
    shutil.rmtree(ensemble / "member_2")
    with pytest.raises(SetupError, match=r"member_2: found no readable card.json"):
        list_members(ensemble)


def test_members_lie_beside_the_card_and_nowhere_else(ensemble: Path) -> None:
    card = json.loads((ensemble / "ensemble.json").read_text())
    card["members"] = {"../elsewhere": "x"}
    (ensemble / "ensemble.json").write_text(json.dumps(card))
    with pytest.raises(SetupError, match="need names of folders beside this file"):
        load_ensemble_card(ensemble)


def test_the_same_weights_twice_patch_networks_among_others_and_an_existing_folder_are_refused(
    members: tuple[Path, ...], ensemble: Path, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="need different members"):
        save_ensemble(tmp_path / "twice", [members[0], members[0]], name="twice")
    with pytest.raises(SetupError, match="exists already"):
        save_ensemble(ensemble, members, name="again")
    patch = load_weights(members[0])
    assert patch.patch is not None
    card = patch.card.model_copy(update={"exam": None})
    save_weights(tmp_path / "patch", card, patch=patch.patch.state_dict())
    with pytest.raises(SetupError, match="speak about breast and image"):
        save_ensemble(tmp_path / "none", [members[0], tmp_path / "patch"], name="none")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both", "patch"]


def test_an_installed_ensemble_is_listed_and_found_by_its_name(ensemble: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOURVIEW_WEIGHTS", str(ensemble.parent))
    assert installed() == ("both",)
    assert [folder.name for folder in resolve_members("both")] == ["member_1", "member_2"]
    listed = CliRunner().invoke(app, ["weights", "list"])
    assert "ensemble of 2: view-wise, image+heatmaps" in " ".join(listed.stdout.split())
    shown = CliRunner().invoke(app, ["weights", "show", "both"])
    assert shown.exit_code == 0
    assert '"format": "fourview-ensemble/1"' in shown.stdout
    exported = CliRunner().invoke(app, ["export", "both", "--to", "onnx", "--out", str(ensemble / "x")])
    assert isinstance(exported.exception, SetupError)
    assert "need one member" in str(exported.exception)


def test_a_broken_card_does_not_hide_the_others(
    ensemble: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(ensemble.parent, tmp_path / "home"))
    (home / "broken").mkdir()
    (home / "broken/card.json").write_text("{")
    monkeypatch.setenv("FOURVIEW_WEIGHTS", str(home))
    listed = CliRunner().invoke(app, ["weights", "list"])
    assert listed.exit_code == 0, listed.output
    text = " ".join(listed.stdout.split())
    assert "ensemble of 2: view-wise, image+heatmaps" in text
    assert "cannot be read" in text
    assert "broken: " in text
