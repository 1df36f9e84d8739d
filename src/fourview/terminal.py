"""What `fourview` shows on the terminal: progress while it works, and at the end what the numbers are."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fourview.exam import FINDINGS
from fourview.report.meaning import RESEARCH_ONLY, in_words, what_numbers_mean

if TYPE_CHECKING:
    from pathlib import Path

    from fourview.batch import BatchResult, Step
    from fourview.precision import PrecisionComparison
    from fourview.report.document import Document

ROWS = 20  # of the closing table; readings.csv has all
_WIDTH_IN_FILES = 120  # columns, where the output is no terminal
_LINE_EVERY_S = 10.0


class _Terminal(Console):
    """A console that does not end the program with status 1, some exams failed, when its reader goes away."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def open_console(*, stderr: bool = False) -> Console:
    """The terminal, or a file of a fixed width; nothing in brackets is taken for markup by accident."""
    console = _Terminal(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console = _Terminal(stderr=stderr, highlight=False, width=_WIDTH_IN_FILES)
    return console


def discard_stdout() -> None:
    """What standard output still holds and cannot be written goes nowhere, or it would fail again at the exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


class ScreenProgress:
    """Exams done, exams per second and time left, on stderr: a bar on a terminal, else a line now and then."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = self.last_line = time.perf_counter()
        self.failed = self.already_there = 0
        self.bar = Progress(
            TextColumn("reading exams"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("exams", total=None, speed="")

    def __enter__(self) -> ScreenProgress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, step: Step) -> None:
        """Shows one step. A terminal or log file that is gone or full ends no batch: the tables say it all."""
        with contextlib.suppress(OSError):
            self._show(step)

    def _show(self, step: Step) -> None:
        self.already_there += step.already_there
        if step.problem is not None:
            self.failed += 1
            self.console.print(f"exam {step.exam}: {escape(step.problem)}", soft_wrap=True)
        speed = self._speed(step)
        self.bar.update(self.task, completed=step.done, total=step.total, speed=speed)
        now = time.perf_counter()
        if not self.console.is_terminal and (now - self.last_line > _LINE_EVERY_S or step.done == step.total):
            self.last_line = now
            self.console.print(f"{step.done} of {step.total} exams, {speed}", soft_wrap=True)

    def _speed(self, step: Step) -> str:
        tried = step.done - self.already_there
        elapsed = max(time.perf_counter() - self.started, 1e-9)
        if tried == 0:
            return f"{self.already_there} already there"
        rate = tried / elapsed
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{rate:.3g} exams/s, {in_words((step.total - step.done) / rate)} left{failed}"


def show_result(console: Console, result: BatchResult, *, populations: Sequence[str | None]) -> None:
    """The end of `fourview screen`: the first rows, what they mean, what to distrust, what failed, where it lies.

    populations  of the weights: what the scores are calibrated for; None in it: scores only rank
    """
    if result.summaries:
        console.print(_table(result))
        console.print(what_numbers_mean(populations))
    marks = Counter(mark for summary in result.summaries for mark in summary.marks)
    for mark, count in marks.items():
        console.print(f"[bold yellow]ATTENTION: {escape(mark)}[/] ({count} of {result.read} exams)")
    warned = sum(bool(summary.warnings) for summary in result.summaries)
    if warned:
        console.print(f"{warned} exams have warnings: column `warnings` of readings.csv.")
    there = f" ({result.already_there} of them by an earlier run)" if result.already_there else ""
    console.print(
        f"{result.read} exams read{there}, {len(result.failed)} failed, {len(result.left_out)} files left out."
    )
    for failure in result.failed[:ROWS]:
        console.print(f"  failed: exam {failure.exam}: {escape(failure.reason)}", soft_wrap=True)
    if len(result.failed) > ROWS:
        console.print(f"  ... and {len(result.failed) - ROWS} more in failures.csv")
    console.print(
        f"Output: {escape(str(result.out))} (index.html, readings.csv, upstream.csv, failures.csv, run.json, exams/)",
        soft_wrap=True,
    )
    console.print(f"[bold]{RESEARCH_ONLY}.[/]")


def show_precision(console: Console, comparison: PrecisionComparison) -> None:
    """What reading in bf16 instead of fp32 changes, probability by probability."""
    pairs = comparison.shown
    how = f"bf16 ({comparison.reduced.engine}) against fp32 ({comparison.engine})"
    console.print(f"\n{escape(how)}, same exams and windows:", soft_wrap=True)
    if not pairs:
        console.print("no exam was read both ways.")
        return
    table = Table()
    for name in ("", "exams", "probabilities", "mean |change|", "95th percentile", "largest"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for finding in reversed(FINDINGS):
        own = [pair for pair in pairs if pair.finding == finding]
        numbers = (f"{change:.1e}" for change in comparison.changes(finding))
        table.add_row(f"p_{finding}", str(len({pair.exam for pair in own})), str(len(own)), *numbers)
    console.print(table)
    crossings = comparison.crossings()
    for crossing in crossings:
        point, (low, high) = crossing.point, crossing.interval_95
        console.print(
            f"{escape(point.name)} (p_{point.finding} >= {point.threshold:g} per {point.unit}): {crossing.crossed} of "
            f"{crossing.units} {point.unit}s change sides, in {crossing.exams_crossed} of {crossing.exams} exams "
            f"(95 % interval {low:.1%} to {high:.1%})",
            soft_wrap=True,
        )
    if not crossings:
        console.print("The cards name no operating point, so nothing can be said about decisions.")
    console.print("Every probability: precision.csv. The readings in the other files are those in fp32.")


def show_document(console: Console, document: Document, out: Path) -> None:
    """The end of `fourview evaluate` and its like: the headline, what to know before using it, where all of it lies."""
    for estimate in document.headline:
        console.print(escape(str(estimate)), soft_wrap=True)
    own = [warning for estimate in document.headline for warning in estimate.warnings]
    for warning in dict.fromkeys((*document.warnings, *own)):
        console.print(f"[bold yellow]ATTENTION:[/] {escape(warning)}", soft_wrap=True)
    console.print(f"Output: {escape(str(out))} (report.html, results.json, estimates.csv, plots/)", soft_wrap=True)
    console.print(f"[bold]{RESEARCH_ONLY}.[/]")


def _table(result: BatchResult) -> Table:
    rows = [row for summary in result.summaries for row in summary.readings]
    per_image = any(row["view"] for row in rows)
    title = f"{len(rows)} rows" if len(rows) <= ROWS else f"the first {ROWS} of {len(rows)} rows"
    table = Table(title=title, title_justify="left")
    for name in ("exam", "view" if per_image else "side"):
        table.add_column(name, no_wrap=True)
    for name in ("p_malignant", "p_benign", "sd malignant", "sd benign"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("views" if not per_image else "file")
    for row in rows[:ROWS]:
        numbers = ("p_malignant", "p_benign", "malignant_sd_windows", "benign_sd_windows")
        table.add_row(
            str(row["exam"]),
            str(row["view"] or row["side"]),
            *(f"{row[name]:.4f}" for name in numbers),
            escape(str(row["files"] if per_image else row["views"])),
        )
    return table
