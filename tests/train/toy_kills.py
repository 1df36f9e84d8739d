"""Toy runs killed when they touch a file for the N-th time, then resumed: python -m tests.train.toy_kills OUT N...

Prints one line per N: "killed" or "finished" (there was no N-th time), and "equal" or "different" after going on.
Runs are forks of this process, which has imported everything and computed nothing.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from tests.train.toy_run import run

SETTINGS = ["loop.epochs=2", "patches.per_epoch=16", "loop.checkpoint_minutes=1e-9", "optimiser.average=0.9"]
_EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"}


def run_fork(out: Path, *, kill_at: int | None) -> int:
    """The wait status of a run in a fork."""
    if child := os.fork():
        return os.waitpid(child, 0)[1]
    left = [kill_at or -1]

    def count(event: str, values: tuple[Any, ...]) -> None:
        if event in _EVENTS and str(out) in str(values[0]):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    os._exit(run(out, SETTINGS, devices=1))


def compare(folder: Path, places: list[int]) -> list[str]:
    lines = []
    run_fork(folder / "whole", kill_at=None)
    whole = load_file(folder / "whole/trained.safetensors")
    for place in places:
        out = folder / f"killed_{place}"
        killed = os.WIFSIGNALED(run_fork(out, kill_at=place))
        status = run_fork(out, kill_at=None)
        resumed = load_file(out / "trained.safetensors") if status == 0 else {}
        equal = whole.keys() == resumed.keys() and all(bool((whole[name] == resumed[name]).all()) for name in whole)
        names = [path.name for path in out.rglob("*") if path.name.endswith(".part")]
        rows = (out / "history.csv").read_text().count("\n")
        tidy = not names and rows == 3 and len(list((out / "checkpoints").iterdir())) == 2
        lines.append(
            f"{place} {'killed' if killed else 'finished'} {'equal' if equal else 'different'} "
            f"{'tidy' if tidy else 'untidy'}"
        )
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join(compare(Path(sys.argv[1]), [int(text) for text in sys.argv[2:]])) + "\n")
