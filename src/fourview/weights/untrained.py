"""Weights folders with drawn values: for demonstrations and tests. Their readings mean nothing, and say so."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from fourview.weights.card import Card, ExamNetwork, Geometry, Input, PatchNetwork, Training, WiringName
from fourview.weights.folder import build_exam, build_patch, save_weights

FULL_SPACING_MM = 0.07
LAST_LAYERS = ("classifier.weight", "output.weight")


def untrained_card(name: str, *, wiring: WiringName = "view-wise", heatmaps: bool = True, scale: float = 1.0) -> Card:
    """A card whose geometry is the published one at `scale` (1 = 0.07 mm pixels); small networks below 1."""

    def px(length: int) -> int:
        return max(1, round(length * scale))

    geometry = Geometry(
        crop_iterations=px(100),
        crop_buffer_px=px(50),
        window_cc_px=(px(2677), px(1942)),
        window_mlo_px=(px(2974), px(1748)),
        location_noise_px=(px(100), px(100)),
        size_noise_px=px(100),
    )
    small = scale < 1
    patch = PatchNetwork(
        side_px=max(32, 32 * round(256 * scale / 32)),
        stride_px=px(70),
        blocks=(2, 2, 2, 2) if small else (6, 12, 24, 16),
        growth=8 if small else 32,
        stem=16 if small else 64,
    )
    spacing = FULL_SPACING_MM / scale
    return Card(
        name=name,
        exam=ExamNetwork(wiring=wiring, heatmaps=heatmaps, width=8 if small else 16),
        patch=patch if heatmaps else None,
        input=Input(spacing_mm=spacing, spacing_range_mm=(spacing / 2, spacing * 2), resample="always"),
        geometry=geometry,
        training=Training(trained=False, data="none: values drawn at random"),
        licence="Apache-2.0",
        notes="Untrained. Readings of this network mean nothing.",
    )


def write_untrained(
    out: Path, *, wiring: WiringName = "view-wise", heatmaps: bool = True, scale: float = 0.25, seed: int = 0
) -> Card:
    """Write an untrained weights folder, the same for the same seed. Raises SetupError if `out` exists."""
    card = untrained_card(out.name, wiring=wiring, heatmaps=heatmaps, scale=scale)
    generator = torch.Generator().manual_seed(seed)
    exam = _draw(build_exam(card.exam), generator) if card.exam else None
    patch = _draw(build_patch(card.patch), generator) if card.patch else None
    return save_weights(out, card, exam=exam, patch=patch)


def _draw(network: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """Values that keep signals alive through the depth: He's normal for weights, mild batch statistics."""
    drawn = {}
    for name, tensor in network.state_dict().items():
        kind = name.rsplit(".", 1)[-1]
        if not tensor.is_floating_point():
            drawn[name] = torch.zeros_like(tensor)
        elif kind == "running_var" or (kind == "weight" and tensor.ndim == 1):
            drawn[name] = 0.5 + torch.rand(tensor.shape, generator=generator)
        elif kind in ("running_mean", "bias"):
            drawn[name] = 0.1 * torch.randn(tensor.shape, generator=generator)
        else:
            fan_in = tensor[0].numel()
            gain = 0.1 if name.endswith(LAST_LAYERS) else 2**0.5  # modest answers, neither 0 nor 1
            drawn[name] = torch.randn(tensor.shape, generator=generator) * gain / fan_in**0.5
    return drawn
