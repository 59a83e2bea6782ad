"""A planned network under mean-field theory: the length of h in every hidden layer, and how δ shrinks between them.

Two views, deliberately apart. A layer's *asymptote* is χ at q* of that layer repeated at its own width: what its kind
does. The *increments* are what a measurement of this network should find: they start from standardised inputs, follow
q from layer to layer and count every change of width.
"""

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Final

from models.activations import Activation
from models.analysis.batch_statistics import batch_norm_multiplier
from models.analysis.initial_variance import initial_variance
from models.analysis.meanfield import UNBOUNDED, LayerMap, asymptotic_multiplier, fixed_point
from models.plan import LayerPlan, NetworkPlan

STANDARDISED_MEAN_SQUARE: Final = 1.0
"""Of inputs; what they are is the data's business, and unknown to a spec of a network."""
BATCH_MATTERS: Final = 0.01
"""Relative change of the rms ratio from which χ(B) replaces its limit (ReLU: batches of 57 and smaller)."""
LINEAR: Final = 1e-9
"""The limit of χ under batch norm is 1 for linear φ only; then (B − 2)/(B − 3) is all there is, at any B."""


@dataclass(frozen=True, slots=True)
class Asymptote:
    """A hidden layer's kind: its map at its own width, q* and χ there (infinite: batch norm below a batch of 4)."""

    layer_map: LayerMap
    q_star: float
    chi: float


@dataclass(frozen=True, slots=True)
class Propagation:
    """``lengths`` (q) and ``asymptotes`` per hidden layer; ``increments`` of ln rms δ between them, forward order.

    An increment is −∞ where no slope is left.
    """

    lengths: tuple[float, ...]
    increments: tuple[float, ...]
    asymptotes: tuple[Asymptote, ...]

    @property
    def total(self) -> float:
        """G: ln(rms δ of the first hidden layer / that of the last)."""
        return sum(self.increments)


def propagate(
    network: NetworkPlan, batch_size: int, input_mean_square: float = STANDARDISED_MEAN_SQUARE
) -> Propagation:
    """Mean-field theory of the untrained ``network``, measured on batches of ``batch_size``."""
    hidden = network.hidden
    lengths = [_layer_map(hidden[0], hidden[0]).length_of_inputs(input_mean_square)]
    increments: list[float] = []
    for below, layer in itertools.pairwise(hidden):
        step, q = _layer_map(layer, below), min(lengths[-1], UNBOUNDED)
        widths = layer.fan_out / layer.fan_in  # δ below sums over fan_out units, W is scaled by fan_in
        multiplier = widths * step.gradient_multiplier(q) * _batch_factor(step, batch_size)
        increments.append(0.5 * math.log(multiplier) if multiplier > 0.0 else -math.inf)
        lengths.append(step.length(q))
    return Propagation(tuple(lengths), tuple(increments), tuple(_asymptote(layer, batch_size) for layer in hidden))


def _layer_map(layer: LayerPlan, below: LayerPlan, fan_in: int | None = None) -> LayerMap:
    """From φ and dropout of ``below`` through the weights and norm of ``layer``."""
    assert below.activation is not None  # noqa: S101 -- ``below`` is a hidden layer
    drawn = initial_variance(layer.init, fan_in or layer.fan_in, layer.fan_out)
    norm = layer.normalization
    return LayerMap(
        below.activation,
        drawn.weight,
        drawn.bias,
        below.dropout,
        "none" if norm is None else norm.kind,
        0.0 if norm is None else norm.eps,
    )


def _asymptote(layer: LayerPlan, batch_size: int) -> Asymptote:
    layer_map = _layer_map(layer, layer, fan_in=layer.fan_out)
    q_star = _settled_length(layer_map)
    chi = asymptotic_multiplier(layer_map, q_star) * _batch_factor(layer_map, batch_size)
    return Asymptote(layer_map, q_star, chi)


@functools.lru_cache(maxsize=1024)
def _settled_length(layer_map: LayerMap) -> float:
    return fixed_point(layer_map, layer_map.length_of_inputs(STANDARDISED_MEAN_SQUARE))


def _batch_factor(layer_map: LayerMap, batch_size: int) -> float:
    if layer_map.norm != "batch_norm":
        return 1.0
    return batch_factor(layer_map.activation, layer_map.dropout, batch_size)


def batch_factor(activation: Activation, dropout: float, batch_size: int) -> float:
    """χ(B)/χ(∞) under batch norm where that matters, else 1, so that common batches read the published limit."""
    limit = LayerMap(activation, 1.0, dropout=dropout, norm="batch_norm").gradient_multiplier(1.0)
    factor = batch_norm_multiplier(activation, batch_size, dropout) / limit
    return factor if abs(limit - 1.0) < LINEAR or abs(math.sqrt(factor) - 1.0) > BATCH_MATTERS else 1.0
