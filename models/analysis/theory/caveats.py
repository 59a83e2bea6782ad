"""Where a prediction may be off, in sentences: by more than 5 % of the gain per layer, or with no number at all.

Only those that apply to the network in question. Where none does, theory was within 5 % of what was measured
(docs/science.md); what is true of such a prediction all the same is in ``notes.py``.
"""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from gradient_clinic.activations import Activation
from gradient_clinic.gains.limits import LIMIT
from models.analysis.theory import sizes
from models.analysis.theory.batch_statistics import SMALLEST_BATCH
from models.analysis.theory.caveat import Caveat
from models.analysis.theory.caveats_of_kinds import caveats_of_kinds
from models.analysis.theory.meanfield import LayerMap, asymptotic_multiplier, fixed_point
from models.analysis.theory.propagation import STANDARDISED_MEAN_SQUARE, Propagation, propagate, rate
from models.plan import NetworkPlan

FLOAT32_RANGE: Final = 80.0
"""ln of the ratio between the largest and the smallest rms δ that float32 holds, with room for the loss's scale."""
OFF: Final = 0.05
"""Of ln gain per layer: beyond it a prediction is called unsafe."""
RAGGED_BATCH: Final = 8
FEW_CHANNELS: Final = 24
FEW_INCREMENTS: Final = 3


def caveats_of(network: NetworkPlan, batch_size: int, theory: Propagation) -> tuple[Caveat, ...]:
    """What makes the numbers of ``theory`` unsafe."""
    if not theory.followed:
        return (
            Caveat(
                "too many different layers",
                "Theory does not follow a network of so many different layers: there is no prediction.",
            ),
        )
    return (
        *_of_size(network),
        *_of_batch_norm(network, batch_size),
        *_of_lengths(theory),
        *_of_scatter(network, batch_size, theory),
        *_of_layers(network),
        *caveats_of_kinds(network, theory.states, theory.increments),
        *_of_range(theory),
    )


def _of_size(network: NetworkPlan) -> Iterator[Caveat]:
    # No depth to scatter over, or a norm over the batch, which has a caveat of its own.
    if sizes.only_over_time(network) or len(network.hidden) == 1 or sizes.over_batches(network) is not None:
        return
    spread, few = sizes.scatter(network), len(network.hidden) - 1 <= FEW_INCREMENTS
    if spread >= LIMIT:
        yield Caveat(
            "scatter at this width",
            f"Theory of infinite width: with Σ 1/width = {sizes.inverse_width_sum(network):.2g} the total gain of a "
            f"single network scatters around it by up to ±{spread:.1g}, as far as the verdict's cut.",
        )
    if _least_inputs(network) < sizes.NARROW:
        yield Caveat(
            "narrow layers",
            f"A width of {sizes.narrowest(network)} is narrow: rms ratios of single networks scatter, and their mean "
            "was measured up to 8 % per layer off at 8 units.",
        )
    elif few and any(layer.kind == "conv2d" and layer.units < FEW_CHANNELS for layer in network.hidden):
        yield Caveat(
            "few layers of few channels",
            f"Few layers of few channels: over {len(network.hidden) - 1} steps the gain per layer scatters between "
            "networks; means of five were measured up to 6 % off.",
        )


def _least_inputs(network: NetworkPlan) -> int:
    """What the narrowest hidden layer above the first one sums over: of a convolution its kernel too."""
    return min(sizes.width_of(layer) * layer.kernel_size**2 for layer in network.hidden)


