"""What is true of a prediction that holds: conditions, limits taken, what a number counts. No warning (caveats.py)."""

import math
from collections.abc import Iterator
from typing import Final

from gradient_clinic.gains.limits import LIMIT
from models.analysis.theory import sizes
from models.analysis.theory.effort import AT_ONCE
from models.analysis.theory.norm_moments import batch_factor
from models.analysis.theory.notes_of_kinds import notes_of_kinds
from models.analysis.theory.propagation import STANDARDISED_MEAN_SQUARE, Propagation, propagate
from models.analysis.theory.structure import is_stack
from models.plan import NetworkPlan
from models.plan.tree import Activate

SCATTER_MATTERS: Final = 0.1
"""Σ 1/width at which one ReLU network's total gain scatters by 0.35, a tenth of the verdict's cut of 3."""
INPUTS_MATTER: Final = 0.1
"""A change of the total gain worth a sentence."""
LOUDER: Final = 1.1
EPS_MATTERS: Final = 0.95


def notes_of(network: NetworkPlan, batch_size: int, theory: Propagation) -> tuple[str, ...]:
    """What a reader may want to know beside the numbers of ``theory``."""
    return (
        *_of_size(network),
        *_of_batch_norm(network, batch_size),
        *_of_inputs(network, batch_size, theory),
        *_of_lengths(theory),
        *_of_layers(network),
        *notes_of_kinds(network),
    )


def _of_size(network: NetworkPlan) -> Iterator[str]:
    width_sum, spread = sizes.inverse_width_sum(network), sizes.scatter(network)
    over_depth = not sizes.only_over_time(network)
    if len(network.hidden) == 1 and over_depth:
        yield "One hidden layer: there is nothing between hidden layers to gain or lose, so total_gain is 0."
    if width_sum > SCATTER_MATTERS and spread < LIMIT and over_depth and sizes.over_batches(network) is None:
        yield (
            f"Theory of infinite width: with Σ 1/width = {width_sum:.2g} the total gain of a single network "
            f"scatters around it by up to ±{spread:.1g} (ReLU, one input; less over a batch); average over seeds."
        )
    if network.kind == "mlp" and not sizes.equally_wide(network):
        yield "The widths vary: total_gain and gain_per_layer count √(width ratio) of each step, χ does not."


def _of_batch_norm(network: NetworkPlan, batch_size: int) -> Iterator[str]:
    layer = sizes.over_batches(network)
    if layer is None or layer.activation is None or layer.kind == "conv2d":
        return
    factor = batch_factor(Activate(layer.name, layer.activation, layer.dropout), batch_size)
    # Infinite below a batch of 4, of which a caveat speaks.
    if math.isfinite(factor) and factor != 1.0:
        yield f"χ is that of batches of {batch_size}; batch norm explodes less with larger ones."
    narrowest = sizes.narrowest(network)
    if sizes.NARROW <= narrowest < 2 * batch_size:
        yield (
            f"A width of {narrowest} is narrow for batches of {batch_size}: the cases are not as independent as theory "
            "takes them, and rms ratios were measured up to 4 % above it."
        )
    yield "Batch norm: about 16·depth_scale layers, not 6, were reported to train (Yang et al. 2019)."


def _of_inputs(network: NetworkPlan, batch_size: int, theory: Propagation) -> Iterator[str]:
    # Steps of a recurrence are as loud as the data say, and a caveat says where that matters.
    if not theory.followed or network.recurrent or sizes.reads_tokens(network):
        return
    # A second look would make a large network that is no stack wait longer than an answer may.
    if not is_stack(network) and theory.work > AT_ONCE / 4:
        return
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
    if sizes.equally_wide(network) and abs(theory.total - settled) > INPUTS_MATTER:
        yield (
            f"At its asymptotic length h would give total_gain {settled:z.2f}; inputs of mean square 1 start elsewhere."
        )


def _of_lengths(theory: Propagation) -> Iterator[str]:
    if not theory.asymptotes:
        return
    first = theory.asymptotes[0]
    if any(math.isinf(layer.q_star) for layer in theory.asymptotes):
        yield "The length of h grows without bound; χ is its limit for large h."
    if first.layer_map.norm != "none" and first.q_star < EPS_MATTERS:
        yield f"ε = {first.layer_map.eps:g} is not small beside the variance it is added to: h has mean square below 1."


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
    if activation.function == "prelu":
        yield f"The slope is learned: χ holds for its starting value {activation.parameter:g}."
