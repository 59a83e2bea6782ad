"""From a network's spec to its plan: a closed table, the keys of ``models.specs.networks.NETWORKS``."""

from collections.abc import Callable
from typing import Any

from models.plan.lists import plan_sequential
from models.plan.sequences import plan_rnn, plan_transformer
from models.plan.stacks import plan_cnn, plan_mlp, plan_residual_cnn, plan_residual_mlp
from models.plan.tree import NetworkPlan, Shape
from models.specs.dataset import Facts, Target
from models.specs.networks import NetworkSpec

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

    SpecError where the data do not fit the network.
    """
    shape = Shape("vector", (given,)) if isinstance(given, int) else given
    return PLANNERS[network.kind](network, shape, outputs, target)


def plan_network_on(network: NetworkSpec, facts: Facts) -> NetworkPlan:
    """The network between a data set's cases and its labels."""
    asked_by_theory = facts.alike, facts.lengths, facts.loudness
    given = Shape(facts.form, facts.shape, facts.vocabulary, *asked_by_theory)
    return plan_network(network, given, facts.classes, facts.target)
