"""The index page of a batch: one HTML file that lists every exam of a run and stands on its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from fourview.exam import FINDINGS
from fourview.report.meaning import RESEARCH_ONLY, in_words, what_numbers_mean
from fourview.report.page.template import fill_template, own_text, script_json
from fourview.report.readings import Failure, Row, Summary

MOST_FILES = 2_000  # left-out files that the page lists; failures.csv has all
MOST_NAMES = 3_000_000  # letters of file names that the page can search; above, it does without them
_REASONS = 8  # that the list of left-out files counts above it
_FILES_AT_ONCE = 20  # left-out files that are shown without a click
_DECIMALS = 9  # of a single image's probability; a breast's is whole, so that filters agree with readings.csv


@dataclass(frozen=True)
class _Line:
    """What the table says about one exam; numbers are None where there are none.

    number  its place in the run, from 1
    images  keys of its images, "R-CC" ... "L-MLO_2"; names  of their files
    sd      over windows, of the larger p_malignant; for single-image weights the largest of that breast's images
    scores  of single images, in single-image runs
    """

    number: int
    exam: str
    failed: bool
    label: str = ""
    images: tuple[str, ...] = ()
    names: str = ""
    right_malignant: float | None = None
    left_malignant: float | None = None
    right_benign: float | None = None
    left_benign: float | None = None
    sd: float | None = None
    warnings: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    reason: str = ""
    scores: tuple[Row, ...] = ()

    @property
    def larger(self) -> float:
        """The larger p_malignant of the two breasts, -1 if there is none."""
        return max((p for p in (self.right_malignant, self.left_malignant) if p is not None), default=-1.0)


def draw_index_page(
    summaries: Sequence[Summary],
    failures: Sequence[Failure],
    *,
    record: Mapping[str, Any],
    populations: Sequence[str | None],
    unit: str,
    show_ids: bool = False,
    most_exams: int = 20_000,
    order: Sequence[str] = (),
    pages: bool = True,
) -> str:
    """OUT/index.html: the whole run as one table that sorts and filters, with links into OUT/exams.

    record      what run.json says (see RunRecord.write)
    unit        "breast" or "image" (then a breast's numbers are the means over its images, as in upstream.csv)
    most_exams  that the table lists: above, all failed exams and those with the highest p_malignant
    order       ids of the exams tried, in input order; without it the failed exams stand after the others
    pages       whether exam folders hold exam.html and thumbnails; if not, an exam's link leads to its reading.json
    """
    lines = _lines(summaries, failures, unit=unit, order=order, show_ids=show_ids)
    listed = _choose(lines, most_exams)
    names = sum(len(line.names) for line in listed if not line.failed) <= MOST_NAMES
    left_out = [failure for failure in failures if failure.kind == "file"]
    failed = sum(line.failed for line in lines)
    remaining = int(record.get("exams", {}).get("remaining", 0))
    return fill_template(
        "index.html.jinja",
        theme=own_text("theme.css"),
        style=own_text("index.css"),
        theme_script=own_text("theme.js"),
        script=own_text("index.js"),
        data=script_json(
            {"pages": pages, "ids": show_ids, "names": names, "total": len(lines), **_columns(listed, names)}
        ),
        status=str(record.get("status", "unknown")),
        unfinished=_unfinished(record, tried=len(lines), remaining=remaining),
        facts=_facts(record, read=len(summaries), failed=failed, remaining=remaining, left_out=len(left_out)),
        settings=_settings(record),
        research_only=RESEARCH_ONLY,
        meaning=what_numbers_mean(populations),
        marks=_count_marks(summaries),
        listed=len(listed),
        failed_listed=sum(line.failed for line in listed),
        exams=len(lines),
        failed=failed,
        unit=unit,
        pages=pages,
        contact_sheet=pages and record.get("status") == "finished" and bool(summaries),
        show_ids=show_ids,
        left_out=left_out[:MOST_FILES],
        left_out_count=len(left_out),
        left_out_open=len(left_out) <= _FILES_AT_ONCE,
        reasons=Counter(failure.reason for failure in left_out).most_common(_REASONS),
        linked={summary.exam for summary in summaries},
    )


def _lines(
    summaries: Sequence[Summary], failures: Sequence[Failure], *, unit: str, order: Sequence[str], show_ids: bool
) -> list[_Line]:
    """Every exam of the run, in input order as far as `order` knows it."""
    read = [_read_line(summary, unit=unit, show_ids=show_ids) for summary in summaries]
    failed = [
        _Line(0, f.exam, True, label=f.label if show_ids else "", names=f.name, reason=f.reason)
        for f in failures
        if f.kind == "exam"
    ]
    waiting: dict[str, list[_Line]] = {}
    for line in (*read, *failed):  # of an exam that is in the input twice, the first was read and the others failed
        waiting.setdefault(line.exam, []).append(line)
    ordered = [waiting[exam].pop(0) for exam in order if waiting.get(exam)]
    placed = {id(line) for line in ordered}
    ordered += [line for line in (*read, *failed) if id(line) not in placed]
    return [replace(line, number=number) for number, line in enumerate(ordered, 1)]


def _read_line(summary: Summary, *, unit: str, show_ids: bool) -> _Line:
    rows = summary.readings
    if unit == "image":
        p = [float(text) if text else None for text in summary.upstream]  # the means over the images of a breast
    else:
        p = [_breast(rows, side, f"p_{finding}") for finding in FINDINGS for side in "LR"]
    left_benign, right_benign, left_malignant, right_malignant = p
    larger = "R" if (-1 if right_malignant is None else right_malignant) >= (left_malignant or 0) else "L"
    return _Line(
        number=0,
        exam=summary.exam,
        failed=False,
        label=str(rows[0]["exam_label"] or "") if show_ids and rows else "",
        images=tuple(key for key, _ in summary.images),
        names="; ".join(name for _, name in summary.images),
        right_malignant=right_malignant,
        left_malignant=left_malignant,
        right_benign=right_benign,
        left_benign=left_benign,
        sd=max((float(row["malignant_sd_windows"] or 0) for row in rows if row["side"] == larger), default=None),
        warnings=summary.warnings,
        marks=summary.marks,
        scores=rows if unit == "image" else (),
    )


def _breast(rows: Sequence[Row], side: str, column: str) -> float | None:
    return next((float(row[column] or 0) for row in rows if row["side"] == side), None)


def _choose(lines: Sequence[_Line], most: int) -> list[_Line]:
    """All lines; or, where they are too many, the failed ones and then the highest p_malignant, in input order."""
    if len(lines) <= most:
        return list(lines)
    ranked = sorted(lines, key=lambda line: (not line.failed, -line.larger))
    return sorted(ranked[:most], key=lambda line: line.number)


def _columns(lines: Sequence[_Line], names: bool) -> dict[str, Any]:
    """The table as named columns, one value per line; texts that repeat are held once and meant by their number."""
    texts: dict[str, int] = {}

    def held(text: str) -> int:
        return texts.setdefault(text, len(texts))

    columns: dict[str, list[Any]] = {
        "number": [line.number for line in lines],
        "exam": [line.exam for line in lines],
        "failed": [int(line.failed) for line in lines],
        "label": [line.label for line in lines],
        "images": [held(" ".join(line.images)) for line in lines],
        "names": [line.names if names or line.failed else "" for line in lines],
        "warnings": [[held(text) for text in line.warnings] for line in lines],
        "marks": [[held(text) for text in line.marks] for line in lines],
        "reason": [held(line.reason) for line in lines],
        "scores": [_image_scores(line.scores) for line in lines],
    }
    for column in ("right_malignant", "left_malignant", "right_benign", "left_benign", "sd"):
        columns[column] = [getattr(line, column) for line in lines]
    if not any(columns["label"]):
        del columns["label"]
    if not any(columns["scores"]):
        del columns["scores"]
    return {"columns": columns, "texts": list(texts)}


def _image_scores(rows: Sequence[Row]) -> dict[str, list[Any]] | int:
    """The scores of single images as columns; 0 if there are none."""
    if not rows:
        return 0
    return {
        "view": [row["view"] for row in rows],
        "malignant": [_shorten(row["p_malignant"]) for row in rows],
        "benign": [_shorten(row["p_benign"]) for row in rows],
        "sd": [_shorten(row["malignant_sd_windows"]) for row in rows],
    }


def _shorten(p: str | float | None) -> float | None:
    return None if p is None else round(float(p), _DECIMALS)


def _unfinished(record: Mapping[str, Any], *, tried: int, remaining: int) -> str:
    """Why this page is not the whole run; empty if it is."""
    exams = f"{remaining:,} of {tried + remaining:,} exams were not tried"
    match record.get("status"):
        case "finished":
            return ""
        case "interrupted":
            return f"This run was interrupted: {exams}. The same command with --resume goes on."
        case "stopped":
            return f"This run was stopped by an error: {exams}. The same command with --resume goes on."
        case "running":
            return f"This run was still going when this page was written: {exams} by then."
        case status:
            return f"This run ended with the status {status!r}: {exams}."


def _facts(
    record: Mapping[str, Any], *, read: int, failed: int, remaining: int, left_out: int
) -> Iterator[tuple[str, str, str]]:
    """(name, value, more) of what the head of the page says about the run."""
    model = record.get("model", {})
    counts = [f"{read:,} read", f"{failed:,} failed"]
    if remaining:
        counts.append(f"{remaining:,} remaining")
    earlier = int(record.get("exams", {}).get("already_there", 0))
    yield "Exams", ", ".join(counts), f"{earlier:,} read by an earlier run" if earlier else ""
    yield "Files left out", f"{left_out:,}", ""
    yield "Model", str(model.get("name", "unknown")), f"weights {model.get('weights_hash', 'unknown')}"
    if engine := model.get("engine"):
        yield "Engine", str(engine), str(model.get("precision", ""))
    yield "Started", _moment(record.get("started")), f"took {in_words(float(record.get('wall_s') or 0))}"
    speed = record.get("exams_per_s")
    yield "Speed", "–" if speed is None else f"{float(speed):.3g} exams/s", ""


def _settings(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the numbers depend on, besides weights and images. Never the input's paths."""
    settings = {name: "default" if value is None else value for name, value in record.get("settings", {}).items()}
    versions = {f"{name} (version)": value for name, value in record.get("versions", {}).items()}
    pixel_mode = {"pixel_mode": mode} if (mode := record.get("model", {}).get("pixel_mode")) else {}
    return [(name, str(value)) for name, value in {**pixel_mode, **settings, **versions}.items()]


def _count_marks(summaries: Sequence[Summary]) -> list[tuple[str, int]]:
    """Reasons to distrust, most frequent first, with the number of exams."""
    return Counter(mark for summary in summaries for mark in dict.fromkeys(summary.marks)).most_common()


def _moment(moment: Any) -> str:
    """2026-07-26 05:12 UTC."""
    try:
        return datetime.fromisoformat(str(moment)).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return "unknown"
