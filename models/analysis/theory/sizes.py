"""How wide a network's hidden layers are, where a caveat or a note asks."""

import math
from typing import Final

from models.plan import LayerPlan, NetworkPlan

NARROW: Final = 16
"""Inputs of a unit below which gains per layer were measured more than 4 % off, in the mean of 40 networks."""


def width_of(layer: LayerPlan) -> int:
    """Units of one gate."""
    return layer.units // layer.gates


def narrowest(network: NetworkPlan) -> int:
    return min(width_of(layer) for layer in network.hidden)


def inverse_width_sum(network: NetworkPlan) -> float:
    return sum(1.0 / width_of(layer) for layer in network.hidden)


def scatter(network: NetworkPlan) -> float:
    """By how much one ReLU network's total gain scatters, for one input: Var ln δ² = 5·Σ 1/width."""
    # 5 is that of ReLU (Hanin & Nica 2018); halved, as G is of δ and not of δ².
    return math.sqrt(5.0 * inverse_width_sum(network)) / 2.0


def equally_wide(network: NetworkPlan) -> bool:
    return len({(width_of(layer), layer.resized) for layer in network.hidden}) == 1


def only_over_time(network: NetworkPlan) -> bool:
    return len(network.hidden) == 1 and bool(network.recurrent)


def over_batches(network: NetworkPlan) -> LayerPlan | None:
    """The first hidden layer, where it has batch norm before an activation."""
    layer = network.hidden[0]
    norm = layer.normalization
    return layer if norm is not None and norm.kind == "batch_norm" and layer.activation is not None else None


def reads_tokens(network: NetworkPlan) -> bool:
    """Whether the inputs are rows of a table, whose length is that of its weights."""
    return network.layers[0].kind == "embedding"