def _of_batch_norm(network: NetworkPlan, batch_size: int) -> Iterator[Caveat]:
    layer = sizes.over_batches(network)
    if layer is None:
        return
    if layer.kind == "conv2d":
        yield Caveat(
            "batch norm over pixels",
            "Batch norm: every pixel of a batch counts as a case, though neighbouring pixels are alike; gains per "
            "layer were measured up to 14 % off.",
        )
        return
    # 1/variance over B Gaussian cases has the mean B/(B − 3), up to its own scale: none below 4.
    if batch_size < SMALLEST_BATCH:
        yield Caveat(
            "batch norm over few cases",
            f"Batch norm over {batch_size} cases: the mean of 1/variance is infinite (with 2 cases every output is "
            "±1 and the gradient is of the order of ε), so theory gives no number.",
        )
        return
    if batch_size < RAGGED_BATCH:
        yield Caveat(
            "batch norm over few cases",
            f"With {batch_size} cases few units carry most of the gradient: networks differ widely from the mean.",
        )
    if sizes.narrowest(network) < sizes.NARROW:
        yield Caveat(
            "narrow for its batches",
            f"A width of {sizes.narrowest(network)} is narrow for batches of {batch_size}: the cases are not as "
            "independent as theory takes them, and rms ratios were measured 5 % above it at 8 units.",
        )


def _of_lengths(theory: Propagation) -> Iterator[Caveat]:
    if not theory.asymptotes:
        return
    first = theory.asymptotes[0]
    for factor, size in ((0.1, "smaller"), (10.0, "larger")):
        other = _chi_from_inputs(first.layer_map, STANDARDISED_MEAN_SQUARE * factor**2)
        if not math.isclose(other, asymptotic_multiplier(first.layer_map, first.q_star), rel_tol=0.01, abs_tol=1e-9):
            yield Caveat(
                "more than one fixed point",
                f"The length of h has more than one fixed point: with inputs ten times {size} χ is {other:.4g}.",
            )


def _of_scatter(network: NetworkPlan, batch_size: int, theory: Propagation) -> Iterator[Caveat]:
    """Of a stack: lengths of deep networks scatter, and where χ hangs on them so do gains, and their mean with them."""
    usual = rate(network, theory)
    if not theory.asymptotes or not abs(usual) < FLOAT32_RANGE:
        return
    factor = math.exp(sizes.scatter(network))  # half a standard deviation of ln q
    low, high = (
        its if abs(its := rate(network, propagate(network, batch_size, square))) < FLOAT32_RANGE else usual
        for square in (STANDARDISED_MEAN_SQUARE / factor, STANDARDISED_MEAN_SQUARE * factor)
    )
    if max(abs(low - usual), abs(high - usual)) > OFF:
        yield Caveat(
            "scatter of the length of h",
            f"The length of h matters here, and networks of this width and depth scatter in it: with its square at "
            f"{1.0 / factor:.2g} to {factor:.2g} times the usual the gain per layer would be {math.exp(low):.3f} to "
            f"{math.exp(high):.3f}.",
        )


def _chi_from_inputs(layer_map: LayerMap, mean_square: float) -> float:
    return asymptotic_multiplier(layer_map, fixed_point(layer_map, layer_map.length_of_inputs(mean_square)))


def _of_layers(network: NetworkPlan) -> Iterator[Caveat]:
    activation = network.hidden[0].activation
    if activation is not None and _jumps(activation):
        yield Caveat(
            "an activation that jumps",
            f"{activation.shape.title} jumps: χ counts the slope that autograd uses, which knows nothing of the jump; "
            "nearby inputs are torn apart whatever χ says.",
        )


def _jumps(activation: Activation) -> bool:
    step = 1e-9
    sides = ((kink - step, kink + step) for kink in activation.shape.kinks)
    return any(abs(float(activation.phi(np.array(high)) - activation.phi(np.array(low)))) > 1e-3 for low, high in sides)


def _of_range(theory: Propagation) -> Iterator[Caveat]:
    if theory.total == -math.inf:
        yield Caveat(
            "no gradient", "No gradient reaches the first hidden layers: somewhere φ' is 0 for every unit, or W is 0."
        )
    elif FLOAT32_RANGE < abs(theory.total) < math.inf:
        yield Caveat(
            "beyond float32",
            f"The ratio's logarithm is {theory.total:+.0f}, beyond float32: expect exact zeros or infinities.",
        )
