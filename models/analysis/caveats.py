"""Where a prediction stops being safe, in sentences. Only those that apply to the network in question."""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from models.activations import Activation
from models.analysis.batch_statistics import SMALLEST_BATCH
from models.analysis.caveats_of_kinds import caveats_of_kinds
from models.analysis.finite_norms import batch_factor
from models.analysis.meanfield import LayerMap, asymptotic_multiplier, fixed_point
from models.analysis.propagation import STANDARDISED_MEAN_SQUARE, Propagation, propagate
from models.plan import LayerPlan, NetworkPlan
from models.plan.layers import Activate

SCATTER_MATTERS: Final = 0.1
"""Σ 1/width at which one ReLU network's total gain scatters by 0.35, a tenth of the verdict's cut of 3."""
INPUTS_MATTER: Final = 0.1
"""A change of the total gain worth a sentence."""
LOUDER: Final = 1.1
FLOAT32_RANGE: Final = 80.0
"""ln of the ratio between the largest and the smallest rms δ that float32 holds, with room for the loss's scale."""
RAGGED_BATCH: Final = 8
EPS_MATTERS: Final = 0.95


def caveats_of(network: NetworkPlan, batch_size: int, theory: Propagation) -> tuple[str, ...]:
    """What a reader should know beside the numbers of ``theory``."""
    return (
        *_of_size(network),
        *_of_batch_norm(network, batch_size),
        *_of_inputs(network, batch_size, theory),
        *_of_lengths(theory),
        *_of_layers(network),
        *caveats_of_kinds(network, theory),
        *_of_range(theory),
    )


def _of_size(network: NetworkPlan) -> Iterator[str]:
    hidden = network.hidden
    inverse_width_sum = sum(1.0 / _width(layer) for layer in hidden)
    batch_norm = hidden[0].normalization is not None and hidden[0].normalization.kind == "batch_norm"
    if len(hidden) == 1 and not _only_over_time(network):
        yield "One hidden layer: there is nothing between hidden layers to gain or lose, so total_gain is 0."
    if inverse_width_sum > SCATTER_MATTERS and not batch_norm and not _only_over_time(network):
        spread = math.sqrt(5.0 * inverse_width_sum) / 2.0
        yield (
            f"Theory of infinite width: with Σ 1/width = {inverse_width_sum:.2g} the total gain of a single network "
            f"scatters around it by up to ±{spread:.1g} (ReLU, one input; less over a batch); average over seeds."
        )
    if network.kind == "mlp" and not _equally_wide(network):
        yield "The widths vary: total_gain and gain_per_layer count √(width ratio) of each step, χ does not."


def _only_over_time(network: NetworkPlan) -> bool:
    return len(network.hidden) == 1 and bool(network.recurrent)


def _of_batch_norm(network: NetworkPlan, batch_size: int) -> Iterator[str]:
    layer = network.hidden[0]
    if layer.normalization is None or layer.normalization.kind != "batch_norm" or layer.activation is None:
        return
    if layer.kind == "conv2d":
        yield "Batch norm: every pixel of a batch counts as a case, though neighbouring pixels are alike."
        return
    if batch_size < SMALLEST_BATCH:
        yield (
            f"Batch norm over {batch_size} cases: the mean of 1/variance is infinite (with 2 cases every output is "
            "±1 and the gradient is of the order of ε), so theory gives no number."
        )
        return
    if batch_factor(Activate(layer.name, layer.activation, layer.dropout), batch_size) != 1.0:
        yield f"χ is that of batches of {batch_size}; batch norm explodes less with larger ones."
    if batch_size < RAGGED_BATCH:
        yield f"With {batch_size} cases few units carry most of the gradient: networks differ widely from the mean."
    narrowest = min(_width(layer) for layer in network.hidden)
    if narrowest < 2 * batch_size:
        yield (
            f"A width of {narrowest} is narrow for batches of {batch_size}: the cases are not as independent as theory "
            "takes them, and rms ratios were measured up to 4 % above it."
        )
    yield "Batch norm: about 16·depth_scale layers, not 6, were reported to train (Yang et al. 2019)."


