"""Caveats of what is not a plain stack: initialisations that ask the data, skips, images, steps, norms of few units."""

import math
from collections.abc import Iterator
from typing import Final

from models.analysis.propagation import Propagation
from models.analysis.variances import HOMOGENEOUS
from models.plan import LayerPlan, NetworkPlan
from models.plan.layers import Activate, Attend, Pool, Readout, Recur, Residual, walk

FEW_VALUES: Final = 24
"""Numbers per group below which the factor of finite groups exceeds 5 %."""


def caveats_of_kinds(network: NetworkPlan, theory: Propagation) -> tuple[str, ...]:
    """Nothing for a plain stack with an initialisation that draws its weights."""
    return (
        *_of_inits(network),
        *_of_norms(network),
        *_of_skips(network),
        *_of_images(network),
        *_of_attention(network),
        *dict.fromkeys(sentence for node in network.recurrent for sentence in _of_loop(node)),
        *_of_nulls(network, theory),
    )


def _of_inits(network: NetworkPlan) -> Iterator[str]:
    inits = {layer.init.kind for layer in network.layers if layer.role != "output"}
    if "lsuv" in inits:
        yield (
            "LSUV scales by the data: weights are taken to have the variance that makes Var h = 1, within its "
            "tolerance; layers whose h is a sum with a skip, and recurrent ones, have no prediction."
        )
    if "identity" in inits and network.kind != "rnn":
        yield "Identity weights do not mix units: behind a nonlinear φ h is not Gaussian, and theory has no χ there."
    if "fixup" in inits:
        yield "Fixup starts the output layer at zero: δ is 0 in every layer until it has moved; ratios are those after."
    rules = {layer.weight_rule for layer in network.layers}
    if "weight_norm" in rules:
        yield "Weight normalisation leaves the start as it is: W = g·V/‖V‖ with g = ‖V‖."
    if "spectral_norm" in rules:
        yield (
            "Spectral norm divides by the largest singular value, taken to be √Var W·(√rows + √columns) of a wide "
            "random matrix (or the gain of an orthogonal one)."
        )


def _of_norms(network: NetworkPlan) -> Iterator[str]:
    for layer in network.layers:
        values = _values_per_group(layer)
        if values < FEW_VALUES:
            yield (
                f"Group norm over {values} values in {layer.name}: χ counts that their variance scatters, "
                "(n − 2)/(n − 3), which is infinite up to n = 3; single networks differ widely from the mean."
            )
            return


def _values_per_group(layer: LayerPlan) -> float:
    norm = layer.normalization
    if norm is None or norm.kind != "group_norm":
        return math.inf
    return layer.units // norm.groups * (layer.positions if layer.kind == "conv2d" else 1)


def _of_skips(network: NetworkPlan) -> Iterator[str]:
    sums = [node for node in walk(network.body) if isinstance(node, Residual)]
    if not sums:
        return
    yield "Skips: each branch counts as independent of the stream, χ = 1 + s²·χ_F per block, at this network's lengths."
    if any(node.gate is not None for node in sums):
        yield (
            "Highway gates count as independent of the branch that they open and of the stream; where they hardly "
            "vary a block has χ = (1 − T)² + T²·χ_F, T = σ(b_T)."
        )
    if any(node.scale == 0.0 or _silent(node) for node in sums):
        yield "Branches that start at zero change nothing in the untrained network: χ = 1 holds until they have moved."


def _silent(node: Residual) -> bool:
    return node.shows.scale == 0.0


def _of_images(network: NetworkPlan) -> Iterator[str]:
    if not any(layer.kind == "conv2d" for layer in network.layers):
        return
    if any(layer.kind == "conv2d" and layer.padding > 0 for layer in network.layers):
        yield "Zero padding at the borders is counted pixel by pixel in the gains; χ is that of the inside of an image."
    pools = {node.how for node in walk(network.body) if isinstance(node, Pool)}
    if "max" in pools:
        yield (
            "Max pooling has no closed form (which pixel wins depends on how alike neighbours are): total_gain and r "
            "below a pool are null; gain_per_layer leaves resized layers out and stands."
        )
    functions = {node.activation.function for node in walk(network.body) if isinstance(node, Activate)}
    if pools and not functions <= HOMOGENEOUS and not _normalised_behind_pools(network):
        yield "Behind a pool the length of h hangs on how alike pixels are, and χ of this φ hangs on the length."


def _normalised_behind_pools(network: NetworkPlan) -> bool:
    return all(layer.normalization is not None for layer in network.layers if layer.kind == "conv2d")


def _of_attention(network: NetworkPlan) -> Iterator[str]:
    if not any(isinstance(node, Attend) for node in walk(network.body)):
        return
    yield (
        "Attention is taken as untrained: every step averages the values that it sees, values of different steps count "
        "as independent, and the gradient through queries and keys is left out. Steps that are alike make its branch "
        "larger, up to as many times as there are steps."
    )


def _of_loop(node: Recur) -> Iterator[str]:
    init, cell = node.layer.init.kind, node.cell
    if cell == "identity" and init in {"orthogonal", "identity", "delta_orthogonal"}:
        yield "Over time: a linear cell with orthogonal W_hh has exactly its gain per step."
    elif cell == "relu" and init == "identity":
        yield "Over time: the gain per step is 1 for units that stay active; each that falls silent drops out of δ."
    elif cell in {"lstm", "gru"}:
        gate = f"σ({node.forget_bias:g})" if cell == "lstm" else "½"
        yield (
            f"Over time: exactly {gate} per step at zero weights; with these weights a mean over gates that count as "
            "independent of each other and from step to step. Between stacked gated layers theory has no gain."
        )
    else:
        yield (
            "Over time: mean field, χ = H·Var(W_hh)·E[φ'²] per step; inputs count as independent, of mean square 1, "
            "and one W_hh at every step as a new one: single narrow networks grow faster, by their largest eigenvalues."
        )
    if node.truncate is not None and node.truncate < node.steps:
        yield f"Over time: truncation cuts ∂L/∂state to exactly 0 beyond {node.truncate} steps; ln of the ratio is −∞."


def _of_nulls(network: NetworkPlan, theory: Propagation) -> Iterator[str]:
    if network.recurrent and len(network.hidden) == 1:
        yield "One hidden layer: there is nothing over depth to gain or lose; what repeats is time."
    if any(isinstance(node, Readout) and node.how == "mean" for node in network.body) and network.recurrent:
        yield "The mean over steps sends the gradient to every step: gain_per_step is not that of a single path."
    if any(math.isnan(increment) for increment in theory.increments):
        yield "Null gains: somewhere in the network is a step that theory has no number for."
