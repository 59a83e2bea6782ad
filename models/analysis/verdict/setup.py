"""What the rules ask of a plan: the network, its data and its weights before the first step."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from gradient_clinic.verdict.case import Setup
from models.analysis.theory.correlations import correlations
from models.analysis.theory.effort import IN_A_TRIAL
from models.analysis.theory.initial_variance import layer_variance
from models.analysis.theory.meanfield import critical_weight_variance
from models.analysis.theory.propagation import worst_gain
from models.analysis.theory.structure import (
    cases_per_statistic,
    equal_units,
    first_activation,
    has_skips,
    left_by_means,
    spreads_of_weights,
)
from models.plan import NetworkPlan, Plan
from models.plan.over_steps import decay_of, mean_rate
from models.plan.tree import Normalise, Residual, Weigh, walk
from models.plan.watched import WatchedPlan


def setup_of(plan: Plan, most: float = IN_A_TRIAL) -> Setup:
    """``most``: the work beyond which theory has no gain to say (``effort.py``)."""
    network, batch_size = plan.network, plan.experiment.batch_size
    at_depth = correlations(network)
    noisy = any(layer.dropout > 0.0 for layer in network.hidden)
    left, uncentred = left_by_means(network)
    cut = next((node for node in network.recurrent if node.truncate is not None), None)
    return Setup(
        activation=first_activation(network),
        has_skips=has_skips(network),
        positions=max(layer.positions for layer in network.hidden),
        batch_size=batch_size,
        predicted_gain=worst_gain(network, batch_size, most),
        equal_units=equal_units(network),
        nearly_equal=spreads_of_weights(network),
        first_layer_gain=_first_layer_gain(network),
        weight_gains=(*_weight_gains(network), *_branch_gains(network)),
        # Dropout makes even equal cases differ: what counts then is how far a true difference stands out of that.
        told_apart=at_depth.told_apart if at_depth is not None and noisy else None,
        alike=at_depth.of_two if at_depth is not None and not noisy else None,
        bare_stream=_has_bare_stream(network),
        uncentred=uncentred,
        left_by_means=left,
        cases_per_statistic=cases_per_statistic(network, batch_size),
        window=None if cut is None else cut.truncate,
        time_steps=1 if cut is None else cut.steps,
        post_norm_blocks=_post_norm_blocks(network),
        **_of_training(plan),
    )


def setup_of_code(plan: WatchedPlan) -> Setup:
    """Of a network that is code: what was found of it and, where this clinic trains it, how."""
    return plan.setup if plan.trained is None else replace(plan.setup, **_of_training(plan.trained))


def _of_training(plan: Plan) -> dict[str, Any]:
    """What no layer says."""
    return {
        "loss_above": plan.stop_when.loss_above,
        "loss_scale": _loss_scale(plan),
        "decay": decay_of(plan),
        "mean_rate": mean_rate(plan),
        "warm_up": _warm_up(plan),
        "values": plan.dataset.facts.target == "value" and plan.objective.loss == "mse",
    }


def _warm_up(plan: Plan) -> int:
    """Steps over which the rate rises, by a remedy or by the optimiser's own schedule."""
    schedules = [plan.optimizer.schedule, *(remedy.schedule for remedy in plan.run_time if remedy.kind == "schedule")]
    own = [schedule.warm_up for schedule in schedules if schedule is not None]
    return max([*own, *(remedy.steps for remedy in plan.run_time if remedy.kind == "warm_up")], default=0)


def _loss_scale(plan: Plan) -> float | None:
    """That a run in float16 starts with."""
    precisions = (remedy for remedy in plan.run_time if remedy.kind == "mixed_precision")
    return next((its.initial_scale for its in precisions if its.dtype == "float16"), None)


def _first_layer_gain(network: NetworkPlan) -> float | None:
    first, drawn = network.layers[0], layer_variance(network.layers[0])
    # A token is looked up and has no size, and behind a norm the size of what entered is gone.
    meets_inputs = first.kind in {"linear", "conv2d"} and first.role == "hidden" and network.input.form != "tokens"
    centred = first.normalization is None and drawn.mean == 0.0 and drawn.weight > 0.0
    return math.sqrt(drawn.weight) if meets_inputs and centred else None


def _weight_gains(network: NetworkPlan) -> Iterator[tuple[str, float, float]]:
    for layer in network.hidden:
        if layer.activation is None or not layer.activation.bounded or layer.normalization is not None:
            continue
        critical = critical_weight_variance(layer.activation, 0.0)
        if critical is not None:
            yield layer.name, math.sqrt(layer_variance(layer).weight), math.sqrt(critical)


def _branch_gains(network: NetworkPlan) -> Iterator[tuple[str, float, float]]:
    branches = (node for node in walk(network.body) if isinstance(node, Residual))
    inside = (node.layer for branch in branches for node in branch.body if isinstance(node, Weigh))
    for layer in inside:
        if layer.role == "branch" and layer.normalization is None:
            yield layer.name, math.sqrt(layer_variance(layer).weight), 1.0


def _has_bare_stream(network: NetworkPlan) -> bool:
    """Whether the last sum of a plain residual network meets the output layer without a norm on the way."""
    bare = False
    for node in network.body:
        match node:
            case Residual():
                bare = node.skip.kind == "residual" and node.scale == 1.0 and not _is_silent(node)
            case Normalise():
                bare = False
            case Weigh() if node.layer.normalization is not None:
                bare = False
    return bare


def _is_silent(branch: Residual) -> bool:
    """Whether its last weights start at zero (Fixup)."""
    layers = [node.layer for node in branch.body if isinstance(node, Weigh)]
    return bool(layers) and layers[-1].scale == 0.0


def _post_norm_blocks(network: NetworkPlan) -> int:
    """A block has two sums, of attention and of the layers behind it, and a norm after each."""
    if network.kind != "transformer":
        return 0
    return sum(isinstance(node, Normalise) and node.shows is not None for node in network.body) // 2
