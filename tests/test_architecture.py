"""Who may import whom: the table of docs/architecture.md, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fourview

ROOT = Path(fourview.__file__).parent

MAY_IMPORT = {
    "__main__": {"cli"},
    "exam": set(),
    "ingest": {"exam"},
    "whole_files": {"exam"},
    "memory": set(),
    "spread": {"exam"},
    "settings": set(),
    "phantom": {"exam", "settings", "spread", "whole_files"},
    "crop": {"exam"},
    "window": {"exam"},
    "networks": set(),
    "engine": {"exam", "memory"},
    "weights": {"calibration", "exam", "networks", "whole_files"},
    "heatmap": {"exam", "engine", "weights", "window"},
    "draws": {"exam", "heatmap", "prepare", "weights", "window"},
    "heads": {"exam", "networks", "prepare"},
    "score": {"exam"},
    "calibration": {"exam"},
    "film": {"exam"},
    "prepare": {"exam", "crop", "film", "window", "weights", "networks"},
    "screen": {
        "exam",
        "crop",
        "draws",
        "engine",
        "heads",
        "heatmap",
        "networks",
        "prepare",
        "score",
        "weights",
        "window",
    },
    "export": {"engine", "exam", "networks", "weights", "whole_files"},
    "report": {"calibration", "evaluate", "exam", "memory", "phantom", "store", "whole_files"},
    "evaluate": {"calibration", "exam"},
    "datasets": {"exam", "film", "ingest"},
    "store": {"crop", "datasets", "exam", "ingest", "phantom", "spread", "whole_files"},
    "precision": {"calibration", "evaluate", "exam", "prepare", "screen", "weights", "whole_files"},
    "terminal": {"exam", "batch", "precision", "report"},
    "measured": {"exam", "report", "weights"},
    "shield": set(),
    "train": {
        "calibration",
        "crop",
        "datasets",
        "draws",
        "engine",
        "evaluate",
        "exam",
        "export",
        "heads",
        "heatmap",
        "ingest",
        "memory",
        "networks",
        "phantom",
        "precision",
        "prepare",
        "score",
        "screen",
        "shield",
        "settings",
        "spread",
        "store",
        "weights",
        "whole_files",
        "window",
    },
    "explain": {
        "crop",
        "draws",
        "engine",
        "evaluate",
        "exam",
        "heatmap",
        "networks",
        "prepare",
        "report",
        "screen",
        "store",
        "weights",
        "whole_files",
        "window",
    },
    "studies": {
        "batch",
        "calibration",
        "crop",
        "datasets",
        "draws",
        "engine",
        "evaluate",
        "exam",
        "explain",
        "export",
        "film",
        "heads",
        "heatmap",
        "ingest",
        "measured",
        "memory",
        "networks",
        "phantom",
        "precision",
        "prepare",
        "report",
        "run_exams",
        "score",
        "screen",
        "settings",
        "shield",
        "spread",
        "store",
        "train",
        "weights",
        "whole_files",
        "window",
    },
    "run_exams": {"exam", "ingest", "memory", "report", "shield"},
    "batch": {"calibration", "exam", "ingest", "prepare", "report", "run_exams"},
}
SOLE_HOMES = {  # third-party module -> the rooms that may use it
    "pydicom": {"ingest", "phantom"},
    "safetensors": {"studies", "train", "weights"},
    "requests": {"weights"},
    "typer": {"cli"},
    "torch": {"networks", "engine", "weights", "heads", "explain", "export", "train", "studies"},
    "lightning_fabric": {"train", "studies"},
    "tensorboard": {"train"},
    "openvino": {"engine"},
    "onnxruntime": {"export"},
    "jinja2": {"report"},
    "matplotlib": {"report"},
    "scipy": {"evaluate", "studies"},
    "h5py": {"store"},
    "filelock": {"store"},
    "distributed": {"spread"},
    "joblib": {"spread"},
    "imblearn": {"studies"},
}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Dotted names of everything that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def sources() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_each_module_imports_only_what_its_room_may(path: Path) -> None:
    own = room(path)
    names = imports(path)
    ours = {name.split(".")[1] for name in names if name.startswith("fourview.")} - {own, "__version__"}
    if own in MAY_IMPORT:
        assert ours <= MAY_IMPORT[own], f"{own} imports {sorted(ours - MAY_IMPORT[own])}"
    else:
        assert own in {"__init__", "cli"}, f"{own} is not in the table"
    for name in {n.split(".")[0] for n in names} & SOLE_HOMES.keys():
        assert own in SOLE_HOMES[name], f"{own} imports {name}"


@pytest.mark.parametrize(
    "module",
    [
        "fourview",
        "fourview.exam",
        "fourview.ingest",
        "fourview.phantom",
        "fourview.report",
        "fourview.evaluate",
        "fourview.calibration",
        "fourview.cli",
    ],
)
def test_torch_stays_out_until_a_network_is_needed(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
