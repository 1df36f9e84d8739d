"""`python -m benchmarks.phantom_log_odds`: do labels follow the planted log-odds, after all that chooses findings?

    python -m benchmarks.phantom_log_odds [--findings 20000] [--many 500000] [--seed 0]
                                          [--out benchmarks/results/phantom_log_odds.json]
    python -m benchmarks.phantom_log_odds --show

Biopsied visible findings of the whole population, as plan_exam gives them, each once: their words, her age, the label.
An unpenalised logistic regression of the label on reference-coded words (and on age, where the recipe lets it count)
knows nothing of the planted numbers. Compared is every coefficient whose word has at least LEAST malignant and LEAST
benign findings; findings with a rarer word are left out (a word that was never malignant has no finite estimate).

What can hold: an estimate from n findings has a standard error, so it lies within 10 % of a planted value b in 95 of
100 populations only if 1.96 standard errors are at most 0.1 |b|. Such a coefficient is called sharp. Said is

    slope     of the label's logit on the planted logit, all words together: 1 if the scale is right
    p         of the distance of all coefficients from the planted ones, a chi-square in their own covariance
    sharp     how many coefficients are, and how many of these are within 10 %; more findings make more of them sharp

Required: the slope within 10 % of 1, p at least 0.001, nine tenths of the sharp within 10 %. Exit status 1 if not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.phantom_result import find_result, make_parser
from fourview.exam import SetupError
from fourview.phantom import Recipe, load_recipe, plan_exam
from fourview.phantom.chances import find_chances
from fourview.phantom.signs import SIGNS, Kind

NAME = "phantom_log_odds"
STORED = Path(__file__).parent / "results" / f"{NAME}.json"
FINDINGS, MANY, SEED = 20_000, 500_000, 0
LEAST = 30  # malignant and benign findings of a word, each
WITHIN = 0.1
P_LEAST = 0.001
SHARP_WITHIN = 0.9  # share; 0.95 is expected
REFERENCES = frozenset(
    {"oval", "architectural distortion", "focal asymmetric density", "circumscribed", "pleomorphic", "clustered"}
)

Floats = NDArray[np.float64]
Name = tuple[str, str]  # what, which: ("margin", "spiculated"), ("kind", "distortion"), ("age", "per ten years")
Cell = tuple[Kind, str | None, str | None, int]  # kind, both words, age (0 where age does not count)
Counts = dict[Cell, NDArray[np.int64]]  # [benign, malignant]


@dataclass(frozen=True)
class Coefficient:
    """One log-odds, planted and found."""

    what: str
    which: str
    planted: float
    found: float
    se: float
    benign: int
    malignant: int

    @property
    def sharp(self) -> bool:
        """So many findings can show it within 10 %."""
        return 1.96 * self.se <= WITHIN * abs(self.planted)

    @property
    def within(self) -> bool:
        return abs(self.found - self.planted) <= WITHIN * abs(self.planted)


def count_findings(recipe: Recipe, *, findings: int, seed: int = SEED) -> Counts:
    """The first biopsied visible findings of the population, by kind, words and age."""
    aged = recipe.biopsies.age_log_odds != 0
    counts: Counts = {}
    left = findings
    index = 0
    while left:
        plan = plan_exam(recipe, seed=seed, index=index)
        index += 1
        for finding in [f for f in plan.findings if f.biopsied and f.visible][:left]:
            first, second = (getattr(finding, axis) for axis in SIGNS[finding.kind].axes)
            cell = (finding.kind, first, second, plan.age if aged else 0)
            counts.setdefault(cell, np.zeros(2, np.int64))[int(finding.malignant)] += 1
            left -= 1
    return counts


def name_terms(cell: Cell) -> Iterator[Name]:
    """The indicators that are 1 for these findings; masses, and the words of REFERENCES, have none."""
    kind, *words, _ = cell
    if kind != "mass":
        yield "kind", kind
    for axis, word in zip(SIGNS[kind].axes, words, strict=True):
        if word not in REFERENCES:
            yield axis, word or "not described"


def keep_supported(counts: Counts, *, least: int = LEAST) -> tuple[Counts, dict[Name, NDArray[np.int64]]]:
    """The findings all of whose terms have this many of both classes, and [benign, malignant] of each term."""
    while True:
        totals: dict[Name, NDArray[np.int64]] = {}
        for cell, own in counts.items():
            for name in name_terms(cell):
                totals[name] = totals.get(name, np.zeros(2, np.int64)) + own
        rare = {name for name, total in totals.items() if total.min() < least}
        if not rare:
            return counts, totals
        counts = {cell: own for cell, own in counts.items() if not rare & set(name_terms(cell))}


def list_planted(recipe: Recipe) -> dict[Name, float]:
    """What the recipe planted for each term, and ("kind", "mass"), the constant: of an oval circumscribed mass."""
    strength = recipe.level.strength
    base, planted = {}, {}
    for kind, own in SIGNS.items():
        shares = np.array(list(own.counts.values())) / sum(own.counts.values())
        middle = shares @ [own.intercept + own.log_odds[0][a] + own.log_odds[1][b] for a, b in own.counts]
        base[kind] = float(middle + strength * (own.intercept - middle))
        for axis, known in zip(own.axes, own.log_odds, strict=True):
            planted |= {(axis, word or "not described"): strength * odds for word, odds in known.items()}
    planted |= {("kind", kind): value - base["mass"] for kind, value in base.items()}
    planted["kind", "mass"] = base["mass"] + find_chances(recipe).prior_shift
    planted["age", "per ten years"] = recipe.biopsies.age_log_odds
    return planted


def fit_logistic(x: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Coefficients and their covariance, by Newton's method.

    x  (rows, terms) with a column of ones;  counts  (rows, 2) benign, malignant

    Raises SetupError if the rows do not determine every coefficient.
    """
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise SetupError(f"log-odds: found {counts.sum():g} findings, too few for {x.shape[1]} coefficients; need more")
    beta = np.zeros(x.shape[1])
    total = counts.sum(axis=1)
    for _ in range(60):
        p = 1 / (1 + np.exp(-x @ beta))
        information = (x * (total * p * (1 - p))[:, None]).T @ x
        step = np.linalg.solve(information, x.T @ (counts[:, 1] - total * p))
        beta = beta + step
        if np.abs(step).max() < 1e-9:
            return beta, np.linalg.inv(information)
    raise SetupError("log-odds: the regression does not converge: some word decides the label; need more findings")


