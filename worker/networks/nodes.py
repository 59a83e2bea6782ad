"""A module per step of a plan's tree. Those over sequences take the cases' lengths; all others ignore them."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize

from models.plan import LayerPlan
from models.plan.tree import Attend, Pool, Positions, Readout, Recur, time_steps
from worker.networks.initialise import initialise
from worker.networks.parts import activation_module, norm_module
from worker.randomness import generator

Lengths = Tensor | None


class Step(nn.Module):
    """One step of a pass. ``lengths`` (cases,) where cases end early."""

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        raise NotImplementedError


class Weights(Step):
    """W·x + b over the last axis, or a convolution over channels, or a row per token; then the layer's norm."""

    def __init__(self, layer: LayerPlan, seed: int) -> None:
        super().__init__()
        self.layer = layer
        self.linear = _map(layer)
        weight: Tensor = self.linear.weight  # type: ignore[assignment]  # of every map
        # Before the rule below: under one, W is computed at each access and cannot be drawn in place.
        initialise(weight, getattr(self.linear, "bias", None), layer, seed)
        self.norm = (
            None
            if layer.normalization is None
            else norm_module(layer.normalization, layer.units, image=layer.kind == "conv2d")
        )
        _put_under_rule(self.linear, layer, seed)

    @property
    def trained(self) -> Tensor:
        return _trained(self.linear)

    @property
    def point(self) -> nn.Module:
        return self.linear if self.norm is None else self.norm

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        x = self.linear(x)
        normed: Tensor = x if self.norm is None else self.norm(x)
        return normed


def _map(layer: LayerPlan) -> nn.Module:
    # The classes draw weights of their own from the global generator: time, and a side effect.
    match layer.kind:
        case "conv2d":
            depth = layer.fan_in // layer.kernel_size**2
            sides = {"stride": layer.stride, "padding": layer.padding, "dtype": torch.float64}
            return nn.utils.skip_init(nn.Conv2d, depth, layer.units, layer.kernel_size, **sides)  # type: ignore[no-untyped-call,no-any-return]
        case "embedding":
            return nn.Embedding(
                layer.fan_in, layer.units, _weight=torch.empty(layer.fan_in, layer.units, dtype=torch.float64)
            )
    return nn.utils.skip_init(nn.Linear, layer.fan_in, layer.units, bias=layer.bias, dtype=torch.float64)  # type: ignore[no-untyped-call,no-any-return]


def _put_under_rule(linear: nn.Module, layer: LayerPlan, seed: int) -> None:
    match layer.weight_rule:
        case "weight_norm":
            parametrizations.weight_norm(linear, dim=1 if layer.kind == "embedding" else 0)  # a g per unit
        case "spectral_norm":
            # Power iteration starts from random vectors; torch draws them globally, so they are drawn again.
            parametrizations.spectral_norm(linear)
            _restart(linear, generator(seed, "spectral_norm", layer.name))


def _trained(linear: nn.Module) -> Tensor:
    """The tensor that is trained: W itself, or under a rule what W is computed from (of weight norm V, not g)."""
    if not parametrize.is_parametrized(linear):
        return linear.weight  # type: ignore[return-value]
    of_weight: Any = linear.parametrizations.weight  # type: ignore[union-attr]
    trained: Tensor = of_weight.original1 if hasattr(of_weight, "original1") else of_weight.original
    return trained


@torch.no_grad()
def _restart(linear: nn.Module, random: torch.Generator) -> None:
    rule: Any = linear.parametrizations.weight[0]  # type: ignore[union-attr,index]
    for name in ("_u", "_v"):
        vector: Tensor = getattr(rule, name)
        vector.copy_(functional.normalize(torch.empty_like(vector).normal_(generator=random), dim=0))
    original: Tensor = linear.parametrizations.weight.original  # type: ignore[union-attr,assignment]
    matrix = original.flatten(1)
    rule._power_method(matrix, 15)  # noqa: SLF001 -- what torch does at registration


class Flatten(Step):
    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        return x.flatten(1)


class Rows(Step):
    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        return x.transpose(1, 2).flatten(2)


class Steps(Step):
    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        return x.unsqueeze(-1)


class Pooled(Step):
    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(pool.size) if pool.how == "max" else nn.AvgPool2d(pool.size)

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        result: Tensor = self.pool(x)
        return result


class MeanOfPixels(Step):
    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        return x.mean(dim=(2, 3))


class ReadOut(Step):
    """(cases, steps, units) → (cases, units): each case's last step, or the mean over its steps."""

    def __init__(self, readout: Readout) -> None:
        super().__init__()
        self.how = readout.how

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        # Of cases that end early the last step is the one before the padding.
        if self.how == "last":
            return x[:, -1] if lengths is None else x[torch.arange(len(x), device=x.device), lengths - 1]
        if lengths is None:
            return x.mean(dim=1)
        inside = (torch.arange(x.shape[1], device=x.device) < lengths[:, None]).to(x.dtype)
        return (x * inside[:, :, None]).sum(dim=1) / lengths[:, None].to(x.dtype)


