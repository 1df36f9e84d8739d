"""What a command loads before it works: statistics only where they are used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from fourview.phantom import draw_exam, write_exam
from fourview.weights.untrained import write_untrained

SCALE = 0.125
CODE = """
import sys
from fourview.cli import app
try:
    app(sys.argv[1:], standalone_mode=False)
finally:
    print([name for name in ("scipy", "matplotlib", "sklearn", "fourview.evaluate") if name in sys.modules])
"""


def test_reading_exams_loads_no_statistics_and_no_plots(tmp_path: Path) -> None:
    write_exam(draw_exam(np.random.default_rng(5), scale=SCALE), tmp_path / "exam")
    write_untrained(tmp_path / "weights", wiring="view-wise", heatmaps=False, scale=SCALE)
    words = ["screen", tmp_path / "exam", "--weights", tmp_path / "weights", "--out", tmp_path / "out", "--jitter", "0"]
    ran = subprocess.run([sys.executable, "-c", CODE, *map(str, words)], check=False, capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1] == "[]", ran.stderr
