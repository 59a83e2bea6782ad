"""The multilayer perceptron: per hidden layer linear → norm → activation → dropout, then the output's linear map."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.activations import SHAPES, Activation
from models.plan import LayerPlan, NetworkPlan
from models.specs.init import InitSpec
from worker.points import Point
from worker.randomness import generator

ACTIVATIONS: dict[str, Callable[[float], nn.Module]] = {
    "identity": lambda _: nn.Identity(),
    "relu": lambda _: nn.ReLU(),
    "leaky_relu": nn.LeakyReLU,
    "prelu": lambda slope: nn.PReLU(init=slope),
    "elu": nn.ELU,
    "celu": nn.CELU,
    "selu": lambda _: nn.SELU(),
    "gelu": lambda _: nn.GELU(),
    "silu": lambda _: nn.SiLU(),
    "mish": lambda _: nn.Mish(),
    "tanh": lambda _: nn.Tanh(),
    "sigmoid": lambda _: nn.Sigmoid(),
    "softsign": lambda _: nn.Softsign(),
    "softplus": lambda _: nn.Softplus(),
    "logsigmoid": lambda _: nn.LogSigmoid(),
    "tanhshrink": lambda _: nn.Tanhshrink(),
    "hardtanh": lambda _: nn.Hardtanh(),
    "hardsigmoid": lambda _: nn.Hardsigmoid(),
    "hardswish": lambda _: nn.Hardswish(),
    "relu6": lambda _: nn.ReLU6(),
    "softshrink": lambda _: nn.Softshrink(),
    "hardshrink": lambda _: nn.Hardshrink(),
}
assert ACTIVATIONS.keys() == SHAPES.keys()  # noqa: S101 -- a function known to theory and not to training, or reverse


class Dropout(nn.Module):
    """Inverted dropout with a generator of its own, so that one layer's masks never shift another's."""

    def __init__(self, p: float, seed: int, name: str) -> None:
        super().__init__()
        self.p = p
        self._seed = (seed, "dropout", name)
        self._generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        if self._generator is None:
            self._generator = generator(*self._seed, device=x.device)
        keep = torch.empty_like(x).bernoulli_(1.0 - self.p, generator=self._generator)
        return x * keep / (1.0 - self.p)


class Block(nn.Module):
    """One layer of the plan. ``point`` is the module whose output is h: what enters the activation."""

    def __init__(self, layer: LayerPlan, seed: int) -> None:
        super().__init__()
        # nn.Linear draws weights of its own from the global generator: time, and a side effect.
        self.linear: nn.Linear = nn.utils.skip_init(nn.Linear, layer.fan_in, layer.fan_out)  # type: ignore[no-untyped-call]
        self.norm = _norm(layer)
        self.activation = _activation(layer.activation)
        self.dropout = Dropout(layer.dropout, seed, layer.name) if layer.dropout > 0 else None

    @property
    def point(self) -> nn.Module:
        return self.linear if self.norm is None else self.norm

    def after_point(self, h: Tensor) -> Tensor:
        """From h on: the activation and dropout."""
        if self.activation is not None:
            h = self.activation(h)
        return h if self.dropout is None else self.dropout(h)

    def forward(self, x: Tensor) -> Tensor:
        return self.after_point(self.point_of(self.linear(x)))

    def point_of(self, x: Tensor) -> Tensor:
        return x if self.norm is None else self.norm(x)


class Mlp(nn.Module):
    """Blocks in forward order, the output layer last."""

    def __init__(self, network: NetworkPlan, seed: int) -> None:
        super().__init__()
        self.network = network
        self.layers = nn.ModuleDict()
        self.blocks = [Block(layer, seed) for layer in network.layers]
        for layer, block in zip(network.layers, self.blocks, strict=True):
            self.layers[layer.name.replace(".", "_")] = block

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x

    def forward_from(self, h: Tensor) -> Tensor:
        """The output for ``h`` given as what enters the first activation."""
        x = self.blocks[0].after_point(h)
        for block in self.blocks[1:]:
            x = block(x)
        return x

    def points(self) -> list[Point]:
        """A measuring point per layer, in forward order."""
        pairs = zip(self.network.layers, self.blocks, strict=True)
        return [Point(layer.name, block.linear.weight, block.point, layer.activation) for layer, block in pairs]


def _norm(layer: LayerPlan) -> nn.Module | None:
    norm = layer.normalization
    if norm is None:
        return None
    if norm.kind == "batch_norm":
        return nn.BatchNorm1d(layer.fan_out, eps=norm.eps, momentum=norm.momentum, affine=norm.affine)
    return nn.LayerNorm(layer.fan_out, eps=norm.eps, elementwise_affine=norm.affine)


def _activation(activation: Activation | None) -> nn.Module | None:
    return None if activation is None else ACTIVATIONS[activation.function](activation.parameter)


def build(network: NetworkPlan, seed: int) -> Mlp:
    """The network with its weights drawn, in float64 on the CPU; the caller moves it."""
    model = Mlp(network, seed).to(torch.float64)
    for layer, block in zip(network.layers, model.blocks, strict=True):
        initialise(block.linear, layer, seed)
    return model


@torch.no_grad()
def initialise(linear: nn.Linear, layer: LayerPlan, seed: int) -> None:
    """Draw W and b as the layer's init says. Inits of one family share the draw and differ by a factor only."""
    weights, biases = generator(seed, "weights", layer.name), generator(seed, "biases", layer.name)
    match layer.init.kind:
        case "orthogonal":
            nn.init.orthogonal_(linear.weight, gain=layer.init.gain, generator=weights)
        case "torch_default" | "xavier_uniform" | "kaiming_uniform":
            linear.weight.uniform_(-1.0, 1.0, generator=weights).mul_(math.sqrt(3.0) * _std(layer.init, layer))
        case "gaussian" if layer.init.distribution == "uniform":
            linear.weight.uniform_(-1.0, 1.0, generator=weights).mul_(math.sqrt(3.0) * _std(layer.init, layer))
        case _:
            linear.weight.normal_(generator=weights).mul_(_std(layer.init, layer))
    _initialise_bias(linear.bias, layer, biases)


