"""Linear maps of many members in one product, each member's result being that of its own product bit for bit.

A batched product goes through the same kernel as a single one for most shapes, and not for all (a matrix of one row or
column is a vector). So each shape is tried once in a process, on random numbers: the order of a product's sums does not
depend on what is summed. Where one differs it is made member by member.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from gradient_clinic.probe.together import Together
from worker.groups.structure import LANES
from worker.randomness import generator


class StackedLinear:
    """x·Wᵀ + b of each member: (members, cases, fan in) to (members, cases, units).

    The members' weights move into one tensor (members, units, fan in), of which each keeps its part, and so do their
    gradients: backward writes them all at once, and nothing has to be added up.
    """

    def __init__(self, maps: Sequence[Any], index: int | None, together: Together | None) -> None:
        self._index, self._together = index, together
        self.weight, self.of_weight, weights = _moved([its.weight for its in maps])
        self._transposed = self.weight.transpose(1, 2)
        self.moved, self.bias, self.of_bias = weights, None, None
        if maps[0].bias is not None:
            self.bias, self.of_bias, biases = _moved([its.bias for its in maps])
            self.moved = [*weights, *biases]
        # A leaf that asks for a gradient, so that a pass reaches the first layer, whose x does not.
        self._asking = self.weight.new_zeros((), requires_grad=True)

    def __call__(self, x: Tensor) -> Tensor:
        h: Tensor = _Product.apply(x, self._asking, self)  # type: ignore[no-untyped-call]
        return h

    def product(self, x: Tensor) -> Tensor:
        if _same_forward(*self._shape(x)):
            return (
                torch.bmm(x, self._transposed)
                if self.bias is None
                else torch.baddbmm(self.bias[:, None], x, self._transposed)
            )
        biases = [None] * len(x) if self.bias is None else self.bias
        pairs = zip(x, self.weight, biases, strict=True)
        return torch.stack([nn.functional.linear(one, weight, bias) for one, weight, bias in pairs])

    def towards_input(self, delta: Tensor, x: Tensor) -> Tensor:
        """∂L/∂x."""
        if _same_towards_input(*self._shape(x)):
            return torch.bmm(delta, self.weight)
        return torch.stack([one.mm(weight) for one, weight in zip(delta, self.weight, strict=True)])

    def keep_gradients(self, delta: Tensor, x: Tensor) -> None:
        """∂L/∂W and ∂L/∂b into the members' ``.grad``."""
        if _same_weight_gradient(*self._shape(x)):
            torch.bmm(delta.transpose(1, 2), x, out=self.of_weight)
        else:
            for its, one, entered in zip(self.of_weight, delta, x, strict=True):
                its.copy_(one.t().mm(entered))
        if self.of_bias is not None:
            torch.sum(delta, 1, out=self.of_bias)
        if self._index is not None and self._together is not None and self._together.recording:
            self._together.see_gradient(self._index)

    def _shape(self, x: Tensor) -> tuple[int, int, int, int, torch.dtype]:
        members, cases, fan_in = x.shape
        return members, cases, fan_in, self.weight.shape[1], x.dtype


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, _asking: Tensor, linear: StackedLinear) -> Tensor:
        ctx.linear = linear
        ctx.save_for_backward(x)
        return linear.product(x)

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, None, None]:
        (x,) = ctx.saved_tensors
        before = ctx.linear.towards_input(delta, x) if ctx.needs_input_grad[0] else None
        ctx.linear.keep_gradients(delta, x)
        return before, None, None


@torch.no_grad()
def _moved(parameters: Sequence[nn.Parameter]) -> tuple[Tensor, Tensor, list[tuple[nn.Parameter, Tensor]]]:
    """The tensor that now holds all of them, (members, *shape), one for their gradients, and each with its part."""
    first = parameters[0]
    # As aligned as a tensor of its own: products and loops may go another way where memory begins elsewhere.
    room = -(-first.numel() // LANES) * LANES
    held, gradients = (
        first.new_zeros(len(parameters), room)[:, : first.numel()].view(-1, *first.shape) for _ in range(2)
    )
    for parameter, its in zip(parameters, held, strict=True):
        parameter.data = its.copy_(parameter)
    return held, gradients, list(zip(parameters, gradients, strict=True))


# --- whether a product of many is that of each -------------------------------------------------------------------


@cache
def _same_forward(members: int, cases: int, fan_in: int, units: int, dtype: torch.dtype) -> bool:
    x, weight = _drawn(members, cases, fan_in, dtype), _drawn(members, units, fan_in, dtype)
    bias, rows = _drawn(members, 1, units, dtype), weight.transpose(1, 2)
    alone = [nn.functional.linear(one, its, b[0]) for one, its, b in zip(x, weight, bias, strict=True)]
    unbiased = [nn.functional.linear(one, its) for one, its in zip(x, weight, strict=True)]
    plain = torch.equal(torch.bmm(x, rows), torch.stack(unbiased))
    return plain and torch.equal(torch.baddbmm(bias, x, rows), torch.stack(alone))


@cache
def _same_towards_input(members: int, cases: int, fan_in: int, units: int, dtype: torch.dtype) -> bool:
    delta, weight = _drawn(members, cases, units, dtype), _drawn(members, units, fan_in, dtype)
    alone = [one.mm(its) for one, its in zip(delta, weight, strict=True)]
    return torch.equal(torch.bmm(delta, weight), torch.stack(alone))


@cache
def _same_weight_gradient(members: int, cases: int, fan_in: int, units: int, dtype: torch.dtype) -> bool:
    delta, x = _drawn(members, cases, units, dtype), _drawn(members, cases, fan_in, dtype)
    alone = [one.t().mm(its) for one, its in zip(delta, x, strict=True)]
    sums = torch.equal(delta.sum(1), torch.stack([one.sum(0) for one in delta]))
    return sums and torch.equal(torch.bmm(delta.transpose(1, 2), x), torch.stack(alone))


def _drawn(members: int, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
    return torch.empty(members, rows, columns, dtype=dtype).normal_(generator=generator(0, "products", rows, columns))
