"""How a layer's weights start, told from the weights themselves."""

import math
from typing import Any, Final

import torch
from torch import Tensor

Init = dict[str, Any]
DEFAULT: Final[Init] = {"kind": "torch_default"}
EXACT: Final = 1e-4
"""What rounding of float32 leaves of an identity or an orthogonal matrix."""
SIGMAS: Final = 5.0
"""How far a drawn variance may lie off, in its own standard deviations."""


@torch.no_grad()
def init_of(weight: Tensor, bias: Tensor | None, fan_in: int | None = None) -> Init:
    """The kind that these weights (units, …) show: PyTorch's default, a constant, the identity, orthogonal ones; else
    their variances. ``fan_in``: what the default goes by.
    """
    w = weight.detach().double().flatten(1).cpu()
    b = None if bias is None else bias.detach().double().cpu()
    fan = w.shape[1] if fan_in is None else fan_in
    if _is_default(w, b, fan):
        return DEFAULT
    silent = b is None or bool((b == 0).all())
    if silent and bool((w == w[0, 0]).all()):
        return {"kind": "constant", "value": float(w[0, 0])}
    if silent and (gain := _gain(w)) is not None:
        square = torch.eye(*w.shape, dtype=w.dtype)
        is_identity = weight.dim() == 2 and bool((w - gain * square).abs().max() < EXACT * gain)
        return {"kind": "identity" if is_identity else "orthogonal", "gain": gain}
    bias_variance = 0.0 if b is None else float(b.square().mean())
    variances = {"weight_variance": fan_of(weight) * float(w.square().mean()), "bias_variance": bias_variance}
    return {"kind": "gaussian", **variances, "distribution": "uniform" if _is_uniform(w) else "normal"}


def fan_of(weight: Tensor) -> int:
    return math.prod(weight.shape[1:])


def _is_default(w: Tensor, b: Tensor | None, fan: int) -> bool:
    bound = 1.0 / math.sqrt(fan)
    if float(w.abs().max()) > bound * (1.0 + EXACT) or (b is not None and float(b.abs().max()) > bound * (1.0 + EXACT)):
        return False
    # Of U(−a, a) the variance is a²/3, and that of a mean of n squares (4/45)·a⁴/n.
    spread = bound**2 * math.sqrt(4.0 / 45.0 / w.numel())
    near = abs(float(w.square().mean()) - bound**2 / 3.0) <= SIGMAS * spread
    return near and (b is None or bool((b != 0).any()))


def _gain(w: Tensor) -> float | None:
    """Of a multiple of an orthogonal matrix: the smaller Gram matrix is gain²·I."""
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    square = float(gram.diagonal().mean())
    if square <= 0.0 or len(gram) < 2:
        return None
    off = (gram / square - torch.eye(len(gram), dtype=w.dtype)).abs().max()
    return round(math.sqrt(square), 6) if float(off) < EXACT else None


def _is_uniform(w: Tensor) -> bool:
    """U(±a) ends at √3 of its deviations; a normal draw of some numbers goes beyond."""
    deviation = float(w.square().mean().sqrt())
    return w.numel() >= 30 and 1.5 * deviation < float(w.abs().max()) < 1.85 * deviation
