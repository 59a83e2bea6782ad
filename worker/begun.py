"""The network of a run before its first step: built from its plan, or by a plug-in's code, with its weights drawn."""

from collections.abc import Callable

import torch

from models.plan import Plan
from models.specs.plugin import PluginNetworkSpec
from worker import networks
from worker.datasets.split import Part
from worker.networks.lsuv import scale_by_data
from worker.networks.network import Network
from worker.plugins import module
from worker.plugins.module import PluginNetwork
from worker.plugins.shelf import Shelf

AnyNetwork = Network | PluginNetwork


def begun(  # noqa: PLR0913, PLR0917 -- all that a network begins with
    plan: Plan, seed: int, device: torch.device, dtype: torch.dtype, first: Callable[[], Part], shelf: Shelf
) -> AnyNetwork:
    """``first``: the batch of step 0, by which some weights are scaled, and a plug-in's layers found."""
    spec = plan.experiment.network
    if isinstance(spec, PluginNetworkSpec):  # which no remedy rewrites
        code = module.build(spec, plan.dataset.facts, seed, shelf)
        code.to(device, dtype)
        code.follow(first().x)
        return code
    # Drawn in float64 on the CPU and only then moved: every device and number type begins with the same weights.
    network = networks.build(plan.network, seed).to(device, dtype)
    scale_by_data(network, first())
    return network


def laid_out(network: AnyNetwork) -> Network:
    """As one that was built from a plan. TypeError of a plug-in's."""
    if not isinstance(network, Network):
        raise TypeError("a plug-in's network has no plan")
    return network
