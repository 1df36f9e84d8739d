"""Do heatmaps point at the lesions? FROC, sensitivities at false positives per image, JAFROC figures of merit."""

from __future__ import annotations

from fourview.evaluate.froc import RATES, By, FrocCurve, Kind, froc_curve, lesion_sensitivities
from fourview.evaluate.jafroc import jafroc
from fourview.exam import SetupError
from fourview.report.document import Cell, Figure, Section, Table
from fourview.report.located import LEAST, Located
from fourview.report.plots import Line, draw_lines

_WORDS: dict[tuple[Kind, By], str] = {
    ("all", "lesion"): "all lesions, each image for itself",
    ("malignant", "lesion"): "malignant lesions",
    ("benign", "lesion"): "benign lesions",
    ("all", "finding"): "all findings, in at least one view",
    ("malignant", "finding"): "malignant findings, in at least one view",
}


def localisation_section(located: Located) -> Section:
    """Curve and tables of a run's marks on the lesions; see report.located and evaluate.froc for what counts."""
    marked = located.marked
    both = bool(marked.lesion_malignant.any() and not marked.lesion_malignant.all())
    groups = [group for group in _WORDS if both or group[0] == "all"]
    curves = {_WORDS[kind, by]: froc_curve(marked, kind=kind, by=by) for kind, by in groups}
    parts: list[Table | Figure] = [
        _draw_curves(curves),
        _tabulate_sensitivities(located, groups, both=both),
        _tabulate_jafroc(located, both=both),
        _count(located),
    ]
    if located.not_read:
        parts.append(_list_not_read(located))
    warnings = list(located.run_marks)
    if located.not_read:
        exams = {located.lesions[number].exam for number in located.not_read}
        warnings.append(
            f"{len(located.not_read)} lesions of {len(exams)} exams lie in images that were not read: they count as "
            "missed"
        )
    margin = f", or at most {located.margin_px:g} px from it" if located.margin_px else ""
    text = (
        f"Marks are the local maxima of each image's malignant heatmap, more than {located.apart_px:g} px apart (as "
        f"the network sees the image) and at least {LEAST:g}, scored by the heatmap's value there. A mark finds every "
        f"lesion in which its pixel lies{margin}; of several marks in a lesion the highest counts. Marks in no lesion "
        "are false positives, counted over all images that were read. A finding in several views is found if "
        "any of them shows a mark in it.",
        "Normal images are those without a lesion in the table of lesions, also the other views and the other breast "
        "of an exam with one. A heatmap shows what patches look like: a breast can be read as malignant without a "
        "mark.",
    )
    return Section("localisation", "Localisation", tuple(parts), text, tuple(warnings))


def _draw_curves(curves: dict[str, FrocCurve]) -> Figure:
    lines, data = [], {}
    for label, curve in curves.items():
        x, y = [0.0, *curve.false_positives_per_image.tolist()], [0.0, *curve.sensitivity.tolist()]
        # Between two thresholds nothing is reached but the stricter one's sensitivity: steps, not slopes.
        stepped = [value for value in x for _ in range(2)][1:], [value for value in y for _ in range(2)][:-1]
        lines.append(Line(f"{label} ({curve.n})", *stepped))
        data[label] = {
            "false_positives_per_image": curve.false_positives_per_image.tolist(),
            "sensitivity": curve.sensitivity.tolist(),
            "thresholds": curve.thresholds.tolist(),
            "n": curve.n,
        }
    svg = draw_lines(
        lines,
        x_label="False positives per image",
        y_label="Sensitivity",
        x_limits=(0, max(RATES)),
        y_limits=(0, 1),
    )
    caption = "FROC curves. In brackets how many lesions or findings. No interpolation between thresholds."
    return Figure("froc", "Free-response ROC", svg, caption, data)


def _tabulate_sensitivities(located: Located, groups: list[tuple[Kind, By]], *, both: bool) -> Table:
    marked = located.marked
    columns = {_WORDS[kind, by]: lesion_sensitivities(marked, kind=kind, by=by) for kind, by in groups}
    note = (
        "Intervals by drawing whole exams with replacement. Where all marks together make fewer false positives than a "
        "column allows, it holds the sensitivity of all marks."
    )
    if both:
        columns["malignant lesions, marks in benign ones false"] = lesion_sensitivities(marked.only_malignant())
        note += " Except in the last row, marks in benign lesions are neither hits of malignant ones nor false."
    head = ("", *(f"at {rate:g} FP per image" for rate in RATES), "mean of these")
    rows: list[tuple[Cell, ...]] = [(name, *estimates) for name, estimates in columns.items()]
    return Table("lesion_sensitivity", "Sensitivity at false positives (FP) per image", head, tuple(rows), note)


def _tabulate_jafroc(located: Located, *, both: bool) -> Table:
    rows: list[tuple[Cell, ...]] = []
    tables = {"all lesions": located.marked}
    if both:
        tables["malignant lesions, marks in benign ones false"] = located.marked.only_malignant()
    for label, marked in tables.items():
        first: Cell
        try:
            first = jafroc(marked, name=f"JAFROC, {label}")
        except SetupError:  # a lesion in every image: only the other variant has a value
            first = None
        rows.append((label, first, jafroc(marked, variant="JAFROC-1", name=f"JAFROC-1, {label}")))
    note = (
        "The share of pairs of a lesion and an image in which the lesion's highest mark has a larger score than the "
        "image's highest false positive; no mark is the lowest score, ties count one half. JAFROC: against images "
        "without a lesion. JAFROC-1: against all images."
    )
    return Table("jafroc", "Figures of merit", ("", "JAFROC", "JAFROC-1"), tuple(rows), note)


def _count(located: Located) -> Table:
    marked = located.marked
    with_lesion = len(set(marked.lesion_image.tolist()) - {-1})
    findings = {(lesion.exam, lesion.finding) for lesion in located.lesions}
    rows: tuple[tuple[Cell, ...], ...] = (
        ("exams read", len(set(marked.image_exam.tolist()))),
        ("images read", len(located.images)),
        ("images without a lesion (normal)", len(located.images) - with_lesion),
        ("findings", len(findings)),
        ("lesions (a finding in one image)", len(located.lesions)),
        ("malignant lesions", int(marked.lesion_malignant.sum())),
        ("lesions whose image was not read (missed)", len(located.not_read)),
        ("marks", len(marked.mark_score)),
        ("marks in no lesion", int(marked.false_positives.sum())),
        ("margin around lesions, source pixels", located.margin_px),
    )
    return Table("localisation_counts", "What was counted", ("what", "number"), rows)


def _list_not_read(located: Located) -> Table:
    rows = tuple(
        (lesion.exam, lesion.image, lesion.finding, int(lesion.malignant), located.not_read[number])
        for number, lesion in enumerate(located.lesions)
        if number in located.not_read
    )
    columns = ("exam", "image", "finding", "malignant", "why")
    return Table("lesions_not_read", "Lesions in images that were not read: they count as missed", columns, rows)
