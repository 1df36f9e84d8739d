"""What training shows on the terminal: how it goes, what came out, what it would take."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from fourview.report.meaning import RESEARCH_ONLY, in_words
from fourview.report.number_text import write_count, write_interval, write_value

if TYPE_CHECKING:
    from rich.console import Console

    from fourview.evaluate import Estimate
    from fourview.train.dry_run import DryRun
    from fourview.train.trained import Step
    from fourview.weights.card import Card

_LINE_EVERY_S = 10.0


class TrainProgress:
    """Shows each step on stderr, in a bar on a terminal, else in a line now and then: loss, score, speed, time left.

    unit    what a sample is, in the plural
    epochs  of the recipe: at most, so the time left is at most this
    """

    def __init__(self, console: Console, *, unit: str, epochs: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._console, self._unit, self._epochs = console, unit, epochs
        self._last_line = 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=None, said="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, step: Step) -> None:
        """A terminal or log that is gone or full ends no training: history.csv says it all."""
        with contextlib.suppress(OSError):
            self._show(step)

    def _show(self, step: Step) -> None:
        epoch = f"epoch {step.epoch}/{self._epochs}"
        score = "" if step.score is None or math.isnan(step.score) else f", AUC {step.score:.3f}"
        said = (
            f"loss {step.loss:.3f}{score}, {step.samples_per_second:.3g} {self._unit}/s, "
            f"at most {in_words(step.seconds_left)} left"
        )
        self._bar.update(self._task, description=epoch, completed=step.step, total=step.steps, said=said)
        now = time.monotonic()
        last = step.step == step.steps
        if not self._console.is_terminal and (last or now - self._last_line > _LINE_EVERY_S):
            self._last_line = now
            waits = f", {step.waiting_share:.0%} waiting for data" if last else ""
            self._console.print(f"{epoch}, step {step.step} of {step.steps}: {said}{waits}", soft_wrap=True)


def show_areas(console: Console, areas: Sequence[Estimate]) -> None:
    """The closing table: validation AUC with interval, n and unit."""
    from rich.markup import escape
    from rich.table import Table

    if not areas:
        return
    table = Table(title="Validation", title_justify="left")
    for name in ("", "AUC", "95 % interval", "n", "positive", "women"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for area in areas:
        counts = write_count(area.n, area.unit), f"{area.positives:,}", f"{area.clusters:,}"
        table.add_row(escape(area.name.removeprefix("AUC, ")), write_value(area), write_interval(area), *counts)
    console.print(table)
    for warning in dict.fromkeys(text for area in areas for text in area.warnings):
        console.print(f"[bold yellow]ATTENTION:[/] {escape(warning)}", soft_wrap=True)


def show_dry_run(console: Console, found: DryRun, *, unit: str) -> None:
    """What a run would take."""
    from rich.table import Table

    how = "tried out" if found.by_trial else "reckoned from what this step took"
    feeding = (
        f"{found.sample_s:.3g} s each, {write_count(found.workers, 'worker')}: {found.feeding_share:.0%} of a step"
    )
    rows = (
        ("parameters", f"{found.parameters:,}"),
        ("a step", f"{found.step_s:.3g} s for {found.samples_per_step} {unit}, {found.micro_batch} at once"),
        ("memory", f"{found.memory_mb:,.0f} MB at the most"),
        ("fits at once", f"{found.largest:,} {unit} ({how}): loop.micro_batch"),
        (f"preparing {unit}", feeding + (" (above 100 %: the device waits)" if found.feeding_share > 1 else "")),
        (
            "an epoch",
            f"{in_words(found.epoch_s)}: {found.steps_per_epoch:,} steps, then {found.judged:,} {unit} judged",
        ),
        (
            "the whole run",
            f"at most {in_words(found.run_s)}: {found.epochs} epochs; patience {found.patience} may end it",
        ),
    )
    table = Table(title=f"Measured on {found.device}, in {found.steps} steps", title_justify="left", show_header=False)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print("Nothing was kept.")


def close(console: Console, cards: Sequence[Card], *, then: str) -> None:
    """What to do next, and what the weights are not for."""
    console.print(f"Next: {then}", soft_wrap=True)
    if any(card.training.phantoms_only for card in cards):
        console.print("[bold yellow]ATTENTION:[/] trained on phantoms only: not for real images.")
    console.print(f"[bold]{RESEARCH_ONLY}.[/]")
