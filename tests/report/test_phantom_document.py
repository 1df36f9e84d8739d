"""The page of a synthetic exam: hung as a reader hangs it, everything planted is named, and it says what it is."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fourview.exam import Side, View
from fourview.phantom import PlannedExam, Recipe, Truth, draw_planned, load_recipe, plan_exam
from fourview.report.document import Document, Gallery, Table
from fourview.report.document_json import document_json
from fourview.report.page.document_page import draw_document_page
from fourview.report.phantom_document import describe_phantom, explain_labels
from fourview.report.phantom_views import WHAT, Shown, hang_views, show_view, trim_views, what_is

SCALE = 0.1
RECIPE = load_recipe("enriched")


def parts(document: Document) -> dict[str, Table | Gallery]:
    return {part.name: part for section in document.sections for part in section.parts if not hasattr(part, "svg")}


def table(document: Document, name: str) -> list[dict[str, object]]:
    part = parts(document)[name]
    assert isinstance(part, Table)
    return [dict(zip(part.columns, row, strict=True)) for row in part.rows]


def first(recipe: Recipe, wanted: object) -> PlannedExam:
    plans = (plan_exam(recipe, seed=0, index=index) for index in range(5000))
    return next(plan for plan in plans if wanted(plan))  # type: ignore[operator]


def decode(content: bytes) -> NDArray[np.uint8]:
    """(rows, cols, 3) RGB."""
    return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR))[..., ::-1]


def shown(plan: PlannedExam, scale: float = SCALE) -> dict[View, Shown]:
    truth = Truth(plan, draw_planned(plan, scale=scale))
    return {image.view: show_view(truth, image) for image in truth.drawn.images}


@pytest.fixture(scope="module")
def rich() -> PlannedExam:
    """An exam with a cancer and a distractor that can be seen, and something occult."""
    return first(
        RECIPE,
        lambda plan: (
            {"malignant, biopsied", "never biopsied (distractor)"} <= {what_is(f) for f in plan.findings if f.visible}
            and any(not f.visible for f in plan.findings)
        ),
    )


@pytest.fixture(scope="module")
def document(rich: PlannedExam) -> Document:
    return describe_phantom(RECIPE, seed=0, index=rich.index, scale=SCALE)


def test_every_finding_is_in_the_table_with_what_it_is_and_where_it_is_seen(
    document: Document, rich: PlannedExam
) -> None:
    rows = table(document, "findings")
    assert [row["no."] for row in rows] == list(range(1, len(rich.findings) + 1))
    for row, finding in zip(rows, rich.findings, strict=True):
        assert str(row["what"]).startswith(what_is(finding))
        assert str(row["what"]).endswith(", occult") == (not finding.visible)
        assert row["breast"] == ("left" if finding.side is Side.LEFT else "right")
        assert (row["seen in"] == "no view") == (not finding.visible)
        for word in (finding.shape, finding.margin, finding.calc_type, finding.distribution):
            assert word is None or word in str(row["words"])
        assert (row["p malignant"] is None) == (finding.p_malignant is None)
    near = parts(document)["near"]
    assert isinstance(near, Gallery)
    visible = [n for n, finding in enumerate(rich.findings, 1) if finding.visible]
    assert [int(item.title.split()[0]) for item in near.items] == visible
    assert all(len(item.images) in (2, 4) for item in near.items)


def test_the_parts_of_the_log_odds_add_up_to_the_probability(document: Document) -> None:
    rows = table(document, "why")
    assert rows
    for row in rows:
        words = [str(row[name]) for name in ("first word", "second word")]
        added = sum(float(word.rsplit(" ", 1)[1]) for word in words if word and word != "occult: no words")
        logit = float(str(row["base"])) + float(str(row["age"])) + added
        assert logit == pytest.approx(float(str(row["log-odds"])), abs=0.03)
        p = float(str(row["p malignant"]))
        assert math.log(p / (1 - p)) == pytest.approx(float(str(row["log-odds"])), abs=0.02)


def test_base_is_the_same_for_all_findings_of_a_kind() -> None:
    """So the decomposition is the recipe's and not fitted to each finding."""
    found: dict[str, set[float]] = {}
    for index in range(400):
        plan = plan_exam(RECIPE, seed=0, index=index)
        if not any(f.biopsied and f.visible for f in plan.findings):
            continue
        why = explain_labels(RECIPE, plan)
        assert why is not None
        for row in why.rows:
            finding = plan.findings[int(str(row[0])) - 1]
            if finding.visible:
                found.setdefault(finding.kind, set()).add(float(str(row[1])))
    assert {"mass", "calcifications"} <= found.keys()
    for bases in found.values():
        assert max(bases) - min(bases) < 0.02


