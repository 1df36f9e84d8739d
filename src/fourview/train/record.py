"""What a sitting leaves on the disk: checkpoints, tables, curves. For the first process alone; survives a full disk."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fourview.exam import SetupError
from fourview.train.checkpoint import Best, Last, clean_checkpoints, read_best, read_last, write_checkpoint
from fourview.train.history import Curves
from fourview.train.progress import Progress
from fourview.train.run_folder import FAILURE, RunFolder

log = logging.getLogger(__name__)


def list_some(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    return ", ".join(dict.fromkeys(names[:4])) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


class Record:
    """Of one sitting.

    problem  why the last checkpoint could not be written; None: it was
    """

    def __init__(self, run: RunFolder) -> None:
        self.problem: str | None = None
        self._run = run
        self._curves: Curves | None = None

    def read(self, *, resume: bool) -> tuple[Last, Best | None] | None:
        """Where an earlier sitting left the run, and its best; None if it left nothing. Raises SetupError."""
        folder = self._run.checkpoints
        last = read_last(folder)
        if last is not None and not resume:
            raise SetupError(
                f"{self._run.path}: found checkpoints of an earlier sitting; need --resume or a new folder"
            )
        with self._survived("clean up"):
            clean_checkpoints(folder, last)
        if last is None:
            return None
        epoch = last.progress.best_epoch
        best = None if epoch is None else read_best(folder, epoch)
        if last.progress.rows:  # a kill may have come between the checkpoint and these
            self.write_tables(last.progress, best)
        return last, best

    def open_curves(self, *, steps: int) -> None:
        """steps: of the run that are done."""
        with self._survived("write curves"):
            self._curves = Curves(self._run.tensorboard, steps=steps)

    def add_curves(self, values: Mapping[str, float | int | None], *, step: int) -> None:
        if self._curves is not None:
            with self._survived("write curves"):
                self._curves.add(values, step=step)

    def keep(self, last: Last, best: Best | None) -> None:
        """A checkpoint in place of the one before, which stays if there is no room for it: then see `problem`."""
        self.problem = None
        try:
            write_checkpoint(self._run.checkpoints, last, best)
        except OSError as error:
            self.problem = error.strerror or str(error)
            log.warning(
                "%s: no checkpoint could be written (%s); the one before is whole, training goes on, and the next "
                "will be tried",
                self._run.checkpoints,
                self.problem,
            )

    def demand_kept(self, when: str) -> None:
        """Raises SetupError if the last checkpoint could not be written."""
        if self.problem is not None:
            raise SetupError(
                f"{self._run.checkpoints}: {when}, and its state could not be written ({self.problem}); need room, "
                "then the same command with --resume, which goes on from the last checkpoint that was written"
            )

    def stop_for(self, values: Mapping[str, Any]) -> None:
        """Write what was found in the batch to failure.json. Raises SetupError, always."""
        with self._survived(f"write {FAILURE}"):
            self._run.write_failure(values)
        names = values["names_of_portions_not_finite"] or values["names"]
        raise SetupError(
            f"epoch {values['epoch']}, step {values['step']}: found a {values['what']} that is {values['value']}, with "
            f"{list_some(names)} ({self._run.path / FAILURE} names the whole batch); need numbers: look at these "
            "images, or begin a new run with a lower optimiser.lr, with optimiser.clip_norm, or with loop.precision "
            "fp32"
        )

    def close(self) -> None:
        if self._curves is not None:
            with self._survived("write curves"):
                self._curves.close()

    def write_tables(self, progress: Progress, best: Best | None) -> None:
        with self._survived("write tables"):
            self._run.write_history(progress.rows)
            if best is not None and len(best.judgement.table):
                self._run.write_predictions(best.judgement.table)

    @contextmanager
    def _survived(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            log.warning("%s: cannot %s (%s)", self._run.path, what, error.strerror or error)
