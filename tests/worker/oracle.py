"""Every signal by its formula, slowly: one more pass in float64 with hooks of its own, loops over steps of its own,
autograd for each h, state and W, and plain sums for the rest. Shares the linear maps and norms with what it judges, and
neither probe nor meters.
"""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gradient_clinic.activations import Activation
from models.plan import LayerPlan, Plan
from worker import networks
from worker.datasets.split import Part
from worker.networks.network import Network
from worker.networks.nodes import Recurrence

BOUNDED = {"tanh", "sigmoid", "softsign", "hardtanh", "hardsigmoid", "relu6"}
EVERYWHERE_STEEP = {"leaky_relu", "prelu", "elu", "celu"}
PARAMETERS = {"leaky_relu": "negative_slope", "elu": "alpha", "celu": "alpha"}


@dataclass(frozen=True)
class Told:
    """What the oracle says of one layer in one step."""

    activation_rms: float
    activation_gradient_rms: float
    weight_gradient_norm: float
    weight_gradient_max: float
    weight_norm: float
    update_ratio: float
    dead_fraction: float
    saturated_fraction: float
    nonfinite_count: float


@dataclass(frozen=True)
class Oracle:
    layers: list[Told]
    loss: float
    gradient_norm: float
    states: dict[str, tuple[float, float]]
    """(rms, gradient rms) by the name of the recorded state."""


State = dict[str, Tensor]


def tell(plan: Plan, before: State, after: State, part: Part, seed: int = 0) -> Oracle:
    """The signals of the step that led from the state ``before`` to ``after``, on the batch ``part``."""
    model = networks.build(plan.network, seed)
    model.load_state_dict({name: its.double() if its.is_floating_point() else its for name, its in before.items()})
    hs, loops = listened(model)
    x = part.x.double() if part.x.is_floating_point() else part.x
    loss = loss_of(plan, model(x, part.lengths), part.y)
    learned = dict(model.named_parameters())
    of_loops = [its for loop in loops.values() for its in (*loop.states, *itertools.chain(*loop.entering))]
    asked = [*hs.values(), *learned.values(), *of_loops]
    gradients = torch.autograd.grad(loss, asked, allow_unused=True, materialize_grads=True)
    of = {id(tensor): gradient for tensor, gradient in zip(asked, gradients, strict=True)}
    told = []
    names = {id(its): name for name, its in model.named_parameters()}
    for layer, point in zip(plan.layers, model.points(), strict=True):
        if layer.name in loops:
            steps = loops[layer.name].entering
            h = inside(torch.stack([torch.cat(step, 1) for step in steps], 1), part.lengths)
            deltas = [torch.cat([of[id(its)] for its in step], 1) for step in steps]
            delta = inside(torch.stack(deltas, 1), part.lengths)
        else:
            h, delta = (inside(its, part.lengths) for its in (hs[layer.name], of[id(hs[layer.name])]))
        if layer.kind == "conv2d":
            h, delta = h.movedim(1, -1), delta.movedim(1, -1)
        name = names[id(point.weight)]
        weight, change = before[name].double(), after[name].double() - before[name].double()
        slope = before.get(f"{slope_name(model, layer)}.weight")
        told.append(signals(layer, h.detach(), delta, of[id(point.weight)], weight, change, slope))
    norm = math.sqrt(sum(square(of[id(its)]) for its in learned.values()))
    return Oracle(told, loss.detach().item(), norm, told_states(plan, loops, of, part.lengths))


class Loop:
    """A recurrent layer once more, by its formulas: what enters each gate and each state are tensors of their own."""

    def __init__(self, loop: Recurrence) -> None:
        self.linear, self.recur = loop.linear, loop.recur
        self.entering: list[list[Tensor]] = []
        self.states: list[Tensor] = []
        loop.forward = self.run  # type: ignore[method-assign,assignment]  # what this is for

    def run(self, given: Tensor, _lengths: Tensor | None = None) -> Tensor:
        weight, bias = self.linear.weight, self.linear.bias
        h, c = (torch.zeros(len(given), self.recur.units, dtype=given.dtype, requires_grad=True) for _ in range(2))
        self.states = [c if self.recur.cell == "lstm" else h]
        shown = []
        for step in range(given.shape[1]):
            if self.recur.truncate and step > 0 and step % self.recur.truncate == 0:
                h, c = h.detach(), c.detach()
            x, back = (its.chunk(self.recur.layer.gates, 1) for its in (given[:, step], h @ weight.T + bias))
            if self.recur.cell == "gru":
                r, z = x[0] + back[0], x[1] + back[1]
                n = x[2] + torch.sigmoid(r) * back[2]
                h = n.tanh() + torch.sigmoid(z) * (h - n.tanh())
                gates = [r, z, n]
            else:
                gates = [one + other for one, other in zip(x, back, strict=True)]
                if self.recur.cell == "lstm":
                    i, f, g, o = gates
                    c = torch.sigmoid(f) * c + torch.sigmoid(i) * g.tanh()
                    h = torch.sigmoid(o) * c.tanh()
                else:
                    h = gates[0] if self.recur.cell == "identity" else getattr(gates[0], self.recur.cell)()
            self.entering.append(gates)
            self.states.append(c if self.recur.cell == "lstm" else h)
            shown.append(h)
        return torch.stack(shown, 1)


