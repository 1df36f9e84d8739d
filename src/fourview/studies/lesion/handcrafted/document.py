"""The page of a study of baselines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from fourview.evaluate import Estimate
from fourview.report.document import Cell, Document, Figure, Gallery, Section, Table
from fourview.report.plots import draw_forest
from fourview.report.versions import package_versions
from fourview.studies.lesion.ceiling import UNKNOWN, say_ceiling
from fourview.studies.lesion.handcrafted.numbers import FAMILIES, TITLES, list_names
from fourview.studies.lesion.handcrafted.results import Baseline, Results
from fourview.studies.lesion.handcrafted.runs import ALL, EDGES
from fourview.studies.lesion.handcrafted.study import BaselineStudy
from fourview.studies.lesion.measures import Worth
from fourview.studies.transfer.steps import NAMES

_SORTS = {"hand-crafted": "Hand-crafted numbers", "words": "Words alone, without pixels", "ceiling": "Label ceiling"}
_VIEWS = ("CC", "MLO", "CC and MLO")
_PAIRED = ", lesions with both views"
_SHOWN = 15  # numbers that folds looked at most often
_NO_WORDS = "This set does not describe its lesions in words, so no baseline of words can be given."


def describe_baselines(study: BaselineStudy, results: Results, lesions: Gallery) -> Document:
    """Hand-crafted, words, ceiling; CC, MLO and both; families; what the folds chose; lesions to look at."""
    return Document(
        kind="lesion baselines",
        title=f"Lesions without a network: {study.about}",
        headline=tuple(_headline(results)),
        sections=(
            _baselines(study, results),
            _both_views(results),
            *_families(results),
            _chosen(study, results),
            Section("lesions", "Lesions", (lesions,)),
            _left_out(study),
        ),
        warnings=_warnings(study),
        methods=(_methods(study),),
        settings=(
            ("lesions", f"{', '.join(study.recipe.kinds)}; benign without callback: {study.recipe.without_callback}"),
            ("recipe", study.recipe.name),
            ("folds", f"{study.recipe.folds}, {study.recipe.split}, seed {study.recipe.seed}"),
            ("lesions and folds, SHA-256", study.settings["lesions"]),
            ("outlines", "; ".join(study.outlines)),
            ("sizes in", "mm" if study.in_mm else "pixels of the file: the pixel size of some images is unknown"),
        ),
        versions=package_versions(),
    )


def _headline(results: Results) -> list[Estimate]:
    """The AUC of both views of the choice, of the first words, of the ceiling."""
    shown = [results.chosen, *results.of_sort("words")[:1], *results.of_sort("ceiling")]
    return [replace(area, name=f"AUC, {row.title}") for row in shown if (area := row.of("CC and MLO").area) is not None]


def _warnings(study: BaselineStudy) -> tuple[str, ...]:
    found = []
    if study.phantoms:
        found.append("These lesions are phantoms: nothing here holds for real ones.")
    found += [f"Outlines of {own}." for own in study.outlines]
    return tuple(found)


def _baselines(study: BaselineStudy, results: Results) -> Section:
    rows = [row for row in results.rows if row.sort != "family"]
    shown = _list_views(rows)
    columns = ("", "baseline", *(f"AUC, {view}" for view in shown), "accuracy at 1/2", "accuracy at threshold")
    cells = tuple((_SORTS[row.sort], row.title, *_areas(row, shown), *_accuracies(row)) for row in rows)
    note = (
        "Per lesion; CC and MLO: the mean of both probabilities, or the one that there is. Accuracies are of CC and "
        "MLO; the threshold is the one that inner folds chose for single images. “Chosen in the inner folds”: in each "
        "fold the classifier that was best among its training lesions; the largest of the other rows is the largest by "
        "luck as well."
    )
    forest = [(row.title, area) for row in rows if (area := row.of("CC and MLO").area) is not None]
    figure = Figure("baselines", "AUC, CC and MLO", draw_forest(forest, x_label="AUC, 95 %"))
    table = Table("baselines", "Baselines", columns, cells, note)
    parts: list[Table | Figure] = [figure, table]
    if results.differences:
        title = "Hand-crafted numbers against words and ceiling"
        differences = tuple((e.name, e) for e in results.differences)
        note = "AUC of CC and MLO on the same lesions, paired."
        parts.append(Table("differences", title, ("", "difference"), differences, note))
    text = [_describe_words(results)]
    text.append(_describe_ceiling(results))
    return Section("baselines", "Baselines", tuple(parts), text=tuple(text))


def _describe_ceiling(results: Results) -> str:
    rows = results.of_sort("ceiling")
    if not rows or rows[0].of("CC and MLO").area is None:
        return UNKNOWN
    table = rows[0].table
    return say_ceiling(table["malignant"].to_numpy(), table["p"].to_numpy())


def _describe_words(results: Results) -> str:
    if not results.of_sort("words"):
        return _NO_WORDS
    return (
        "Words alone: what radiologists (of phantoms: the plan) say of a lesion's look, in a logistic regression "
        "without pixels. Subtlety and assessment are judgements of somebody who has seen the image; hand-crafted "
        "numbers and networks are given no word at all."
    )


def _list_views(rows: Sequence[Baseline]) -> tuple[str, ...]:
    """CC, MLO, and both; of a set of one kind of view that one alone."""
    there = tuple(view for view in _VIEWS[:2] if any(row.of(view).area is not None for row in rows))
    return there if len(there) == 1 else _VIEWS


def _areas(row: Baseline, views: Sequence[str]) -> tuple[Cell, ...]:
    return tuple(row.of(view).area for view in views)


def _accuracies(row: Baseline) -> tuple[Cell, Cell]:
    own = row.of("CC and MLO")
    return own.at_half.get("accuracy"), own.at_chosen.get("accuracy")


def _both_views(results: Results) -> Section:
    rows, gains = [], []
    for row in results.rows:
        paired = [row.of(f"{view}{_PAIRED}") for view in _VIEWS]
        if row.sort in ("hand-crafted", "words") and all(own.area is not None for own in paired):
            rows.append((row.title, *(own.area for own in paired)))
            gains.append((row.title, *_gains(row)))
    if not rows:
        return Section("views", "Both views", text=("No lesion has a CC and an MLO view.",))
    table = Table(
        "views", "Lesions with both views", ("baseline", "AUC, CC", "AUC, MLO", "AUC, CC and MLO"), tuple(rows)
    )
    added = Table(
        "gains",
        "What the second view adds",
        ("baseline", "both minus CC", "both minus MLO"),
        tuple(gains),
        "Of AUC, paired, on lesions with both views; words of a lesion are often the same in both.",
    )
    chosen = Table(
        "chosen_by_view",
        f"By view: {results.chosen.title}",
        ("views", "lesions", "AUC", "accuracy at 1/2", "sensitivity at 1/2", "specificity at 1/2"),
        tuple(
            (own.name, own.lesions, own.area, *_decisions(own)) for own in results.chosen.worth if own.area is not None
        ),
    )
    return Section("views", "Both views", (table, added, chosen))


def _gains(row: Baseline) -> tuple[Cell, Cell]:
    both_minus = {own.name.rpartition(" ")[2]: own for own in row.added}
    return both_minus.get("CC"), both_minus.get("MLO")


def _decisions(own: Worth) -> tuple[Cell, ...]:
    return tuple(own.at_half.get(name) for name in ("accuracy", "sensitivity", "specificity"))


def _families(results: Results) -> tuple[Section, ...]:
    rows = results.of_sort("family")
    if not rows:
        return ()
    shown = _list_views(rows)
    cells = tuple((row.title, *_areas(row, shown)) for row in rows)
    columns = ("family", *(f"AUC, {view}" for view in shown))
    note = "Each family alone, logistic regression."
    return (Section("families", "Which numbers", (Table("families", "Families", columns, cells, note),)),)


def _chosen(study: BaselineStudy, results: Results) -> Section:
    cells: list[tuple[Cell, ...]] = []
    used: Counter[str] = Counter()
    folds = 0
    for reader, said in results.said.items():
        if reader.family != ALL:
            continue
        setting, times = Counter(own.setting for own in said).most_common(1)[0]
        chosen = f"{setting.value:g}" + (f", penalty {setting.share:g}" if setting.share else "")
        chosen += f", gamma {setting.gamma:g}" if setting.gamma else ""
        sizes = [len(own.used) for own in said if own.used is not None]
        kept = "all" if not sizes else f"{min(sizes)} to {max(sizes)}"
        area = sum(own.area for own in said) / len(said)
        unconverged = sum(own.unconverged for own in said)
        name = NAMES[reader.method.classifier]
        cells.append((name, kept, round(area, 3), f"{chosen} ({times} of {len(said)})", unconverged))
        if sizes:
            folds += len(said)
            used.update(name for own in said for name in own.used or ())
    columns = ("classifier", "numbers kept", "AUC, inner folds", "chosen most often", "fits not converged")
    parts = [Table("chosen", "Settings", columns, tuple(cells))]
    if used:
        often = tuple((name, f"{times} of {folds}") for name, times in used.most_common(_SHOWN))
        note = "Over folds and the classifiers that select. Numbers that say the same stand in for each other."
        parts.append(Table("used", "Kept most often", ("number", "fits"), often, note))
    counts = Counter(family for family, _ in list_names())
    said_counts = ", ".join(f"{TITLES[family]} {counts[family]}" for family in FAMILIES)
    text = (f"{sum(counts.values())} numbers: {said_counts}; and {EDGES} of the edges (PCA in the fold).",)
    return Section("chosen", "What the folds chose", tuple(parts), text=text)


def _left_out(study: BaselineStudy) -> Section:
    notes = study.folds.notes or ("Nothing was left out.",)
    return Section("left_out", "Left out", text=tuple(notes))


def _methods(study: BaselineStudy) -> str:
    methods = "; ".join(str(reader.method) for reader in study.readers if reader.family == ALL)
    split = (
        "The set's test part was read once, by classifiers of its training part."
        if study.folds.split == "official"
        else f"{study.folds.count} folds of patients; each lesion was read by classifiers of the other folds."
    )
    return (
        f"Outlined lesions ({', '.join(study.recipe.kinds)}) in squares of twice the outline's longer side were "
        "measured by size and shape, margin, greys, texture and local patterns. "
        f"{split} Within the training lesions: PCA of histograms of oriented gradients, scaling, {methods}; settings "
        f"by the mean AUC of {study.inner} inner folds by patient, probabilities by Platt's map of their out-of-fold "
        "scores. A lesion's probability is the mean of its CC and MLO views'. Words: tokens as zeros and ones, missing "
        "ones a token of their own, logistic regression with C = 0.5. 95 % intervals keep patients together."
    )
