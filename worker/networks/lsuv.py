"""Layer-sequential unit variance (Mishkin & Matas 2015, arXiv:1511.06422): W ← W/√Var(h) on one batch, in order."""

import math

import torch
from torch import Tensor, nn

from models.specs.init import LsuvInit
from worker.datasets.split import Part
from worker.networks.network import Network


@torch.no_grad()
def scale_by_data(model: Network, batch: Part) -> None:
    """Scale the weights of every layer whose init is ``lsuv``, in forward order; buffers of norms stay as they were."""
    buffers = {name: its.clone() for name, its in model.named_buffers()}
    for layer, point in zip(model.network.layers, model.points(), strict=True):
        if isinstance(layer.init, LsuvInit) and layer.scale > 0:
            _to_unit_variance(model, point.module, point.weight, layer.init, batch)
    for name, its in model.named_buffers():
        its.copy_(buffers[name])


def _to_unit_variance(model: Network, module: nn.Module, weight: Tensor, init: LsuvInit, batch: Part) -> None:
    for _ in range(init.max_iterations):
        variance = _variance(model, module, batch)
        if not math.isfinite(variance) or variance == 0.0 or abs(variance - 1.0) < init.tolerance:
            return
        weight.div_(math.sqrt(variance))


def _variance(model: Network, module: nn.Module, batch: Part) -> float:
    """Var h over the batch, units and places."""
    seen: list[float] = []
    handle = module.register_forward_hook(lambda _module, _inputs, h: seen.append(float(h.double().var())))
    # Dropout in training mode would draw masks that the first step is to draw.
    model.eval()
    model(batch.x, batch.lengths)
    model.train()
    handle.remove()
    return seen[-1]
