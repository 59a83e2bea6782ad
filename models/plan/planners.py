"""From a network's spec to its plan: a closed table, the keys of ``models.specs.networks.NETWORKS``."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from models.plan.lists import plan_sequential
from models.plan.sequences import plan_rnn, plan_transformer
from models.plan.stacks import plan_cnn, plan_mlp, plan_residual_cnn, plan_residual_mlp
from models.plan.tree import NetworkPlan, Shape
from models.specs.base import Problem, SpecError
from models.specs.dataset import Facts, Target
from models.specs.networks import NetworkSpec
from models.specs.plugin import PluginNetworkSpec

MOST_KEPT_LAYERS = 500
"""Of a plan that is kept for the next question: 64 of them are some 30 MB."""
MOST_SHOWN = 50
"""Names of layers in a refusal."""
PLANNERS: dict[str, Callable[[Any, Shape, int, Target], NetworkPlan]] = {
    "mlp": plan_mlp,
    "residual_mlp": plan_residual_mlp,
    "cnn": plan_cnn,
    "residual_cnn": plan_residual_cnn,
    "rnn": plan_rnn,
    "transformer": plan_transformer,
    "sequential": plan_sequential,
}


def plan_network(network: NetworkSpec, given: Shape | int, outputs: int, target: Target = "class") -> NetworkPlan:
    """The layers between cases of the shape ``given`` (a number: vectors of that width) and ``outputs``.

    SpecError where the data do not fit the network, or a layer that is to be frozen is not there.
    """
    shape = Shape("vector", (given,)) if isinstance(given, int) else given
    if isinstance(network, PluginNetworkSpec):
        return NetworkPlan("plugin", (), shape, ())  # its layers are known when a worker has built it: ``plan_code``
    planned = PLANNERS[network.kind](network, shape, outputs, target)
    return replace(planned, frozen=_frozen(network, planned)) if network.frozen else planned


def _frozen(network: NetworkSpec, planned: NetworkPlan) -> tuple[str, ...]:
    names = [layer.name for layer in planned.layers]
    shown = names[:MOST_SHOWN]
    if unknown := [name for name in network.frozen if name not in names]:
        raise SpecError(Problem("network.frozen", unknown[0], "no layer has this name", shown))
    if not set(names) - set(network.frozen):
        message = "all layers are frozen, and nothing is left to train"
        raise SpecError(Problem("network.frozen", list(network.frozen)[:MOST_SHOWN], message, "some of the layers"))
    return network.frozen


def plan_network_on(network: NetworkSpec, facts: Facts) -> NetworkPlan:
    """The network between a data set's cases and its labels."""
    # A sweep asks for a few networks hundreds of times. What is large is seldom asked for twice, and would be kept.
    if network.kind == "plugin" and facts.varying_length:
        message = "a plug-in is given cases of one length, and those of this data set end early"
        raise SpecError(Problem("network.kind", "plugin", message, "a network of kind rnn, transformer"))
    kept = network.kind != "plugin" and network.layer_count <= MOST_KEPT_LAYERS
    return _kept(network, facts) if kept else _planned_on(network, facts)


@lru_cache(maxsize=64)
def _kept(network: NetworkSpec, facts: Facts) -> NetworkPlan:
    return _planned_on(network, facts)


def _planned_on(network: NetworkSpec, facts: Facts) -> NetworkPlan:
    asked_by_theory = facts.alike, facts.lengths, facts.loudness
    given = Shape(facts.form, facts.shape, facts.vocabulary, *asked_by_theory)
    return plan_network(network, given, facts.classes, facts.target)
