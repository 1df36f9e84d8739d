"""Which images of a set are taken: rules with names, in a fixed order, each counted. Nothing is dropped in silence.

The rules are those of the NYU report (Wu et al. 2019): standard views only; exams with at least one image of each of
the four; images that cannot be cropped or stand off the chest wall are rejected; several images of a view are kept.
What removes an image is its step; steps that were not asked for are listed all the same, with nothing removed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from fourview.datasets.record import ImageRecord
from fourview.exam import VIEWS, SetupError

UNREADABLE, CROP_FAILED = "unreadable", "crop failed"
NO_SIDE, OTHER_VIEW, NO_LABEL = "side unknown", "not CC or MLO", "no label"
FOUR_LISTED, GAP, FOUR_LEFT = "four views listed", "gap at the chest wall", "four views left"
RULES = {  # in the order of the flow
    NO_SIDE: "the set does not say which breast it is",
    OTHER_VIEW: "an angle other than CC and MLO",
    NO_LABEL: "neither malignant nor benign is known",
    FOUR_LISTED: "the exam lacks one of L-CC, R-CC, L-MLO, R-MLO",
    UNREADABLE: "the file cannot be read, or contradicts the set's tables",
    CROP_FAILED: "no breast found in the image",
    GAP: "the breast does not begin at the chest-wall edge of the image",
    FOUR_LEFT: "the exam lost the last image of a view to a rule above",
}


@dataclass(frozen=True)
class Selection:
    """Which rules apply.

    require    "four-views": exams with at least one image of each standard view, as the NYU report; "any": all
    gap        "reject": images whose breast stands off the chest-wall edge; "keep": their gap_px says it
    unlabelled "exclude" images that are neither known to be malignant or not nor benign or not; or "keep" them
    """

    require: Literal["four-views", "any"] = "any"
    gap: Literal["keep", "reject"] = "keep"
    unlabelled: Literal["keep", "exclude"] = "keep"

    def __post_init__(self) -> None:
        allowed = {
            "require": ("four-views", "any"),
            "gap": ("keep", "reject"),
            "unlabelled": ("keep", "exclude"),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise SetupError(f"{name}: found {getattr(self, name)!r}, need {' or '.join(values)}")

    def applies(self, rule: str) -> bool:
        """Whether a rule of RULES is asked for."""
        asked = {
            NO_LABEL: self.unlabelled == "exclude",
            FOUR_LISTED: self.require == "four-views",
            FOUR_LEFT: self.require == "four-views",
            GAP: self.gap == "reject",
        }
        return asked.get(rule, True)


@dataclass(frozen=True)
class FlowStep:
    """One rule: what it removed and what it left. applied: False, the rule was not asked for."""

    name: str
    rule: str
    applied: bool
    images_removed: int
    images_left: int
    exams_left: int


def select_listed(records: Sequence[ImageRecord], selection: Selection) -> list[str | None]:
    """Per record the rule that takes it out before its pixels are read, or None."""
    found: list[str | None] = [_own_rule(record, selection) for record in records]
    if selection.applies(FOUR_LISTED):
        views = defaultdict(set)
        for record, rule in zip(records, found, strict=True):
            if rule is None:
                views[record.exam].add(record.view)
        for index, record in enumerate(records):
            if found[index] is None and len(views[record.exam]) < len(VIEWS):
                found[index] = FOUR_LISTED
    return found


def _own_rule(record: ImageRecord, selection: Selection) -> str | None:
    if record.side is None:
        return NO_SIDE
    if record.view is None:
        return OTHER_VIEW
    if selection.applies(NO_LABEL) and record.malignant is None and record.benign is None:
        return NO_LABEL
    return None


def select_prepared(table: pl.DataFrame, selection: Selection) -> pl.DataFrame:
    """The manifest after the rules that need pixels: their images are "excluded", their stored files stay."""
    if selection.applies(GAP):
        table = _exclude(table, (pl.col("status") == "prepared") & (pl.col("gap_px") > 0), GAP)
    if selection.applies(FOUR_LEFT):
        prepared = table.filter(status="prepared")
        views = prepared.group_by("exam").agg(pl.col("view").n_unique())
        whole = views.filter(pl.col("view") == len(VIEWS))["exam"]
        table = _exclude(table, (pl.col("status") == "prepared") & ~pl.col("exam").is_in(whole.implode()), FOUR_LEFT)
    return table


def _exclude(table: pl.DataFrame, which: pl.Expr, rule: str) -> pl.DataFrame:
    values = {"status": "excluded", "rule": rule, "reason": RULES[rule]}
    return table.with_columns(
        pl.when(which).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name, value in values.items()
    )


def count_flow(table: pl.DataFrame, selection: Selection) -> tuple[FlowStep, ...]:
    """The rules in order, with what each removed and left, from a manifest's column `rule`."""
    steps = []
    left = table
    for name, rule in RULES.items():
        before = left.height
        left = left.filter(pl.col("rule").ne_missing(name))
        steps.append(
            FlowStep(name, rule, selection.applies(name), before - left.height, left.height, left["exam"].n_unique())
        )
    return tuple(steps)
