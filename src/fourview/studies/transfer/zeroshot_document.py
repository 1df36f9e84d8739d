"""A zero-shot reading as a document: the chart per BI-RADS, what each rule does, ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.evaluate import Estimate, auc, average_precision, draw_curves, proportion
from fourview.report.document import Document, Figure, Section, Table, estimate_table
from fourview.report.plots import GREEN, RED, Bars, Line, draw_bars, draw_precision_recall, draw_roc
from fourview.report.versions import package_versions
from fourview.studies.transfer.zeroshot_rules import (
    Call,
    Target,
    call_argmax,
    call_crossfit,
    call_threshold,
    count_calls,
    group_birads,
    group_labels,
    list_targets,
)

MOST_PROBLEMS = 50  # on the page; readings.csv has all
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ZeroshotReading:
    """What a document is made of.

    images     rows of the manifest that were read, with p_malignant and p_benign
    problems   (image, why it was not read);  listed, prepared  images of the store
    alone      each image was read on its own; False: beside the same view of the other breast
    scored     what an image's score is: "the mean over 10 jittered windows"
    marks      reasons to distrust the numbers
    origin     of the weights: (what, text) lines;  settings  of the run
    threshold  given; None: chosen on other patients;  parts  4a, 4b, 4c apart in the chart
    """

    title: str
    images: pl.DataFrame
    problems: tuple[tuple[str, str], ...]
    listed: int
    prepared: int
    alone: bool
    scored: str
    marks: tuple[str, ...]
    origin: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    terms: str = ""
    threshold: float | None = None
    parts: bool = False
    seed: int = 0

    @property
    def patients(self) -> list[str]:
        """Whose each image is; one of nobody known is of its exam's own woman."""
        return [patient or exam for patient, exam in self.images.select("patient", "exam").iter_rows()]

    @property
    def p_malignant(self) -> Floats:
        return self.images["p_malignant"].to_numpy().astype(np.float64)

    @property
    def p_benign(self) -> Floats:
        return self.images["p_benign"].to_numpy().astype(np.float64)

    @property
    def groups(self) -> tuple[tuple[str, ...], list[str | None]]:
        """Of the chart; see group_birads."""
        return group_birads(self.images, parts=self.parts) if self.has_birads else group_labels(self.images)

    @property
    def has_birads(self) -> bool:
        return self.images["birads"].is_not_null().any()


def call_images(reading: ZeroshotReading) -> tuple[Call, ...]:
    """The rule of the paper, and a threshold where one was given or other patients can choose it."""
    targets = list_targets(reading.images)
    calls = [call_argmax(reading.p_malignant, reading.p_benign)]
    if reading.threshold is not None:
        calls.append(call_threshold(reading.p_malignant, reading.threshold))
    elif targets and (crossfit := call_crossfit(reading.p_malignant, targets[0], reading.patients, seed=reading.seed)):
        calls.append(crossfit)
    return tuple(calls)


def tabulate_calls(reading: ZeroshotReading, call: Call) -> pl.DataFrame:
    """The chart's table: a row per group with the images called benign and malignant."""
    groups, group_of = reading.groups
    counts = count_calls(groups, group_of, call.called)
    return pl.DataFrame(
        {
            "birads" if reading.has_birads else "label": groups,
            "predicted_benign": [benign for benign, _ in counts],
            "predicted_malignant": [malignant for _, malignant in counts],
        }
    )


def describe_zeroshot(reading: ZeroshotReading, calls: Sequence[Call]) -> Document:
    """The document. calls: of call_images"""
    targets = list_targets(reading.images)
    areas = [_measure(reading, target) for target in targets]
    headline = tuple(found[0] for found in areas) or (_share_called(reading, calls[0]),)
    opinion = [
        f"{target.title}: {target.positive}. No biopsy says so." for target in targets if target.name == "birads4+"
    ]
    return Document(
        kind="zero-shot",
        title=reading.title,
        headline=headline,
        sections=(
            _chart_section(reading, calls),
            _rules_section(reading, calls, targets),
            *(_curve_section(reading, target, own) for target, own in zip(targets, areas, strict=True)),
            _images_section(reading),
        ),
        warnings=(*reading.marks, *opinion),
        methods=_methods(reading, targets),
        settings=reading.settings,
        versions=package_versions(),
    )


def _chart_section(reading: ZeroshotReading, calls: Sequence[Call]) -> Section:
    parts: list[Figure | Table] = []
    what = "BI-RADS" if reading.has_birads else "label"
    unstated = sum(group is None for group in reading.groups[1])
    missing = f" {unstated:,} images whose {what} is not stated are not drawn." if unstated else ""
    units = ", ".join(sorted(set(reading.images["label_unit"])))
    for call in calls:
        table = tabulate_calls(reading, call)
        rows: list[tuple[Any, ...]] = table.rows()
        benign, malignant = ([row[place] for row in rows] for place in (1, 2))
        svg = draw_bars(
            [row[0] for row in rows],
            [Bars("predicted benign", benign, GREEN), Bars("predicted malignant", malignant, RED)],
            x_label=f"{what} (labels are of: {units})",
            y_label="Images",
        )
        caption = f"{call.how}. One count per image, {sum(benign) + sum(malignant):,} in all.{missing}"
        data = {"groups": [row[0] for row in rows], "predicted benign": benign, "predicted malignant": malignant}
        parts.append(Figure(f"chart_{call.name}", f"Predictions by {what}: {call.title}", svg, caption, data))
        columns = (what, "predicted benign", "predicted malignant", "images")
        cells = tuple((*row, row[1] + row[2]) for row in rows)
        parts.append(Table(f"table_{call.name}", f"The same as numbers: {call.title}", columns, cells, call.note))
    warnings = () if len(calls) > 1 else ("no threshold: found too few patients of each class, and none was given",)
    return Section("chart", f"Predictions by {what}", tuple(parts), warnings=warnings)


