"""Notes of what is not a plain stack: skips, images, attention, steps."""

from collections.abc import Iterator

from models.analysis.theory.gated_cells import RULES
from models.plan import NetworkPlan
from models.plan.tree import Attend, Readout, Recur, Residual, walk


def notes_of_kinds(network: NetworkPlan) -> tuple[str, ...]:
    """Nothing for a plain stack."""
    return (
        *_of_skips(network),
        *_of_images(network),
        *_of_attention(network),
        *dict.fromkeys(sentence for node in network.recurrent for sentence in _of_loop(node)),
        *_of_readout(network),
    )


def _of_skips(network: NetworkPlan) -> Iterator[str]:
    sums = [node for node in walk(network.body) if isinstance(node, Residual)]
    if not sums:
        return
    yield "Skips: each branch counts as independent of the stream, χ = 1 + s²·χ_F per block, at this network's lengths."
    if any(node.scale == 0.0 or node.shows.scale == 0.0 for node in sums):
        yield "Branches that start at zero change nothing in the untrained network: χ = 1 holds until they have moved."


def _of_images(network: NetworkPlan) -> Iterator[str]:
    if any(layer.kind == "conv2d" and layer.padding > 0 for layer in network.layers):
        yield "Zero padding at the borders is counted pixel by pixel in the gains; χ is that of the inside of an image."
    if any(layer.weight_rule == "weight_norm" for layer in network.layers):
        yield "Weight normalisation leaves the start as it is: W = g·V/‖V‖ with g = ‖V‖."


def _of_attention(network: NetworkPlan) -> Iterator[str]:
    if any(isinstance(node, Attend) for node in walk(network.body)):
        yield (
            "Attention is taken as untrained: heads drawn at random stand for all, with the gradient through queries "
            "and keys; how alike steps are is followed from the input to the output and back."
        )


def _of_loop(node: Recur) -> Iterator[str]:
    init, cell = node.layer.init.kind, node.cell
    if cell == "identity" and init in {"orthogonal", "identity", "delta_orthogonal"}:
        yield "Over time: a linear cell with orthogonal W_hh has exactly its gain per step."
    elif cell in RULES:
        gate = f"σ({node.forget_bias:g})" if cell == "lstm" else "½"
        yield (
            f"Over time: exactly {gate} per step at zero weights; with these weights a mean over a wide layer's units, "
            "in which a unit's gates stay open as long as what they read stays alike."
        )
    elif not (cell == "relu" and init == "identity"):
        yield (
            "Over time: mean field, χ = H·Var(W_hh)·E[φ'²] per step; inputs of mean square 1, and one W_hh at every "
            "step as a new one."
        )


def _of_readout(network: NetworkPlan) -> Iterator[str]:
    if network.recurrent and len(network.hidden) == 1:
        yield "One hidden layer: there is nothing over depth to gain or lose; what repeats is time."
    if any(isinstance(node, Readout) and node.how == "mean" for node in network.body) and network.recurrent:
        yield "The mean over steps sends the gradient to every step: gain_per_step is not that of a single path."
