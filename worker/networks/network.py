"""A network of any kind, built from its plan: one module per step, and a measuring point per layer."""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradient_clinic.probe.points import Point
from gradient_clinic.probe.probe import Probe, attach
from models.plan import NetworkPlan
from models.plan import tree as plan
from worker.networks import nodes
from worker.networks.nodes import Lengths, Recurrence, Step, Weights
from worker.networks.parts import Dropout, activation_module, norm_module


class Plain(Step):
    """A module that takes no lengths."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        result: Tensor = self.module(x)
        return result


class Activated(Step):
    def __init__(self, node: plan.Activate, seed: int) -> None:
        super().__init__()
        self.activation = activation_module(node.activation)
        self.dropout = Dropout(node.dropout, seed, node.name, alpha=node.alpha_dropout) if node.dropout > 0 else None

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        x = self.activation(x)
        return x if self.dropout is None else self.dropout(x)


class Chain(Step):
    def __init__(self, steps: list[Step]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)
        self._steps = steps

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        for step in self._steps:
            x = step(x, lengths)
        return x


class Sum(Step):
    """x + s·body(x), or highway's; its output is h of the layer that ends the body."""

    def __init__(self, node: plan.Residual, body: Chain, shortcut: Chain | None, gate: Weights | None) -> None:
        super().__init__()
        self.body, self.shortcut, self.gate, self.fixed = body, shortcut, gate, node.scale
        self.factor: nn.Parameter | None = None
        if node.skip.kind in {"rezero", "skip_init"}:
            self.factor = nn.Parameter(torch.full((1,), node.scale, dtype=torch.float64))
        elif node.skip.kind == "layer_scale":
            channels = node.shows.kind == "conv2d"
            shape = (node.shows.units, 1, 1) if channels else (node.shows.units,)
            self.factor = nn.Parameter(torch.full(shape, node.scale, dtype=torch.float64))
        if gate is not None and node.skip.kind == "highway":
            nn.init.constant_(gate.linear.bias, node.skip.bias)  # type: ignore[arg-type]  # of its linear map

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        branch = self.body(x, lengths)
        # Where shapes differ a projection stands in for x.
        beside = x if self.shortcut is None else self.shortcut(x, lengths)
        if self.gate is not None:
            opened = self.gate(x).sigmoid()
            # With the sum below this is highway's T·branch + (1 − T)·beside, with one product less.
            branch = opened * (branch - beside)
        elif self.factor is not None:
            branch = self.factor * branch
        elif self.fixed != 1.0:
            branch = self.fixed * branch
        total: Tensor = beside + branch
        return total


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """Of all layers but the output (branches too), of the output where it has one, and those of ``hidden`` that are
    maps: an embedding is a table of rows, no map from layer to layer.
    """

    hidden: list[Tensor]
    output: Tensor | None
    maps: list[Tensor]


