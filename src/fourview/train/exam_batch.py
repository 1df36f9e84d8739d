"""A batch of exams -> what every head says of them: the loss, and the mean over heads that is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fourview.networks.exam import Head
from fourview.train.stage import UNKNOWN, Batch

Columns = Mapping[str, Sequence[int]]  # head -> the columns of the targets that its rows are about


@dataclass(frozen=True, eq=False)
class _Spoken:
    """What one head says: (samples, columns, answers) log-probabilities of these samples and columns of the batch."""

    log_p: Tensor
    samples: Tensor
    columns: Tensor


def mean_loss(network: nn.Module, batch: Batch, *, heads: Sequence[Head], columns: Columns) -> Tensor:
    """Cross-entropy: of each known target the mean over the heads that speak about it, then the mean over targets.

    0 where none is known. Method: Wu et al. 2019.
    """
    spoken = _ask(network, batch, heads, columns)
    costs = []
    for said in spoken:
        targets = batch.targets[said.samples[:, None], said.columns].clamp(min=0)
        costs.append(-said.log_p.gather(2, targets[:, :, None]))
    known = batch.targets != UNKNOWN
    cost, voices = _add_up(batch, spoken, costs)
    total = ((cost / voices.clamp(min=1))[:, :, 0] * known).sum()
    if len(spoken) < len(heads):  # a view that no exam of the batch has: with several devices, all must have gradients
        total = total + 0.0 * torch.stack([weight.sum() for weight in network.parameters()]).sum()
    return total / known.sum().clamp(min=1)


def mean_answers(network: nn.Module, batch: Batch, *, heads: Sequence[Head], columns: Columns) -> Tensor:
    """(samples, columns, answers) probabilities, the mean over the heads that speak; NaN where none does."""
    spoken = _ask(network, batch, heads, columns)
    total, voices = _add_up(batch, spoken, [said.log_p.exp() for said in spoken])
    return total / voices


def _add_up(batch: Batch, spoken: Sequence[_Spoken], values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """(samples, columns, n): the sums over heads of their values, each (samples of the head, its columns, n).

    And (samples, columns, 1): how many heads spoke.
    """
    shape, device = batch.targets.shape, batch.targets.device
    total, voices = torch.zeros((*shape, values[0].shape[2]), device=device), torch.zeros((*shape, 1), device=device)
    for said, value in zip(spoken, values, strict=True):
        total[said.samples[:, None], said.columns] += value
        voices[said.samples[:, None], said.columns] += 1
    return total, voices


def _ask(network: nn.Module, batch: Batch, heads: Sequence[Head], columns: Columns) -> list[_Spoken]:
    """Views that an exam lacks (NaN, see stage.Batch) are not shown to the network."""
    windows, samples = dict(batch.inputs), {}
    single = all(len(head.views) == 1 for head in heads)
    everyone = torch.arange(len(batch.targets), device=batch.targets.device)
    for view, window in batch.inputs.items():
        samples[view] = everyone
        if single:
            there = ~torch.isnan(window[:, 0, 0, 0])
            windows[view], samples[view] = window[there], everyone[there]
    answers = network(windows)
    return [
        _Spoken(
            answers[head.name].float(),
            samples[head.views[0]],
            torch.tensor(columns[head.name], device=batch.targets.device),
        )
        for head in heads
        if head.name in answers
    ]