def listened(model: Network) -> tuple[dict[str, Tensor], dict[str, Loop]]:
    """(h by layer, and the recurrent layers with their steps, both filled by the next pass)."""
    hs: dict[str, Tensor] = {}
    loops: dict[str, Loop] = {}
    for layer, point in zip(model.network.layers, model.points(), strict=True):
        if isinstance(point.module, Recurrence):
            loops[layer.name] = Loop(point.module)
        else:
            point.module.register_forward_hook(lambda _module, _inputs, h, name=layer.name: hs.__setitem__(name, h))
    return hs, loops


def inside(h: Tensor, lengths: Tensor | None) -> Tensor:
    """Of sequences, the steps before each case's end."""
    if lengths is None or h.dim() != 3:
        return h
    return torch.cat([case[:length] for case, length in zip(h, lengths.tolist(), strict=True)])


def told_states(
    plan: Plan, loops: dict[str, Loop], of: dict[int, Tensor], lengths: Tensor | None
) -> dict[str, tuple[float, float]]:
    told = {}
    for point in plan.network.time:
        every = loops[point.layer].states
        values, gradients = [], []
        cases = range(len(every[0]))
        for case in cases:
            back = len(every) - 1 - point.step
            at = point.step if lengths is None else int(lengths[case]) - back
            if at >= 0:
                values.append(every[at][case].detach())
                gradients.append(of[id(every[at])][case])
        both = (torch.stack(its) if its else torch.full((1, 1), math.nan) for its in (values, gradients))
        rms, gradient_rms = (math.sqrt(square(its.double()) / its.numel()) for its in both)
        told[point.name] = rms, gradient_rms
    return told


def square(tensor: Tensor) -> float:
    return float((tensor * tensor).sum())


def slope_name(model: Network, layer: LayerPlan) -> str:
    """Of the learned slope behind the layer, where there is one."""
    modules = [name for name, its in model.named_modules() if isinstance(its, torch.nn.PReLU)]
    learned = [its.name for its in model.network.layers if its.activation and its.activation.function == "prelu"]
    return modules[learned.index(layer.name)] if layer.name in learned else ""


def signals(
    layer: LayerPlan, h: Tensor, delta: Tensor, gradient: Tensor, weight: Tensor, change: Tensor, learned: Tensor | None
) -> Told:
    dead, saturated = 0.0, 0.0
    if layer.activation is not None:
        function = layer.activation.function
        slope = slope_of(layer.activation, h, learned).reshape(-1, h.shape[-1])
        if function not in EVERYWHERE_STEEP:
            dead = sum(bool((slope[:, unit] == 0).all()) for unit in range(h.shape[-1])) / h.shape[-1]
        if function in BOUNDED:
            grid = slope_of(layer.activation, torch.linspace(-7, 7, 140_001, dtype=torch.float64), learned)
            saturated = float((slope.abs() < 0.01 * grid.abs().max()).double().mean())
    norm = math.sqrt(square(weight))
    return Told(
        activation_rms=math.sqrt(square(h) / h.numel()),
        activation_gradient_rms=math.sqrt(square(delta) / delta.numel()),
        weight_gradient_norm=math.sqrt(square(gradient)),
        weight_gradient_max=float(gradient.abs().max()),
        weight_norm=norm,
        update_ratio=math.sqrt(square(change)) / norm if norm else math.nan,
        dead_fraction=dead,
        saturated_fraction=saturated,
        nonfinite_count=sum(float((~its.isfinite()).sum()) for its in (h, delta, gradient)),
    )


def phi(activation: Activation, h: Tensor, learned: Tensor | None) -> Tensor:
    name = activation.function
    if name == "identity":
        return h
    if name == "prelu":
        assert learned is not None
        return functional.prelu(h, learned.double())
    keywords = {PARAMETERS[name]: activation.parameter} if name in PARAMETERS else {}
    result: Tensor = getattr(functional, name)(h, **keywords)
    return result


def slope_of(activation: Activation, h: Tensor, learned: Tensor | None) -> Tensor:
    """φ'(h) by autograd."""
    here = h.detach().clone().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(phi(activation, here, learned).sum(), here)
    return slope


def loss_of(plan: Plan, outputs: Tensor, y: Tensor) -> Tensor:
    if y.is_floating_point():
        return ((outputs - y.double()) ** 2).mean()
    if plan.experiment.loss == "mse":
        wanted = torch.zeros_like(outputs)
        for case, label in enumerate(y.tolist()):
            wanted[case, label] = 1.0
        return ((outputs - wanted) ** 2).mean()
    logits, labels = outputs.reshape(-1, outputs.shape[-1]), y.flatten().tolist()
    log_likelihood = logits - logits.exp().sum(dim=1, keepdim=True).log()
    return -torch.stack([log_likelihood[place, label] for place, label in enumerate(labels) if label >= 0]).mean()
