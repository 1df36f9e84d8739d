"""The README's commands run, and its tree and links are true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_the_console_commands_run_in_order(tmp_path: Path) -> None:
    (block,) = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    commands = [line for line in block.splitlines() if line]
    assert len(commands) == 4
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in commands:
        done = subprocess.run(
            command.split(), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "readings/contact_sheet_001.png").is_file()
    assert len(list((tmp_path / "readings/exams").glob("*/overlay_*.png"))) == 8
    assert "not for real images" in (tmp_path / "readings/readings.csv").read_text()


def test_links_and_rooms_named_in_the_docs_exist() -> None:
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
    tree = README.split("src/fourview/\n")[1].split("```")[0]
    for room in re.findall(r"\b([a-z]+(?:\.py|/))", tree):
        assert (ROOT / "src/fourview" / room).exists(), room
