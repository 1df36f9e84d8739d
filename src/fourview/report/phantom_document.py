"""One synthetic exam -> its page: four views, what was planted in them and why, and the population it is from."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping

from fourview.exam import Side, View
from fourview.phantom import PhantomFinding, PlannedExam, Recipe, Truth, draw_planned, find_card, plan_exam
from fourview.phantom.chances import find_chances
from fourview.phantom.recipe import GENERATOR
from fourview.phantom.signs import SIGNS
from fourview.phantom.truth import breast_rows
from fourview.report.document import Cell, Document, Gallery, GalleryItem, Section, Table
from fourview.report.phantom_views import WHAT, Shown, hang_views, show_near, show_view, trim_views, what_is

SYNTHETIC = "Synthetic: no person was imaged, and nothing on this page says anything about patients."
_LOOKED_AHEAD = 3000  # exams, for the next one with a biopsy
_SIDES = {Side.RIGHT: "right", Side.LEFT: "left"}  # as they hang


def describe_phantom(
    recipe: Recipe, *, seed: int, index: int, scale: float = 0.5, versions: Mapping[str, str] | None = None
) -> Document:
    """The page of exam number `index` of the population of recipe and seed, drawn at `scale`. Raises SetupError."""
    plan = plan_exam(recipe, seed=seed, index=index)
    truth = Truth(plan, draw_planned(plan, scale=scale))
    shown = {image.view: show_view(truth, image) for image in truth.drawn.images}
    return Document(
        "phantom",
        f"Synthetic exam {index} of {recipe.name}, seed {seed}",
        (),
        (
            _views(plan, shown),
            _planted(recipe, plan, shown),
            _breasts(recipe, plan),
            _woman(recipe, plan, truth),
            _population(recipe),
        ),
        warnings=(SYNTHETIC, *_hint(recipe, plan)),
        settings=(
            ("recipe", f"{recipe.name}, {recipe.difficulty}"),
            ("recipe hash", recipe.hash),
            ("generator", str(GENERATOR)),
            ("seed", str(seed)),
            ("index", str(index)),
            ("scale", f"{scale:g}"),
        ),
        versions=versions or {},
    )


def _hint(recipe: Recipe, plan: PlannedExam) -> Iterator[str]:
    """Where to look for a biopsied finding, if this exam has none."""
    if any(breast.biopsied for breast in plan.breasts.values()):
        return
    for index in range(plan.index + 1, plan.index + _LOOKED_AHEAD):
        later = plan_exam(recipe, seed=plan.seed, index=index)
        if any(finding.biopsied and finding.visible for finding in later.findings):
            yield f"Nothing was biopsied after this exam. The next one with a biopsied finding to see: --index {index}"
            return
    yield "Nothing was biopsied after this exam."


def _views(plan: PlannedExam, shown: Mapping[View, Shown]) -> Section:
    views = trim_views(shown)
    pictures = (
        ("the four views", hang_views(views, plan.findings, outlined=False)),
        ("the four views with the outline of every finding", hang_views(views, plan.findings, outlined=True)),
    )
    note = (
        "Right breast on the left, CC above MLO, chest walls together, cut to the breasts; each view with its own "
        "window (1st to 99.7th percentile of the breast). Numbers as in the table below."
    )
    return Section(
        "views",
        "Views",
        (Gallery("views", "Without and with outlines", (GalleryItem("", (), images=pictures),), note, True),),
    )


def _planted(recipe: Recipe, plan: PlannedExam, shown: Mapping[View, Shown]) -> Section:
    if not plan.findings:
        return Section("planted", "What was planted", text=("Nothing: neither a finding nor a distractor.",))
    columns = (
        "no.", "breast", "what", "kind", "words", "radius (mm)", "contrast", "p malignant", "pathology", "seen in",
        "depth", "lateral", "upper",
    )  # fmt: skip
    rows = []
    for number, finding in enumerate(plan.findings):
        views = [one.view.value for one in shown.values() if number in one.masks]
        rows.append(
            (
                number + 1,
                _SIDES[finding.side],
                what_is(finding) + ("" if finding.visible else ", occult"),
                finding.kind,
                _words(finding) or "none",
                round(finding.radius_mm, 1),
                round(finding.contrast, 2) if finding.visible else None,
                None if finding.p_malignant is None else round(finding.p_malignant, 3),
                finding.pathology or "none",
                ", ".join(views) if views else "no view",
                round(finding.depth, 2),
                round(finding.lateral, 2),
                round(finding.upper, 2),
            )
        )
    note = (
        "p malignant: the probability that the label was drawn with; distractors have none. Depth from 0 at the chest "
        "wall to 1 at the nipple, lateral and upper from -1 to 1."
    )
    parts: list[Table | Gallery] = [Table("findings", "Findings", columns, tuple(rows), note)]
    why = explain_labels(recipe, plan)
    if why is not None:
        parts.append(why)
    near = _near(plan, shown)
    if near is not None:
        parts.append(near)
    return Section("planted", "What was planted, and why", tuple(parts))


def _words(finding: PhantomFinding) -> str:
    words = (finding.shape, finding.margin, finding.calc_type, finding.distribution)
    return ", ".join(word for word in words if word)


def explain_labels(recipe: Recipe, plan: PlannedExam) -> Table | None:
    """How the logit of each biopsied finding is made up; None where there is none."""
    chances, strength = find_chances(recipe), recipe.level.strength
    age = chances.age_logit(plan.age)
    rows: list[tuple[Cell, ...]] = []
    for number, finding in enumerate(plan.findings):
        if not finding.biopsied or finding.p_malignant is None:
            continue
        # where a recipe has no benign occult findings, p is 1 to the last digit
        logit = math.log(finding.p_malignant / max(1 - finding.p_malignant, sys.float_info.epsilon))
        signs = SIGNS[finding.kind]
        words = [getattr(finding, axis) for axis in signs.axes]
        parts = [
            strength * odds[word] if finding.visible else 0.0 for odds, word in zip(signs.log_odds, words, strict=True)
        ]
        said = [f"{word or 'no word'} {part:+.2f}" for word, part in zip(words, parts, strict=True)]
        rows.append(
            (
                number + 1,
                round(logit - sum(parts) - age, 2),
                said[0] if finding.visible else "occult: no words",
                said[1] if finding.visible and len(signs.log_odds[1]) > 1 else "",
                round(age, 2),
                round(logit, 2),
                round(finding.p_malignant, 3),
                "malignant" if finding.malignant else "benign",
            )
        )
    if not rows:
        return None
    columns = ("no.", "base", "first word", "second word", "age", "log-odds", "p malignant", "label drawn")
    note = (
        f"Log-odds are those of CBIS-DDSM's tables, times {strength:g} ({recipe.difficulty}), shifted so that as many "
        "findings are malignant as the recipe asks for. The label was then drawn with this probability: the words "
        "predict it and do not decide it."
    )
    return Table("why", "How each label came about", columns, tuple(rows), note)


def _near(plan: PlannedExam, shown: Mapping[View, Shown]) -> Gallery | None:
    items = []
    for number, finding in enumerate(plan.findings):
        pictures = []
        for one in shown.values():
            if number in one.masks:
                colour = WHAT[what_is(finding)]
                for outlined in (False, True):
                    text = f"finding {number + 1} in {one.view}{', outlined' if outlined else ''}"
                    pictures.append((text, show_near(one, number, colour, outlined=outlined)))
        if pictures:
            lines = (f"{what_is(finding)}: {_words(finding)}", *([finding.pathology] if finding.pathology else []))
            items.append(
                GalleryItem(f"{number + 1}  {_SIDES[finding.side]} {finding.kind}", lines, images=tuple(pictures))
            )
    if not items:
        return None
    return Gallery("near", "From near", tuple(items), "Each view without and with the outline of the mask.", True)


def _breasts(recipe: Recipe, plan: PlannedExam) -> Section:
    rows = {row["side"]: row for row in breast_rows(recipe, plan)}
    columns = (
        "breast", "malignant", "benign", "high risk", "BI-RADS", "suspicion", "pathology", "best p malignant",
        "best p benign", "cancer found later", "known cancer",
    )  # fmt: skip
    yes = {0: "no", 1: "yes", "0": "no", "1": "yes", "unknown": "unknown: no biopsy"}
    table = tuple(
        (
            name,
            yes[row["malignant"]],
            yes[row["benign"]],
            yes[row["high_risk"]],
            row["birads"],
            round(row["suspicion"], 3),
            row["pathology_terms"].replace(";", ", ") or "none",
            round(row["planted_malignant"], 4),
            round(row["planted_benign"], 4),
            yes[row["later_malignant"]],
            yes[row["known_malignant"]],
        )
        for side, name in _SIDES.items()
        for row in [rows[side.value]]
    )
    note = (
        "Labels are those of biopsies within 120 days. Suspicion: how strongly the findings draw the eye of the "
        "simulated reader who gave the BI-RADS category. Best p: what the best possible observer could say, who sees "
        "every biopsied finding that is visible, its words, and her age."
    )
    return Section("breasts", "Breasts", (Table("breasts", "Labels", columns, table, note),))


def _woman(recipe: Recipe, plan: PlannedExam, truth: Truth) -> Section:
    woman, setup = truth.drawn.woman, truth.drawn.images[0].acquired.setup
    rounds = recipe.women.rounds
    image = truth.drawn.images[0]
    size = f"{woman.depth_mm:.0f} mm deep, {woman.width_mm:.0f} mm wide, {woman.thickness_mm:.0f} mm thick"
    burned = [*(["view letters"] if setup.lettered else []), *(["metal ball at the nipple"] if setup.ball else [])]
    facts = (
        ("woman", plan.patient),
        ("exam", f"{plan.round + 1} of {rounds}, {plan.date[:4]}-{plan.date[4:6]}-{plan.date[6:]}"),
        ("her exams", ", ".join(f"--index {plan.index - plan.round + n}" for n in range(rounds))),
        ("age", f"{plan.age} years"),
        ("BI-RADS density", plan.density),
        ("gland in the volume", f"{woman.share:.0%}"),
        ("compressed breast", size),
        ("follow-up", f"{plan.follow_up_days} days"),
        ("unit", f"profile {plan.profile}, {setup.profile.photometric}, {setup.profile.bits} bits"),
        ("image", f"{image.pixels.shape[0]} x {image.pixels.shape[1]} pixels of {image.spacing_mm:.3g} mm"),
        ("direction in the file", "mirrored: left breasts point left" if setup.mirrored else "usual"),
        ("burned in", ", ".join(burned) or "nothing"),
    )
    return Section("woman", "Woman and unit", (Table("woman", "Woman and unit", ("what", "value"), facts),))


def _population(recipe: Recipe) -> Section:
    card = find_card(recipe)
    ceilings = tuple((task, round(area, 4)) for task, area in card["ceilings"].items())
    often = tuple((what, found["value"], found["se"], int(found["n"])) for what, found in card["frequencies"].items())
    return Section(
        "population",
        "The population it is from",
        (
            Table(
                "ceilings",
                "Ceilings",
                ("task", "AUC"),
                ceilings,
                "AUC of the probabilities that labels were drawn with: nobody who sees one exam can do better.",
            ),
            Table(
                "frequencies",
                "How often",
                ("what", "share or mean", "standard error", "of"),
                often,
                f"Counted in {card['plans']:,} simulated exams of seed {card['seed']}.",
            ),
        ),
    )