def recover(recipe: Recipe, *, findings: int, seed: int = SEED, least: int = LEAST) -> dict[str, Any]:
    """One population's result: coefficients, slope, chi-square, how many are sharp; ready for JSON."""
    drawn = count_findings(recipe, findings=findings, seed=seed)
    counts, totals = keep_supported(drawn, least=least)
    planted = list_planted(recipe)
    names: list[Name] = [("kind", "mass"), *sorted(totals)]
    aged = recipe.biopsies.age_log_odds != 0
    names += [("age", "per ten years")] if aged else []
    chances = find_chances(recipe)
    x = np.zeros((len(counts), len(names)))
    for row, cell in zip(x, counts, strict=True):
        own = set(name_terms(cell))
        row[:] = [float(name in own) for name in names]
        row[0] = 1
        if aged:
            row[-1] = (cell[-1] - chances.middle_age) / 10
    tallies = np.array(list(counts.values()), np.float64)
    truth = np.array([planted[name] for name in names])
    found, covariance = fit_logistic(x, tallies)
    scale, scale_covariance = fit_logistic(np.column_stack([np.ones(len(x)), x @ truth]), tallies)
    away = found - truth
    distance = float(away @ np.linalg.solve(covariance, away))
    whole = tallies.sum(axis=0).astype(int)
    coefficients = [
        Coefficient(*name, *(round(float(v), 4) for v in values), *map(int, totals.get(name, whole)))
        for name, *values in zip(names, truth, found, np.sqrt(np.diag(covariance)), strict=True)
    ]
    sharp = [one for one in coefficients if one.sharp]
    p = float(stats.chi2.sf(distance, len(names)))
    return {
        "recipe": recipe.name,
        "difficulty": recipe.difficulty,
        "findings": int(sum(own.sum() for own in drawn.values())),
        "used": int(whole.sum()),
        "malignant": int(whole[1]),
        "slope": round(float(scale[1]), 4),
        "slope_se": round(float(scale_covariance[1, 1] ** 0.5), 4),
        "chi_square": round(distance, 2),
        "coefficients_compared": len(names),
        "p": round(p, 4),
        "sharp": len(sharp),
        "sharp_within": sum(one.within for one in sharp),
        "within": sum(one.within for one in coefficients),
        "passes": bool(
            abs(scale[1] - 1) <= WITHIN and p >= P_LEAST and sum(o.within for o in sharp) >= SHARP_WITHIN * len(sharp)
        ),
        "coefficients": [asdict(one) for one in coefficients],
    }