class Network(nn.Module):
    """The steps of a plan in forward order. ``forward(x, lengths)``: x (cases, …) as the plan's input shape says."""

    def __init__(self, network: NetworkPlan, seed: int) -> None:
        super().__init__()
        self.network, self._seed = network, seed
        self.lengths: Lengths = None
        """Of the last pass: what lies behind a case's end is no measurement."""
        self._shown: dict[str, tuple[Tensor, nn.Module]] = {}
        self.body = self._chain(network.body)

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        self.lengths = lengths
        result: Tensor = self.body(x, lengths)
        return result

    def forward_from(self, h: Tensor) -> Tensor:
        """The output for ``h`` given as what the first layer shows. ValueError where a branch begins before it."""
        first = next((at for at, node in enumerate(self.network.body) if isinstance(node, plan.Weigh)), None)
        if first is None or self.network.body[first].layer.index != 1:  # type: ignore[union-attr]  # a Weigh
            message = "the first layer lies inside a branch: there is no h to begin from"
            raise ValueError(message)
        # The first layer's own norm stays out too: ``h`` is given as what the layer shows.
        for step in self.body._steps[first + 1 :]:  # noqa: SLF001 -- its own chain
            h = step(h, None)
        return h

    def points(self) -> list[Point]:
        """A measuring point per layer, in forward order."""
        return [
            Point(
                layer.name,
                weight,
                module,
                layer.activation,
                unit_axis=1 if layer.kind == "conv2d" else -1,
                loop=module if isinstance(module, Recurrence) else None,
            )
            for layer in self.network.layers
            for weight, module in [self._shown[layer.name]]
        ]

    def attached(self, optimizer: torch.optim.Optimizer) -> Probe:
        """Measured from now on."""
        return attach(self, optimizer, self.points())

    def layer_weights(self) -> LayerWeights:
        *hidden, output = (self._shown[layer.name][0] for layer in self.network.layers)
        # Not strict: the last layer is the output, which ``hidden`` leaves out.
        kinds = zip(self.network.layers, hidden, strict=False)
        return LayerWeights(hidden, output, [weight for layer, weight in kinds if layer.kind != "embedding"])

    @property
    def numbers_per_case(self) -> int:
        """Of all h, and of as many activations."""
        return sum(2 * layer.units * layer.positions for layer in self.network.layers)

    def parameters_of(self, names: Collection[str]) -> list[nn.Parameter]:
        """All that is learned of the layers of these names: weights, bias, norm, and what a weight rule adds."""
        layers = (module for module in self.modules() if isinstance(module, Weights | Recurrence))
        return [parameter for module in layers if module.layer.name in names for parameter in module.parameters()]

    # --- building -----------------------------------------------------------------------------------------------

    def _chain(self, body: tuple[plan.Node, ...]) -> Chain:
        return Chain([self._step(node) for node in body])

    def _step(self, node: plan.Node) -> Step:
        match node:
            case plan.Weigh():
                return self._weights(node.layer)
            case plan.Residual():
                return self._sum(node)
            case plan.Recur():
                recurrence = Recurrence(node, self._seed)
                self._shown[node.layer.name] = recurrence.trained, recurrence
                return recurrence
            case plan.Normalise():
                norm = norm_module(node.norm, node.units, image=node.image)
                # The layer's h is what this norm gives, so its point moves here; the weight stays the layer's.
                if node.shows is not None:
                    self._shown[node.shows.name] = self._shown[node.shows.name][0], norm
                return Plain(norm)
            case _:
                return SIMPLE[type(node)](node, self._seed)

    def _weights(self, layer: plan.LayerPlan) -> Weights:
        weights = Weights(layer, self._seed)
        self._shown[layer.name] = weights.trained, weights.point
        return weights

    def _sum(self, node: plan.Residual) -> Sum:
        body = self._chain(node.body)
        shortcut = self._chain(node.shortcut) if node.shortcut else None
        gate = None if node.gate is None else self._weights(node.gate)
        total = Sum(node, body, shortcut, gate)
        # Likewise: h of the layer that ends a branch is the stream after the sum (decision 5).
        self._shown[node.shows.name] = self._shown[node.shows.name][0], total
        return total


SIMPLE: dict[type, Callable[[Any, int], Step]] = {
    plan.Activate: Activated,
    plan.Dropout: lambda node, seed: Plain(Dropout(node.p, seed, node.name)),
    plan.Flatten: lambda _, __: nodes.Flatten(),
    plan.Rows: lambda _, __: nodes.Rows(),
    plan.Steps: lambda _, __: nodes.Steps(),
    plan.Pool: lambda node, _: nodes.Pooled(node),
    plan.GlobalAverage: lambda _, __: nodes.MeanOfPixels(),
    plan.Readout: lambda node, _: nodes.ReadOut(node),
    plan.Positions: nodes.LearnedPositions,
    plan.Attend: lambda node, _: nodes.Attention(node),
}
"""Steps that hold no layer."""


def build(network: NetworkPlan, seed: int) -> Network:
    """The network with its weights drawn, in float64 on the CPU; the caller moves it."""
    return Network(network, seed).to(torch.float64)


def weights_hash(model: nn.Module) -> str:
    """blake2b over every tensor of the state, in order of name."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        # The bytes themselves: two runs have one hash only if they agree bit for bit.
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
