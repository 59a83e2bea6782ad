"""How a network is put together, as far as theory asks."""

import functools
import math

from gradient_clinic.activations import Activation
from models.analysis.theory.initial_variance import layer_variance
from models.plan import LayerPlan, NetworkPlan
from models.plan.tree import Normalise, Residual, walk


@functools.lru_cache(maxsize=4)  # the passes of one network, and what is said of it, ask for the same
def is_stack(network: NetworkPlan) -> bool:
    """Whether every hidden layer is W, a norm and φ, one on another: then each has an asymptote of its own."""
    plain = not has_skips(network) and not any(isinstance(node, Normalise) for node in network.body)
    layers = network.hidden
    return plain and all(layer.activation is not None and layer.kind in {"linear", "conv2d"} for layer in layers)


def has_skips(network: NetworkPlan) -> bool:
    return any(isinstance(node, Residual) for node in walk(network.body))


@functools.lru_cache(maxsize=4)
def norms_of(network: NetworkPlan) -> frozenset[str]:
    """The kinds of norm anywhere in the network."""
    alone = [node.norm for node in walk(network.body) if isinstance(node, Normalise)]
    norms = (*alone, *(layer.normalization for layer in network.layers))
    return frozenset(norm.kind for norm in norms if norm is not None)


def cases_per_statistic(network: NetworkPlan, batch_size: int) -> int | None:
    """The fewest numbers of a batch that any batch norm takes a mean over: cases, times pixels where there are any."""
    normed = [(layer.normalization, layer.positions) for layer in network.layers]
    normed += [(node.norm, 1) for node in walk(network.body) if isinstance(node, Normalise) and not node.image]
    counts = [positions for norm, positions in normed if norm is not None and norm.kind == "batch_norm"]
    return batch_size * min(counts) if counts else None


def first_activation(network: NetworkPlan) -> Activation | None:
    """Of the first layer that has one: embeddings, gated cells and ends of branches have none of their own."""
    inner = (layer.activation for layer in network.layers if layer.role != "output")
    return next((activation for activation in inner if activation is not None), None)


def equal_units(network: NetworkPlan) -> tuple[str, ...]:
    """Hidden layers whose units all start with the same weights, and are not meant to."""
    return tuple(layer.name for layer in network.hidden if _starts_equal(layer))


def _starts_equal(layer: LayerPlan) -> bool:
    """Weights and biases are drawn without a spread, and not because a factor silences a branch on purpose."""
    drawn = layer_variance(layer)
    return layer.scale != 0.0 and layer.kind != "recurrent" and drawn.weight == 0.0 and drawn.bias == 0.0


def left_by_means(network: NetworkPlan) -> tuple[float, tuple[str, ...]]:
    """What weights with a mean leave of the square of the difference between two cases, and the hidden layers that have
    such weights. Such a layer adds to each of its units what all have in common, fan_in·μ times the mean of its inputs.
    Beside what random weights carry on, that leaves 1/(1 + fan_in·μ²/Var W) where inputs have one sign: behind ReLU
    and sigmoid, and behind a tanh that a common sum has shut. The first layer meets inputs around zero, and a norm
    takes what is common away.
    """
    means = {}
    for layer in network.hidden[1:]:
        drawn = layer_variance(layer)
        if drawn.mean != 0.0 and drawn.weight > 0.0 and layer.normalization is None and layer.kind != "recurrent":
            means[layer.name] = (layer.fan_in * drawn.mean) ** 2 / drawn.weight
    return math.prod(1.0 / (1.0 + share) for share in means.values()), tuple(means)


def spreads_of_weights(network: NetworkPlan) -> tuple[tuple[str, float], ...]:
    """Of hidden layers whose weights have a mean: what tells units apart, σw² + σb², beside that and what they share,
    as a ratio of sizes. It is 1 where weights are random around zero, and 0 where units are equal.
    """
    found = []
    for layer in network.hidden:
        drawn = layer_variance(layer)
        own, shared = drawn.weight + drawn.bias, layer.fan_in * drawn.mean**2
        if own > 0.0 and shared > 0.0 and layer.kind != "recurrent":
            found.append((layer.name, math.sqrt(own / (own + shared))))
    return tuple(found)
