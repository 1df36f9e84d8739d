"""`python -m benchmarks.store`: what preparing a set costs, that the bytes never differ, and what a random patch costs.

    python -m benchmarks.store [--exams 12] [--scale 1.0] [--mini-mias ROOT] [--work FOLDER] [--json FILE]

Draws four-view phantom exams as JPEG-lossless DICOM (or takes mini-MIAS), and prepares them with 1 and 2 jobs, on a
local Dask cluster of 2 workers, and killed twice (SIGKILL) and resumed: images/s, peak memory of all processes
together (resident sets summed, sampled), and whether the stores are the same byte for byte. Then random 256 px
patches from the store beside the same crops as PNG files, which have to be decoded whole. Needs fourview[cluster].
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import gdcm
import numpy as np
import psutil
from joblib import Parallel, delayed
from rich.console import Console
from rich.table import Table

from fourview.datasets import DATASETS
from fourview.datasets.reading import load_record
from fourview.datasets.record import Dataset, ImageRecord, Lesion, Listing, MaskFile
from fourview.exam import VIEWS, View
from fourview.phantom import draw_exam, write_exam
from fourview.store.lock import FILE as LOCK_FILE
from fourview.store.prepare import prepare
from fourview.store.prepare_image import CropSettings
from fourview.store.store import Store

PATCH = 256
SAMPLE_S = 0.05


def write_phantoms(root: Path, *, exams: int, scale: float) -> None:
    """Folders exam_0001 ... with four JPEG-lossless files, and for breasts with findings the mask of the first one."""
    Parallel(n_jobs=2)(delayed(_write_phantom)(root / f"exam_{n:04d}", n, scale) for n in range(1, exams + 1))


def _write_phantom(folder: Path, number: int, scale: float) -> None:
    if folder.exists():
        return
    part = folder.with_name(f".{folder.name}")
    drawn = draw_exam(np.random.default_rng([7, number]), scale=scale, number=number)
    for path in write_exam(drawn, part):
        _compress(path)
    for image in drawn.images:
        if image.masks:
            cv2.imwrite(str(part / f"{image.view}_mask.png"), image.masks[0].astype(np.uint8) * 255)
    part.rename(folder)


def _compress(path: Path) -> None:
    """The DICOM file in JPEG Lossless, process 14, selection value 1, as most archives send it."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    if not reader.Read():
        raise SystemExit(f"gdcm cannot read {path.name}")
    change.SetInput(reader.GetImage())
    writer = gdcm.ImageWriter()
    if not change.Change():
        raise SystemExit(f"gdcm cannot compress {path.name}")
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    if not writer.Write():
        raise SystemExit(f"gdcm cannot write {path.name}")


def find_phantoms(root: Path) -> Listing:
    return Listing(tuple(_record(folder, view) for folder in sorted(root.glob("exam_*")) for view in VIEWS))


def _record(folder: Path, view: View) -> ImageRecord:
    mask = folder / f"{view}_mask.png"
    lesions = (Lesion("1", "mass", region=MaskFile(mask)),) if mask.exists() else ()
    number = int(folder.name[5:])
    return ImageRecord(
        "phantoms",
        patient=folder.name,
        exam=folder.name,
        image=f"{folder.name}_{view}",
        path=folder / f"{number}_{view.value.replace('-', '_')}.dcm",
        side=view.side,
        angle=view.angle,
        lesions=lesions,
    )


PHANTOMS = Dataset(
    name="phantoms",
    title="Phantom exams",
    has="four-view exams",
    terms="none",
    source="drawn here",
    read_here="all of it",
    find=find_phantoms,
    load=load_record,
)


