"""What the intervals of a million breasts cost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_intervals_of_a_million_breasts_need_less_than_20_seconds_and_2_gigabytes() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.million"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "500000 clusters" in ran.stdout