def _rules_section(reading: ZeroshotReading, calls: Sequence[Call], targets: Sequence[Target]) -> Section:
    """What each rule does, against each target."""
    rows: list[tuple[str, str, Estimate]] = []
    cluster = np.asarray(reading.patients)
    for call in calls:
        rows.append((call.title, "all images", _share_called(reading, call)))
        for target in targets:
            for name, value, hits in (("sensitivity", 1, call.called), ("specificity", 0, ~call.called)):
                own = target.truth == value
                found = proportion(hits[own], cluster=cluster[own], unit="image", name=name)
                rows.append((call.title, f"{target.title}: {target.positive if value else target.negative}", found))
    named = tuple((title, of, found.name, found) for title, of, found in rows)
    notes = ". ".join(f"{call.title}: {call.how}" for call in calls) + "."
    return Section(
        "rules",
        "What each rule does",
        (Table("rules", "Called malignant", ("rule", "of", "", "estimate"), named, notes),),
    )


def _share_called(reading: ZeroshotReading, call: Call) -> Estimate:
    return proportion(call.called, cluster=reading.patients, unit="image", name="share called malignant")


def _measure(reading: ZeroshotReading, target: Target) -> tuple[Estimate, ...]:
    """Areas of p_malignant, of the difference that the paper's rule goes by, and the average precision."""
    truth, known = target.truth[target.known], target.known
    cluster = np.asarray(reading.patients)[known]
    p, benign = reading.p_malignant[known], reading.p_benign[known]
    name = f"against {target.title}"
    return (
        auc(truth, p, cluster=cluster, unit="image", name=f"AUC of p malignant {name}"),
        auc(truth, p - benign, cluster=cluster, unit="image", name=f"AUC of p malignant - p benign {name}"),
        average_precision(truth, p, cluster=cluster, unit="image", name=f"average precision of p malignant {name}"),
    )


def _curve_section(reading: ZeroshotReading, target: Target, areas: Sequence[Estimate]) -> Section:
    known = target.known
    cluster = np.asarray(reading.patients)[known]
    found = draw_curves(target.truth[known], reading.p_malignant[known], cluster=cluster, unit="image")
    n, positives = int(known.sum()), int((target.truth == 1).sum())
    caption = f"p malignant of {n:,} images, {positives:,} of them {target.positive}. Band: 95 %, point by point."
    figures = []
    for name, band in (("roc", found.roc), ("precision_recall", found.pr)):
        line = Line(f"p malignant, {n:,} images", *(v.tolist() for v in (band.x, band.y, band.low, band.high)))
        svg = draw_roc([line]) if name == "roc" else draw_precision_recall([line], prevalence=found.prevalence)
        title = "ROC curve" if name == "roc" else "Precision and recall"
        data: Mapping[str, Any] = {"x": band.x, "y": band.y, "low": band.low, "high": band.high}
        slug = target.name.replace("+", "_plus")
        figures.append(Figure(f"{name}_{slug}", f"{title} against {target.title}", svg, caption, data))
    table = estimate_table(f"areas_{target.name}", f"Areas against {target.title}", areas)
    words = f"Positive: {target.positive}. Negative: {target.negative}."
    return Section(f"curves_{target.name}", f"Against {target.title}", (table, *figures), text=(words,))


def _images_section(reading: ZeroshotReading) -> Section:
    counts: tuple[tuple[str, int], ...] = (
        ("listed by the set", reading.listed),
        ("prepared in the store", reading.prepared),
        ("read", len(reading.images)),
        ("could not be read", len(reading.problems)),
        ("patients of the images that were read", len(set(reading.patients))),
    )
    parts = [Table("counts", "Images", ("", "images"), counts)]
    parts.append(Table("weights", "The weights", ("", ""), reading.origin))
    if reading.problems:
        more = len(reading.problems) - MOST_PROBLEMS
        note = f"and {more:,} more in readings.csv" if more > 0 else ""
        parts.append(
            Table("problems", "Could not be read", ("image", "reason"), reading.problems[:MOST_PROBLEMS], note)
        )
    terms = (f"Terms of the images: {reading.terms}",) if reading.terms else ()
    return Section("images", "Images and weights", tuple(parts), text=terms)


def _methods(reading: ZeroshotReading, targets: Sequence[Target]) -> tuple[str, ...]:
    how = "on its own" if reading.alone else "beside the same view of the other breast, as these weights do,"
    against = " and ".join(f"{target.title} ({target.positive})" for target in targets) or "nothing: no label has both"
    return (
        f"Every image was read {how} by weights that were not trained further; its score is {reading.scored}. "
        f"Scores were compared with {against}. Whether women of this set were among those that the weights "
        "were trained on was not checked.",
        "The unit is the image; intervals are 95 % and take patients as independent. Areas: clustered variance of "
        "Obuchowski (1997), Student's t on the logit scale; average precision: clustered infinitesimal jackknife; "
        "shares: Wilson at the effective sample size; bands: cluster bootstrap, percentiles.",
    )
