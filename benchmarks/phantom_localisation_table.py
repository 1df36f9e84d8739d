"""The stored result of phantom_localisation as the table and the sentence that the docs hold."""

from __future__ import annotations

from typing import Any

from benchmarks.phantom_localisation_maps import TRAINED

BESIDE = {"rival": "at least one of its sort and no less conspicuous", "any": "however faint"}


def localisation_table(result: dict[str, Any]) -> str:
    """Markdown: hits of each observer with Wilson intervals, then sensitivities by false marks per image."""
    rates = [found["rate"] for found in result["rows"][0]["froc"]]
    least, most = result["required"]["network at least"], result["required"]["others at most"]
    head = [f"found at {rate:g} false marks" for rate in rates]
    lines = [f"| observer | {' | '.join(['largest value in the cancer', 'required', *head])} |"]
    lines.append("|---|--:|---|" + "--:|" * len(rates))
    for row in result["rows"]:
        hits = row["hits"]
        bound = f"at least {least:.0%}" if row["observer"] == TRAINED else f"at most {most:.0%}"
        verdict = f"{bound}: {'passes' if row['passes'] else 'FAILS'}"
        cells = [f"{hits['positives']} of {hits['n']} ({_interval(hits)})", verdict]
        cells += [f"{found['value']:.2f} ({_interval(found)})" for found in row["froc"]]
        lines.append(f"| {row['observer']} | {' | '.join(cells)} |")
    lines.append(f"| chance: share of the breast | {result['chance']:.1%} | | {' | '.join('' for _ in rates)} |")
    return "\n".join(lines)


def _interval(estimate: dict[str, Any]) -> str:
    return f"{estimate['low']:.2f} to {estimate['high']:.2f}"


def describe(result: dict[str, Any]) -> str:
    """Which exams these are, and which were not taken."""
    weights = result["weights"]
    passed = ", ".join(f"{reason} {count}" for reason, count in result["passed_over"].items())
    return (
        f"{result['exams']} of {result['planned']} planned exams of the recipe {result['recipe']} "
        f"({result['difficulty']}), seed {result['seed']}, scale {result['scale']:g}; the cancer shows in both views "
        f"of {result['shown_in_both_views']}, and {result['benign_in_the_breast']:.1f} benign findings beside it on "
        f"average, {BESIDE[result['beside']]}. "
        f"Passed over: {passed or 'none'}. Weights {weights['name']}, patch network {weights['patch_hash']}."
    )
