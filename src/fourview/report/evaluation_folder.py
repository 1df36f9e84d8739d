"""The areas under the ROC curve of an evaluation that was written: the output folder of `fourview evaluate`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fourview.evaluate import Estimate
from fourview.exam import FINDINGS, Finding, SetupError
from fourview.report.document_json import FORMAT

RESULTS = "results.json"
_SCORES = "p_malignant, p_benign"  # what `evaluate` says of its score where no other column was named
_WHOLE, _BIOPSIED = "screening population", "biopsied population"


@dataclass(frozen=True)
class StoredArea:
    """The AUC of one finding in one population. population  its rules, in words"""

    finding: Finding
    population: str
    area: Estimate


@dataclass(frozen=True)
class StoredEvaluation:
    """What a card can take from an evaluation.

    weights_hash  of the readings; "" where they do not name it
    truth_sha256  of the table of truths
    areas         of each finding in the evaluation's population, and in its biopsied part if it was measured
    """

    weights_hash: str
    truth_sha256: str
    areas: tuple[StoredArea, ...]


def read_evaluation(folder: Path) -> StoredEvaluation:
    """The AUCs of `evaluate READINGS --finding both --out FOLDER`.

    Raises SetupError if there is no such report, it is of one finding, of another score than the readings' own, of
    units that only one table had (--inner), or an AUC has no interval.
    """
    path = folder / RESULTS
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SetupError(
            f"{path}: cannot be read ({type(error).__name__}); need what `fourview evaluate` wrote"
        ) from error
    if not isinstance(values, dict) or (values.get("format"), values.get("kind")) != (FORMAT, "evaluation"):
        raise SetupError(f"{path}: found no report of `fourview evaluate` of this version; need one")
    try:
        settings = {str(what): str(value) for what, value in values["settings"]}
        _check(settings, path)
        areas = tuple(area for finding in FINDINGS for area in _read_areas(values["sections"], finding, settings))
        truth_sha256 = settings["truth table"].rpartition("SHA-256 ")[2]
    except (KeyError, TypeError, ValueError) as error:
        raise SetupError(f"{path}: damaged ({error!r}); need what `fourview evaluate` wrote") from error
    if unknown := [stored for stored in areas if not math.isfinite(stored.area.low + stored.area.high)]:
        raise SetupError(f"{path}: found no interval of {unknown[0].area}; need more positives and negatives")
    return StoredEvaluation(settings.get("weights_hash", ""), truth_sha256, areas)


def _check(settings: Mapping[str, str], path: Path) -> None:
    found = settings["findings"]
    if set(found.split(", ")) != set(FINDINGS):
        raise SetupError(f"{path}: found an evaluation of {found} findings; need one with --finding both")
    if settings["score"] != _SCORES:
        raise SetupError(f"{path}: found an evaluation of the score {settings['score']}; need {_SCORES}")
    if settings["only units that both tables have (--inner)"] != "no":
        raise SetupError(f"{path}: found an evaluation that dropped units (--inner); need one of all units")


def _read_areas(
    sections: Sequence[Mapping[str, Any]], finding: Finding, settings: Mapping[str, str]
) -> list[StoredArea]:
    """The population that was asked for, then the biopsied part of it, where the report has it. Raises KeyError etc."""
    tables = {part["name"]: part for section in sections for part in section["parts"] if part["part"] == "table"}
    ranking = {row[0]: row[1] for row in tables[f"{finding}_ranking"]["rows"]}
    asked = settings["population"]
    areas = [StoredArea(finding, asked, _as_estimate(ranking["AUC"]))]
    biopsied = asked.replace(_WHOLE, _BIOPSIED, 1)
    more = tables.get(f"{finding}_populations", {"rows": ()})["rows"]
    areas += [StoredArea(finding, name, _as_estimate(area)) for name, area, _ in more if name == biopsied != asked]
    return areas


def _as_estimate(values: Mapping[str, Any]) -> Estimate:
    numbers = {name: math.nan if values[name] is None else values[name] for name in ("value", "low", "high", "se")}
    return Estimate(**{**values, **numbers, "warnings": tuple(values["warnings"])})
