"""What a lesion network says of one crop, and the gate that its last map went through."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fourview.explain.target import Tensors
from fourview.networks.lesion import BENIGN, MALIGNANT, LesionNetwork


@dataclass(frozen=True, eq=False)
class LesionTarget:
    """The logit of malignant minus that of benign: the log-odds of malignant.

    log_diameter  (1, 1), for a network that asks for the lesion's size; None: it does not
    swapped       the log-odds of benign instead
    """

    network: LesionNetwork
    log_diameter: Tensor | None = None
    words: str = "log-odds of malignant"
    swapped: bool = False

    def last_map(self, name: str, x: Tensor) -> Tensor:
        """The last map times the gate."""
        return self.network.look(x, self._sizes(len(x))).last

    def read(self, maps: Tensors) -> Tensor:
        (last,) = maps.values()
        logits = self.network.judge(last, self._sizes(len(last)))
        plus, minus = (BENIGN, MALIGNANT) if self.swapped else (MALIGNANT, BENIGN)
        return logits[:, plus] - logits[:, minus]

    def gate(self, x: Tensor) -> Tensor | None:
        """(batch, h, w) in 0..1, a value per cell of the last map; None: the network has no gate."""
        with torch.inference_mode():
            found = self.network.look(x, self._sizes(len(x))).gate
        return None if found is None else found[:, 0]

    def _sizes(self, batch: int) -> Tensor | None:
        return None if self.log_diameter is None else self.log_diameter.expand(batch, 1)
