"""The command line, end to end on synthetic exams: exit status, messages, what lies in the output."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from fourview.batch import BatchResult, Step
from fourview.cli import main
from fourview.report.readings import Failure, summarise
from fourview.terminal import ScreenProgress, in_words, show_result, what_numbers_mean
from tests.fake_screener import FakeScreener, small_exam


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


class Fourview:
    """`fourview ARGS` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capfd = monkeypatch, capfd

    def __call__(self, *arguments: object) -> Ran:
        self.monkeypatch.setattr(sys, "argv", ["fourview", *map(str, arguments)])
        self.capfd.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main()
        captured = self.capfd.readouterr()
        status = exit_info.value.code
        return Ran(status if isinstance(status, int) else 0, captured.out, captured.err)


@pytest.fixture
def fourview(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fourview]:
    monkeypatch.setenv("FOURVIEW_WEIGHTS", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("FOURVIEW_SITE_SECRET", "a secret of the tests")
    yield Fourview(monkeypatch, capfd)
    logging.captureWarnings(False)
    for name in ("py.warnings", "pydicom", "pylibjpeg"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three synthetic exams (exams/) and untrained weights (heatmaps/, image/, single/)."""
    folder = tmp_path_factory.mktemp("made")
    for arguments in (
        ("phantom", "--exams", 3, "--out", folder / "exams"),
        ("weights", "untrained", "--out", folder / "heatmaps"),
        ("weights", "untrained", "--out", folder / "image", "--no-heatmaps", "--wiring", "image-wise"),
        ("weights", "untrained", "--out", folder / "single", "--no-heatmaps", "--wiring", "single-image"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["fourview", *map(str, arguments)])
            with pytest.raises(SystemExit) as exit_info:
                main()
        assert exit_info.value.code in (0, None)
    return folder


def test_screen_reads_dicom_exams_end_to_end(fourview: Fourview, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = fourview("screen", made / "exams/exam_000000", "--weights", made / "heatmaps", "--out", out, "--jitter", 2)
    assert ran.status == 0, ran.err
    table = pl.read_csv(out / "readings.csv")
    assert table["side"].to_list() == ["L", "R"]
    assert table["views"].to_list() == ["L-CC R-CC L-MLO R-MLO"] * 2
    assert all("untrained weights, the numbers mean nothing" in marks for marks in table["marks"])
    folder = out / "exams" / table["exam"][0]
    assert len(list(folder.glob("heatmap_*.png"))) == 8
    assert len(list(folder.glob("overlay_*.png"))) == 4
    record = json.loads((folder / "reading.json").read_text())
    assert record["breasts"]["L"]["malignant"] == table["p_malignant"][0]
    assert {head["window"] for head in record["heads"]} == {0, 1}
    assert {d["topic"] for image in record["images"] for d in image["decisions"]} >= {"orientation", "spacing"}
    upstream = pl.read_csv(out / "upstream.csv")
    assert upstream.columns == ["left_benign", "right_benign", "left_malignant", "right_malignant"]
    assert upstream.row(0) == tuple(
        round(p, 4) for column in ("p_benign", "p_malignant") for p in table[column].to_list()
    )
    for text in (
        table["exam"][0],
        "p_benign is not 1 - p_malignant",
        "not calibrated",
        "ATTENTION: heatmaps: untrained weights",
        "1 exams read, 0 failed",
        "Research software, not a medical device",
        str(out),
    ):
        assert text in ran.out
    assert "1 of 1 exams" in ran.err


def test_nothing_that_is_written_or_shown_names_the_patient(fourview: Fourview, made: Path, tmp_path: Path) -> None:
    study = _study_uid(made / "exams/exam_000000")
    screen = ("screen", made / "exams/exam_000000", "--weights", made / "image", "--jitter", 0, "--out")
    quiet = fourview(*screen, tmp_path / "quiet")
    written = b"".join(p.read_bytes() for p in (tmp_path / "quiet").rglob("*") if p.is_file()).decode("latin-1")
    for text in (written, quiet.out, quiet.err):
        assert "PHANTOM" not in text
        assert study not in text
    fourview(*screen, tmp_path / "loud", "--show-ids")
    assert set(pl.read_csv(tmp_path / "loud/readings.csv")["exam_label"]) == {study}
    assert json.loads((tmp_path / "loud/run.json").read_text())["inputs"]["paths"]


def test_a_bad_exam_among_good_ones_gives_status_1(fourview: Fourview, made: Path, tmp_path: Path) -> None:
    exams = tmp_path / "exams"
    _copy_exams(made, exams)
    (exams / "exam_000001/1_R_CC.dcm").unlink()
    ran = fourview("screen", exams, "--weights", made / "image", "--out", tmp_path / "a", "--jitter", 0)
    assert ran.status == 0, ran.err
    broken = exams / "exam_000002/2_L_MLO.dcm"
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    ran = fourview("screen", exams, "--weights", made / "image", "--out", tmp_path / "b", "--jitter", 0)
    assert ran.status == 1
    failures = pl.read_csv(tmp_path / "b/failures.csv").filter(pl.col("kind") == "exam")
    assert failures.height == 1
    assert "2_L_MLO.dcm" in failures["reason"][0]
    assert "2 exams read, 1 failed" in ran.out
    assert pl.read_csv(tmp_path / "b/readings.csv")["status"].to_list() == ["read"] * 4 + ["failed"]


def test_single_image_weights_give_one_row_per_image(fourview: Fourview, made: Path, tmp_path: Path) -> None:
    ran = fourview(
        "screen", made / "exams/exam_000000", "--weights", made / "single", "--out", tmp_path / "out", "--jitter", 0
    )
    assert ran.status == 0, ran.err
    table = pl.read_csv(tmp_path / "out/readings.csv")
    assert table["view"].to_list() == ["L-CC", "R-CC", "L-MLO", "R-MLO"]
    assert table["files"].to_list() == ["0_L_CC.dcm", "0_R_CC.dcm", "0_L_MLO.dcm", "0_R_MLO.dcm"]


def test_another_grey_scale_than_that_of_the_weights_marks_every_row(
    fourview: Fourview, made: Path, tmp_path: Path
) -> None:
    fourview(
        "screen", made / "exams/exam_000000", "--weights", made / "image", "--out", tmp_path / "out", "--jitter", 0,
        "--pixels", "presentation",
    )  # fmt: skip
    table = pl.read_csv(tmp_path / "out/readings.csv")
    assert table.height == 2
    assert all(re.search("presentation.* trained on stored", marks) for marks in table["marks"])


def test_an_ensemble_is_read_as_one_model(fourview: Fourview, made: Path, tmp_path: Path) -> None:
    ran = fourview("weights", "untrained", "--out", tmp_path / "second", "--no-heatmaps", "--wiring", "image-wise",
                   "--seed", 1)  # fmt: skip
    assert ran.status == 0, ran.err
    assert "UNTRAINED" in ran.out
    ran = fourview(
        "screen", made / "exams/exam_000000", "--weights", made / "image", "--ensemble", tmp_path / "second",
        "--out", tmp_path / "out", "--jitter", 0,
    )  # fmt: skip
    assert ran.status == 0, ran.err
    table = pl.read_csv(tmp_path / "out/readings.csv")
    assert table["model"].to_list() == ["image+second"] * 2
    assert (table["malignant_sd_members"] > 0).any()


def test_a_weights_folder_among_the_inputs_is_a_forgotten_ensemble(
    fourview: Fourview, made: Path, tmp_path: Path
) -> None:
    ran = fourview(
        "screen", made / "exams", made / "image", "--weights", made / "image", "--out", tmp_path / "out"
    )  # fmt: skip
    assert ran.status == 2
    assert "need --ensemble before each further member" in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"input": "nowhere"}, "nowhere"),
        ({"input": "empty"}, "empty"),
        ({"--weights": "no-such-weights"}, "no-such-weights"),
        ({"--weights": "nyu"}, "fourview weights install nyu"),
        ({"--out": "full"}, "not empty"),
        ({"--out": "full/mine.txt/out"}, "Not a directory"),
        ({"--resume": None, "--rng": "upstream", "--out": "new"}, "one random stream"),
    ],
)
def test_a_wrong_set_up_is_one_line_and_status_2(
    fourview: Fourview, made: Path, tmp_path: Path, *, change: dict[str, str | None], says: str
) -> None:
    fourview.monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    options = {"--weights": made / "image", "--out": "out", "--jitter": 0, **change}
    source = options.pop("input", made / "exams/exam_000000")
    arguments = [word for pair in options.items() for word in pair if word is not None]
    ran = fourview("screen", source, *arguments)
    assert ran.status == 2, ran.err
    assert says in ran.err
    assert ran.err.startswith("fourview: ")
    assert len(ran.err.splitlines()) == 1
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_a_gpu_that_is_asked_for_and_absent_is_a_wrong_set_up(
    fourview: Fourview, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    ran = fourview("screen", made / "exams", "--weights", made / "image", "--out", tmp_path / "out", "--device", "cuda")
    assert ran.status == 2
    assert "cuda" in ran.err.lower()


def cpu_with(flags: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a GPU whose processor has these flags."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (folder / "cpuinfo").write_text(f"flags : {flags}\n")
    monkeypatch.setattr("fourview.engine.choose.CPU_FLAGS", folder / "cpuinfo")


def test_bf16_without_hardware_for_it_is_a_wrong_set_up(
    fourview: Fourview, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu_with("avx2", tmp_path, monkeypatch)
    source = (made / "exams/exam_000000", "--weights", made / "image", "--out", tmp_path / "out")
    for option in (("--precision", "bf16"), ("--compare-precision",)):
        ran = fourview("screen", *source, *option)
        assert ran.status == 2
        assert "precision bf16: found no matrix unit for it in this processor; need amx_bf16 or a GPU" in ran.err
    for option in (("--precision", "bf16"), ("--rng", "upstream"), ("--resume",)):
        ran = fourview("screen", *source, "--compare-precision", *option)
        assert ran.status == 2
        assert "without --precision, --resume and --rng upstream" in ran.err
    assert not (tmp_path / "out").exists()


def test_the_engine_and_precision_are_chosen_and_recorded(fourview: Fourview, made: Path, tmp_path: Path) -> None:
    source = (made / "exams/exam_000000", "--weights", made / "image", "--jitter", 0, "--device", "cpu")
    numbers = {}
    for engine in ("torch", "openvino"):
        out = tmp_path / engine
        assert fourview("screen", *source, "--out", out, "--engine", engine, "--files", "readings").status == 0
        run = json.loads((out / "run.json").read_text())
        assert run["model"]["engine"].startswith(engine)
        assert run["model"]["precision"] == run["settings"]["precision"] == "fp32"
        (folder,) = (out / "exams").iterdir()
        assert [p.name for p in folder.iterdir()] == ["reading.json"]
        assert json.loads((folder / "reading.json").read_text())["engine"].startswith(engine)
        numbers[engine] = pl.read_csv(out / "readings.csv")["p_malignant"].to_list()
    assert numbers["torch"] == pytest.approx(numbers["openvino"], abs=1e-5)


def test_what_bf16_changes_is_shown_and_written(
    fourview: Fourview, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With torch, which computes bf16 on any processor, more or less quickly."""
    cpu_with("avx512_bf16", tmp_path, monkeypatch)
    out = tmp_path / "out"
    ran = fourview(
        "screen", made / "exams/exam_000000", "--weights", made / "image", "--jitter", 2, "--out", out,
        "--engine", "torch", "--device", "cpu", "--compare-precision",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert "name no operating point" in ran.out
    table = pl.read_csv(out / "precision.csv")
    assert table.height == 4
    assert 0 < table["change"].abs().max() < 0.05
    fp32 = pl.read_csv(out / "readings.csv")["p_malignant"].to_list()
    assert table.filter(pl.col("finding") == "malignant")["p_fp32"].to_list() == fp32


def test_networks_are_exported_with_a_parity_report(fourview: Fourview, made: Path, tmp_path: Path) -> None:
    ran = fourview("export", made / "image", "--to", "openvino", "--out", tmp_path / "out")
    assert ran.status == 0, ran.err
    assert "of torch's" in ran.out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"exam.xml", "exam.bin", "export.json"}
    assert fourview("export", made / "image", "--to", "openvino", "--out", tmp_path / "out").status == 2


def test_usage_errors_have_status_2_too(fourview: Fourview, tmp_path: Path) -> None:
    assert fourview("screen", tmp_path).status == 2
    assert fourview("screen", tmp_path, "--weights", "x", "--out", "y", "--jitter", -1).status == 2
    assert fourview("screen", tmp_path, "--weights", "x", "--out", "y", "--rng", "other").status == 2
    assert fourview("no-such-verb").status == 2


def test_help_and_version_load_nothing_heavy() -> None:
    heavy = ("torch", "openvino", "jinja2", "cv2", "polars", "pydicom", "scipy", "requests")
    code = (
        "import sys\nfrom fourview.cli import main\nsys.argv = ['fourview', sys.argv[1]]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"loaded = [name for name in {heavy} if name in sys.modules]\nassert not loaded, loaded\n"
    )
    for option, shown in (("--help", "screen"), ("--version", "fourview 0.")):
        ran = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert shown in ran.stdout


@pytest.mark.slow
def test_an_interrupted_screen_ends_with_130_and_resumes(fourview: Fourview, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    screen = ("screen", made / "exams", "--weights", made / "heatmaps", "--jitter", 1, "--out")
    program = "from fourview.cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, screen), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        deadline = time.monotonic() + 120
        while not list(out.glob("exams/[0-9a-f]*")) and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    assert "--resume" in stderr
    assert "Traceback" not in stderr
    done = [p.name for p in out.glob("exams/*")]
    assert 1 <= len(done) < 3
    assert pl.read_csv(out / "readings.csv").height == 2 * len(done)
    ran = fourview(*screen, out, "--resume")
    assert ran.status == 0, ran.err
    assert f"3 exams read ({len(done)} of them by an earlier run)" in ran.out
    assert fourview(*screen, tmp_path / "whole").status == 0
    assert (out / "readings.csv").read_bytes() == (tmp_path / "whole/readings.csv").read_bytes()


def test_weights_list_names_what_is_installed_and_every_licence(
    fourview: Fourview, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOURVIEW_WEIGHTS", str(made))
    ran = fourview("weights", "list")
    assert ran.status == 0
    for text in ("heatmaps", "single-image, image only", "installed", "nyu-imagewise", "AGPL-3.0"):
        assert text in ran.out
    assert "phantom-lesion: AUC, malignant, CC and MLO averaged 0.860 (95 % 0.828 to 0.886; 617 lesions" in ran.out


def test_weights_show_knows_lesion_networks(fourview: Fourview) -> None:
    ran = fourview("weights", "show", "phantom-lesion")
    assert ran.status == 0
    assert json.loads(ran.out)["network"]["architecture"] == "googlenet_light"
    assert "learned from 4,120 images; phantoms only: not for real images" in ran.err


def test_weights_show_prints_the_card(fourview: Fourview, made: Path) -> None:
    ran = fourview("weights", "show", made / "image")
    assert ran.status == 0
    card = json.loads(ran.out)
    assert card["training"]["trained"] is False
    assert "licence Apache-2.0" in ran.err
    assert fourview("weights", "show", "no-such-weights").status == 2


def test_weights_convert_makes_a_folder_that_can_be_shown(
    fourview: Fourview, key_weights: Path, tmp_path: Path
) -> None:
    file = key_weights / "ImageOnly__ModeImage_weights.p"
    ran = fourview("weights", "convert", file, "--kind", "image-wise", "--out", tmp_path / "w")
    assert ran.status == 0, ran.err
    assert "image-wise, image only" in ran.out
    assert json.loads(fourview("weights", "show", tmp_path / "w").out)["exam"]["wiring"] == "image-wise"
    ran = fourview("weights", "convert", file, "--kind", "patch", "--out", tmp_path / "x")
    assert ran.status == 2
    assert not (tmp_path / "x").exists()


def test_weights_install_shows_the_licence_and_refuses_other_files(
    fourview: Fourview, key_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOURVIEW_WEIGHTS", str(tmp_path / "home"))
    ran = fourview("weights", "install", "nyu", "--from", key_weights)
    assert ran.status == 2
    assert "Licence: AGPL-3.0" in ran.out
    assert re.search(r"fourview: .*\.p.*[0-9a-f]{40}", ran.err)
    assert not list((tmp_path / "home").glob("*nyu*"))
    assert fourview("weights", "install", "no-such-entry").status == 2


def test_the_closing_table_has_at_most_20_rows() -> None:
    summaries = tuple(summarise(FakeScreener().read(small_exam(f"{n:016x}"))) for n in range(11))
    failures = tuple(Failure("exam", f"{n:016d}", "x", f"reason [{n}]") for n in range(30))
    console = Console(record=True, width=120, quiet=False, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    with console.file:
        show_result(console, BatchResult(Path("out"), summaries, failures), populations=[None])
        text = console.export_text()
    assert "the first 20 of 22 rows" in text
    assert f"{9:016x}" in text
    assert f"{10:016x}" not in text
    assert "11 exams read, 30 failed" in text
    assert "reason [19]" in text
    assert "and 10 more in failures.csv" in text


def test_scores_are_called_calibrated_only_if_all_weights_are() -> None:
    assert "not calibrated" in what_numbers_mean([None])
    assert "not calibrated" in what_numbers_mean(["screening, NYU", None])
    assert "calibrated for: screening, NYU." in what_numbers_mean(["screening, NYU", "screening, NYU"])


def test_progress_in_a_file_is_plain_lines_with_speed_and_failures(capsys: pytest.CaptureFixture[str]) -> None:
    step = Step(1, 3, "a" * 16, None)
    with ScreenProgress(Console(stderr=True, width=80)) as progress:
        progress(step)
        progress(replace(step, done=2, problem="found [no] R-CC"))
        progress(replace(step, done=3, already_there=True))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"exam {'a' * 16}: found [no] R-CC"
    assert re.fullmatch(r"3 of 3 exams, \S+ exams/s, 0 s left, 1 failed", lines[1])


def test_durations_are_said_in_words() -> None:
    assert [in_words(s) for s in (45, 12 * 60, 200 * 60)] == ["45 s", "12 min", "3 h 20 min"]


def _study_uid(folder: Path) -> str:
    import pydicom

    return str(pydicom.dcmread(next(folder.glob("*.dcm")), stop_before_pixels=True).StudyInstanceUID)


def _copy_exams(made: Path, target: Path) -> None:
    for file in (made / "exams").glob("*/*.dcm"):
        (target / file.parent.name).mkdir(parents=True, exist_ok=True)
        (target / file.parent.name / file.name).write_bytes(file.read_bytes())
