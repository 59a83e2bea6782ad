"""Remedies that act while training, each a function or class of what it changes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.code.pieces.modules import Layer


def weights_of(network: nn.Module, *but: str) -> list[nn.Parameter]:
    """The weights that are trained, of all layers but those of these names."""
    layers = [module for module in network.modules() if isinstance(module, Layer)]
    weights = [layer.weight for layer in layers if layer.name not in but]
    return [weight for weight in weights if weight.requires_grad]


def norm_of(tensors: Sequence[Tensor]) -> Tensor:
    """‖·‖₂ over all of them together, float64."""
    norms = torch._foreach_norm(list(tensors), 2, dtype=torch.float64)
    return torch.stack(norms).square().sum().sqrt()


@torch.no_grad()
def l2(weights: Sequence[nn.Parameter], strength: float) -> None:
    """The gradient 2·λ·W of the term λ·Σ‖W‖² (Krogh & Hertz 1991)."""
    for weight in weights:
        if weight.grad is not None:
            weight.grad.add_(weight, alpha=2.0 * strength)


@torch.no_grad()
def orthogonal_penalty(weights: Sequence[nn.Parameter], strength: float) -> None:
    """The gradient 4·λ·(G − I)·W of the term λ·Σ‖G − I‖², G the smaller Gram matrix of W (Brock et al. 2016)."""
    for weight in weights:
        if weight.grad is not None:
            flat = weight.flatten(1)
            wide = flat if flat.shape[0] <= flat.shape[1] else flat.T
            gram = wide @ wide.T
            gram.diagonal().sub_(1.0)
            pull = 4.0 * strength * (gram @ wide)
            weight.grad.add_((pull if wide is flat else pull.T).reshape(weight.shape))


@torch.no_grad()
def gradient_centralization(gradients: Sequence[Tensor]) -> None:
    """g ← g − mean(g) over all axes but the first, of weights (Yong et al. 2020)."""
    for gradient in gradients:
        if gradient.dim() > 1 and gradient[0].numel() > 1:
            gradient.sub_(gradient.mean(dim=tuple(range(1, gradient.dim())), keepdim=True))


@torch.no_grad()
def clip_norm(gradients: Sequence[Tensor], max_norm: float) -> None:
    """g ← g·min(1, c/(‖g‖ + 1e-6)), ‖g‖ over all parameters in float64 (Pascanu et al. 2013)."""
    factor = (max_norm / (norm_of(gradients) + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.to(gradient.dtype))


@torch.no_grad()
def clip_value(gradients: Sequence[Tensor], max_value: float) -> None:
    """Every entry into [−c, c] (Mikolov 2012)."""
    for gradient in gradients:
        gradient.clamp_(-max_value, max_value)


@torch.no_grad()
def agc(network: nn.Module, parameters: Sequence[nn.Parameter], clipping: float, eps: float) -> None:
    """‖g_i‖ ≤ λ·max(‖w_i‖, ε) for each unit i, the output layer's weight left out (Brock et al. 2021)."""
    layers = [module for module in network.modules() if isinstance(module, Layer)]
    output = next(layer.weight for layer in layers if layer.name == "output")
    for parameter in parameters:
        if parameter.grad is not None and parameter is not output:
            largest = clipping * norm_per_unit(parameter).clamp(min=eps)
            norm = norm_per_unit(parameter.grad)
            parameter.grad.mul_(torch.where(norm > largest, largest / norm, 1.0).to(parameter.dtype))


def norm_per_unit(tensor: Tensor) -> Tensor:
    axes = tuple(range(1, tensor.dim())) or None
    norms: Tensor = torch.linalg.vector_norm(tensor, dim=axes, keepdim=True, dtype=torch.float64)
    return norms


class EmaClip:
    """ZClip (Kumar et al. 2025): a norm of z > z* running deviations above the running mean is scaled down.

    The first ``warm_up`` norms are only measured; one that is not finite neither counts nor is scaled.
    """

    def __init__(self, z: float, decay: float, warm_up: int) -> None:
        self.z, self.decay, self.warm_up = z, decay, warm_up
        self.count, self.mean, self.variance = 0, 0.0, 0.0

    @torch.no_grad()
    def clip(self, gradients: Sequence[Tensor]) -> None:
        norm = float(norm_of(gradients))
        if not math.isfinite(norm):
            return
        deviation = math.sqrt(self.variance)
        z = (norm - self.mean) / deviation if deviation else (math.inf if norm > self.mean else 0.0)
        if self.count >= self.warm_up and z > self.z:
            after = self.mean + self.z**2 * deviation / z
            for gradient in gradients:
                gradient.mul_(after / norm)
            norm = after
        warming = self.count < self.warm_up
        self.count += 1
        share = 1.0 / self.count if warming else 1.0 - self.decay
        mean = self.mean + share * (norm - self.mean)
        square = (norm - mean) * (norm - (self.mean if warming else mean))
        self.mean, self.variance = mean, self.variance + share * (square - self.variance)


class LossScale:
    """Dynamic loss scaling for float16 (Micikevicius et al. 2017): halved where gradients overflow, and that step is
    left out; doubled after ``interval`` good steps in a row.
    """

    def __init__(self, scale: float, interval: int) -> None:
        self.scale, self.interval, self.good = scale, interval, 0

    @torch.no_grad()
    def unscale(self, gradients: Sequence[Tensor]) -> bool:
        """Whether the step may be made."""
        fine = bool(norm_of(gradients).isfinite())
        for gradient in gradients:
            gradient.mul_(1.0 / self.scale)
        self.good = self.good + 1 if fine else 0
        if not fine:
            self.scale = max(self.scale * 0.5, 2.0**-126)
        elif self.good == self.interval:
            self.scale, self.good = min(self.scale * 2.0, 2.0**127), 0
        return fine


class Together:
    """Several optimisers as one."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        self.parts = parts
        self.param_groups = [group for part in parts for group in part.param_groups]

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad()

    def step(self) -> None:
        for part in self.parts:
            part.step()
