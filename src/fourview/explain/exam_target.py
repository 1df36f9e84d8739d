"""The logit of a finding of one breast, of an exam network: a target whose inputs are the windows of images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fourview.exam import Finding, Side, View
from fourview.explain.target import Tensors
from fourview.networks.exam import Head, WiredNetwork
from fourview.networks.resnet22 import ResNet22

SIDE_WORDS: Mapping[Side, str] = {Side.LEFT: "left", Side.RIGHT: "right"}


@dataclass(frozen=True, eq=False)
class ExamTarget:
    """The mean over heads of log p / (1 - p), where a head answers for the finding of the side.

    views  input's name -> its view. Of views with several images, a head is asked for every combination of one image
           per view, and every head counts the same, as in a reading (there probabilities are averaged)
    """

    network: WiredNetwork
    views: Mapping[str, View]
    side: Side
    finding: Finding

    @property
    def words(self) -> str:
        return f"log-odds of {self.finding}, {SIDE_WORDS[self.side]} breast"

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads that answer and have all their views."""
        there = {view.value for view in self.views.values()}
        label = self.side.value, self.finding
        return tuple(head for head in self.network.heads if label in head.labels and set(head.views) <= there)

    @property
    def seen(self) -> tuple[str, ...]:
        """The inputs that these heads see; no other has a say."""
        views = {view for head in self.heads for view in head.views}
        return tuple(name for name, view in self.views.items() if view.value in views)

    def last_map(self, name: str, x: Tensor) -> Tensor:
        column = self.network.column(self.views[name].angle)
        if not isinstance(column, ResNet22):
            raise TypeError(f"a column of type {type(column).__name__}")
        return column.feature_map(x)

    def read(self, maps: Tensors) -> Tensor:
        features = {name: found.mean(dim=(2, 3)) for name, found in maps.items()}
        return torch.stack([self._ask(head, features) for head in self.heads]).mean(dim=0)

    def _ask(self, head: Head, features: Tensors) -> Tensor:
        """(batch,) log-odds of one head, the mean over combinations of images."""
        row = head.labels.index((self.side.value, self.finding))
        answers = [self.network.read_head(head, one)[:, row] for one in self._combine(head, features)]
        return torch.stack([said[:, 1] - said[:, 0] for said in answers]).mean(dim=0)

    def _combine(self, head: Head, features: Tensors) -> Iterator[dict[str, Tensor]]:
        names = [[name for name in features if self.views[name].value == view] for view in head.views]
        for chosen in itertools.product(*names):
            yield {view: features[name] for view, name in zip(head.views, chosen, strict=True)}