def raise_biopsies(recipe: Recipe) -> Recipe:
    """The same women, one exam of each followed by biopsies: as many findings with fewer exams to plan."""
    return recipe.model_copy(update={"biopsies": recipe.biopsies.model_copy(update={"exams": 1 / recipe.women.rounds})})


def measure(*, findings: int = FINDINGS, many: int = MANY, seed: int = SEED) -> dict[str, Any]:
    """The stored result: `enriched` at each difficulty and once with many findings; `screening`, where age counts."""
    wanted = [(load_recipe("enriched", difficulty=d), findings) for d in ("easy", "medium", "hard")]
    wanted += [(raise_biopsies(load_recipe("screening")), findings), (load_recipe("enriched"), many)]
    rows = [recover(recipe, findings=count, seed=seed) for recipe, count in wanted]
    return {"seed": seed, "least": LEAST, "rows": rows, "passes": all(row["passes"] for row in rows)}


def log_odds_table(result: Mapping[str, Any]) -> str:
    """Markdown: one line per population."""
    lines = [
        "| recipe | findings | slope on the planted logit (95 %) | p of all | sharp within 10 % | all within 10 % |",
        "|---|--:|---|--:|--:|--:|",
    ]
    for row in result["rows"]:
        low, high = (row["slope"] + z * row["slope_se"] for z in (-1.96, 1.96))
        lines.append(
            f"| {row['recipe']}, {row['difficulty']} | {row['findings']:,} "
            f"| {row['slope']:.3f} ({low:.3f} to {high:.3f}) "
            f"| {row['p']:.2f} | {row['sharp_within']} of {row['sharp']} "
            f"| {row['within']} of {row['coefficients_compared']} |"
        )
    return "\n".join(lines)


def _list_coefficients(row: Mapping[str, Any]) -> Iterator[str]:
    yield f"{row['recipe']}, {row['difficulty']}, {row['findings']:,} findings ({row['malignant']:,} malignant):"
    for values in row["coefficients"]:
        one = Coefficient(**values)
        yield (
            f"  {one.what:12s} {one.which:24s} planted {one.planted:6.2f} found {one.found:6.2f} +- {one.se:.2f} "
            f"of {one.malignant} / {one.benign}{', sharp' if one.sharp else ''}{'' if one.within else ', off by more'}"
        )


def main() -> None:
    parser = make_parser(NAME, "Do labels follow the planted log-odds?", seed=SEED, jobs=None)
    parser.add_argument("--findings", type=int, default=FINDINGS, help="of each population")
    parser.add_argument("--many", type=int, default=MANY, help="of one more")
    given = parser.parse_args()
    result = find_result(
        given, NAME, STORED, lambda: measure(findings=given.findings, many=given.many, seed=given.seed)
    )
    for row in result["rows"]:
        sys.stdout.writelines(f"{line}\n" for line in _list_coefficients(row))
    sys.stdout.write(f"\n{log_odds_table(result)}\n")
    raise SystemExit(0 if result["passes"] else 1)


if __name__ == "__main__":
    main()