def run(how: dict[str, Any], log: Path) -> dict[str, Any]:
    """One `prepare` in a process of its own: seconds, images, peak memory. kill_at: stored images at SIGKILL."""
    command = [sys.executable, "-m", "benchmarks.store", "--run", json.dumps(how)]
    peak, start = 0, time.perf_counter()
    with log.open("w") as said:
        child = subprocess.Popen(command, stdout=said, stderr=said, cwd=Path(__file__).parents[1])
        process = psutil.Process(child.pid)
        while child.poll() is None:
            peak = max(peak, _resident(process))
            if (at := how.get("kill_at")) and len(list(Path(how["out"]).glob("images/*/*.h5"))) >= at:
                os.kill(child.pid, signal.SIGKILL)
            time.sleep(SAMPLE_S)
    lines = log.read_text().splitlines()
    if child.returncode and not (how.get("kill_at") and child.returncode == -signal.SIGKILL):
        raise SystemExit("\n".join(lines))
    found = json.loads(next(line for line in lines if line.startswith("{"))) if not child.returncode else {}
    return {"wall_s": time.perf_counter() - start, "peak_mb": peak / 1e6, **found}


def _resident(process: psutil.Process) -> int:
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            try:
                total += one.memory_info().rss
            except psutil.Error:  # it ended just now
                continue
    except psutil.Error:
        return 0
    return total


def prepare_here(how: dict[str, Any]) -> None:
    """What `run` runs; prints one line of JSON. Time counts from the call of prepare, with processes to be started."""
    dataset = {"phantoms": PHANTOMS, **DATASETS}[how["dataset"]]
    options = {"crop": CropSettings(**how["crop"]), "jobs": how["jobs"], "resume": how.get("resume", False)}

    def measured(cluster: str | None) -> None:
        start = time.perf_counter()
        result = prepare(dataset, Path(how["root"]), Path(how["out"]), cluster=cluster, **options)
        seconds = time.perf_counter() - start
        found = {
            "prepare_s": seconds,
            "images": result.prepared,
            "failed": result.failed,
            "there": result.already_there,
        }
        print(json.dumps(found))  # noqa: T201 - read by `run`

    if not how.get("workers"):
        measured(None)
        return
    from distributed import LocalCluster  # noqa: PLC0415 - only this measurement needs Dask

    with LocalCluster(n_workers=how["workers"], threads_per_worker=1, dashboard_address=None) as cluster:
        measured(cluster.scheduler_address)


