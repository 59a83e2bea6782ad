"""Every signal by its formula, slowly: one more forward pass in float64, autograd for each h and W, plain loops."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.plan import LayerPlan, Plan

BOUNDED = {"tanh", "sigmoid", "softsign", "hardtanh", "hardsigmoid", "relu6"}
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


State = dict[str, Tensor]


def tell(plan: Plan, before: State, after: State, x: Tensor, y: Tensor) -> Oracle:
    """The signals of the step that led from the state ``before`` to ``after``, on the batch (x, y)."""
    state = {name: its.double().clone().requires_grad_() for name, its in before.items() if its.is_floating_point()}
    hs = []
    flow = x.double()
    for layer in plan.layers:
        prefix = f"layers.{layer.name.replace('.', '_')}."
        own = {name.removeprefix(prefix): its for name, its in state.items() if name.startswith(prefix)}
        h = normalised(flow @ own["linear.weight"].T + own["linear.bias"], layer, own)
        hs.append(h)
        flow = h if layer.activation is None else phi(layer, h, own)
    loss = loss_of(plan.experiment.loss, flow, y)
    learned = [its for name, its in state.items() if "running" not in name]
    gradients = torch.autograd.grad(loss, [*hs, *learned], allow_unused=True, materialize_grads=True)
    of = {id(tensor): gradient for tensor, gradient in zip([*hs, *learned], gradients, strict=True)}
    told = []
    for layer, h in zip(plan.layers, hs, strict=True):
        name = f"layers.{layer.name.replace('.', '_')}.linear.weight"
        weight, change = state[name].detach(), after[name].double() - before[name].double()
        told.append(signals(layer, h.detach(), of[id(h)], of[id(state[name])], weight, change, state))
    norm = math.sqrt(sum(square(of[id(its)]) for its in learned))
    return Oracle(told, loss.detach().item(), norm)


def square(tensor: Tensor) -> float:
    return float((tensor * tensor).sum())


def signals(
    layer: LayerPlan, h: Tensor, delta: Tensor, gradient: Tensor, weight: Tensor, change: Tensor, state: State
) -> Told:
    dead, saturated = 0.0, 0.0
    if layer.activation is not None:
        own = {"activation.weight": state.get(f"layers.{layer.name.replace('.', '_')}.activation.weight", h)}
        slope = slope_of(layer, h, own)
        if layer.activation.function not in {"leaky_relu", "prelu", "elu", "celu"}:
            dead = sum(bool((slope[:, unit] == 0).all()) for unit in range(h.shape[1])) / h.shape[1]
        if layer.activation.function in BOUNDED:
            grid = slope_of(layer, torch.linspace(-7, 7, 140_001, dtype=torch.float64), own)
            saturated = float((slope.abs() < 0.01 * grid.abs().max()).double().mean())
    return Told(
        activation_rms=math.sqrt(square(h) / h.numel()),
        activation_gradient_rms=math.sqrt(square(delta) / delta.numel()),
        weight_gradient_norm=math.sqrt(square(gradient)),
        weight_gradient_max=float(gradient.abs().max()),
        weight_norm=math.sqrt(square(weight)),
        update_ratio=math.sqrt(square(change)) / math.sqrt(square(weight)),
        dead_fraction=dead,
        saturated_fraction=saturated,
        nonfinite_count=sum(float((~its.isfinite()).sum()) for its in (h, delta, gradient)),
    )


def normalised(z: Tensor, layer: LayerPlan, own: State) -> Tensor:
    norm = layer.normalization
    if norm is None:
        return z
    axis = 0 if norm.kind == "batch_norm" else 1
    centred = z - z.mean(dim=axis, keepdim=True)
    scaled = centred / torch.sqrt((centred * centred).mean(dim=axis, keepdim=True) + norm.eps)
    return scaled * own["norm.weight"] + own["norm.bias"]


def phi(layer: LayerPlan, h: Tensor, own: State) -> Tensor:
    assert layer.activation is not None
    name = layer.activation.function
    if name == "identity":
        return h
    if name == "prelu":
        return functional.prelu(h, own["activation.weight"])
    keywords = {PARAMETERS[name]: layer.activation.parameter} if name in PARAMETERS else {}
    result: Tensor = getattr(functional, name)(h, **keywords)
    return result


def slope_of(layer: LayerPlan, h: Tensor, own: State) -> Tensor:
    """φ'(h) by autograd."""
    here = h.detach().clone().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(phi(layer, here, own).sum(), here)
    return slope


def loss_of(kind: str, logits: Tensor, y: Tensor) -> Tensor:
    if kind == "mse":
        wanted = torch.zeros_like(logits)
        for case, label in enumerate(y.tolist()):
            wanted[case, label] = 1.0
        return ((logits - wanted) ** 2).mean()
    log_likelihood = logits - logits.exp().sum(dim=1, keepdim=True).log()
    return -torch.stack([log_likelihood[case, label] for case, label in enumerate(y.tolist())]).mean()
