"""Training as a slow loop over torch's own modules, in float64: what a run through the engine is held against.

Nothing of the worker is in it but the order of the cases, which is chance's.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from models.plan import Plan
from tests.worker.trials import run_of, trainer_of
from worker.results import RunResult

Loss = Callable[[Tensor, Tensor], Tensor]


def perceptron(plan: Plan, phi: nn.Module) -> nn.Sequential:
    """The linear layers of an mlp without norms, φ between them; its weights are torch's."""
    parts: list[nn.Module] = [nn.Flatten()]
    for layer in plan.layers:
        parts += [nn.Linear(layer.fan_in, layer.fan_out, dtype=torch.float64), phi]
    return nn.Sequential(*parts[:-1])


def start_as(model: nn.Sequential, plan: Plan, seed: int = 0) -> nn.Sequential:
    """With the weights that a run of this plan and seed begins with."""
    given = list(trainer_of(plan, seed=seed, dtype=torch.float64).model.parameters())
    with torch.no_grad():
        for its, other in zip(model.parameters(), given, strict=True):
            its.copy_(other)
    return model


def batches(plan: Plan, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """(x, y) of every step."""
    trainer = trainer_of(plan, seed=seed, dtype=torch.float64, record=False)
    for step in range(plan.steps):
        part = trainer.batches.of(step)
        yield part.x, part.y


def train_plainly(
    model: nn.Module, plan: Plan, loss: Loss, optimizer: torch.optim.Optimizer, *, seed: int = 0
) -> list[float]:
    """The loss of every step before its update."""
    losses = []
    for x, y in batches(plan, seed):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(value.item())
    return losses


def train_by_engine(plan: Plan, *, seed: int = 0) -> tuple[list[float], RunResult]:
    """The same through the engine, in float64."""
    records, _, result = run_of(plan, seed=seed, dtype=torch.float64)
    return [record.loss for record in records], result