class LearnedPositions(Step):
    def __init__(self, positions: Positions, seed: int) -> None:
        super().__init__()
        vectors = torch.empty(positions.steps, positions.units, dtype=torch.float64)
        self.vectors = nn.Parameter(vectors.normal_(0.0, positions.init_std, generator=generator(seed, "positions")))

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        return x + self.vectors[: x.shape[1]]


class Attention(Step):
    """softmax(Q·Kᵀ/√d)·V per head; steps behind a case's end, and with ``causal`` later ones, are not looked at."""

    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self.heads, self.causal = attend.heads, attend.causal

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        cases, steps, wide = x.shape
        queries, keys, values = x.view(cases, steps, 3, self.heads, wide // (3 * self.heads)).permute(2, 0, 3, 1, 4)
        # In plain operations: fused kernels differ by device, and have no deterministic backward on all of them.
        scores = queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1])
        order = torch.arange(steps, device=x.device)
        if self.causal:
            scores = scores.masked_fill(order[None, :] > order[:, None], -math.inf)
        if lengths is not None:
            scores = scores.masked_fill((order >= lengths[:, None])[:, None, None, :], -math.inf)
        mixed: Tensor = scores.softmax(dim=-1) @ values
        return mixed.transpose(1, 2).reshape(cases, steps, wide // 3)


class Recurrence(Step):
    """The loop over steps. Keeps its pre-activations and states while a probe listens; see the probe."""

    def __init__(self, recur: Recur, seed: int) -> None:
        super().__init__()
        self.recur, self.layer = recur, recur.layer
        layer = self.layer
        self.linear: nn.Linear = _map(layer)  # type: ignore[assignment]  # its kind is "recurrent": linear
        initialise(self.linear.weight, self.linear.bias, layer, seed)
        if recur.forget_bias:
            with torch.no_grad():
                self.linear.bias[recur.units : 2 * recur.units] += recur.forget_bias  # i, f, g, o
        _put_under_rule(self.linear, layer, seed)
        self.phi = activation_module(layer.activation) if layer.activation is not None else None
        self.listening = False
        self.given: Tensor | None = None
        self.entering: list[tuple[Tensor, ...]] = []
        """What enters the gates, per step."""
        self.states: list[Tensor] = []
        """h_t, of an LSTM c_t, from the state before the first step on."""
        self.lengths: Lengths = None
        self.time_steps: Sequence[int] = time_steps(recur.steps)

    @property
    def trained(self) -> Tensor:
        return _trained(self.linear)

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        self.entering, self.states, self.lengths = [], [], lengths
        if self.listening:
            # A tensor of this layer's own: whoever else reads x adds to ∂L/∂x. Behind frozen layers x asks for none.
            x = self.given = x.view_as(x) if x.requires_grad else x.detach().requires_grad_()
        # A state that asks for a gradient even before the first step: ∂L/∂state_0 is where the time axis begins.
        hidden = x.new_zeros(len(x), self.recur.units, requires_grad=self.listening and torch.is_grad_enabled())
        state = (hidden, torch.zeros_like(hidden).requires_grad_(hidden.requires_grad))
        if self.listening:
            self.states.append(state[1] if self.recur.cell == "lstm" else hidden)
        shown = []
        weight, bias = self.linear.weight, self.linear.bias  # once: a rule computes W at every access
        for step, given in enumerate(x.unbind(1)):
            if self.recur.truncate is not None and step and step % self.recur.truncate == 0:
                # Truncated backpropagation: no gradient passes here, and the trace shows an exact zero beyond.
                state = (state[0].detach(), state[1].detach())
            state = self._step(given, functional.linear(state[0], weight, bias), state)
            shown.append(state[0])
        return torch.stack(shown, dim=1)

    def _step(self, given: Tensor, back: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """(h, c) after one step; ``given`` is W_ih·x_t + b_ih, ``back`` is W_hh·h + b_hh."""
        hidden, cell = state
        match self.recur.cell:
            case "lstm":
                entering = given + back
                i, f, g, o = entering.chunk(4, dim=1)
                cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
                hidden = o.sigmoid() * cell.tanh()
                self._keep((entering,), cell)
            case "gru":
                width = self.recur.units
                gates = given[:, : 2 * width] + back[:, : 2 * width]
                r, z = gates.sigmoid().chunk(2, dim=1)
                # r multiplies W_hn·h + b_hn and not h, as in torch's own GRU.
                new = given[:, 2 * width :] + r * back[:, 2 * width :]
                hidden = (1.0 - z) * new.tanh() + z * hidden
                self._keep((gates, new), hidden)
            case _:
                assert self.phi is not None  # cells of one gate have an activation
                entering = given + back
                hidden = self.phi(entering)
                self._keep((entering,), hidden)
        return hidden, cell

    def _keep(self, entering: tuple[Tensor, ...], state: Tensor) -> None:
        if self.listening:
            self.entering.append(entering)
            self.states.append(state)