def _of_inputs(network: NetworkPlan, batch_size: int, theory: Propagation) -> Iterator[str]:
    louder = propagate(network, batch_size, STANDARDISED_MEAN_SQUARE * LOUDER**2).total
    if math.isfinite(louder) and math.isfinite(theory.total) and abs(louder - theory.total) > INPUTS_MATTER:
        yield (
            "Inputs are taken to have mean square 1 (standardised). Here the length of h matters: with inputs "
            f"{LOUDER - 1.0:.0%} larger total_gain would be {louder:z.2f} instead of {theory.total:z.2f}, and narrow "
            "networks scatter as much."
        )
    if not theory.asymptotes:
        return
    repeated = theory.asymptotes[0]
    if not math.isfinite(theory.total) or repeated.chi <= 0.0 or len({layer.chi for layer in theory.asymptotes}) > 1:
        return
    settled = 0.5 * math.log(repeated.chi) * len(theory.increments)
    if _equally_wide(network) and abs(theory.total - settled) > INPUTS_MATTER:
        yield (
            f"At its asymptotic length h would give total_gain {settled:z.2f}; inputs of mean square 1 start elsewhere."
        )


def _equally_wide(network: NetworkPlan) -> bool:
    return len({(_width(layer), layer.resized) for layer in network.hidden}) == 1


def _width(layer: LayerPlan) -> int:
    return layer.units // layer.gates


def _of_lengths(theory: Propagation) -> Iterator[str]:
    if not theory.asymptotes:
        return
    first = theory.asymptotes[0]
    if any(math.isinf(layer.q_star) for layer in theory.asymptotes):
        yield "The length of h grows without bound; χ is its limit for large h."
    if first.layer_map.norm != "none" and first.q_star < EPS_MATTERS:
        yield f"ε = {first.layer_map.eps:g} is not small beside the variance it is added to: h has mean square below 1."
    for factor, size in ((0.1, "smaller"), (10.0, "larger")):
        other = _chi_from_inputs(first.layer_map, STANDARDISED_MEAN_SQUARE * factor**2)
        if not math.isclose(other, asymptotic_multiplier(first.layer_map, first.q_star), rel_tol=0.01, abs_tol=1e-9):
            yield f"The length of h has more than one fixed point: with inputs ten times {size} χ is {other:.4g}."


def _chi_from_inputs(layer_map: LayerMap, mean_square: float) -> float:
    return asymptotic_multiplier(layer_map, fixed_point(layer_map, layer_map.length_of_inputs(mean_square)))


def _of_layers(network: NetworkPlan) -> Iterator[str]:
    layer = network.hidden[0]
    activation = layer.activation
    if activation is None:
        return
    if layer.dropout > 0.0 and layer.normalization is None:
        yield (
            "Dropout leaves no critical point: two equal inputs do not stay equal, so signals fade over depth even "
            "where χ = 1 (Schoenholz et al. 2017)."
        )
    if layer.init.kind == "orthogonal" and activation.function != "identity":
        yield (
            "Orthogonal weights have the χ of Gaussian ones of that variance; with a nonlinear φ the mean square is "
            "kept, not every direction (Pennington et al. 2017)."
        )
    if _jumps(activation):
        yield (
            f"{activation.shape.title} jumps: χ counts the slope that autograd uses, which knows nothing of the jump; "
            "nearby inputs are torn apart whatever χ says."
        )
    if activation.function == "prelu":
        yield f"The slope is learned: χ holds for its starting value {activation.parameter:g}."


def _jumps(activation: Activation) -> bool:
    step = 1e-9
    sides = ((kink - step, kink + step) for kink in activation.shape.kinks)
    return any(abs(float(activation.phi(np.array(high)) - activation.phi(np.array(low)))) > 1e-3 for low, high in sides)


def _of_range(theory: Propagation) -> Iterator[str]:
    if theory.total == -math.inf:
        yield "No gradient reaches the first hidden layers: somewhere φ' is 0 for every unit, or W is 0."
    elif FLOAT32_RANGE < abs(theory.total) < math.inf:
        yield f"The ratio's logarithm is {theory.total:+.0f}, beyond float32: expect exact zeros or infinities."
