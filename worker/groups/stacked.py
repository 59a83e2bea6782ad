"""Networks of one structure as one: their steps side by side, x of all members in one tensor (members, cases, …).

Products and element-wise steps are made for all members at once. Whatever has no such form (norms, factors that are
learned, weights under a rule) each member makes by its own module, hooks and all.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gradient_clinic.probe.together import Together
from worker.groups.products import StackedLinear
from worker.networks import nodes
from worker.networks.network import Activated, Chain, Network, Plain, Sum
from worker.networks.nodes import Weights
from worker.networks.parts import Dropout

Stacked = Callable[[Tensor], Tensor]


class StackedNetwork:
    """``networks`` as one. Their weights move into tensors of all members; each keeps its part as its own."""

    def __init__(self, networks: Sequence[Network], together: Together | None) -> None:
        self._together = together
        points = networks[0].points()
        # Of the first member: where a layer's h is met, and its weight.
        self._shown = {id(point.module): index for index, point in enumerate(points)}
        self._weight = {id(point.weight): index for index, point in enumerate(points)}
        self._linear: list[StackedLinear] = []
        self._body = self._chain([network.body for network in networks])
        moved = {id(parameter) for linear in self._linear for parameter, _ in linear.moved}
        self._others = [its for network in networks for its in network.parameters() if id(its) not in moved]

    def __call__(self, x: Tensor) -> Tensor:
        return self._body(x)

    def begin_backward(self) -> None:
        """What backward writes is in place, and what it adds to is gone."""
        for linear in self._linear:
            for parameter, gradient in linear.moved:
                parameter.grad = gradient
        for parameter in self._others:
            parameter.grad = None

    # --- building -----------------------------------------------------------------------------------------------

    def _chain(self, chains: Sequence[Chain]) -> Stacked:
        steps = [self._step(its) for its in zip(*(chain.steps for chain in chains), strict=True)]

        def run(x: Tensor) -> Tensor:
            for step in steps:
                x = step(x)
            return x

        return run

    def _step(self, steps: Sequence[Any]) -> Stacked:
        first = steps[0]
        match first:
            case Weights() if isinstance(first.linear, nn.Linear) and not parametrize.is_parametrized(first.linear):
                return self._weights(steps)
            case Activated() if not any(True for _ in first.activation.parameters()):
                dropout = [its.dropout for its in steps]
                return _after(first.activation, dropped(dropout) if first.dropout is not None else None)
            case Plain() if isinstance(first.module, Dropout):
                return dropped([its.module for its in steps])
            case Sum():
                return self._sum(steps)
            case nodes.Flatten():
                return lambda x: x.flatten(2)
        return each(steps)

    def _weights(self, steps: Sequence[Weights]) -> Stacked:
        first = steps[0]
        maps: Sequence[Any] = [its.linear for its in steps]
        linear = StackedLinear(maps, self._weight.get(id(first.linear.weight)), self._together)
        self._linear.append(linear)
        if first.norm is None:
            return self._showing(linear, first.linear)
        norms: Sequence[Any] = [its.norm for its in steps]
        return _after(linear, each(norms))

    def _sum(self, steps: Sequence[Sum]) -> Stacked:
        first = steps[0]
        body = self._chain([its.body for its in steps])
        shortcut = None if first.shortcut is None else self._chain([its.shortcut for its in steps])  # type: ignore[misc]
        gate = None if first.gate is None else self._step([its.gate for its in steps])

        def total(x: Tensor) -> Tensor:
            branch = body(x)
            beside = x if shortcut is None else shortcut(x)
            if gate is not None:
                branch = gate(x).sigmoid() * (branch - beside)
            elif first.factor is not None:
                factors: Sequence[Any] = [its.factor for its in steps]
                branch = torch.stack([factor * one for factor, one in zip(factors, branch.unbind(), strict=True)])
            elif first.fixed != 1.0:
                branch = first.fixed * branch
            return beside + branch

        return self._showing(total, first)

    def _showing(self, step: Stacked, module: nn.Module) -> Stacked:
        """``step``, whose result the probes see where a layer's h is met at ``module``."""
        index, together = self._shown.get(id(module)), self._together
        if index is None or together is None:
            return step

        def run(x: Tensor) -> Tensor:
            h = step(x)
            if together.recording:
                together.watch(index, h)
            return h

        return run


def each(modules: Sequence[nn.Module]) -> Stacked:
    """Each member's own module on its part."""

    def run(x: Tensor) -> Tensor:
        return torch.stack([module(one) for module, one in zip(modules, x.unbind(), strict=True)])

    return run


def dropped(dropouts: Sequence[Dropout]) -> Stacked:
    """Masks are each member's own draw; using them is one operation for all."""

    def run(x: Tensor) -> Tensor:
        keep = torch.empty_like(x)
        for its, dropout in zip(keep, dropouts, strict=True):
            dropout.draw(its)
        return dropouts[0].masked(x, keep)

    return run


def _after(first: Stacked, then: Stacked | None) -> Stacked:
    return first if then is None else lambda x: then(first(x))
