"""The stored result of the mechanism check as Markdown, the same in the terminal and in docs/mechanism.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIXED = "malignant"  # the finding whose AUC was fixed beforehand


def contrast_table(result: Mapping[str, Any], finding: str = FIXED) -> str:
    """The contrasts: difference with its interval, each seed's, the verdict, what drives it, the ceiling."""
    lines = [
        "| contrast (first - second) | difficulty | difference of AUC (95 %) | each seed | expected: above 0 | "
        "recipe parameters | ceiling |",
        "|---|---|---|---|---|---|--:|",
    ]
    for part in result["parts"]:
        for row in part["contrasts"]:
            if row["finding"] == finding:
                seeds = ", ".join(f"{one['value']:+.3f}" for one in row["seeds"])
                drivers = ", ".join(f"{name} {value:g}" for name, value in row["drivers"].items())
                lines.append(
                    f"| {row['contrast']} ({row['first']} - {row['second']}) | {part['difficulty']} "
                    f"| {_signed(row['estimate'])} | {seeds} | {row['verdict']} | {drivers} "
                    f"| {part['ceilings'][finding]['exact']:.3f} |"
                )
    return "\n".join(lines)


def arm_table(result: Mapping[str, Any]) -> str:
    """The arms: mean AUC over seeds with its interval, n, and the ceiling on these breasts."""
    lines = [
        "| difficulty | finding | arm | mean AUC over seeds (95 %) | each seed | positive / all breasts | women |",
        "|---|---|---|---|---|--:|--:|",
    ]
    for part in result["parts"]:
        for row in part["arms"]:
            found = row["estimate"]
            seeds = ", ".join(f"{value:.3f}" for value in row["seeds"])
            lines.append(
                f"| {part['difficulty']} | {row['finding']} | {row['arm']} | {_interval(found)} | {seeds} "
                f"| {found['positives']} / {found['n']} | {found['clusters']} |"
            )
        for finding, ceiling in part["ceilings"].items():
            found = ceiling["here"]
            lines.append(
                f"| {part['difficulty']} | {finding} | *ceiling: knows what was planted* | {_interval(found)} | | "
                f"{found['positives']} / {found['n']} | {found['clusters']} |"
            )
    return "\n".join(lines)


def explored_table(result: Mapping[str, Any]) -> str:
    """What was not fixed beforehand."""
    lines = ["| looked at besides | difficulty | difference of AUC (95 %) |", "|---|---|---|"]
    for row in result["explored"]:
        lines.append(f"| {row['what']} | {row['difficulty']} | {_signed(row['estimate'])} |")
    return "\n".join(lines)


def hours_table(hours: Mapping[str, float], *, title: str) -> str:
    """Hours of processor time by part."""
    lines = [f"| {title} | hours |", "|---|--:|"]
    lines += [f"| {part} | {value:.2f} |" for part, value in hours.items()]
    return "\n".join([*lines, f"| all | {sum(hours.values()):.2f} |"])


def _signed(found: Mapping[str, Any]) -> str:
    if found["low"] is None:
        return f"{found['value']:+.3f} (no interval)"
    return f"{found['value']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"


def _interval(found: Mapping[str, Any]) -> str:
    if found["low"] is None:
        return f"{found['value']:.3f} (no interval)"
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
