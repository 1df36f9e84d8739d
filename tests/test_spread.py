"""Processes that end for want of work while new work arrives: others take their place, and nobody waits for ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROUNDS = """
import time
from fourview import spread

spread.IDLE_S = 0.05

if __name__ == "__main__":
    for round in range(12):
        assert list(spread.spread(abs, range(-9, 0), jobs=2)) == list(range(9, 0, -1))
        time.sleep(0.04 + 0.003 * round)
    print("all done")
"""


def test_processes_that_end_as_work_arrives_are_replaced_even_where_warnings_are_errors(tmp_path: Path) -> None:
    """loky warns of it in the thread that minds its processes, and waited for ever once that was an error."""
    (tmp_path / "rounds.py").write_text(ROUNDS)
    command = [sys.executable, "-W", "error::UserWarning", str(tmp_path / "rounds.py")]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert done.stdout == "all done\n", done.stderr
    assert "A worker stopped" not in done.stderr
