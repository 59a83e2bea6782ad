"""Where a network is measured: a point per weight, found in any ``nn.Module`` or given by who built it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor, nn

from gradient_clinic.activations import Activation

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)  # noqa: SLF001 -- no public base
_CONVOLUTIONS = (nn.modules.conv._ConvNd,)  # noqa: SLF001 -- as above
_FUNCTIONS: dict[type[nn.Module], str] = {
    nn.Identity: "identity",
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.PReLU: "prelu",
    nn.ELU: "elu",
    nn.CELU: "celu",
    nn.SELU: "selu",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.Mish: "mish",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    nn.Softsign: "softsign",
    nn.Softplus: "softplus",
    nn.LogSigmoid: "logsigmoid",
    nn.Tanhshrink: "tanhshrink",
    nn.Hardtanh: "hardtanh",
    nn.Hardsigmoid: "hardsigmoid",
    nn.Hardswish: "hardswish",
    nn.ReLU6: "relu6",
    nn.Softshrink: "softshrink",
    nn.Hardshrink: "hardshrink",
}


@dataclass(frozen=True, slots=True)
class Point:
    """A measuring point: the weight, and the module whose output is h."""

    name: str
    weight: Tensor
    module: nn.Module
    activation: Activation | None
    changed_in_place: bool = False
    """The activation overwrites h, so a copy has to be kept."""
    unit_axis: int = -1
    """The axis of h that counts its units: a convolution's channels are axis 1."""
    loop: "Loop | None" = None
    """Where h is made step by step inside ``module``: what it keeps of them while it is listened to."""


class Loop(Protocol):
    """A recurrent layer that keeps its steps in a pass while ``listening``."""

    listening: bool
    given: Tensor | None
    """What the input gives to each step, (batch, steps, units of all gates). A step adds what comes from the state
    before, so ∂L/∂ of it is the gradient of what enters the activations."""
    entering: list[tuple[Tensor, ...]]
    """What enters the activations at each step, in parts (batch, …) that lie side by side."""
    states: list[Tensor]
    """The state (batch, units) before the first step and after each."""
    lengths: Tensor | None
    """Of the cases, (batch,), where they end before the last step."""
    time_steps: Sequence[int]
    """Which states are recorded."""


def find_points(model: nn.Module) -> list[Point]:
    """A point per leaf module with a weight matrix, in the order of registration; norms and the first activation
    that follow it belong to it. Layers registered in another order than they run are named in that other order.
    """
    found: list[Point] = []
    closed = True
    for name, module, weight in _leaves(model):
        if isinstance(weight, nn.Parameter) and weight.dim() > 1:
            found.append(Point(name, weight, module, None, unit_axis=1 if isinstance(module, _CONVOLUTIONS) else -1))
            closed = False
        elif closed:
            continue
        elif isinstance(module, _NORMS):
            # h is what enters the activation, so a norm behind the weight is where it is met.
            found[-1] = replace(found[-1], module=module)
        elif type(module) in _FUNCTIONS:
            parameter = getattr(module, "negative_slope", getattr(module, "alpha", 0.0))
            activation = Activation(_FUNCTIONS[type(module)], float(parameter))
            in_place = bool(getattr(module, "inplace", False))
            found[-1] = replace(found[-1], activation=activation, changed_in_place=in_place)
            closed = True
    return found


def _leaves(model: nn.Module) -> Iterator[tuple[str, nn.Module, object]]:
    for name, module in model.named_modules():
        if next(module.children(), None) is None:
            yield name, module, getattr(module, "weight", None)
