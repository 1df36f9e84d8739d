"""Crops through networks -> the probability of malignant: the mean over networks and over mirrored and turned forms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fourview.networks.lesion import BENIGN, MALIGNANT, LesionNetwork
from fourview.studies.lesion.cases import LesionView
from fourview.studies.lesion.lesion_input import LOG_DIAMETER, PATCH, ReadLesion

FORMS = 8  # of a square that is turned by right angles and mirrored
_AT_ONCE = 8  # crops, in all of their forms
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answers:
    """Of crops, (crops,) each: p of malignant, and logit = log-odds of malignant, both means."""

    p: Floats
    logit: Floats


def turn(crops: Tensor, form: int) -> Tensor:
    """(batch, channels, side, side) in one of its FORMS: 0 as it is, 1 to 3 turned left, 4 to 7 the same mirrored."""
    crops = torch.flip(crops, dims=(3,)) if form >= FORMS // 2 else crops
    return torch.rot90(crops, form % 4, dims=(2, 3))


@torch.inference_mode()
def answer_crops(
    networks: Sequence[LesionNetwork], crops: Tensor, log_diameter: Tensor | None = None, *, dihedral: bool = True
) -> Answers:
    """What networks in evaluation mode say of crops.

    crops         (batch, 1, side, side), standardised;  log_diameter  (batch, 1) or None
    dihedral      each crop in all of its forms
    """
    forms = FORMS if dihedral else 1
    turned = torch.cat([turn(crops, form) for form in range(forms)])
    sizes = None if log_diameter is None else log_diameter.repeat(forms, 1)
    said = torch.stack([network(turned, sizes).double() for network in networks])
    said = said.reshape(len(networks) * forms, len(crops), 2)
    p = torch.softmax(said, dim=2)[..., MALIGNANT].mean(dim=0)
    logit = (said[..., MALIGNANT] - said[..., BENIGN]).mean(dim=0)
    return Answers(p.cpu().numpy(), logit.cpu().numpy())


def answer_views(
    networks: Sequence[LesionNetwork],
    views: Sequence[LesionView],
    read: ReadLesion,
    *,
    dihedral: bool,
    device: torch.device,
    on_view: Callable[[int, int], None] = lambda done, total: None,
) -> Answers:
    """The same of lesions of a store, some at once. networks: on `device`. Raises ExamError for a broken file."""
    found = list(_answer_some(networks, views, read, dihedral=dihedral, device=device, on_view=on_view))
    return Answers(np.concatenate([one.p for one in found]), np.concatenate([one.logit for one in found]))


def _answer_some(
    networks: Sequence[LesionNetwork],
    views: Sequence[LesionView],
    read: ReadLesion,
    *,
    dihedral: bool,
    device: torch.device,
    on_view: Callable[[int, int], None],
) -> Iterator[Answers]:
    for first in range(0, len(views), _AT_ONCE):
        inputs = [read(view, None) for view in views[first : first + _AT_ONCE]]
        crops = torch.from_numpy(np.stack([one[PATCH] for one in inputs])).to(device)
        size = None
        if LOG_DIAMETER in inputs[0]:
            size = torch.from_numpy(np.stack([one[LOG_DIAMETER] for one in inputs])).to(device)
        yield answer_crops(networks, crops, size, dihedral=dihedral)
        on_view(first + len(inputs), len(views))