def test_a_label_that_could_not_be_otherwise_is_explained_too() -> None:
    level = RECIPE.level.model_copy(update={"occult_benign": 0.0})  # so that what is occult is malignant
    sure = RECIPE.model_copy(update={"difficulties": RECIPE.difficulties.model_copy(update={"medium": level})})
    plan = first(sure, lambda plan: any(f.biopsied and not f.visible for f in plan.findings))
    why = explain_labels(sure, plan)
    assert why is not None
    occult = next(row for row in why.rows if row[2] == "occult: no words")
    assert occult[-2:] == (1.0, "malignant")
    assert float(str(occult[-3])) > 30


def test_views_hang_with_the_right_breast_left_and_the_chest_walls_together() -> None:
    mirrored = first(
        RECIPE.model_copy(update={"name": "mirrored", "profiles": {"inspiration": 1.0}}),
        lambda plan: any(image.faces != image.view.usual_direction for image in draw_planned(plan, scale=0.05).images),
    )
    for plan in (mirrored, plan_exam(RECIPE, seed=0, index=0)):
        views = shown(plan)
        picture = decode(hang_views(trim_views(views), plan.findings, outlined=False)).mean(axis=2)
        rows, cols = picture.shape
        middle = picture[:, cols // 2 - cols // 8 : cols // 2 + cols // 8].mean()
        edges = np.concatenate([picture[:, : cols // 10], picture[:, -cols // 10 :]], axis=1)[rows // 12 :].mean()
        assert middle > 2 * edges + 5
        for view, one in views.items():
            wall = one.grey[:, 0] if view.usual_direction == "right" else one.grey[:, -1]
            assert (wall > 0).mean() > 0.3


def test_outlines_lie_around_the_masks_in_their_colours(rich: PlannedExam) -> None:
    views = trim_views(shown(rich, 0.25))
    plain = decode(hang_views(views, rich.findings, outlined=False))
    outlined = decode(hang_views(views, rich.findings, outlined=True))
    assert plain.shape == outlined.shape
    assert np.ptp(plain.astype(int), axis=2).max() < 12  # grey
    coloured = np.ptp(outlined.astype(int), axis=2) > 60
    for what in {what_is(finding) for finding in rich.findings if finding.visible}:
        near = np.abs(outlined.astype(int) - np.array(WHAT[what])).max(axis=2) < 30
        assert near.sum() > 50, what
    assert 0.0005 < coloured.mean() < 0.1


def test_the_page_says_that_it_is_synthetic_before_anything_else(document: Document) -> None:
    assert document.warnings[0].startswith("Synthetic: no person was imaged")
    page = draw_document_page(document)
    assert page.index("Synthetic: no person was imaged") < page.index("<main>")
    assert RECIPE.hash in page
    assert RECIPE.hash in document_json(document)
    assert page.count("data:image/jpeg;base64,") >= 4


def test_an_exam_without_a_biopsy_says_where_the_next_one_with_something_to_see_is() -> None:
    recipe = load_recipe("screening")
    plan = first(recipe, lambda plan: not any(breast.biopsied for breast in plan.breasts.values()))
    hint = describe_phantom(recipe, seed=0, index=plan.index, scale=0.05).warnings[1]
    index = int(hint.rsplit(" ", 1)[1])
    assert any(finding.biopsied and finding.visible for finding in plan_exam(recipe, seed=0, index=index).findings)


def test_an_exam_with_nothing_in_it_has_a_page_too() -> None:
    plan = first(load_recipe("screening"), lambda plan: not plan.findings)
    document = describe_phantom(load_recipe("screening"), seed=0, index=plan.index, scale=0.05)
    assert "findings" not in parts(document)
    assert "neither a finding nor a distractor" in document_json(document)


def test_the_breasts_and_the_population_are_those_of_the_plan(document: Document, rich: PlannedExam) -> None:
    for row in table(document, "breasts"):
        breast = rich.breasts[Side.LEFT if row["breast"] == "left" else Side.RIGHT]
        assert row["BI-RADS"] == breast.birads
        assert row["malignant"] == (("yes" if breast.malignant else "no") if breast.biopsied else "unknown: no biopsy")
    facts = {str(row["what"]): str(row["value"]) for row in table(document, "woman")}
    assert (facts["woman"], facts["BI-RADS density"]) == (rich.patient, rich.density)
    assert rich.profile in facts["unit"]
    assert {row["task"] for row in table(document, "ceilings")} >= {"lesion malignant vs benign"}
    assert any(row["what"] == "breasts malignant" for row in table(document, "frequencies"))