def _initialise_bias(bias: Tensor, layer: LayerPlan, biases: torch.Generator) -> None:
    match layer.init.kind:
        case "torch_default":
            bias.uniform_(-1.0, 1.0, generator=biases).mul_(1.0 / math.sqrt(layer.fan_in))
        case "gaussian" if layer.init.distribution == "uniform":
            bias.uniform_(-1.0, 1.0, generator=biases).mul_(math.sqrt(3.0 * layer.init.bias_variance))
        case "gaussian":
            bias.normal_(generator=biases).mul_(math.sqrt(layer.init.bias_variance))
        case _:
            bias.zero_()


def _std(init: InitSpec, layer: LayerPlan) -> float:
    """The standard deviation of the weights, for all inits but the orthogonal one."""
    match init.kind:
        case "torch_default":
            variance = 1.0 / (3.0 * layer.fan_in)
        case "xavier_normal" | "xavier_uniform":
            variance = init.gain**2 * 2.0 / (layer.fan_in + layer.fan_out)
        case "kaiming_normal" | "kaiming_uniform":
            fan = layer.fan_in if init.mode == "fan_in" else layer.fan_out
            variance = nn.init.calculate_gain(init.nonlinearity, 0) ** 2 / fan
        case "lecun_normal":
            variance = 1.0 / layer.fan_in
        case "gaussian":
            variance = init.weight_variance / layer.fan_in
        case "normal":
            variance = init.std**2
        case _:
            message = f"an orthogonal W has no free standard deviation: {init.kind}"
            raise ValueError(message)
    return math.sqrt(variance)
