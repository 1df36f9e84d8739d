"""The page of a shift check: a plain warning first, then what it rests on."""

from __future__ import annotations

import numpy as np
import polars as pl

from fourview.report.document import Cell, Document, Figure, Section, Table
from fourview.report.plots import Line, draw_lines
from fourview.report.versions import package_versions
from fourview.studies.transfer.shift import ABOUT_IMAGING, ALARM, FACTS, SMALL_DIFFERENCE, Shift
from fourview.studies.transfer.shift_card import CardFact

IN_PART, CLEARLY = 0.6, 0.8  # AUC of telling two sets apart, in words
_NO_CARRYING = (
    "Thresholds, probabilities and AUCs that were measured on the other set need not hold here: measure on images of "
    "your own before anything else."
)
_NONE = "Nothing was found that tells these images from the others. That is no proof that they are alike."


def warn(shift: Shift | None, facts: tuple[CardFact, ...] = ()) -> tuple[str, ...]:
    """Plain words, the gravest first; none: nothing was found."""
    found = []
    if shift is not None:
        area = shift.area
        if shift.told_apart:
            how = "clearly" if area.value >= CLEARLY else "in part" if area.value >= IN_PART else "a little"
            found.append(
                f"These images are {how} unlike those that they are compared with: a classifier on the features tells "
                f"which set an image is from with an AUC of {area.value:.2f}. {_NO_CARRYING}"
            )
        found += [_warn_fact(fact.name, fact.first, fact.second, fact.unseen) for fact in shift.facts if fact.differs]
        if shift.copies:
            found.append(
                f"{shift.copies} images are in both sets, number by number: what was trained on one may not be "
                "measured on them."
            )
    return (*found, *(fact.warning for fact in facts if fact.warning))


def _warn_fact(name: str, first: str, second: str, unseen: float) -> str:
    words = f"{FACTS[name]}: {first} here, {second} there."
    if unseen and name in ABOUT_IMAGING:
        words += f" {100 * unseen:.0f} % of these images have one that is not there at all."
    return words[0].upper() + words[1:]


def describe_shift(
    shift: Shift | None, facts: tuple[CardFact, ...], *, names: tuple[str, str], settings: tuple[tuple[str, str], ...]
) -> Document:
    """names  of the images in question, and of what they are compared with"""
    warnings = warn(shift, facts)
    sections = [] if shift is None else [_classifier(shift, names), _facts(shift, names)]
    sections += [_card(facts)] if facts else []
    nothing = Section("verdict", "In words", text=(_NONE,))
    return Document(
        kind="shift",
        title=f"Are the images of {names[0]} like those of {names[1]}?",
        headline=() if shift is None else (shift.area,),
        sections=tuple(sections if warnings else [nothing, *sections]),
        warnings=warnings,
        methods=() if shift is None else (_METHODS,),
        settings=settings,
        versions=package_versions(),
    )


_METHODS = (
    "Whether two sets of images differ was tested by a classifier two-sample test (Lopez-Paz and Oquab 2017): logistic "
    "regression on frozen features and their squares, out of fold, all images of a patient in one fold; the AUC's 95 % "
    "interval keeps patients together. Facts about the images were compared by permutation of patients, with Holm's "
    "correction."
)


def tabulate_facts(shift: Shift | None, facts: tuple[CardFact, ...]) -> pl.DataFrame:
    """One row per fact, of the two sets and of the card."""
    rows: list[dict[str, float | str | None]] = [
        {
            "compared": "sets",
            "fact": FACTS[f.name],
            "here": f.first,
            "there": f.second,
            "difference": f.difference,
            "p_holm": f.p,
            "unseen_share": f.unseen,
            "verdict": "differs" if f.differs else "not told apart",
        }
        for f in (() if shift is None else shift.facts)
    ]
    rows += [
        {"compared": "card", "fact": f.what, "here": f.images, "there": f.card, "verdict": f.verdict} for f in facts
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _classifier(shift: Shift, names: tuple[str, str]) -> Section:
    low, high = np.percentile(shift.scores, (0.5, 99.5))
    x = np.linspace(low, high, 60)
    lines = []
    for name, part in zip(names, (shift.scores[shift.of_first == 1], shift.scores[shift.of_first == 0]), strict=True):
        lines.append(Line(name, x.tolist(), (np.searchsorted(np.sort(part), x, side="right") / len(part)).tolist()))
    figure = Figure(
        "scores",
        "How far apart a classifier sees them",
        draw_lines(lines, x_label="Score: how much an image looks like the first set", y_label="Share of images below"),
        "Out of fold. The same line twice: nothing tells the sets apart.",
        {line.label: {"score": line.x, "share_below": line.y} for line in lines},
    )
    rows: tuple[tuple[Cell, ...], ...] = ((shift.area.name, shift.area),)
    table = Table(
        "classifier", "Two-sample test", ("", "estimate"), rows, "0.5: not told apart; 1: told without a miss."
    )
    text = (
        "The test sees what the features see: more patients with cancer, other views or denser breasts tell sets apart "
        "as well as another machine does. The facts below help to say which it is.",
    )
    return Section("classifier", "The features", (figure, table), text)


def _facts(shift: Shift, names: tuple[str, str]) -> Section:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (FACTS[f.name], f.first, f.second, f.difference, f.p, "differs" if f.differs else "not told apart")
        for f in shift.facts
    )
    columns = ("fact", names[0], names[1], "difference", "p, Holm", "verdict")
    missing = ", ".join(FACTS[name] for name in shift.missing)
    note = (
        "Numbers: median (range). Difference: of distribution functions (numbers) or half the sum of differences of "
        f"shares (words). Differs: p below {ALARM:g} and a difference of at least {SMALL_DIFFERENCE:g}."
        + (f" Said by one set alone: {missing}." if missing else "")
    )
    return Section("facts", "What is said of the images", (Table("facts", "Facts", columns, rows, note),))


def _card(facts: tuple[CardFact, ...]) -> Section:
    rows: tuple[tuple[Cell, ...], ...] = tuple((f.what, f.card, f.images, f.verdict) for f in facts)
    columns = ("fact", "the weights' card", "these images", "verdict")
    text = ("A card says little. With features of the training data at hand, `fourview shift` compares the images.",)
    return Section("card", "The weights' card", (Table("card", "Card and images", columns, rows),), text)
