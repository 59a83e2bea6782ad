"""What networks of one structure hold and are trained with, as tensors of all of them: the networks come first.

Each network keeps its part as its own: its parameters, its buffers, its cases and its optimiser's memory are views, so
that it can be evaluated, kept in a checkpoint, and leave the others at any step.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.specs.optimizer import AdamWSpec, OptimizerSpec
from worker.datasets.split import Part
from worker.optimizers import build_optimizer
from worker.trainer import Trainer


class HeldWeights:
    """``parameters`` (networks, …), leaves that ask for gradients, and ``buffers``, by the names of one network."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        self.parameters = {name: its.requires_grad_() for name, its in _stacked(models, nn.Module.named_parameters)}
        self.buffers = dict(_stacked(models, nn.Module.named_buffers))
        self._names = {id(its): name for name, its in models[0].named_parameters()}

    def of(self, parameter: Tensor) -> Tensor:
        """All networks' of what is ``parameter`` of the first."""
        return self.parameters[self._names[id(parameter)]]

    def without(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        """All networks' of what is none of these ``parameters`` of the first."""
        names = {self._names[id(its)] for its in parameters}
        return [its for name, its in self.parameters.items() if name not in names]


@torch.no_grad()
def _stacked(models: Sequence[nn.Module], named: Any) -> list[tuple[str, Tensor]]:
    """Every tensor of all, whose parts the models have from now on."""
    held = []
    for (name, first), *others in zip(*(named(model) for model in models), strict=True):
        tensors = [first, *(its for _, its in others)]
        stacked = torch.stack([its.detach() for its in tensors])
        for its, part in zip(tensors, stacked.unbind(), strict=True):
            its.data = part
        held.append((name, stacked))
    return held


class HeldCases:
    """The training cases of all, (networks, cases, …), each network's in its own order."""

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self._trainers = trainers
        parts = [trainer.batches.part for trainer in trainers]
        self._x, self._y = (torch.stack(its) for its in zip(*((part.x, part.y) for part in parts), strict=True))
        for trainer, x, y in zip(trainers, self._x.unbind(), self._y.unbind(), strict=True):
            trainer.batches.part = Part(x, y)  # the same cases, without a copy of their own
        self._rows = torch.arange(len(trainers), device=self._x.device)[:, None]
        self._order: tuple[int, Tensor] | None = None

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """x and y of a step, (networks, cases, …)."""
        epoch, cases = self._trainers[0].batches.place(step)
        if self._order is None or self._order[0] != epoch:
            orders = torch.stack([trainer.batches.order(epoch) for trainer in self._trainers])
            self._order = epoch, orders.to(self._x.device)
        chosen = self._order[1][:, cases]
        return self._x[self._rows, chosen], self._y[self._rows, chosen]


class HeldOptimizer:
    """The optimisers of all, which differ in their rate and weight decay alone: torch's own over tensors of all.

    Every rule of torch ends in the rate times a direction. So it is asked for the direction, by a step from zero at
    rate 1, and each network takes it at its own rate.
    """

    def __init__(self, trainers: Sequence[Trainer], weights: HeldWeights) -> None:
        self._trainers = trainers
        self._weights = [weights.of(its) for its in trainers[0].parameters]
        self._directions = [nn.Parameter(torch.zeros_like(its)) for its in self._weights]
        self._optimizer = build_optimizer(at_unit_rate(trainers[0].plan.optimizer), self._directions, [])
        self._decays = [float(getattr(trainer.plan.optimizer, "weight_decay", 0.0)) for trainer in trainers]
        self._is_shared = False
        if any(trainers[0].optimizer.state.values()):
            self._go_on()

    @torch.no_grad()
    def step(self) -> None:
        for weight, direction in zip(self._weights, self._directions, strict=True):
            direction.grad = weight.grad
        torch._foreach_zero_([*self._directions])
        self._optimizer.step()
        if not self._is_shared:
            self._share()
        rates, device = [trainer.rate for trainer in self._trainers], self._weights[0].device
        if any(self._decays):
            kept = numbers((1.0 - rate * decay for rate, decay in zip(rates, self._decays, strict=True)), device)
            for weight in self._weights:
                weight.mul_(of_each(kept, weight))
        lengths = numbers(rates, device)
        for weight, direction in zip(self._weights, self._directions, strict=True):
            weight.addcmul_(direction, of_each(lengths, weight))

    def _go_on(self) -> None:
        """With the memories that the optimisers have."""
        for place, direction in enumerate(self._directions):
            memories = [trainer.optimizer.state[trainer.parameters[place]] for trainer in self._trainers]
            self._optimizer.state[direction] = {
                # One count of steps is that of all.
                name: torch.stack([memory[name] for memory in memories])
                if first.shape == direction.shape[1:]
                else first.clone()
                for name, first in memories[0].items()
            }
        self._share()

    def _share(self) -> None:
        """Each optimiser has its part of all memories."""
        self._is_shared = True
        for place, direction in enumerate(self._directions):
            for name, held in self._optimizer.state[direction].items():
                for number, trainer in enumerate(self._trainers):
                    part = held[number] if held.shape == direction.shape else held
                    trainer.optimizer.state[trainer.parameters[place]][name] = part


def at_unit_rate(optimizer: OptimizerSpec) -> OptimizerSpec:
    """What optimisers have in common that can take their steps as one."""
    changes = {"learning_rate": 1.0, "schedule": None}
    if isinstance(optimizer, AdamWSpec):
        changes["weight_decay"] = 0.0
    return optimizer.model_copy(update=changes)


def numbers(values: Iterable[float], device: torch.device) -> Tensor:
    """One of each network, (networks,) float64; the host does not wait for the copy."""
    return torch.tensor(list(values), dtype=torch.float64).to(device, non_blocking=True)


def of_each(of_networks: Tensor, like: Tensor) -> Tensor:
    """``of_networks`` (networks,) so that each meets its network's part of ``like`` (networks, …)."""
    return of_networks.to(like.dtype).view(-1, *[1] * (like.dim() - 1))
