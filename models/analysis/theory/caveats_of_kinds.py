"""Caveats of what is not a plain stack: initialisations that ask the data, gates, pools, steps, norms of few units."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from gradient_clinic.quadrature import HOMOGENEOUS
from models.analysis.theory import sizes
from models.analysis.theory.caveat import Caveat
from models.analysis.theory.gated_cells import RULES
from models.analysis.theory.initial_variance import has_means, layer_variance
from models.analysis.theory.state_levels import StateLevels
from models.plan import LayerPlan, NetworkPlan
from models.plan.tree import Activate, Attend, Normalise, Pool, Recur, Residual, Weigh, walk

FEW_VALUES: Final = 24
"""Numbers per group below which the factor of finite groups exceeds 5 %."""
NARROW_LOOP: Final = 64
"""Width below which one W_hh, met at every step, grows noticeably faster than a new one at each."""
NARROW_STACK: Final = 128
LONG_MEMORY: Final = 0.75
"""Gain per step from which δ of the layer above is summed over many steps of the layer below."""
PEAKED: Final = 2.5
"""σw² of queries and keys from which scores are so far apart that few steps are looked at."""


def caveats_of_kinds(
    network: NetworkPlan, states: Sequence[StateLevels], increments: Sequence[float]
) -> tuple[Caveat, ...]:
    """Nothing for a plain stack with an initialisation that draws its weights."""
    return (
        *_of_inits(network),
        *_of_norms(network),
        *_of_gates(network),
        *_of_pools(network),
        *_of_steps(network),
        *_of_attention(network),
        *dict.fromkeys(caveat for node in network.recurrent for caveat in _of_loop(node)),
        *_of_stacks_over_time(network, states),
        *_of_nulls(increments),
    )


def _of_inits(network: NetworkPlan) -> Iterator[Caveat]:
    if has_means(network):
        yield Caveat(
            "weights with a mean",
            "The weights have a mean other than 0, which all units of a layer share: theory is of weights that are "
            "random around 0 and has no number here; nothing is to be read from the regime.",
        )
    inits = {layer.init.kind for layer in network.layers if layer.role != "output"}
    if "lsuv" in inits:
        yield Caveat(
            "LSUV",
            "LSUV scales by the data: weights are taken to have the variance that makes Var h = 1, within its "
            "tolerance; layers whose h is a sum with a skip, and recurrent ones, have no prediction.",
        )
    # Of a recurrent network ``_of_loop`` says what there is to say.
    if "identity" in inits and network.kind != "rnn":
        yield Caveat(
            "identity weights",
            "Identity weights do not mix units: behind a nonlinear φ h is not Gaussian, and theory has no χ there.",
        )
    if "fixup" in inits:
        yield Caveat(
            "Fixup",
            "Fixup starts the output layer at zero: δ is 0 in every layer until it has moved; ratios are those after.",
        )
    if any(layer.weight_rule == "spectral_norm" for layer in network.layers):
        yield Caveat(
            "spectral norm",
            "Spectral norm divides by the largest singular value, taken to be √Var W·(√rows + √columns) of a wide "
            "random matrix (or the gain of an orthogonal one).",
        )


def _of_norms(network: NetworkPlan) -> Iterator[Caveat]:
    for layer in network.layers:
        values = _values_per_group(layer)
        if values < FEW_VALUES:
            yield Caveat(
                "group norm over few values",
                f"Group norm over {values} values in {layer.name}: χ counts that their variance scatters, "
                "(n − 2)/(n − 3), which is infinite up to n = 3; single networks differ widely from the mean.",
            )
            return


def _values_per_group(layer: LayerPlan) -> float:
    norm = layer.normalization
    if norm is None or norm.kind != "group_norm":
        return math.inf
    return layer.units // norm.groups * (layer.positions if layer.kind == "conv2d" else 1)


def _of_gates(network: NetworkPlan) -> Iterator[Caveat]:
    if any(isinstance(node, Residual) and node.gate is not None for node in walk(network.body)):
        yield Caveat(
            "highway gates",
            "Highway gates count as independent of the branch that they open and of the stream; where they hardly "
            "vary a block has χ = (1 − T)² + T²·χ_F, T = σ(b_T).",
        )


def _of_pools(network: NetworkPlan) -> Iterator[Caveat]:
    pools = {node.how for node in walk(network.body) if isinstance(node, Pool)}
    if "max" in pools:
        yield Caveat(
            "max pooling",
            "Max pooling has no closed form (which pixel wins depends on how alike neighbours are): total_gain and r "
            "below a pool are null; gain_per_layer leaves resized layers out and stands.",
        )
    functions = {node.activation.function for node in walk(network.body) if isinstance(node, Activate)}
    if pools and not functions <= HOMOGENEOUS and not _normalised_behind_pools(network):
        yield Caveat(
            "behind a pool",
            "Behind a pool the length of h hangs on how alike pixels are, and χ of this φ hangs on the length.",
        )


def _normalised_behind_pools(network: NetworkPlan) -> bool:
    return all(layer.normalization is not None for layer in network.layers if layer.kind == "conv2d")


def _of_steps(network: NetworkPlan) -> Iterator[Caveat]:
    gated = any(node.cell in RULES for node in network.recurrent)
    attends = any(isinstance(node, Attend) for node in walk(network.body))
    if (gated or attends) and not network.input.alike:
        yield Caveat(
            "how alike steps are",
            "Nothing was said of how alike the steps of a case are (input.alike): they count as independent. Frames "
            "that hardly change hold gates open, and attention has nothing to choose from: up to 30 % per step, or "
            "layer, were measured between the two.",
        )


def _of_attention(network: NetworkPlan) -> Iterator[Caveat]:
    if not any(isinstance(node, Attend) for node in walk(network.body)):
        return
    behind = any(isinstance(node, Normalise) and node.shows is not None for node in walk(network.body))
    weights = [node.layer for node in walk(network.body) if isinstance(node, Weigh) and node.layer.role == "branch"]
    if behind and max((layer_variance(layer).weight for layer in weights), default=0.0) >= PEAKED:
        yield Caveat(
            "attention with large weights",
            "Attention with weights this large looks at few steps, which ones is chance, and norms behind the sums "
            "pass it on: gains per layer were measured up to 17 % off.",
        )


def _of_loop(node: Recur) -> Iterator[Caveat]:
    init, cell, width = node.layer.init.kind, node.cell, node.units
    # All singular values are 1, and so are those of every power: one narrow matrix is as good as many.
    exact = cell == "identity" and init in {"orthogonal", "identity", "delta_orthogonal"}
    if cell == "relu" and init == "identity":
        yield Caveat(
            "units that fall silent",
            "Over time: the gain per step is 1 for units that stay active; each that falls silent drops out of δ.",
            "time",
        )
    elif cell not in RULES and not exact and width < NARROW_LOOP:
        yield Caveat(
            "few units for one W_hh",
            f"Over time: {width} units are few for one W_hh at every step: single narrow networks grow faster, by "
            "their largest eigenvalues; gains per step of 32 units were measured up to 14 % off.",
            "time",
        )
    if node.truncate is not None:
        yield Caveat(
            "truncation",
            f"Over time: truncation cuts ∂L/∂state to exactly 0 beyond {node.truncate} steps; ln of the ratio is −∞.",
            "time",
        )


def _of_stacks_over_time(network: NetworkPlan, states: Sequence[StateLevels]) -> Iterator[Caveat]:
    """Cells without gates, whose gradient does not fade within a few steps."""
    cells = {state.node.cell for state in states} - RULES.keys()
    if len(states) < 2 or not cells or not any(map(_remembers, states)):
        return
    if cells & {"relu", "identity"}:
        yield Caveat(
            "sums over many steps",
            "Over depth: what a layer sends down is summed over many steps of the one below, and the longest cases of "
            "a batch decide: 11 % off were measured, and more below 64 units.",
            "depth",
        )
    elif sizes.narrowest(network) < NARROW_STACK:
        few = sizes.narrowest(network)
        yield Caveat(
            "few units",
            f"Over depth: {few} units are few where δ is summed over many steps: 7 % off were measured.",
            "depth",
        )
    elif not network.input.loudness:
        yield Caveat(
            "loudness of steps",
            "Over depth: every step is taken to be as loud as all together. φ' of louder and quieter ones differ: up "
            "to 12 % off were measured where that was left out.",
            "depth",
        )


def _remembers(state: StateLevels) -> bool:
    rate, _ = state.gains()
    return rate is not None and rate > LONG_MEMORY


def _of_nulls(increments: Sequence[float]) -> Iterator[Caveat]:
    if any(math.isnan(increment) for increment in increments):
        yield Caveat(
            "a step without theory", "Null gains: somewhere in the network is a step that theory has no number for."
        )
