"""`python -m benchmarks.phantom_likeness`: phantoms beside real mammograms, and what gives them away.

    python -m benchmarks.phantom_likeness --real FOLDER... --out OUT [--exams 48] [--jobs 2] [--seed 0]
                                          [--save benchmarks/results/phantom_likeness.json]
    python -m benchmarks.phantom_likeness --show     the stored table, as it stands in docs/phantoms.md

FOLDER is one of the public samples: New York sample exams (PNG), mini-MIAS, Mini-DDSM. Films are compared with phantoms
on film, digital images with phantoms of digital units, mini-MIAS with MLO views alone; --exams phantom exams of each.
All images are brought to 0.28 mm and their greys counted from the 1st to the 99th percentile of the breast.

OUT gets a page (report.html) with a montage, histograms inside the breast, power spectra, areas, and a logistic
regression on simple features, cross-validated by exam, that tries to tell real from phantom. It holds real pictures:
it is the user's, and no part of the project. What is stored in the project is numbers.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.phantom_features import FIT_PER_MM, FREQUENCIES, HISTOGRAM, PIXEL_MM
from benchmarks.phantom_nuisance import cross_validate
from benchmarks.phantom_samples import PICTURE_ROWS, RECIPE, Sample, draw_samples, read_samples
from benchmarks.phantom_views import digest_sources
from fourview.evaluate import Estimate, auc
from fourview.phantom import load_recipe
from fourview.phantom.recipe import GENERATOR
from fourview.report.document import Cell, Document, Figure, Gallery, GalleryItem, Section, Table
from fourview.report.document_folder import check_report_folder, write_document
from fourview.report.picture import png_bytes
from fourview.report.plots import Line, draw_lines
from fourview.whole_files import write_whole

STORED = Path(__file__).parent / "results" / "phantom_likeness.json"
SEED, EXAMS = 0, 48
FAMILIES = ("grey", "detail", "border", "outline")
_SHOWN = 12  # exams of each collection in the montage
_VIEWS = ("L-CC", "R-CC", "L-MLO", "R-MLO")


@dataclass(frozen=True, eq=False)
class Comparison:
    """One real collection and the phantoms that it is compared with: the same kind of image, the same views."""

    name: str
    real: Sequence[Sample]
    phantoms: Sequence[Sample]

    @property
    def both(self) -> list[Sample]:
        return [*self.real, *self.phantoms]

    @property
    def truth(self) -> NDArray[np.bool_]:
        """True for phantoms."""
        return np.arange(len(self.both)) >= len(self.real)


def compare(real: Sequence[Sample], phantoms: Sequence[Sample]) -> list[Comparison]:
    """Each real collection with the phantoms of its kind and its views."""
    found = []
    for name in dict.fromkeys(sample.collection for sample in real):
        own = [sample for sample in real if sample.collection == name]
        angles = {sample.view[2:] for sample in own}
        alike = [p for p in phantoms if p.film == own[0].film and p.view[2:] in angles]
        found.append(Comparison(name, own, alike))
    return found


def tell_apart(both: Comparison, families: Sequence[str] = FAMILIES, *, seed: int = SEED) -> Estimate:
    """AUC of a logistic regression on these families of features, phantom against real; folds by exam."""
    names = [name for name in both.both[0].features.values if name.split()[0] in families]
    matrix = np.array([[sample.features.values[name] for name in names] for sample in both.both])
    exams = np.array([f"{sample.collection} {sample.exam}" for sample in both.both])
    folds = min(5, len({sample.exam for sample in both.real}))
    score = cross_validate(_model, matrix, both.truth, exams, seed=seed, folds=folds)
    label = "all features" if len(families) > 1 else families[0]
    return auc(both.truth, score, cluster=exams, unit="image", name=f"{both.name}: {label}")


@dataclass(frozen=True)
class Giveaway:
    """One feature alone. auc  above a half: larger in phantoms;  real, phantoms  the medians"""

    feature: str
    auc: Estimate
    real: float
    phantoms: float


def rank_giveaways(both: Comparison, *, most: int = 8) -> list[Giveaway]:
    """The features that tell best."""
    found = []
    exams = [f"{sample.collection} {sample.exam}" for sample in both.both]
    for name in both.both[0].features.values:
        values = np.array([sample.features.values[name] for sample in both.both])
        estimate = auc(both.truth, values, cluster=exams, unit="image", name=name)
        found.append(
            Giveaway(name, estimate, float(np.median(values[~both.truth])), float(np.median(values[both.truth])))
        )
    return sorted(found, key=lambda one: -abs(one.auc.value - 0.5))[:most]


def _model() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced"))


def mean_slope(samples: Sequence[Sample]) -> tuple[float, float, int, int]:
    """(mean over exams of the slopes of their images, its standard error, images, exams) of those that have one."""
    exams: dict[str, list[float]] = {}
    for sample in samples:
        if np.isfinite(sample.features.slope):
            exams.setdefault(sample.exam, []).append(sample.features.slope)
    means = np.array([np.mean(slopes) for slopes in exams.values()])
    if not len(means):
        return float("nan"), float("nan"), 0, 0
    se = float(means.std(ddof=1) / len(means) ** 0.5) if len(means) > 1 else float("nan")
    return float(means.mean()), se, sum(map(len, exams.values())), len(means)


def summarise(comparisons: Sequence[Comparison], *, seed: int = SEED) -> list[dict[str, Any]]:
    """The numbers of each comparison, without a pixel."""
    rows = []
    for both in comparisons:
        sides = {"real": both.real, "phantoms": both.phantoms}
        row: dict[str, Any] = {"name": both.name, "film": both.real[0].film}
        for side, samples in sides.items():
            slope, se, images, exams = mean_slope(samples)
            areas = np.quantile([sample.features.area_cm2 for sample in samples], [0.1, 0.5, 0.9])
            row[side] = {
                "images": len(samples),
                "exams": len({sample.exam for sample in samples}),
                "slope": round(slope, 3),
                "slope_se": round(se, 3),
                "slope_images": images,
                "slope_exams": exams,
                "area_cm2": [round(float(area), 1) for area in areas],
            }
        row["slope_difference"] = round(row["phantoms"]["slope"] - row["real"]["slope"], 3)
        row["aucs"] = {"all": _numbers(tell_apart(both, seed=seed))}
        row["aucs"] |= {family: _numbers(tell_apart(both, (family,), seed=seed)) for family in FAMILIES}
        row["giveaways"] = [
            {
                "feature": found.feature,
                "auc": round(found.auc.value, 3),
                "real": round(found.real, 3),
                "phantoms": round(found.phantoms, 3),
            }
            for found in rank_giveaways(both)
        ]
        rows.append(row)
    return rows


def _numbers(estimate: Estimate) -> dict[str, Any]:
    low, high = (None if np.isnan(end) else round(end, 4) for end in (estimate.low, estimate.high))
    return {"value": round(estimate.value, 4), "low": low, "high": high, "method": estimate.method}


def summarise_for_card(result: dict[str, Any]) -> dict[str, Any]:
    """What ships as src/fourview/phantom/recipes/likeness.json and `fourview phantom card` prints."""
    samples = [
        {
            "name": c["name"],
            "real_exams": c["real"]["exams"],
            "phantom_exams": c["phantoms"]["exams"],
            "auc": c["aucs"]["all"]["value"],
            "low": c["aucs"]["all"]["low"],
            "high": c["aucs"]["all"]["high"],
        }
        for c in result["comparisons"]
    ]
    return {"generator": result["generator"], "samples": samples}


def likeness_table(result: dict[str, Any]) -> str:
    """Markdown: a row per collection."""
    lines = [
        "| real sample | images (exams), real / phantoms | slope of the spectrum, real / phantoms | breast area cm2: "
        "10 %, median, 90 %, real / phantoms | AUC real against phantom |",
        "|---|--:|--:|--:|--:|",
    ]
    for row in result["comparisons"]:
        real, ours = row["real"], row["phantoms"]
        areas = " / ".join(", ".join(f"{area:.0f}" for area in side["area_cm2"]) for side in (real, ours))
        lines.append(
            f"| {row['name']} ({'film' if row['film'] else 'digital'}) | {real['images']} ({real['exams']}) / "
            f"{ours['images']} ({ours['exams']}) | {real['slope']:.2f} ± {real['slope_se']:.2f} / "
            f"{ours['slope']:.2f} ± {ours['slope_se']:.2f} | {areas} | {_interval(row['aucs']['all'])} |"
        )
    return "\n".join(lines)


def family_table(result: dict[str, Any]) -> str:
    """Markdown: how well each family of features alone tells, and the features that tell best."""
    lines = [
        f"| real sample | {' | '.join(FAMILIES)} | tells best alone (AUC; median real / phantoms) |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for row in result["comparisons"]:
        areas = " | ".join(f"{row['aucs'][family]['value']:.2f}" for family in FAMILIES)
        best = "; ".join(
            f"{found['feature']} ({found['auc']:.2f}; {found['real']:.2f} / {found['phantoms']:.2f})"
            for found in row["giveaways"][:4]
        )
        lines.append(f"| {row['name']} | {areas} | {best} |")
    return "\n".join(lines)


def _interval(numbers: dict[str, Any]) -> str:
    if numbers["low"] is None:
        return f"{numbers['value']:.3f} (no interval)"
    return f"{numbers['value']:.3f} ({numbers['low']:.3f} to {numbers['high']:.3f})"


def make_page(comparisons: Sequence[Comparison], *, seed: int = SEED) -> Document:
    """The page: montage, histograms, spectra, areas, the classifier."""
    sections = [_montage(comparisons)]
    for both in comparisons:
        sections.append(
            Section(
                both.name.replace(" ", "_").lower(),
                f"{both.name} and phantoms",
                (_histograms(both), _spectra(both), _areas(both), _classifier(both, seed=seed), _giveaways(both)),
            )
        )
    return Document(
        "phantom",
        "Phantoms beside real mammograms",
        tuple(tell_apart(both, seed=seed) for both in comparisons),
        tuple(sections),
        warnings=(
            "This page holds pictures of real samples, under the licences of their collections: do not pass it on.",
            "The AUC is of a classifier that tries to tell real from phantom: one half would be likeness, 1 is none.",
        ),
        methods=(
            f"Images of {PIXEL_MM} mm pixels, greys from the 1st to the 99th percentile of the breast. Spectra: Hann "
            f"window, regions of 36 mm inside the breast, power law fitted from {FIT_PER_MM[0]} to {FIT_PER_MM[1]} "
            "cycles per mm. Classifier: logistic regression, standardised features, L2 penalty (C = 0.1); "
            "folds by exam.",
        ),
        settings=(
            ("recipe", f"{RECIPE} {load_recipe(RECIPE).hash}"),
            ("generator", str(GENERATOR)),
            ("sources", digest_sources()),
        ),
        versions={"python": platform.python_version(), "numpy": np.__version__, "scikit-learn": sklearn.__version__},
    )


def _montage(comparisons: Sequence[Comparison]) -> Section:
    galleries: list[Gallery] = []
    for name, samples in _by_collection(comparisons):
        items = []
        for exam, own in list(_by_exam(samples).items())[:_SHOWN]:
            strip = _strip(own)
            items.append(GalleryItem(exam, (f"{len(own)} views",), images=((f"{name} {exam}", png_bytes(strip)),)))
        galleries.append(Gallery(f"montage_{len(galleries) + 1}", name, tuple(items)))
    return Section("montage", "Side by side", tuple(galleries))


def _by_collection(comparisons: Sequence[Comparison]) -> Iterator[tuple[str, list[Sample]]]:
    every = [sample for both in comparisons for side in (both.phantoms, both.real) for sample in side]
    for name in dict.fromkeys(sample.collection for sample in every):
        yield name, list({(s.exam, s.view, id(s)): s for s in every if s.collection == name}.values())


def _by_exam(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    exams: dict[str, list[Sample]] = {}
    for sample in samples:
        exams.setdefault(sample.exam, []).append(sample)
    return exams


def _strip(samples: Sequence[Sample]) -> NDArray[np.uint8]:
    """The views of an exam in a row."""
    ordered = sorted(samples, key=lambda sample: _VIEWS.index(sample.view))
    gap = np.zeros((PICTURE_ROWS, 4), np.uint8)
    return np.hstack([part for sample in ordered for part in (sample.picture, gap)])


def draw_sheet(comparisons: Sequence[Comparison]) -> NDArray[np.uint8]:
    """One picture to look at: two exams in a row, phantoms and real ones in blocks."""
    blocks = []
    for _, samples in _by_collection(comparisons):
        strips = [_strip(own) for own in list(_by_exam(samples).values())[:_SHOWN]]
        blocks += [np.hstack(strips[start : start + 2]) for start in range(0, len(strips), 2)]
        blocks.append(np.full((6, 40), 255, np.uint8))
    width = max(block.shape[1] for block in blocks)
    return np.vstack([np.pad(block, ((0, 2), (0, width - block.shape[1])), constant_values=60) for block in blocks])


def _histograms(both: Comparison) -> Figure:
    middles = ((HISTOGRAM[:-1] + HISTOGRAM[1:]) / 2).tolist()
    lines, data = [], {}
    for side, samples in (("real", both.real), ("phantoms", both.phantoms)):
        shares = np.array([sample.features.histogram for sample in samples])
        low, middle, high = np.quantile(shares, [0.25, 0.5, 0.75], axis=0)
        lines.append(Line(f"{side}, {len(samples)} images", middles, middle.tolist(), low.tolist(), high.tolist()))
        data[side] = {"grey": middles, "median share": middle, "25 %": low, "75 %": high}
    svg = draw_lines(lines, x_label="Grey, from the 1st (0) to the 99th percentile (1)", y_label="Share of the breast")
    return Figure(f"greys_{_slug(both)}", "Greys inside the breast", svg, "Bands: the middle half of images.", data)


def _spectra(both: Comparison) -> Figure:
    x = np.log10(FREQUENCIES).tolist()
    lines, data = [], {}
    for side, samples in (("real", both.real), ("phantoms", both.phantoms)):
        spectra = np.array([s.features.spectrum for s in samples if np.isfinite(s.features.slope)])
        if not len(spectra):
            continue
        slope, se, images, exams = mean_slope(samples)
        low, middle, high = np.quantile(np.log10(spectra), [0.25, 0.5, 0.75], axis=0)
        label = f"{side}: slope {slope:.2f}, standard error {se:.2f}, {images} images of {exams} exams"
        lines.append(Line(label, x, middle.tolist(), low.tolist(), high.tolist()))
        data[side] = {"log10 cycles per mm": x, "median log10 power": middle, "25 %": low, "75 %": high}
    svg = draw_lines(
        lines,
        x_label="log10 of frequency, cycles per mm",
        y_label="log10 of power",
        marks=[(float(np.log10(f)), f"{f:g} per mm") for f in FIT_PER_MM],
    )
    caption = "Bands: the middle half of images. The slope is fitted between the marks."
    return Figure(f"spectra_{_slug(both)}", "Power spectra inside the breast", svg, caption, data)


def _areas(both: Comparison) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for side, samples in (("real", both.real), ("phantoms", both.phantoms)):
        for angle in sorted({sample.view[2:] for sample in samples}):
            areas = [sample.features.area_cm2 for sample in samples if sample.view[2:] == angle]
            quantiles = (round(float(q), 1) for q in np.quantile(areas, [0.1, 0.5, 0.9]))
            rows.append((side, angle, len(areas), *quantiles))
    columns = ("", "view", "images", "10 %", "median", "90 %")
    return Table(f"areas_{_slug(both)}", "Area of the breast, cm2", columns, tuple(rows))


def _classifier(both: Comparison, *, seed: int) -> Table:
    found = [tell_apart(both, seed=seed), *(tell_apart(both, (family,), seed=seed) for family in FAMILIES)]
    rows = tuple((estimate.name.split(": ")[1], estimate) for estimate in found)
    return Table(f"classifier_{_slug(both)}", "Real against phantom: AUC", ("features", "AUC"), rows)


def _giveaways(both: Comparison) -> Table:
    rows = tuple(
        (found.feature, found.auc, round(found.real, 3), round(found.phantoms, 3)) for found in rank_giveaways(both)
    )
    columns = ("feature", "AUC alone (above 0.5: larger in phantoms)", "median, real", "median, phantoms")
    return Table(f"giveaways_{_slug(both)}", "What gives them away", columns, rows)


def _slug(both: Comparison) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in both.name.lower())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.phantom_likeness", description="Real, or phantom?")
    parser.add_argument("--real", type=Path, nargs="+", default=[], help="folders of real samples")
    parser.add_argument("--out", type=Path, help="folder for the page, new or empty; it will hold real pictures")
    parser.add_argument("--exams", type=int, default=EXAMS, help="phantom exams, digital ones and as many on film")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--save", type=Path, help="JSON of numbers to write")
    parser.add_argument("--show", action="store_true", help="only print the stored result")
    given = parser.parse_args()
    if given.show:
        result = json.loads(STORED.read_text())
    else:
        if not given.real or given.out is None:
            parser.error("need --real FOLDER... and --out OUT")
        check_report_folder(given.out)
        real = [sample for folder in given.real for sample in read_samples(folder)]
        phantoms = [
            sample
            for film in sorted({sample.film for sample in real})
            for sample in draw_samples(film=film, exams=given.exams, seed=given.seed, jobs=given.jobs)
        ]
        comparisons = compare(real, phantoms)
        words = " ".join(f"FOLDER/{folder.name}" for folder in given.real)
        result = {
            "command": f"python -m benchmarks.phantom_likeness --real {words} --out OUT --exams {given.exams}",
            "recipe": RECIPE,
            "hash": load_recipe(RECIPE).hash,
            "generator": GENERATOR,
            "sources": digest_sources(),
            "slope_fitted_per_mm": FIT_PER_MM,
            "comparisons": summarise(comparisons, seed=given.seed),
        }
        if given.save is not None:
            write_whole(given.save, json.dumps(result, indent=1) + "\n")
        write_document(given.out, make_page(comparisons, seed=given.seed))
        cv2.imwrite(str(given.out / "montage.png"), draw_sheet(comparisons))
    sys.stdout.write(f"{likeness_table(result)}\n\n{family_table(result)}\n")


if __name__ == "__main__":
    main()
