"""The stored result of the explanations as Markdown, the same in the terminal and in docs/explain.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fourview.studies.lesion.signs.read import CHANCE


def where_table(result: Mapping[str, Any]) -> str:
    """Where maps lie: share in the outline over chance, its difference from drawn weights, the verdict."""
    lines = [
        "| networks | map | share in the outline | over chance (95 %) | minus weights drawn anew (95 %) | empty maps | "
        "required | |",
        "|---|---|--:|---|---|--:|---|---|",
    ]
    for part in result["parts"]:
        against = {row["map"]: row["difference"] for row in part["against_drawn"]}
        for row in part["where"]:
            required = "" if row["verdict"] is None else "below 2" if ", drawn anew" in row["map"] else "2 or more"
            difference = _signed(against[row["map"]]) if row["map"] in against else ""
            lines.append(
                f"| {part['weights']} | {_name(part, row['map'])} | {row['inside']['value']:.3f} "
                f"| {_interval(row['over_chance'], 2)} | {difference} | {row['empty']} | {required} "
                f"| {row['verdict'] or ''} |"
            )
    return "\n".join(lines)


def margin_table(result: Mapping[str, Any]) -> str:
    """Among malignant lesions: AUC of the margin share, spiculated or circumscribed, and the paired differences."""
    lines = [
        "| networks | map | margin share: spiculated, circumscribed | AUC (95 %) "
        "| minus gradient of the image (95 %) | minus centred disc (95 %) | spiculated / circumscribed images | |",
        "|---|---|---|---|---|---|--:|---|",
    ]
    for part in result["parts"]:
        for row in part["margins"]:
            minus = [_signed(found) for found in row["minus"].values()] or ["", ""]
            lines.append(
                f"| {part['weights']} | {_name(part, row['map'])} "
                f"| {row['share_spiculated']['value']:.3f}, {row['share_circumscribed']['value']:.3f} "
                f"| {_interval(row['auc'], 3)} | {minus[0]} | {minus[1]} "
                f"| {row['spiculated']} / {row['circumscribed']} | {row['verdict'] or ''} |"
            )
        if not part["margins"]:
            lines.append(f"| {part['weights']} | *too few spiculated or circumscribed ones* | | | | | | not shown |")
    return "\n".join(lines)


def describe(result: Mapping[str, Any]) -> str:
    """What the tables are of."""
    drawn = result["population"]
    said = [
        f"{drawn['exams']:,} phantom exams, recipe {drawn['recipe']} ({drawn['difficulty']}, {drawn['hash'][:12]}), "
        f"seed {drawn['seed']}, scale {drawn['scale']:g}; weights drawn anew: seed {result['seed_of_drawn_weights']}."
    ]
    for part in result["parts"]:
        area = "" if part["auc"] is None else f", AUC of malignant {_interval(part['auc'], 3)}"
        said.append(
            f"{part['weights']} ({part['architecture']}, {part['networks']} networks, {part['hash'][:12]}): "
            f"{part['lesion_images']:,} lesion images of {part['patients']:,} patients, {part['malignant']:,} "
            f"malignant{area}."
        )
    return " ".join(said)


def _name(part: Mapping[str, Any], name: str) -> str:
    """Of a map, with the kind of gate."""
    if name == CHANCE:
        return "the same everywhere"
    return name.replace("gate", part["gate"], 1) if name.startswith("gate") and part["gate"] else name


def _signed(found: Mapping[str, Any]) -> str:
    if found["low"] is None:
        return f"{found['value']:+.3f} (no interval)"
    return f"{found['value']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"


def _interval(found: Mapping[str, Any], digits: int) -> str:
    if found["low"] is None:
        return f"{found['value']:.{digits}f} (no interval)"
    return f"{found['value']:.{digits}f} ({found['low']:.{digits}f} to {found['high']:.{digits}f})"
