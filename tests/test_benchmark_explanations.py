"""Maps of lesion networks against outlines and margins: what holds, what is not shown, resumed, shown as stored."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import explanations
from benchmarks.explanations import STORED, Population, measure, open_population, show
from benchmarks.explanations_judge import find_verdict, judge
from benchmarks.explanations_table import margin_table, where_table

from fourview.evaluate import Estimate
from fourview.exam import SetupError
from fourview.phantom import load_recipe
from fourview.report.document_json import plain_value
from fourview.store.store import Store
from fourview.studies.lesion.cases import find_lesions
from fourview.studies.lesion.signs.collect import Seen
from fourview.studies.lesion.signs.read import CHANCE, DRAWN, LesionMethod
from fourview.studies.lesion.signs.zones import Shares
from tests.studies.lesion_drawn_set import draw_set
from tests.studies.small_lesion_weights import write_lesion_networks
from tests.studies.test_lesion_signs import LESIONS, make_seen

DOCS = Path(__file__).parents[1] / "docs" / "explain.md"
METHODS: tuple[LesionMethod, ...] = ("gradcam",)
SPICULATED, CIRCUMSCRIBED = frozenset({("margin", "spiculated")}), frozenset({("margin", "circumscribed")})


def estimate(low: float, high: float) -> Estimate:
    return Estimate("share", (low + high) / 2, low, high, 0.1, 10, 5, 5, "lesion image", "")


def judge_planted(*, knows: bool) -> tuple[Seen, dict[str, Any]]:
    """Malignant lesion images whose maps lie in the outline, and along the margin of spiculated ones, or of any."""
    rng = np.random.default_rng(3)
    spiculated = rng.random(LESIONS) < 0.5
    margin = (np.where(spiculated, 0.6, 0.4) if knows else np.full(LESIONS, 0.5)) + 0.05 * rng.normal(size=LESIONS)
    seen = make_seen(np.ones(LESIONS, bool), margin)
    found = tuple(
        replace(
            one,
            shares={
                name: share if name == CHANCE else replace(share, lesion=share.lesion + 0.02 * rng.normal())
                for name, share in one.shares.items()
            },
        )
        for one in seen.found
    )
    seen = replace(seen, found=found)
    return seen, judge(seen, [SPICULATED if yes else CIRCUMSCRIBED for yes in spiculated], METHODS)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return draw_set(tmp_path_factory.mktemp("drawn"), patients=4)


def test_a_requirement_holds_or_fails_by_its_whole_interval() -> None:
    assert find_verdict(estimate(2.0, 3.0), 2.0, above=True) == "holds"
    assert find_verdict(estimate(1.9, 3.0), 2.0, above=True) == "not shown"
    assert find_verdict(estimate(1.2, 1.9), 2.0, above=True) == "fails"
    assert find_verdict(estimate(1.2, 1.9), 2.0, above=False) == "holds"
    assert find_verdict(estimate(2.1, 2.9), 2.0, above=False) == "fails"
    assert find_verdict(estimate(float("nan"), float("nan")), 2.0, above=True) == "not shown"


def test_maps_that_know_margins_pass_and_maps_that_do_not_are_said_not_to() -> None:
    seen, found = judge_planted(knows=True)
    assert found["passes"]
    assert found["auc"] is None  # all are malignant
    assert found["lesion_images"] == found["malignant"] == len(seen.views)
    assert found["spiculated_malignant"] + found["circumscribed_malignant"] == LESIONS
    where = {row["map"]: row for row in found["where"]}
    assert where["gradcam"]["over_chance"].value == pytest.approx(3, abs=0.05)  # .6 of .2
    assert (where["gradcam"]["verdict"], where[f"gradcam{DRAWN}"]["verdict"]) == ("holds", "holds")
    assert where["centred disc"]["verdict"] is None
    (difference,) = found["against_drawn"]
    assert difference["difference"].value == pytest.approx(0.4, abs=0.01)
    _, blind = judge_planted(knows=False)
    assert not blind["passes"]
    margins = {row["map"]: row for row in blind["margins"]}
    assert margins["gradcam"]["verdict"] == "not shown"
    assert set(margins["gradcam"]["minus"]) == {"gradient of the image", "centred disc"}
    assert margins[f"gradcam{DRAWN}"]["verdict"] is None


def test_too_few_margins_are_no_pass() -> None:
    seen, _ = judge_planted(knows=True)
    found = judge(seen, [SPICULATED] * LESIONS, METHODS)
    assert found["margins"] == []
    assert not found["passes"]


def test_a_method_that_was_never_tested_has_not_passed() -> None:
    """Its maps of circumscribed lesions show nothing: no margins to compare, whatever the controls say."""
    seen, _ = judge_planted(knows=True)
    tokens = [SPICULATED if one.shares["gradcam"].margin > 0.5 else CIRCUMSCRIBED for one in seen.found]
    nothing = Shares(*[math.nan] * 4)
    emptied = tuple(
        replace(one, shares={**one.shares, "gradcam": nothing}) if words == CIRCUMSCRIBED else one
        for one, words in zip(seen.found, tokens, strict=True)
    )
    found = judge(replace(seen, found=emptied), tokens, METHODS)
    assert "gradcam" not in {row["map"] for row in found["margins"]}
    assert found["margins"]
    assert not found["passes"]
    where = {row["map"]: row for row in found["where"]}
    assert where["gradcam"]["verdict"] == "not shown"  # half of its maps are empty


def test_networks_are_read_once_and_the_same_call_goes_on(drawn: Store, tmp_path: Path) -> None:
    folder = write_lesion_networks(tmp_path / "run", drawn, gate="attention", members=1, learned=False)
    methods: tuple[LesionMethod, ...] = ("gate", "gradcam", "gradient")
    found = measure(str(folder.parent), drawn, tmp_path / "cache", methods=methods, device="cpu")
    assert {"gate", f"gate{DRAWN}", "gradient", "centred disc"} <= {row["map"] for row in found["where"]}
    assert (found["gate"], found["networks"], found["lesion_images"]) == ("gate", 1, 8)
    parts = sorted(tmp_path.glob("cache/seen-*/parts/*.npz"))
    before = [part.stat().st_mtime_ns for part in parts]
    assert len(parts) == 8
    again = measure(str(folder), drawn, tmp_path / "cache", methods=methods, device="cpu")
    assert [part.stat().st_mtime_ns for part in parts] == before
    assert plain_value({**again, "seconds": 0}) == plain_value({**found, "seconds": 0})
    less = measure(str(folder), drawn, tmp_path / "cache", methods=methods, most=1, device="cpu")
    assert less["lesion_images"] == 2  # both views of one woman


def test_phantoms_that_were_learned_from_are_refused(drawn: Store, tmp_path: Path) -> None:
    folder = write_lesion_networks(tmp_path / "run", drawn, learned=False)
    about = json.loads((folder / "lesion.json").read_text())
    first = find_lesions(drawn).views[0].image
    digests = dict(drawn.images.select("image", "pixels_sha256").iter_rows())
    about["learned"] = [digests[first][:16]]
    (folder / "lesion.json").write_text(json.dumps(about))
    with pytest.raises(SetupError, match="has learned from these phantoms; need another --seed"):
        measure(str(folder), drawn, tmp_path / "cache", methods=METHODS, device="cpu")
    with pytest.raises(SetupError, match="found no such folder or name; need weights/ of a run"):
        measure(str(tmp_path / "nothing"), drawn, tmp_path / "cache", methods=METHODS)


def test_phantoms_are_drawn_once_and_others_need_another_cache(tmp_path: Path) -> None:
    population = Population(load_recipe("training"), exams=1, seed=5, scale=0.08)
    store = open_population(population, tmp_path)
    before = (store.path / "phantom.json").stat().st_mtime_ns
    assert open_population(population, tmp_path).images.height == 4
    assert (store.path / "phantom.json").stat().st_mtime_ns == before
    with pytest.raises(SetupError, match="need another --cache"):
        open_population(Population(population.recipe, exams=1, seed=6, scale=0.08), tmp_path)


def make_result(*, knows: bool) -> dict[str, Any]:
    _, found = judge_planted(knows=knows)
    about = {"weights": "w", "hash": "0" * 16, "architecture": "alexnet", "gate": None, "networks": 2}
    drawn = {"recipe": "training", "difficulty": "medium", "hash": "1" * 16, "exams": 9, "seed": 1, "scale": 0.25}
    part = {**about, **found}
    result = {"population": drawn, "seed_of_drawn_weights": 0, "parts": [part], "passes": found["passes"]}
    return json.loads(json.dumps(plain_value(result), allow_nan=False))


def test_tables_say_what_is_required_and_whether_it_holds() -> None:
    result = make_result(knows=True)
    rows = where_table(result).splitlines()
    assert rows[2].startswith("| w | gradcam | 0.")
    assert " | 0 | 2 or more | holds |" in rows[2]
    assert rows[3].endswith("| below 2 | holds |")
    assert rows[4].endswith("| 0 |  |  |")
    assert all(row.count("|") == rows[0].count("|") for row in rows)
    margins = margin_table(result).splitlines()
    assert margins[2].endswith("| holds |")
    assert all(row.count("|") == margins[0].count("|") for row in margins)
    empty = json.loads(json.dumps(result))
    empty["parts"][0]["margins"] = []
    assert "not shown" in margin_table(empty)
    assert "80 lesion images of 40 patients" in show(result)


def test_the_stored_tables_are_those_of_the_docs(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    if not STORED.is_file():
        pytest.skip("no stored result yet: python -m benchmarks.explanations --weights RUN --cache FOLDER --out ...")
    monkeypatch.setattr("sys.argv", ["explanations", "--show"])
    with pytest.raises(SystemExit):
        explanations.main()
    shown, docs = capsys.readouterr().out, DOCS.read_text()
    for line in shown.splitlines():
        assert line in docs, line


def test_the_stored_maps_of_pixels_are_those_of_the_docs() -> None:
    stored = STORED.with_name("explanations_pixels.json")
    rows = where_table(json.loads(stored.read_text())).splitlines()
    asked = [row for row in rows if "| ig" in row or "| occlusion" in row]
    assert len(asked) == 12  # three networks, two methods, and drawn anew
    docs = DOCS.read_text()
    assert all(row in docs for row in asked)
