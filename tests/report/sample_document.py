"""A document that holds every kind of part, and texts and numbers that no page should stumble over."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from fourview.evaluate import Estimate
from fourview.report.document import (
    ChecklistItem,
    Document,
    Figure,
    Gallery,
    GalleryItem,
    Section,
    Table,
    estimate_table,
)
from fourview.report.plots import (
    Line,
    Points,
    draw_calibration,
    draw_forest,
    draw_lines,
    draw_precision_recall,
    draw_roc,
    draw_scatter,
)

BAD = "</script><img src=x onerror='window.pwned=1'> $\\frac{1 & \u202eabc {{7*7}} \x00 \ud800 日本語 " + "W" * 300

AUC = Estimate(
    "AUC", 0.88117428, 0.83712345, 0.91512345, 0.0201, 1440, 61, 720, "breast", "Obuchowski 1997, clustered, logit"
)
DIFFERENCE = replace(AUC, name="AUC difference", value=-0.0241, low=-0.0612, high=0.0131, p=0.2034)


def share(name: str, positives: int, n: int, **changes: object) -> Estimate:
    value = positives / n
    return Estimate(
        name, value, value * 0.9, min(1.0, value * 1.1), 0.01, n, positives, n - 1, "breast", "Wilson, clustered"
    )


def sample_document() -> Document:
    few = replace(AUC, name="dense", value=0.7512, n=340, positives=7, clusters=180, warnings=("few positives: 7",))
    none = replace(AUC, name="fatty", value=1.0, low=math.nan, high=math.nan, se=math.nan, warnings=("no errors",))
    lines = [
        Line("model 0.881", [0, 0.125, 0.25, 1], [0, 0.5625, 0.75, 1], [0, 0.4, 0.6, 1], [0, 0.7, 0.9, 1]),
        Line(BAD, [0, math.nan, 1], [0, 0.5, math.inf]),
    ]
    points = [Points("readers", [0.0625, 0.1875], [0.4375, 0.6875], ["R1", BAD])]
    wave = np.linspace(0.01, 1, 200)
    rng = np.random.default_rng(0)
    figures = (
        Figure("roc", "ROC curves", draw_roc(lines, points=points), "A caption.", {"lines": lines, "points": points}),
        Figure(
            "pr", "Precision and recall", draw_precision_recall(lines, prevalence=0.0424), data={"prevalence": 0.0424}
        ),
        Figure(
            "forest",
            "Areas",
            draw_forest(["Models", ("model", AUC), (BAD, none)], x_label=BAD, reference=0.5),
            data={"estimates": [AUC, none]},
        ),
        Figure(
            "calibration",
            "Calibration",
            draw_calibration([Line("tenths", [0.02, 0.3], [0.0, 0.25], [0, 0.1], [0.1, 0.4])], scores=wave, log=True),
        ),
        Figure(
            "sweep",
            "Sweep",
            draw_lines([Line("wave", wave, wave**2)], x_label="λ", y_label="AUC", marks=[(0.5, BAD)]),
            data={"wave": {"x": wave, "y": wave**2}},
        ),
        Figure(
            "scatter",
            "Scatter",
            draw_scatter(
                rng.normal(size=50),
                rng.normal(size=50),
                values=rng.random(50),
                positives=rng.random(50) < 0.2,
                x_label="x",
                y_label="y",
                value_label=BAD,
            ),
        ),
    )
    tables = (
        estimate_table("areas", "Areas", [AUC, few, none], note="A note."),
        Table(
            "points",
            "Operating points",
            ("threshold", "sensitivity", "specificity", "exams"),
            (
                (0.02, share("sensitivity", 60, 61), share("specificity", 541, 1379), 1234567),
                (0.00012345, share("sensitivity", 26, 61), None, 0),
            ),
        ),
        Table("differences", "Differences", ("", "difference"), (("a minus b", DIFFERENCE), (BAD, DIFFERENCE))),
        Table("plain", BAD, ("what", BAD), (("NaN", math.nan), ("infinite", -math.inf), ("none", None), ("so", True))),
        Table("empty", "Empty", ("nothing",), ()),
    )
    png = bytes(cv2.imencode(".png", np.full((40, 30, 3), 90, np.uint8))[1])
    items = (
        GalleryItem("3f2a L", ("truth: negative", BAD), "../run/exams/3f2a/exam.html", (("L-CC", png), (BAD, png))),
        GalleryItem(BAD, (), "javascript:window.pwned=1"),
        GalleryItem("elsewhere", (), "//example.org/x"),
    )
    return Document(
        "evaluation",
        f"Evaluation {BAD}",
        (AUC, replace(DIFFERENCE, p=0.00012), none),
        (
            Section("figures", "Figures", figures, ("A paragraph.", BAD)),
            Section("tables", BAD, tables, warnings=("All positives lie in one half.", BAD)),
            Section("errors", "Errors", (Gallery("worst", "Worst", items, "2 of 9."), Gallery("no", "None", ()))),
        ),
        ("Read this first.", BAD),
        ("AUC was measured per breast.", BAD),
        (
            ChecklistItem("CLAIM 2024", "1", "Title says AI", "in the title"),
            ChecklistItem("TRIPOD+AI", "1", "Title says prediction"),
            ChecklistItem("CLAIM 2024", "2", BAD),
        ),
        (("readings", BAD), ("seed", "0")),
        {"numpy": "2.0"},
    )
