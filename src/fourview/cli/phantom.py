"""fourview phantom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fourview.cli.app import app
from fourview.exam import SetupError


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Output folder: new or empty.")],
    exams: Annotated[int, typer.Option(min=1, help="How many.")] = 1,
    scale: Annotated[float, typer.Option(min=0.05, max=1, help="1 = full size, 0.07 mm pixels.")] = 0.25,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Draw synthetic screening exams as DICOM mammograms, one folder per exam."""
    import numpy as np

    from fourview.phantom import draw_exam, write_exam

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SetupError(f"output {out}: exists and is not an empty folder; name a new one")
    for number in range(1, exams + 1):
        rng = np.random.default_rng([seed, number])
        write_exam(draw_exam(rng, scale=scale, number=number), out / f"exam_{number:04d}")
    typer.echo(f"{exams} synthetic exams in {out}")
