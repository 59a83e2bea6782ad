"""Network kinds and their builders: a closed table, the keys of ``models.specs.network.NETWORKS``."""

from collections.abc import Callable

from models.plan import NetworkPlan
from worker.networks.mlp import Mlp
from worker.networks.mlp import build as build_mlp

BUILDERS: dict[str, Callable[[NetworkPlan, int], Mlp]] = {"mlp": build_mlp}


def build(network: NetworkPlan, seed: int) -> Mlp:
    """The network of a plan with its weights drawn, in float64 on the CPU."""
    return BUILDERS[network.kind](network, seed)
