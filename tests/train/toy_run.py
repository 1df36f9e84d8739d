"""A toy run in a process of its own: python -m tests.train.toy_run OUT [--devices N] [--strict] [KEY=VALUE ...].

--strict  a process that is not the first dies when it opens a file of OUT
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from fourview.exam import SetupError
from fourview.train.devices import SaidByFirstError, launched, on_first, open_fabric
from fourview.train.loop import train
from tests.train.toy_stage import open_toy_run, toy_stage


def forbid_files(out: Path) -> None:
    def watch(event: str, values: tuple[Any, ...]) -> None:
        if event in ("open", "os.mkdir", "os.rename", "os.listdir") and str(out) in str(values[0]):
            raise SystemExit(f"another process than the first touches {values[0]}")

    sys.addaudithook(watch)


def run(out: Path, settings: list[str], *, devices: int, strict: bool = False) -> int:
    more: dict[str, Any] = {key: value for key, value in (text.split("=", 1) for text in settings) if "." not in key}
    more |= {key: kind(more[key]) for key, kind in (("pause_s", float), ("unlabelled", int)) if key in more}
    stage = toy_stage(*(text for text in settings if text.split("=")[0] not in more), **more)
    fabric = open_fabric(stage.recipe, devices=devices, accelerator="cpu")
    try:
        with launched(fabric):
            if strict and not fabric.is_global_zero:
                forbid_files(out)
            folder = on_first(fabric, lambda: open_toy_run(out, stage.recipe, resume=True))
            trained = train(stage, folder, fabric=fabric, resume=True)
    except SaidByFirstError:
        return 0
    except SetupError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130 if fabric.is_global_zero else 0
    if fabric.is_global_zero:
        save_file(trained.tensors, out / "trained.safetensors")
    return 0


if __name__ == "__main__":
    out, *settings = sys.argv[1:]
    devices, strict = 1, "--strict" in settings
    if strict:
        settings.remove("--strict")
    if "--devices" in settings:
        place = settings.index("--devices")
        devices = int(settings[place + 1])
        del settings[place : place + 2]
    sys.exit(run(Path(out), settings, devices=devices, strict=strict))
