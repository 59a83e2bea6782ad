"""What looks at steps: readouts, positions, attention, and the loops of recurrent layers."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.code.pieces.modules import Layer
from models.code.pieces.randomness import generator


class OverSteps(nn.Module):
    """A step that looks at ``lengths`` (cases,): how many steps each case has."""

    lengths: Tensor | None = None


class Network(nn.Sequential):
    """Steps in their order; those that need the lengths of the cases are told them before each pass."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        for step in self.modules():
            if isinstance(step, OverSteps):
                step.lengths = lengths
        result: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return result


class LastStep(nn.Module):
    """(cases, steps, units) → (cases, units)."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, -1]


class MeanOverSteps(nn.Module):
    """(cases, steps, units) → (cases, units)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=1)


class LastStepOfEach(OverSteps):
    """(cases, steps, units) → (cases, units): the one before the padding."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.lengths is not None
        return x[torch.arange(len(x), device=x.device), self.lengths - 1]


class MeanOverStepsOfEach(OverSteps):
    """(cases, steps, units) → (cases, units), the padding left out."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.lengths is not None
        inside = (torch.arange(x.shape[1], device=x.device) < self.lengths[:, None]).to(x.dtype)
        return (x * inside[:, :, None]).sum(dim=1) / self.lengths[:, None].to(x.dtype)


class Positions(nn.Module):
    """A learned vector for each step, added."""

    def __init__(self, seed: int, steps: int, units: int, std: float) -> None:
        super().__init__()
        vectors = torch.empty(steps, units, dtype=torch.float64)
        self.vectors = nn.Parameter(vectors.normal_(0.0, std, generator=generator(seed, "positions")))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.vectors[: x.shape[1]]


class Attention(OverSteps):
    """softmax(Q·Kᵀ/√d)·V for each head, of queries, keys and values side by side: (…, 3·units) → (…, units).

    Steps behind a case's end are not looked at, and with ``causal`` no later ones.
    """

    def __init__(self, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal

    def forward(self, x: Tensor) -> Tensor:
        cases, steps, wide = x.shape
        queries, keys, values = x.view(cases, steps, 3, self.heads, wide // (3 * self.heads)).permute(2, 0, 3, 1, 4)
        scores = queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1])
        order = torch.arange(steps, device=x.device)
        if self.causal:
            scores = scores.masked_fill(order[None, :] > order[:, None], -math.inf)
        if self.lengths is not None:
            scores = scores.masked_fill((order >= self.lengths[:, None])[:, None, None, :], -math.inf)
        mixed: Tensor = scores.softmax(dim=-1) @ values
        return mixed.transpose(1, 2).reshape(cases, steps, wide // 3)


class Recurrent(nn.Module):
    """The loop over steps: W_ih·x_t + b_ih, which comes in, and W_hh·h + b_hh of the layer ``back``.

    After every ``truncate`` steps the state is detached (truncated backpropagation through time).
    """

    def __init__(self, back: Layer, truncate: int | None = None) -> None:
        super().__init__()
        self.back, self.truncate = back, truncate

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.back.linear.weight, self.back.linear.bias
        h = x.new_zeros(len(x), weight.shape[1])
        c, shown = torch.zeros_like(h), []
        for step, given in enumerate(x.unbind(1)):
            if self.truncate is not None and step and step % self.truncate == 0:
                h, c = h.detach(), c.detach()
            h, c = self.step(given, functional.linear(h, weight, bias), h, c)  # type: ignore[arg-type]
            shown.append(h)
        return torch.stack(shown, dim=1)

    def step(self, given: Tensor, back: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The states (h, c) after this step."""
        raise NotImplementedError


class Rnn(Recurrent):
    """h ← φ(W_ih·x_t + b_ih + W_hh·h + b_hh)."""

    def __init__(self, back: Layer, phi: nn.Module, truncate: int | None = None) -> None:
        super().__init__(back, truncate)
        self.phi = phi

    def step(self, given: Tensor, back: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return self.phi(given + back), c


class Lstm(Recurrent):
    """c ← σ(f)·c + σ(i)·tanh(g) and h ← σ(o)·tanh(c) (Hochreiter & Schmidhuber 1997)."""

    def __init__(self, back: Layer, truncate: int | None = None, forget_bias: float = 0.0) -> None:
        super().__init__(back, truncate)
        if forget_bias:
            with torch.no_grad():
                back.linear.bias.chunk(4)[1].add_(forget_bias)  # type: ignore[union-attr,operator]

    def step(self, given: Tensor, back: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = (given + back).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class Gru(Recurrent):
    """h ← (1 − z)·tanh(n) + z·h (Cho et al. 2014); r multiplies W_hn·h + b_hn, as in torch's own."""

    def step(self, given: Tensor, back: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        width = h.shape[1]
        r, z = (given[:, : 2 * width] + back[:, : 2 * width]).sigmoid().chunk(2, dim=1)
        new = given[:, 2 * width :] + r * back[:, 2 * width :]
        return (1.0 - z) * new.tanh() + z * h, c
