"""One lesion through its networks: maps and where they lie, what every unit saw, what the last layer sees."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fourview.exam import ExamError
from fourview.explain.baseline import blur_inputs
from fourview.explain.cells import Cells, measure_cells
from fourview.explain.lesion_target import LesionTarget
from fourview.explain.methods import MethodName, attribute
from fourview.explain.sanity import draw_anew
from fourview.explain.target import Tensors
from fourview.networks.lesion import LesionNetwork
from fourview.store.store import Store
from fourview.studies.lesion.answers import answer_crops
from fourview.studies.lesion.cases import LesionView
from fourview.studies.lesion.crops import GreyRange, LesionCrop, cut_lesion
from fourview.studies.lesion.lesion_input import standardise
from fourview.studies.lesion.lesion_weights import LesionCard, LesionWeights
from fourview.studies.lesion.signs.zones import Shares, chance_shares, disc_map, edge_map, find_zones, measure_shares

Array = NDArray[np.float32]
LesionMethod = Literal["gate"] | MethodName
INPUT = "crop"
DRAWN = ", drawn anew"  # ends the name of a map of networks without knowledge
EDGES, DISC, CHANCE = "gradient of the image", "centred disc", "chance"
CONTROLS = (EDGES, DISC)


@dataclass(frozen=True, eq=False)
class UnitsSeen:
    """What the units of one network made of a crop.

    highest  (channels,) of the last map, times the gate;  cells  (channels,) where: row * cols + col of the map
    seen     (features,) what the last layer sees;  seen_drawn  the same of the network with weights drawn anew
    """

    highest: Array
    cells: NDArray[np.int64]
    seen: Array
    seen_drawn: Array


@dataclass(frozen=True, eq=False)
class LesionSeen:
    """p, logit  of malignant, as `lesion read` says them; shares  name of a map -> where it lies; units  per network"""

    p: float
    logit: float
    shares: Mapping[str, Shares]
    units: Mapping[int, UnitsSeen]


@dataclass(frozen=True, eq=False)
class LesionLens:
    """Loaded networks and how they are asked.

    store    where lesions are cut from; None: they come cut
    methods  whose maps are made;  cells  of the last map of each network;  seed  of noise
    drawn    a copy of each network with weights drawn anew
    """

    store: Store | None
    weights: LesionWeights
    methods: tuple[LesionMethod, ...]
    networks: tuple[LesionNetwork, ...]
    drawn: tuple[LesionNetwork, ...]
    cells: tuple[Cells, ...]
    device: torch.device
    seed: int = 0

    @classmethod
    def open(
        cls,
        store: Store | None,
        weights: LesionWeights,
        *,
        methods: Sequence[LesionMethod],
        device: torch.device,
        seed: int,
    ) -> LesionLens:
        """seed: of the drawn weights, and of noise"""
        networks = tuple(network.to(device).eval().requires_grad_(False) for network in weights.networks)
        drawn = tuple(draw_anew(network, seed=seed + place) for place, network in enumerate(networks))
        side = weights.card.crop.side_px
        blank = torch.zeros((1, 1, side, side), device=device)
        size = torch.zeros((1, 1), device=device) if weights.card.network.size else None
        cells = tuple(measure_cells(LesionTarget(network, size), INPUT, blank) for network in networks)
        return cls(store, weights, tuple(methods), networks, drawn, cells, device, seed)  # type: ignore[arg-type]

    @property
    def card(self) -> LesionCard:
        return self.weights.card

    def cut(self, view: LesionView, grey: GreyRange | None = None) -> LesionCrop:
        """The crop that the networks read. Raises ExamError."""
        if self.store is None:
            raise ValueError("found no store to cut from")
        return cut_lesion(self.store, view, scale=self.card.crop.scale, side_px=self.card.crop.side_px, grey=grey)

    def read(self, view: LesionView, networks: Sequence[int]) -> LesionSeen:
        """Everything of one lesion image; maps are means over its networks. Raises ExamError for a broken file."""
        crop = self.cut(view)
        zones = find_zones(crop)
        x, size = self.stack(crop, view.name)
        said = answer_crops([self.networks[n] for n in networks], x, size, dihedral=self.card.ensemble.dihedral)
        shares = {CHANCE: chance_shares(zones), EDGES: measure_shares(edge_map(crop), zones)}
        shares[DISC] = measure_shares(disc_map(crop, share=1 / self.outlined_share), zones)
        for method in self.methods:
            for ending, chosen in (("", self.networks), (DRAWN, self.drawn)):
                found = self.map(method, x, size, networks, chosen=chosen)
                if ending and not (found > 0).any():  # a network that knows nothing does not know which class is which
                    found = self.map(method, x, size, networks, chosen=chosen, swapped=True)
                shares[f"{method}{ending}"] = measure_shares(found, zones)
        units = {n: self._see(n, x, size) for n in networks}
        return LesionSeen(float(said.p[0]), float(said.logit[0]), shares, units)

    @property
    def outlined_share(self) -> float:
        """How many times as long a crop's side is as its lesion's; 2 where the crop has another rule."""
        scale = self.card.crop.scale
        return float(scale) if isinstance(scale, int | float) else 2.0

    def stack(self, crop: LesionCrop, name: str) -> tuple[Tensor, Tensor | None]:
        """The input (1, 1, side, side), and the diameter, where the networks ask for it."""
        x = torch.from_numpy(standardise(crop.pixels)[None, None]).to(self.device)
        if not self.card.network.size:
            return x, None
        if crop.diameter_mm is None:
            raise ExamError(f"{name}: found no pixel size, and the network reads the size in mm")
        return x, torch.tensor([[math.log(crop.diameter_mm)]], dtype=torch.float32, device=self.device)

    def map(
        self,
        method: LesionMethod,
        x: Tensor,
        size: Tensor | None,
        networks: Sequence[int],
        *,
        chosen: Sequence[LesionNetwork] | None = None,
        swapped: bool = False,
    ) -> Array:
        """(side, side) of one method, the mean over networks.

        chosen  other networks in their places;  swapped  of the log-odds of benign
        """
        baselines = blur_inputs({INPUT: x})
        own = chosen or self.networks
        made = [
            self._map_one(method, LesionTarget(own[n], size, swapped=swapped), self.cells[n], {INPUT: x}, baselines)
            for n in networks
        ]
        return np.asarray(np.mean(made, axis=0), np.float32)

    def _map_one(
        self, method: LesionMethod, target: LesionTarget, cells: Cells, inputs: Tensors, baselines: Tensors
    ) -> Array:
        if method != "gate":
            return attribute(method, target, inputs, baselines=baselines, cells={INPUT: cells}, seed=self.seed)[INPUT]
        gate = target.gate(inputs[INPUT])
        if gate is None:
            raise ExamError("gate: found a network without a gate")
        side = inputs[INPUT].shape[2]
        return cells.spread(np.asarray(gate[0].cpu().numpy(), np.float32), (side, side))

    def _see(self, number: int, x: Tensor, size: Tensor | None) -> UnitsSeen:
        with torch.inference_mode():
            last = self.networks[number].look(x, size).last
            highest, cells = last[0].flatten(1).max(dim=1)
            seen = self.networks[number].penultimate(last, size)[0]
            drawn = self.drawn[number].penultimate(self.drawn[number].look(x, size).last, size)[0]
        return UnitsSeen(
            np.asarray(highest.cpu().numpy(), np.float32),
            np.asarray(cells.cpu().numpy(), np.int64),
            np.asarray(seen.cpu().numpy(), np.float32),
            np.asarray(drawn.cpu().numpy(), np.float32),
        )


OnLesion = Callable[[int, int], None]  # done, total; may raise
