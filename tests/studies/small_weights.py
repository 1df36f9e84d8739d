"""Untrained weights with windows of a few hundred pixels, which read images at the size that they have."""

from __future__ import annotations

from pathlib import Path

from fourview.weights.card import Geometry, Input, WiringName
from fourview.weights.folder import load_weights, save_weights
from fourview.weights.untrained import write_untrained

GEOMETRY = Geometry(
    crop_iterations=10,
    crop_buffer_px=8,
    window_cc_px=(150, 110),
    window_mlo_px=(160, 100),
    location_noise_px=(6, 6),
    size_noise_px=6,
)


def write_small(
    folder: Path,
    *,
    wiring: WiringName = "single-image",
    heatmaps: bool = False,
    seed: int = 0,
    phantoms_only: bool = False,
) -> Path:
    """The folder. phantoms_only: its card says that it was trained, on phantoms only."""
    drawn = folder.with_name(f"{folder.name} as drawn")
    write_untrained(drawn, wiring=wiring, heatmaps=heatmaps, scale=0.1, seed=seed)
    loaded = load_weights(drawn)
    training = loaded.card.training
    if phantoms_only:
        training = training.model_copy(update={"trained": True, "data": "phantoms", "phantoms_only": True})
    card = loaded.card.model_copy(
        update={"name": folder.name, "input": Input(), "geometry": GEOMETRY, "training": training}
    )
    assert loaded.exam is not None
    patch = loaded.patch.state_dict() if loaded.patch is not None else None
    save_weights(folder, card, exam=loaded.exam.state_dict(), patch=patch)
    return folder
