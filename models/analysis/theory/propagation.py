"""A planned network under mean-field theory: how δ shrinks between its hidden layers, and back through time.

Two views, deliberately apart. A layer's *asymptote* is χ at q* of that layer repeated at its own width: what its kind
does; only stacks of weights and activations have one. The *increments* are what a measurement of this network should
find: they start from standardised inputs, follow lengths through the tree and count every change of width.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gradient_clinic.gains.increments import kept_increments
from gradient_clinic.quadrature import gaussian_moments
from models.analysis.theory.effort import IN_A_TRIAL, Effort, TooMuchWorkError
from models.analysis.theory.initial_variance import has_means, layer_variance
from models.analysis.theory.meanfield import LayerMap, asymptotic_multiplier, fixed_point
from models.analysis.theory.node_pass import Pass
from models.analysis.theory.norm_moments import batch_factor, group_factor
from models.analysis.theory.repeats import sides_of
from models.analysis.theory.state_levels import StateLevels
from models.analysis.theory.structure import is_stack
from models.plan import LayerPlan, NetworkPlan
from models.plan.tree import Activate, Attend, walk

STANDARDISED_MEAN_SQUARE: Final = 1.0
"""Of inputs; what they are is the data's business, and unknown to a spec of a network."""

FEW: Final = 4
"""Neighbouring lengths of which one is followed where all would take long."""


@dataclass(frozen=True, slots=True)
class Asymptote:
    """A hidden layer's kind: its map at its own width, q* and χ there (infinite: batch norm below a batch of 4)."""

    layer_map: LayerMap
    q_star: float
    chi: float


@dataclass(frozen=True, slots=True)
class Propagation:
    """``increments`` of ln rms δ between hidden layers, forward order; ``asymptotes`` per hidden layer of a stack.

    An increment is −∞ where no slope is left, ∞ where the mean has no finite value, and NaN where theory has none.
    """

    increments: tuple[float, ...]
    asymptotes: tuple[Asymptote, ...]
    states: tuple[StateLevels, ...]
    followed: bool = True
    """False where the network was too much work, and everything is NaN."""
    work: float = 0.0
    """That following it once has taken, as ``effort.py`` counts it."""

    @property
    def total(self) -> float:
        """G: ln(rms δ of the first hidden layer / that of the last)."""
        return sum(self.increments)


@functools.lru_cache(maxsize=64)  # the runs of a variant, its comparison and its remedies ask for the same
def propagate(
    network: NetworkPlan,
    batch_size: int,
    input_mean_square: float = STANDARDISED_MEAN_SQUARE,
    most: float = IN_A_TRIAL,
) -> Propagation:
    """Mean-field theory of the untrained ``network``, measured on batches of ``batch_size``. Everything is NaN where
    the network takes more than ``most`` work, or its weights are not random around 0.
    """
    if has_means(network):
        return _unknown(network)
    try:
        return _propagated(network, batch_size, input_mean_square, Effort(most))
    except TooMuchWorkError:
        return replace(_unknown(network), followed=False)


def _unknown(network: NetworkPlan) -> Propagation:
    states = tuple(StateLevels(node, (math.nan,) * (node.steps + 1), 1) for node in network.recurrent)
    return Propagation((math.nan,) * (len(network.hidden) - 1), (), states)


def _propagated(network: NetworkPlan, batch_size: int, mean_square: float, effort: Effort) -> Propagation:
    if is_stack(network):
        # Before the pass: a network that is too much work is refused before any of it is done.
        effort.settle(set(map(_layer_map, network.hidden)), passes_of(network))
    found = Pass(network, batch_size, effort)
    found.run(mean_square)
    levels = _levels(found, mean_square) or _of(found)
    increments = [_increment(below, above) for below, above in itertools.pairwise(levels)]
    asymptotes = _asymptotes(network, batch_size) if is_stack(network) else ()
    states = (found.states[node.layer.name] for node in network.recurrent)
    return Propagation(tuple(increments), asymptotes, tuple(states), work=effort.spent)


def passes_of(network: NetworkPlan) -> int:
    """How often an answer follows a large network: a stack also with louder inputs, and with lengths that scatter."""
    return 4 if is_stack(network) and not network.recurrent else 1


def _of(found: Pass) -> list[tuple[float, int]]:
    return [found.levels[layer.name] for layer in found.network.hidden]


def _levels(whole: Pass, mean_square: float) -> list[tuple[float, int]]:
    """Of networks over steps whose cases differ: δ² of all steps of all cases, each read out at its own end."""
    cases, share = list[list[tuple[float, int]]](), list[float]()
    for steps, loudness in _cases(whole.network):
        found = Pass(whole.network, whole.batch_size, whole.effort)
        found.run(mean_square * loudness, steps)
        cases.append(_of(found))
        # Each case's levels are means over its steps, in its own unit: both weigh when cases come together.
        share.append(found.unit + math.log(steps))
    weight = [part - float(np.logaddexp.reduce(share)) for part in share]
    return [_together(weight, layer) for layer in zip(*cases, strict=True)]


