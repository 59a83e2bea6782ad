"""Every signal by its formula, slowly: one more pass in float64 with hooks of its own, autograd for each h, state and
W, plain loops for the rest. Shares the network with what it judges, and neither probe nor meters.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.activations import Activation
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
    entering = {name: [torch.cat(step, 1) for step in loop.entering] for name, loop in loops.items()}
    parts = {name: [its for step in loop.entering for its in step] for name, loop in loops.items()}
    states = {name: loop.states for name, loop in loops.items()}
    asked = [*hs.values(), *learned.values(), *flat(parts), *flat(states)]
    gradients = torch.autograd.grad(loss, asked, allow_unused=True, materialize_grads=True)
    of = {id(tensor): gradient for tensor, gradient in zip(asked, gradients, strict=True)}
    told = []
    names = {id(its): name for name, its in model.named_parameters()}
    for layer, point in zip(plan.layers, model.points(), strict=True):
        if layer.name in loops:
            steps = loops[layer.name].entering
            h = inside(torch.stack(entering[layer.name], 1), part.lengths)
            delta = inside(
                torch.stack([torch.cat([of[id(its)] for its in step], 1) for step in steps], 1), part.lengths
            )
        else:
            h, delta = (inside(its, part.lengths) for its in (hs[layer.name], of[id(hs[layer.name])]))
        if layer.kind == "conv2d":
            h, delta = h.movedim(1, -1), delta.movedim(1, -1)
        name = names[id(point.weight)]
        weight, change = before[name].double(), after[name].double() - before[name].double()
        slope = before.get(f"{slope_name(model, layer)}.weight")
        told.append(signals(layer, h.detach(), delta, of[id(point.weight)], weight, change, slope))
    norm = math.sqrt(sum(square(of[id(its)]) for its in learned.values()))
    return Oracle(told, loss.detach().item(), norm, told_states(plan, states, of, part.lengths))


def listened(model: Network) -> tuple[dict[str, Tensor], dict[str, Recurrence]]:
    """(h by layer, filled by the next pass; the recurrent layers, which keep their steps)."""
    hs: dict[str, Tensor] = {}
    loops: dict[str, Recurrence] = {}
    for layer, point in zip(model.network.layers, model.points(), strict=True):
        if isinstance(point.module, Recurrence):
            loops[layer.name] = point.module
            point.module.listening = True
        else:
            point.module.register_forward_hook(lambda _module, _inputs, h, name=layer.name: hs.__setitem__(name, h))
    return hs, loops


def flat(lists: dict[str, list[Tensor]]) -> list[Tensor]:
    return [its for some in lists.values() for its in some if its.requires_grad]


def inside(h: Tensor, lengths: Tensor | None) -> Tensor:
    """Of sequences, the steps before each case's end."""
    if lengths is None or h.dim() != 3:
        return h
    return torch.cat([case[:length] for case, length in zip(h, lengths.tolist(), strict=True)])


def told_states(
    plan: Plan, states: dict[str, list[Tensor]], of: dict[int, Tensor], lengths: Tensor | None
) -> dict[str, tuple[float, float]]:
    told = {}
    for point in plan.network.time:
        every = states[point.layer]
        zero = torch.zeros_like(every[0])
        values, gradients = [], []
        cases = range(len(every[0]))
        for case in cases:
            back = len(every) - 1 - point.step
            at = point.step if lengths is None else int(lengths[case]) - back
            if at >= 0:
                values.append(every[at][case].detach())
                gradients.append(of.get(id(every[at]), zero)[case])
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
