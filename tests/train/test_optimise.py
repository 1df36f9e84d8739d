"""Learning rates, what the optimiser remembers, the running average."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fourview.train.optimise import (
    build_optimiser,
    gradient_norm,
    learning_rate,
    load_optimiser,
    move_average,
    optimiser_tensors,
)
from fourview.train.recipe_parts import Optimiser, Schedule

ADAM = Optimiser(name="adam", lr=0.1, weight_decay=0.0)


def rates(schedule: Schedule, *, epochs: int = 4, steps: int = 10, drops: int = 0) -> list[float]:
    return [
        learning_rate(ADAM, schedule, at=number / steps, step=1 / steps, epochs=epochs, drops=drops)
        for number in range(epochs * steps)
    ]


def test_a_constant_rate_is_constant() -> None:
    assert set(rates(Schedule(kind="constant"))) == {0.1}


def test_warming_up_rises_evenly_and_reaches_the_rate_at_its_last_step() -> None:
    found = rates(Schedule(kind="constant", warm_up_epochs=0.5))
    assert found[:6] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1, 0.1])


def test_a_cosine_falls_from_the_rate_to_the_last_share_of_it() -> None:
    found = rates(Schedule(kind="cosine", warm_up_epochs=1.0, last_share=0.2))
    assert found[10] == pytest.approx(0.1)
    assert found[25] == pytest.approx(0.1 * (0.2 + 0.8 / 2))
    assert found == [*sorted(found[:10]), *sorted(found[10:], reverse=True)]
    assert found[-1] == pytest.approx(0.1 * (0.2 + 0.8 * (1 + math.cos(math.pi * 29 / 30)) / 2))


def test_a_plateau_multiplies_by_the_factor_at_each_drop() -> None:
    assert set(rates(Schedule(kind="plateau", factor=0.5), drops=2)) == {0.025}


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "rmsprop"])
def test_what_an_optimiser_remembers_goes_there_and_back(name: str) -> None:
    recipe = Optimiser.model_validate({"name": name, "lr": 0.1, "weight_decay": 0.01})

    def start() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        network = nn.Linear(3, 2)
        return network, build_optimiser(network, recipe)

    def move(network: nn.Module, optimiser: torch.optim.Optimizer, seed: int) -> None:
        optimiser.zero_grad()
        network(torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))).square().sum().backward()
        optimiser.step()

    first, optimiser = start()
    move(first, optimiser, 1)
    weights, memory = first.state_dict(), optimiser_tensors(optimiser)
    second, other = start()
    second.load_state_dict({key: value.clone() for key, value in weights.items()})
    load_optimiser(other, {key: value.clone() for key, value in memory.items()} | {"network.weight": torch.zeros(1)})
    move(first, optimiser, 2)
    move(second, other, 2)
    assert torch.equal(first.weight, second.weight)
    assert memory


def test_the_gradient_norm_is_over_all_weights() -> None:
    weights = [
        torch.zeros(1, requires_grad=True),
        torch.zeros(2, requires_grad=True),
        torch.zeros(1, requires_grad=True),
    ]
    weights[0].grad, weights[1].grad = torch.tensor([3.0]), torch.tensor([0.0, 4.0])
    assert float(gradient_norm(weights)) == 5.0


def test_a_running_average_follows_fast_at_first_and_then_keeps_its_share() -> None:
    network = nn.BatchNorm1d(1)
    average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        network.weight.fill_(2.0)
    move_average(average, network, keep=0.5, steps=0)
    assert float(average["weight"]) == pytest.approx(1.9)  # share of the old value: 1 / 10
    move_average(average, network, keep=0.5, steps=1000)
    assert float(average["weight"]) == pytest.approx(1.95)
    assert average["num_batches_tracked"].dtype == torch.int64
