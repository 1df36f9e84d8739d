"""`python -m benchmarks`: side by side in one run, ratios against a plain torch loop, and what a million exams cost.

    python -m benchmarks [--input EXAMS] [--weights W ...] [--exams N] [--json FILE]

Without --input it draws full-size synthetic exams; without --weights it uses untrained full-size networks (the
same arithmetic as trained ones). Every measurement runs in a process of its own.

What statistics cost and how well their intervals hold: `python -m benchmarks.million` (a million breasts) and
`python -m benchmarks.coverage` (simulated studies, see docs/statistics.md).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fourview.phantom import draw_exam, write_exam
from fourview.weights.folder import load_card

FOURVIEW = (sys.executable, "-c", "import sys; from fourview.cli import main; sys.argv[0] = 'fourview'; main()")
STAGES = {  # of run.json -> the name in the table
    "load files": "read files",
    "crop": "crop and centre",
    "patches": "patch network",
    "heatmaps": "heatmaps from patches",
    "windows": "windows",
    "network": "exam networks",
    "heads": "heads",
    "collect": "collect",
    "write files": "report (background)",
}


@dataclass
class Bench:
    console: Console
    device: str
    found: dict[str, Any] = field(default_factory=dict)

    def measure(self, what: str, **options: Any) -> dict[str, Any]:
        self.console.print(f"[dim]measuring {what} {options.get('how', '')} {options.get('precision', '')}[/]")
        return _run([sys.executable, "-m", "benchmarks.worker", what, json.dumps(options)])

    def networks(self, weights: Path, precisions: list[str]) -> None:
        """Patches and windows per second of every way to run them, against the plain loop."""
        for what in ("patches", "windows"):
            ways = [("loop", "fp32"), ("torch", "fp32")]
            ways += [("openvino" if self.device == "cpu" else "torch", p) for p in precisions]
            rows = {}
            for how, precision in dict.fromkeys(ways):
                rows[f"{how} {precision}"] = self.measure(
                    what, weights=str(weights), how=how, precision=precision, device=self.device
                )
            self.found[what] = rows
            self._show_networks(what, rows)

    def _show_networks(self, what: str, rows: dict[str, Any]) -> None:
        plain = rows["loop fp32"]["per_s"]
        table = Table(title=f"{what} per second", title_justify="left")
        for name in ("", f"{what}/s", "times the loop", "share of matrix rate", "peak MB"):
            table.add_column(name, justify="right" if name else "left")
        for name, row in rows.items():
            rate = self.found["matrix"][name.split()[1]]["flop_per_s"]
            share = row["per_s"] * row["flop"] / rate
            shown = f"plain torch, batch {100 if what == 'patches' else 1}" if name == "loop fp32" else name
            numbers = (f"{row['per_s']:.1f}", f"{row['per_s'] / plain:.1f}", f"{share:.0%}", f"{row['memory_mb']:.0f}")
            table.add_row(shown, *numbers)
        self.console.print(table)

    def command(self, name: str, exams: Path, weights: list[Path], out: Path, *more: str) -> dict[str, Any]:
        """The whole command, as a user runs it: seconds from start to end, stages, peak memory."""
        self.console.print(f"[dim]running fourview screen, {name}[/]")
        members = [part for extra in weights[1:] for part in ("--ensemble", str(extra))]
        arguments = ["screen", str(exams), "--weights", str(weights[0]), *members, "--out", str(out), *more]
        start = time.perf_counter()
        ran = subprocess.run([*FOURVIEW, *arguments], capture_output=True, text=True, check=False)
        wall = time.perf_counter() - start
        if ran.returncode:
            raise SystemExit(f"fourview {' '.join(arguments)}\n{ran.stdout}{ran.stderr}")
        run = json.loads((out / "run.json").read_text())
        found = {"wall_s": wall, "run": run}
        self.found.setdefault("commands", {})[name] = found
        return found

    def show_stages(self) -> None:
        commands = self.found["commands"]
        table = Table(title="one exam, the whole command (seconds)", title_justify="left")
        table.add_column("stage")
        for name in commands:
            table.add_column(name, justify="right")
        for stage, shown in STAGES.items():
            seconds = [c["run"]["seconds"].get(stage, {}).get("median") for c in commands.values()]
            if any(s is not None for s in seconds):
                table.add_row(shown, *("" if s is None else f"{s:.2f}" for s in seconds))
        inside = [c["run"]["wall_s"] for c in commands.values()]
        table.add_row("all exams, after loading", *(f"{s:.1f}" for s in inside))
        table.add_row("[bold]whole command[/]", *(f"[bold]{c['wall_s']:.1f}[/]" for c in commands.values()))
        table.add_row("exams", *(str(c["run"]["exams"]["read"]) for c in commands.values()))
        table.add_row("peak memory, MB", *(f"{c['run']['peak_memory_mb']['process']:.0f}" for c in commands.values()))
        self.console.print(table)

    def show_million(self) -> None:
        for name, command in self.found["commands"].items():
            run = command["run"]
            if run["exams"]["read"] > 1 and run["exams_per_s"]:
                days = 1e6 / run["exams_per_s"] / 86400
                self.console.print(
                    f"{name}: {run['exams_per_s']:.3g} exams/s; 1,000,000 such exams: {days:.3g} days of this device"
                )


def _run(command: list[str]) -> dict[str, Any]:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)}\n{ran.stdout}{ran.stderr}")
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast fourview is on this machine.")
    parser.add_argument("--input", type=Path, help="exams to read; default: full-size synthetic ones")
    parser.add_argument("--weights", type=Path, action="append", help="weights folder; several are an ensemble")
    parser.add_argument("--exams", type=int, default=3, help="synthetic exams for the batch (0: no batch)")
    parser.add_argument("--scale", type=float, default=1.0, help="of what is drawn: 1 = full size")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--json", type=Path, help="also write all numbers to this file")
    given = parser.parse_args()
    bench = Bench(Console(highlight=False, width=110), given.device)
    machine = bench.found["machine"] = bench.measure("machine")
    bench.console.print(
        f"{machine['gpu'] if given.device == 'cuda' else machine['processor']}, {machine['threads']} threads, "
        f"{' '.join(machine['units'])}; torch {machine['torch']}; "
        f"allocator: {machine['settings'] or 'defaults of the system, nothing set'}"
    )
    precisions = ["fp32"]
    if given.device == "cuda" or {"amx_bf16", "avx512_bf16"} & set(machine["units"]):
        precisions.append("bf16")
    usable = [p for p in precisions if p == "fp32" or given.device == "cuda" or "amx_bf16" in machine["units"]]
    bench.found["matrix"] = {p: bench.measure("matrix", device=given.device, precision=p) for p in precisions}
    for precision, rate in bench.found["matrix"].items():
        bench.console.print(
            f"large matrix product, {precision}: {rate['flop_per_s'] / 1e12:.3g} TFLOP/s (by {rate['by']})"
        )
    if usable != precisions:
        bench.console.print(
            "bf16 here has no matrix unit: its rows show what it would do; `fourview screen` refuses it"
        )

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        weights = given.weights or [work / "untrained"]
        if not given.weights:
            _fourview("weights", "untrained", "--scale", str(given.scale), "--out", str(weights[0]))
        one = given.input
        if one is None:
            one = work / "one"
            _draw(one, exams=1, scale=given.scale)
        with_patches = next((w for w in weights if load_card(w).patch is not None), None)
        if with_patches is not None:
            bench.networks(with_patches, precisions)
        for precision in usable:
            bench.command(
                precision, one, weights, work / f"out_{precision}", "--precision", precision, "--device", given.device
            )
        bench.show_stages()
        if given.exams:
            many = work / "many"
            _draw(many, exams=given.exams, scale=given.scale)
            bench.found["commands"].clear()
            for files in ("all", "readings"):
                options = ("--files", files, "--precision", usable[-1], "--device", given.device)
                bench.command(f"batch, {usable[-1]}, --files {files}", many, weights, work / f"batch_{files}", *options)
            bench.show_stages()
            bench.show_million()
    if given.json:
        given.json.write_text(json.dumps(bench.found, indent=1) + "\n")


def _draw(folder: Path, *, exams: int, scale: float) -> None:
    """Exams of one size: a population has units of several."""
    for number in range(1, exams + 1):
        exam = draw_exam(np.random.default_rng([0, number]), scale=scale, number=number)
        write_exam(exam, folder / f"exam_{number:04d}")


def _fourview(*arguments: str) -> None:
    subprocess.run([*FOURVIEW, *arguments], check=True, stdout=subprocess.DEVNULL, env=os.environ)


if __name__ == "__main__":
    main()