def _cases(network: NetworkPlan) -> Iterator[tuple[int, float]]:
    """(steps, loudness) of a few cases that stand for all.

    Attention reads all steps of a case. Of gated cells, and of tanh, which is asked at every loudness, only the middle
    one of every few lengths is followed. ReLU and linear cells do not depend on how loud their inputs are.
    """
    given, cells = network.input, {node.cell for node in network.recurrent}
    if any(isinstance(node, Attend) for node in walk(network.body)):
        yield from ((given.size[0], loudness) for loudness in given.loudness[::2])
    if not cells or len(network.hidden) == 1 or not (given.lengths or given.loudness):
        return
    lengths = given.lengths or (given.size[0],)
    few = lengths[FEW // 2 :: FEW] if len(lengths) > FEW else lengths
    scale_free = cells <= {"relu", "identity"}
    for loudness in given.loudness if "tanh" in cells and given.loudness else (1.0,):
        yield from ((steps, loudness) for steps in (lengths if scale_free else few))


def _together(share: Sequence[float], levels: Sequence[tuple[float, int]]) -> tuple[float, int]:
    squares = [part + 2.0 * level for part, (level, _) in zip(share, levels, strict=True)]
    return 0.5 * float(np.logaddexp.reduce(squares)), levels[0][1]


def rate(network: NetworkPlan, theory: Propagation) -> float:
    """ln ``gain_per_layer``: the mean of the increments that it counts; NaN where there is none."""
    increments = kept(network, theory.increments)
    return sum(increments) / len(increments) if increments else math.nan


def worst_gain(network: NetworkPlan, batch_size: int, most: float = IN_A_TRIAL) -> float | None:
    """Of all axes the total gain furthest from 0; where a resized step is unknown, that of the others for all. None
    beyond ``most`` work.
    """
    theory = propagate(network, batch_size, most=most)
    over_depth = theory.total
    # A resized step has no number of its own and is taken to be like the others.
    if not math.isfinite(over_depth) and not theory.states:
        over_depth = (len(network.hidden) - 1) * rate(network, theory)
    over_time = (state.gains()[1] for state in theory.states)
    # Of an axis without a finite number nothing is said, so the others decide.
    known = [gain for gain in (over_depth, *over_time) if gain is not None and math.isfinite(gain)]
    return max(known, key=abs) if known else None


def kept(network: NetworkPlan, increments: Sequence[float]) -> list[float]:
    """The increments that ``gain_per_layer`` averages, as for a measured run: none of a ``resized`` layer.

    In an ``mlp`` widths count; in networks of other kinds resized layers are left out.
    """
    resized = [layer.resized and network.kind != "mlp" for layer in network.hidden[1:]]
    alike = [increment for increment, differs in zip(increments, resized, strict=True) if not differs]
    norms = {layer.normalization.kind for layer in network.hidden if layer.normalization is not None}
    return alike[kept_increments(len(alike) + 1, "batch_norm" in norms)]


def _increment(below: tuple[float, int], above: tuple[float, int]) -> float:
    """Of two levels with the breaks above them. Below a layer that passes nothing (or everything) that one counts."""
    if below[1] != above[1]:
        return math.nan
    return below[0] - above[0] if math.isfinite(above[0]) else above[0]


def _layer_map(layer: LayerPlan) -> LayerMap:
    """The layer on top of its like: φ and dropout, then weights and norm."""
    assert layer.activation is not None  # it is one of a stack
    # As if it read as many inputs as it has outputs: the layer repeated on top of itself.
    drawn, norm = layer_variance(layer, fan_in=layer.fan_out), layer.normalization
    made = LayerMap(
        layer.activation,
        drawn.weight,
        drawn.bias,
        layer.dropout,
        "none" if norm is None else norm.kind,
        0.0 if norm is None else norm.eps,
    )
    if layer.init.kind != "lsuv" or norm is not None:
        return made
    square = gaussian_moments(layer.activation, 1.0).square / (1.0 - layer.dropout)
    return replace(made, weight_variance=1.0 / square)  # what makes Var h = 1


@functools.lru_cache(maxsize=4)
def _asymptotes(network: NetworkPlan, batch_size: int) -> tuple[Asymptote, ...]:
    """Of every hidden layer of a stack; alike layers share one."""
    kinds = [sides_of(layer) for layer in network.hidden]
    # Alike layers settle alike, and a fixed point is what costs.
    of_kind = dict(zip(kinds, network.hidden, strict=True))
    settled = {kind: _asymptote(layer, batch_size) for kind, layer in of_kind.items()}
    return tuple(settled[kind] for kind in kinds)


def _asymptote(layer: LayerPlan, batch_size: int) -> Asymptote:
    layer_map = _layer_map(layer)
    q_star = _settled_length(layer_map)
    return Asymptote(layer_map, q_star, asymptotic_multiplier(layer_map, q_star) * _finite_factor(layer, batch_size))


@functools.lru_cache(maxsize=1024)
def _settled_length(layer_map: LayerMap) -> float:
    return fixed_point(layer_map, layer_map.length_of_inputs(STANDARDISED_MEAN_SQUARE))


def _finite_factor(layer: LayerPlan, batch_size: int) -> float:
    """What a batch or a group of finite size makes of χ."""
    norm, places = layer.normalization, layer.positions if layer.kind == "conv2d" else 1
    if norm is None or norm.kind != "batch_norm" or layer.activation is None:
        return group_factor(norm, layer.units, places)
    return batch_factor(Activate(layer.name, layer.activation, layer.dropout), batch_size * places)
