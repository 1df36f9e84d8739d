"""A network and radiological signs as a document: where it looks, what its units and its last layer know, examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fourview.evaluate import Estimate, auc
from fourview.report.document import Document, Figure, Gallery, Section, Table
from fourview.report.plots import draw_forest
from fourview.report.versions import package_versions
from fourview.studies.lesion.signs.adjust import known_p
from fourview.studies.lesion.signs.associations import AMONG, MarginTest, WhereTest
from fourview.studies.lesion.signs.collect import Seen
from fourview.studies.lesion.signs.image import SignTest
from fourview.studies.lesion.signs.probes import ProbeTest
from fourview.studies.lesion.signs.read import CHANCE, CONTROLS, DISC, DRAWN, EDGES
from fourview.studies.lesion.signs.units import DISCOVERED, UnitTest
from fourview.studies.lesion.signs.words import LEAST, UNIT

MOST_UNITS = 30  # on the page; units.csv has all
AMONG_WORDS = {"all": "all lesions", "malignant": "malignant lesions alone"}
TWICE = 2.0  # times chance that a map is to put into the outline


@dataclass(frozen=True, eq=False)
class SignsFound:
    """All that was measured. margins_known: whether any lesion is called spiculated or circumscribed"""

    title: str
    seen: Seen
    held_out: bool
    where: tuple[WhereTest, ...]
    against_drawn: tuple[Estimate, ...]
    margins: tuple[MarginTest, ...]
    units: tuple[UnitTest, ...]
    probes: tuple[ProbeTest, ...]
    signs: tuple[SignTest, ...]
    galleries: tuple[Gallery, ...]
    unit_galleries: tuple[Gallery, ...]
    notes: tuple[str, ...]
    marks: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]


def describe_signs(found: SignsFound) -> Document:
    """The page."""
    seen = found.seen
    patients = np.array([view.patient for view in seen.views])
    y = np.array([view.malignant for view in seen.views])
    headline: list[Estimate] = []
    if 0 < y.sum() < len(y):
        logits = [one.logit for one in seen.found]
        headline.append(auc(y, logits, cluster=patients, unit=UNIT, name="AUC of malignant, single images"))
    first = found.where[0]  # the first method's map, unless it never shows anything
    headline.append(_named(first.over_chance, f"{first.name}: share in the outline over chance"))
    main = [test for test in found.margins if test.name == first.name]
    headline += [_named(t.area, f"{t.name}: margin share, spiculated or not, {AMONG_WORDS[t.among]}") for t in main]
    sections = [
        Section(
            "lesions",
            "Lesions",
            (Table("lesions", "What was asked about", ("", "number"), tuple(_counts(found))),),
            text=(_asked(found),),
        ),
        _where_section(found),
        _margin_section(found),
        _unit_section(found),
        _probe_section(found),
        _sign_section(found),
    ]
    return Document(
        kind="signs",
        title=found.title,
        headline=tuple(headline),
        sections=tuple(sections),
        warnings=(*found.marks, *_verdicts(found)),
        methods=METHODS,
        settings=(*found.settings, *(("note", note) for note in found.notes)),
        versions=package_versions(),
    )


METHODS = (
    "Zones of a lesion: the margin is what lies within 0.3 r of the outline to either side, r being the radius of a "
    "disc with the lesion's area; the core is what lies deeper, outside is all else. A map's share of a zone is the "
    "share of its positive values there. Maps are compared with the gradient magnitude of the image (Gaussian, 1.5 "
    "pixels) and with a disc about the middle of the crop, and with maps of the same networks with their weights drawn "
    "anew (each layer's values in random order).",
    "AUCs and means have 95 % intervals clustered by patient (Obuchowski 1997; t with patients, of an AUC those of the "
    "rarer class, minus 1 degrees of freedom; p values of AUCs by the same t). The p values of all AUCs and "
    "differences of margin shares are adjusted together (Benjamini and Hochberg 1995), those of units over all units, "
    "networks and words, those of probes and of image signs each over their column. Words with fewer than "
    f"{LEAST} lesion images with or without them are left out.",
    "Units: the highest value of each channel of the last map, times the gate. Probes: logistic regression on what "
    "the last layer sees, standardised, C 0.01, in folds of patients. Image signs: Spearman's correlation with the "
    "log-odds of malignant, also with the logarithm of the diameter held fixed, bootstrap of patients.",
)


def _counts(found: SignsFound) -> list[tuple[str, int]]:
    views = found.seen.views
    malignant = sum(view.malignant for view in views)
    return [
        ("lesion images", len(views)),
        ("lesions", len({view.key for view in views})),
        ("patients", len({view.patient for view in views})),
        ("images of malignant lesions", malignant),
        ("images of benign lesions", len(views) - malignant),
        ("lesion images that could not be read", len(found.seen.problems)),
    ]


def _asked(found: SignsFound) -> str:
    if found.held_out:
        return "Each lesion was asked of the networks alone that had not learned from it."
    return "The networks learned from other lesions; all of them were asked about each. Maps are means over networks."


def _verdicts(found: SignsFound) -> list[str]:
    """What is to be said before any number: claims that do not hold here."""
    said = []
    for test in found.where:
        if test.name in (EDGES, DISC) or test.name.endswith(DRAWN):
            continue
        ratio = test.over_chance
        if not ratio.low > 1:
            said.append(f"{test.name}: puts no more into the outlines than chance ({ratio.value:.2f} times)")
        elif ratio.value < TWICE:
            said.append(f"{test.name}: puts {ratio.value:.2f} times chance into the outlines, less than twice")
        drawn = next((one for one in found.where if one.name == f"{test.name}{DRAWN}"), None)
        if drawn is not None and drawn.over_chance.value >= TWICE:
            said.append(
                f"{test.name}: networks with weights drawn anew put {drawn.over_chance.value:.2f} times chance into "
                "the outlines too"
            )
        disc = next(one for one in found.where if one.name == DISC)
        if test.over_chance.value <= disc.over_chance.value:
            said.append(
                f"{test.name}: a disc about the middle of the crop, where lesions lie, has more in the outlines "
                f"({disc.over_chance.value:.2f} times chance)"
            )
    own = [one for one in found.margins if one.better and not one.name.endswith(DRAWN) and one.name not in CONTROLS]
    among_malignant = {margin.name for margin in own if margin.among == "malignant"}
    for margin in own:
        if margin.among == "all" and margin.name not in among_malignant:
            said.append(
                f"{margin.name}: too few malignant lesions are called spiculated, or circumscribed: what its margin "
                "share tells apart among all lesions may be malignant from benign"
            )
        worse = [one for one in margin.better if not one.low > 0]
        if worse:
            said.append(
                f"{margin.name}: among {AMONG_WORDS[margin.among].removesuffix(' alone')} its margin share does not "
                "tell spiculated from circumscribed better than "
                f"{' or '.join(one.name.split(' minus ')[1] for one in worse)}"
            )
    if not found.margins:
        said.append(
            f"fewer than {LEAST} lesion images are called spiculated, or circumscribed: margins are not compared"
        )
    return said


def _where_section(found: SignsFound) -> Section:
    rows = tuple((t.name, t.inside, t.over_chance, t.empty) for t in found.where)
    columns = ("map", "share in the outline", "over chance", "maps that show nothing")
    zones = tuple((t.name, *t.zones) for t in found.where)
    note = (
        "Chance: the outline's share of the tissue in the crop. Lesions lie in the middle of their crops, so a disc "
        "there has much in the outline as well: it is the bar."
    )
    forest = draw_forest(
        [(t.name, t.over_chance) for t in found.where], x_label="share in the outline over chance", reference=1.0
    )
    parts: list[Table | Figure | Gallery] = [
        Table("where", "In the outline", columns, rows, note=note),
        Table("zones", "In the zones", ("map", "core", "margin", "outside"), zones),
        Figure("over_chance", "Share in the outline over chance", forest),
    ]
    if found.against_drawn:
        parts.append(
            Table(
                "against_drawn",
                "Networks against the same with weights drawn anew",
                ("method", "difference of the share in the outline"),
                tuple((one.name, one) for one in found.against_drawn),
            )
        )
    return Section("where", "Where maps lie", (*parts, *found.galleries))


def _margin_section(found: SignsFound) -> Section:
    if not found.margins:
        return Section("margins", "Spiculated or circumscribed", text=("No lesions to compare.",))
    parts: list[Table | Figure] = []
    for among in AMONG:
        own = [test for test in found.margins if test.among == among]
        if not own:
            continue
        shares = tuple((_name_map(t.name), t.spiculated, t.circumscribed, *t.means) for t in own)
        counted = ("map", "spiculated", "circumscribed", "share, spiculated", "share, circumscribed")
        parts.append(Table(f"margins_{among}", f"Margin share, {AMONG_WORDS[among]}", counted, shares))
        told = tuple((_name_map(t.name), t.area, *(t.better or (None, None))) for t in own)
        columns = ("map", "AUC", f"minus {EDGES}", f"minus {DISC}")
        title = f"Spiculated against circumscribed by margin share, {AMONG_WORDS[among]}"
        parts.append(Table(f"margins_told_{among}", title, columns, told, note=_PS))
        rows_drawn = [(_name_map(t.name), t.area) for t in own]
        plot = draw_forest(rows_drawn, x_label="AUC, spiculated against circumscribed", reference=0.5)
        parts.append(Figure(f"margin_areas_{among}", f"Margin share tells margins apart, {AMONG_WORDS[among]}", plot))
    text = (
        "Does a map lie along the margin of spiculated lesions more than of circumscribed ones? Spiculated lesions are "
        "mostly malignant, so that any network that finds cancer would seem to know spiculation: only the comparison "
        "among malignant lesions says something about the sign. The margin of a ragged outline is longer, so a disc "
        "and a map that is the same everywhere tell margins apart by the form of the outline alone.",
    )
    return Section("margins", "Spiculated or circumscribed", tuple(parts), text=text)


def _name_map(name: str) -> str:
    return "the same everywhere" if name == CHANCE else name


_PS = "p values are adjusted over all of these tests (Benjamini and Hochberg)."


def _unit_section(found: SignsFound) -> Section:
    tests = found.units
    discovered = [test for test in tests if known_p(test.area) < DISCOVERED]
    columns = ("network", "channel", "word", "AUC", "among malignant", "weight")
    rows = tuple(
        (
            f"{t.network + 1}",
            f"{t.channel}",
            " ".join(t.token),
            t.area,
            t.within,
            None if math.isnan(t.weight) else t.weight,
        )
        for t in tests[:MOST_UNITS]
    )
    words = {test.token for test in tests}
    text = (
        f"{len(tests):,} pairs of a unit and a word were tested ({len(words)} words); {len(discovered):,} are "
        f"discoveries at a false discovery rate of {DISCOVERED:g}. weight: what the unit adds to the log-odds of "
        "malignant.",
    )
    per_word = tuple(
        (" ".join(word), sum(t.token == word for t in tests), sum(t.token == word for t in discovered))
        for word in sorted(words)
    )
    parts: tuple[Table | Figure | Gallery, ...] = (
        Table("units_by_word", "Discoveries per word", ("word", "units tested", "discoveries"), per_word),
        Table("units", "Units with the smallest p", columns, rows, note=_PS_UNITS),
        *found.unit_galleries,
    )
    return Section("units", "Units of the last map", parts if tests else found.unit_galleries, text=text)


_PS_UNITS = "p values are adjusted over all units, networks and words (Benjamini and Hochberg)."


def _probe_section(found: SignsFound) -> Section:
    columns = ("word", "AUC of the probe", "weights drawn anew", "difference", "among malignant")
    rows = tuple((" ".join(t.token), t.area, t.drawn, t.more, t.within) for t in found.probes)
    text = (
        "A probe of a network with weights drawn anew knows what the image itself gives away, size for example; what "
        "the trained network has beyond that was learned.",
    )
    parts: list[Table | Figure] = [Table("probes", "Words read from the last layer", columns, rows, note=_PS_PROBES)]
    if found.probes:
        plot = draw_forest(
            [(" ".join(t.token), t.area) for t in found.probes], x_label="AUC of the probe", reference=0.5
        )
        parts.append(Figure("probe_areas", "Words read from the last layer", plot))
    return Section("probes", "Linear probes", tuple(parts) if rows else (), text=text)


_PS_PROBES = "p values are adjusted over the words, for AUC and for the difference (Benjamini and Hochberg)."


def _sign_section(found: SignsFound) -> Section:
    columns = ("sign", "rank correlation", "size held fixed", "size held fixed, malignant")
    rows = tuple((t.name, t.plain, t.of_size, t.malignant) for t in found.signs)
    note = "Against the log-odds of malignant, single images. p values are adjusted down each column."
    parts = (Table("signs", "Signs measured in the image", columns, rows, note=note),)
    return Section("signs", "Signs measured in the image", parts if rows else ())


def _named(estimate: Estimate, name: str) -> Estimate:
    return Estimate(**{**estimate.__dict__, "name": name})


def _tabulate(suffix: str, areas: Sequence[Estimate | None]) -> dict[str, list[object]]:
    """Each area, its interval, and the lesion images and those with the word; empty where there is none."""

    def column(pick: Callable[[Estimate], float | None]) -> list[object]:
        values = [None if area is None else pick(area) for area in areas]
        return [None if value is None or math.isnan(value) else value for value in values]

    return {
        f"auc{suffix}": column(lambda area: area.value),
        f"low{suffix}": column(lambda area: area.low),
        f"high{suffix}": column(lambda area: area.high),
        f"images{suffix}": column(lambda area: area.n),
        f"with_word{suffix}": column(lambda area: area.positives),
    }


def tabulate_names(tests: Sequence[UnitTest]) -> dict[str, list[object]]:
    """Columns of units.csv."""
    return {
        "network": [test.network + 1 for test in tests],
        "channel": [test.channel for test in tests],
        "descriptor": [test.token[0] for test in tests],
        "word": [test.token[1] for test in tests],
        "weight": [None if math.isnan(test.weight) else test.weight for test in tests],
        **_tabulate("", [test.area for test in tests]),
        "adjusted_p": [None if math.isnan(known_p(test.area)) else known_p(test.area) for test in tests],
        **_tabulate("_malignant", [test.within for test in tests]),
    }
