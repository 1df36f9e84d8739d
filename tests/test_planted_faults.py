"""Twelve planted faults, each of which must break at least one golden: the tests of the tests.

Each fault is one edit of the source in a copy of the package; the goldens named beside it then run against the copy.
`python -m tests.test_planted_faults` prints the table.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import fourview

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(fourview.__file__).parent

CROP = "tests/test_crop_goldens.py::test_crop_and_centre_are_upstreams_to_the_pixel"
JITTER = "tests/test_crop_goldens.py::test_ten_jittered_windows_follow_upstreams_random_stream"
OUTPUTS = "tests/test_networks.py::test_classifier_outputs_and_features_are_upstreams"
CHANNELS = "tests/test_networks.py::test_the_screener_feeds_heatmaps_to_the_networks_as_upstream_does"
PATCH = "tests/test_networks.py::test_patch_logits_and_features_are_upstreams"
HEATMAPS = "tests/test_networks.py::test_heatmaps_are_upstreams"
PIPELINE = "tests/test_pipeline_goldens.py::test_image_only_readings_of_exam_1_are_upstreams"
TABLE = "tests/test_crop.py::test_standardising_divides_by_the_population_deviation"


@dataclass(frozen=True)
class PlantedFault:
    name: str
    file: str
    right: str
    wrong: str
    golden: str


FAULTS = (
    PlantedFault(
        "left and right swapped",
        "networks/exam.py",
        'BOTH_SIDES = (("L", "benign"), ("R", "benign"), ("L", "malignant"), ("R", "malignant"))',
        'BOTH_SIDES = (("R", "benign"), ("L", "benign"), ("R", "malignant"), ("L", "malignant"))',
        f"{PIPELINE}[0-torch]",
    ),
    PlantedFault(
        "heatmap channels swapped",
        "screen.py",
        '[maps[key]["benign"], maps[key]["malignant"]]',
        '[maps[key]["malignant"], maps[key]["benign"]]',
        f"{CHANNELS}[view_split_heatmaps]",
    ),
    PlantedFault(
        "CC and MLO heads swapped",
        "weights/convert.py",
        'return upstream.upper() if upstream in ("cc", "mlo")',
        'return {"cc": "MLO", "mlo": "CC"}[upstream] if upstream in ("cc", "mlo")',
        f"{OUTPUTS}[view_split_image]",
    ),
    PlantedFault(
        "a flip skipped",
        "crop.py",
        "np.ascontiguousarray(mirror(crop) if frame.mirrored else crop)",
        "crop",
        f"{HEATMAPS}[1_R_CC-torch]",
    ),
    PlantedFault(
        "native instead of SAME padding",
        "networks/densenet.py",
        "pads += [total // 2, total - total // 2]",
        "pads += [kernel // 2, kernel // 2]",
        PATCH,
    ),
    PlantedFault(
        "heatmap transposed",
        "heatmap.py",
        "total[:, left : left + side] += down[number, :, None].astype(np.float32)",
        "total.T[: shape[1], left : left + side] += down[number, : shape[1], None].astype(np.float32)",
        f"{HEATMAPS}[1_L_CC-torch]",
    ),
    PlantedFault(
        "centre off by one",
        "window.py",
        "col = rightmost_col - half_width - 1",
        "col = rightmost_col - half_width",
        CROP,
    ),
    PlantedFault(
        "standardised before padding",
        "screen.py",
        "image.crop.pixels.astype(np.float32)",
        "__import__('fourview.window').window.standardise(image.crop.pixels.astype(np.float32))",
        f"{PIPELINE}[0-torch]",
    ),
    PlantedFault(
        "wrong grid order",
        "heatmap.py",
        "((top, left) for left in self.cols for top in self.rows)",
        "((top, left) for top in self.rows for left in self.cols)",
        f"{HEATMAPS}[1_L_CC-torch]",
    ),
    PlantedFault("bilinear resize", "window.py", "cv2.INTER_CUBIC", "cv2.INTER_LINEAR", f"{JITTER}[1_L_CC]"),
    PlantedFault(
        "batch sliced",
        "engine/torch_engine.py",
        "logits = network(patches)",
        "logits = network(patches[:2])[torch.arange(len(patches)) % 2]",
        f"{HEATMAPS}[1_L_CC-torch]",
    ),
    PlantedFault("biased deviation", "window.py", "np.std(image)", "np.std(image, ddof=1)", TABLE),
)


def run_golden(fault: PlantedFault, folder: Path, *, plant: bool) -> subprocess.CompletedProcess[str]:
    """Run the fault's golden against a copy of the package, with or without the fault."""
    copy = folder / "fourview"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    if plant:
        source = (copy / fault.file).read_text()
        assert source.count(fault.right) == 1, f"{fault.file} no longer holds {fault.right!r} once"
        (copy / fault.file).write_text(source.replace(fault.right, fault.wrong))
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", fault.golden],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_planted_fault_breaks_a_golden(shared: Path, tmp_path: Path, fault: PlantedFault) -> None:
    result = run_golden(fault, tmp_path, plant=True)
    assert result.returncode == 1, result.stdout
    assert "1 failed" in result.stdout
    assert str(tmp_path) in result.stdout or "AssertionError" in result.stdout, result.stdout


def test_a_copy_without_a_fault_passes(shared: Path, tmp_path: Path) -> None:
    result = run_golden(FAULTS[-1], tmp_path, plant=False)
    assert result.returncode == 0, result.stdout


def main() -> None:
    for fault in FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            result = run_golden(fault, Path(folder), plant=True)
        why = (
            next((line for line in result.stdout.splitlines() if line.startswith("E  ")), "").removeprefix("E").strip()
        )
        verdict = "caught" if result.returncode == 1 else "MISSED"
        sys.stdout.write(f"{verdict} | {fault.name} | {fault.golden.split('::')[1]} | {why[:100]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
