"""The stored result of the lesion networks' benchmark as Markdown, the same in the terminal and in docs/lesions.md."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fourview.evaluate import Estimate
from fourview.studies.lesion.comparison import Candidate, Comparison
from fourview.studies.lesion.measures import ANSWERS, Worth

PAIRED = ", lesions with both views"


def describe(comparison: Comparison) -> dict[str, Any]:
    """Every number, in JSON."""
    return {
        "rows": [_describe(one) for one in comparison.candidates],
        "differences": [plain(one) for one in comparison.differences],
        "notes": list(comparison.notes),
    }


def plain(estimate: Estimate) -> dict[str, Any]:
    """In JSON; None where it has no interval."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in asdict(estimate).items()
    }


def _describe(one: Candidate) -> dict[str, Any]:
    worth = {found.name: found for found in one.worth}
    whole = worth[ANSWERS["p"]]
    return {
        "kind": one.kind,
        "name": one.name,
        "about": one.about,
        "lesions": one.table.height,
        "patients": one.table["patient"].n_unique(),
        "auc": {name: _area(worth[f"{name}{PAIRED}"]) for name in ANSWERS.values()},
        "accuracy": {name: _accuracy(worth[f"{name}{PAIRED}"]) for name in ANSWERS.values()},
        "auc_all": _area(whole),
        "added": [plain(found) for found in one.added],
    }


def _area(worth: Worth) -> dict[str, Any] | None:
    return None if worth.area is None else plain(worth.area)


def _accuracy(worth: Worth) -> dict[str, Any] | None:
    found = worth.at_half.get("accuracy")
    return None if found is None else plain(found)


def area_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """AUC and accuracy by view, lesions with both views."""
    names = list(ANSWERS.values())
    head = [*(f"AUC {name}" for name in names), *(f"accuracy {name}" for name in names)]
    lines = [f"| | | {' | '.join(head)} | lesions, patients |", f"|---|---|{'--:|' * len(head)}--:|"]
    for row in rows:
        cells = [write(row[what][name]) for what in ("auc", "accuracy") for name in names]
        found = next((own for own in row["auc"].values() if own is not None), None)
        count = f"{found['n']:,}, {found['clusters']:,}" if found else "-"
        about = f" ({row['about']})" if row["about"] else ""
        lines.append(f"| {row['name']}{about} | {row['kind']} | {' | '.join(cells)} | {count} |")
    return "\n".join(lines)


def added_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the second view adds."""
    lines = ["| | both views minus CC | both views minus MLO |", "|---|--:|--:|"]
    lines += [f"| {row['name']} | {' | '.join(map(signed, row['added']))} |" for row in rows if row["added"]]
    return "\n".join(lines)


def difference_table(differences: Sequence[Mapping[str, Any]]) -> str:
    """Paired differences, all lesions by the views that they have."""
    lines = ["| difference of AUC | (95 %) | p, Holm |", "|---|--:|--:|"]
    lines += [f"| {one['name']} | {signed(one)} | {_write_p(one['p'])} |" for one in differences]
    return "\n".join(lines)


def write(found: Mapping[str, Any] | None) -> str:
    """.812 (.790 to .834)."""
    return "-" if found is None else f"{_short(found['value'])}{_interval(found)}"


def signed(found: Mapping[str, Any]) -> str:
    """The same with a sign."""
    return f"{_short(found['value'], sign='+')}{_interval(found, sign='+')}"


def _interval(found: Mapping[str, Any], *, sign: str = "") -> str:
    if found["low"] is None:
        return " (no interval)"
    return f" ({_short(found['low'], sign=sign)} to {_short(found['high'], sign=sign)})"


def _short(value: float, *, sign: str = "") -> str:
    text = f"{round(value, 3) + 0.0:{sign}.3f}"
    return text.replace("0.", ".", 1) if abs(round(value, 3)) < 1 else text


def _write_p(p: float | None) -> str:
    return "-" if p is None else "< .001" if p < 0.001 else _short(p)


def join(parts: Iterator[str]) -> str:
    return "\n\n".join(parts) + "\n"