def hash_store(store: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for p in store.rglob("*") if p.is_file() and p.name != LOCK_FILE):
        digest.update(f"{path.relative_to(store)} ".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def read_patches(store: Store, folder: Path, *, patches: int, images: int = 40) -> dict[str, float]:
    """Milliseconds for one random patch of a random image: from the store, and from a PNG file of the same crop."""
    rng = np.random.default_rng(0)
    names = store.images["image"].to_list()
    names = [names[i] for i in rng.permutation(len(names))[:images]]
    folder.mkdir()
    shapes, bytes_png = {}, 0
    for name in names:
        crop = store.read_crop(name)
        shapes[name] = crop.shape
        crop = crop.astype(np.uint8) if crop.max() < 256 else crop
        cv2.imwrite(str(folder / f"{name}.png"), crop)
        bytes_png += (folder / f"{name}.png").stat().st_size
    blobs = dict(zip(store.images["image"], store.images["blob"], strict=True))
    seconds = {"store": 0.0, "png": 0.0}
    for _ in range(patches):
        name = names[rng.integers(len(names))]
        top, left = (int(rng.integers(max(size - PATCH, 0) + 1)) for size in shapes[name])
        start = time.perf_counter()
        mine = store.read_patch(name, top, left, PATCH, PATCH)
        middle = time.perf_counter()
        whole = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        theirs = whole[top : top + PATCH, left : left + PATCH]
        seconds["store"] += middle - start
        seconds["png"] += time.perf_counter() - middle
        if (mine[: theirs.shape[0], : theirs.shape[1]] != theirs).any():
            raise SystemExit(f"{name}: the store and the PNG file differ")
    return {
        "store_ms": 1e3 * seconds["store"] / patches,
        "png_ms": 1e3 * seconds["png"] / patches,
        "ratio": seconds["png"] / seconds["store"],
        "store_mb_per_image": sum((store.path / blobs[name]).stat().st_size for name in names) / 1e6 / len(names),
        "png_mb_per_image": bytes_png / 1e6 / len(names),
        "mean_megapixels": float(np.mean([rows * cols for rows, cols in shapes.values()])) / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__.splitlines()[0])
    parser.add_argument("--exams", type=int, default=12, help="phantom exams (4 images each)")
    parser.add_argument("--scale", type=float, default=1.0, help="of the phantoms: 1 = 3328 x 2560 pixels")
    parser.add_argument("--mini-mias", type=Path, help="prepare this folder instead of phantoms")
    parser.add_argument("--work", type=Path, help="keep phantoms and stores here, phantoms for the next time")
    parser.add_argument("--patches", type=int, default=400)
    parser.add_argument("--json", type=Path, help="also write all numbers to this file")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        prepare_here(json.loads(given.run))
        return
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        _measure(given, work, Console(highlight=False, width=110))


def _measure(given: argparse.Namespace, work: Path, console: Console) -> None:
    if given.mini_mias:
        root, name, images, iterations = (
            given.mini_mias,
            "mini-mias",
            len(DATASETS["mini-mias"].find(given.mini_mias).records),
            100,
        )
    else:
        root, name, images, iterations = (
            work / f"phantoms_{given.scale:g}",
            "phantoms",
            4 * given.exams,
            round(100 * given.scale),
        )
        console.print(f"[dim]drawing {given.exams} exams[/]")
        write_phantoms(root, exams=given.exams, scale=given.scale)
        kept = work / f"first_{given.exams}"
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir()
        for number in range(1, given.exams + 1):
            (kept / f"exam_{number:04d}").symlink_to((root / f"exam_{number:04d}").resolve())
        root = kept
    base = {
        "dataset": name,
        "root": str(root),
        "jobs": 1,
        "crop": {"iterations": iterations, "buffer_px": iterations // 2},
    }
    found: dict[str, Any] = {"dataset": name, "images": images, "load_average": os.getloadavg(), "cpus": os.cpu_count()}
    rows: dict[str, dict[str, Any]] = {}
    ways = {
        "1 job": {},
        "2 jobs": {"jobs": 2},
        "Dask cluster, 2 workers": {"workers": 2},
        "2 jobs, killed at 1/4": {"jobs": 2, "kill_at": max(images // 4, 1)},
        "... again at 1/2": {"jobs": 2, "resume": True, "kill_at": images // 2},
        "... and resumed": {"jobs": 2, "resume": True},
    }
    out = work / "store"
    for number, (what, own) in enumerate(ways.items()):
        if not own.get("resume"):
            out = work / f"store_{number}"
            shutil.rmtree(out, ignore_errors=True)
        console.print(f"[dim]{what}[/]")
        log = work / f"log_{number}.txt"  # one each: workers of a killed run may still write into theirs
        rows[what] = run({**base, "out": str(out), **own}, log)
        if "images" in rows[what]:
            rows[what]["store"] = hash_store(out)
        console.print(f"[dim]{rows[what]}[/]")
    found["runs"] = rows
    table = Table(title=f"{name}: {images} images; {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    for column in ("", "images/s", "seconds", "peak MB, all processes", "store (hash of all bytes)"):
        table.add_column(column, justify="left" if column == "" else "right")
    for what, row in rows.items():
        done = "images" in row
        made = row["images"] - row["there"] if done else 0
        speed = f"{made / row['prepare_s']:.2f}" if done else "killed"
        table.add_row(
            what, speed, f"{row.get('prepare_s', row['wall_s']):.1f}", f"{row['peak_mb']:.0f}", row.get("store", "")
        )
    console.print(table)
    hashes = {row["store"] for row in rows.values() if "store" in row}
    found["identical"] = len(hashes) == 1
    console.print("all stores are the same, byte for byte" if len(hashes) == 1 else "[bold red]the stores differ[/]")
    with tempfile.TemporaryDirectory() as folder:
        patches = read_patches(Store.open(work / "store_0"), Path(folder) / "png", patches=given.patches)
    found["patches"] = patches
    console.print(
        f"random {PATCH} px patch of a random crop ({patches['mean_megapixels']:.1f} Mpixel): store "
        f"{patches['store_ms']:.2f} ms, PNG {patches['png_ms']:.1f} ms, ratio {patches['ratio']:.0f}; per image "
        f"{patches['store_mb_per_image']:.2f} MB, PNG {patches['png_mb_per_image']:.2f} MB"
    )
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
