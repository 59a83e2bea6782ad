"""Layer-sequential unit variance (Mishkin & Matas 2015, arXiv:1511.06422): W ← W/√Var(h) on one batch, in order, h the
layer's own output: inside a residual branch not yet the sum.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from models.specs.init import LsuvInit
from worker.datasets.split import Part
from worker.networks.network import Network
from worker.networks.nodes import Weights


@torch.no_grad()
def scale_by_data(model: Network, batch: Part) -> None:
    """Scale the weights of every layer whose init is ``lsuv``, in forward order; buffers of norms stay as they were.

    W_hh of a loop and what spectral norm scales keep their norm: no factor would bring them there.
    """
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    for module in model.modules():
        if isinstance(module, Weights) and isinstance(module.layer.init, LsuvInit) and module.layer.scale > 0:
            _to_unit_variance(model, module, module.layer.init, batch)
    for name, buffer in model.named_buffers():
        buffer.copy_(buffers[name])


def _to_unit_variance(model: Network, weights: Weights, init: LsuvInit, batch: Part) -> None:
    linear: Any = weights.linear
    # Under weight norm W does not follow V's length; g is what scales it.
    weight = linear.parametrizations.weight.original0 if weights.layer.weight_rule == "weight_norm" else weights.trained
    for _ in range(0 if weights.layer.weight_rule == "spectral_norm" else init.max_iterations):
        # Measured anew each time: with a bias or a norm the variance does not follow the square of W.
        variance = _variance(model, weights, batch)
        if not math.isfinite(variance) or variance == 0.0 or abs(variance - 1.0) < init.tolerance:
            return
        weight.div_(math.sqrt(variance))


def _variance(model: Network, module: nn.Module, batch: Part) -> float:
    """Var over the batch, units and places; steps behind a case's end are none."""
    seen: list[float] = []

    def see(_module: nn.Module, _inputs: object, h: Tensor) -> None:
        if batch.lengths is not None and h.dim() == 3:
            h = h[torch.arange(h.shape[1], device=h.device) < batch.lengths[:, None]]
        seen.append(float(h.double().var()))

    handle = module.register_forward_hook(see)
    # Dropout in training mode would draw masks that the first step is to draw.
    model.eval()
    model(batch.x, batch.lengths)
    model.train()
    handle.remove()
    return seen[-1]
