"""What acts on the gradients of networks of one structure before their update, of all at once.

They have remedies of the same kinds, each with its own numbers. A remedy here is the one of its name in
``worker.remedies``, over tensors with the networks as their first axis.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from gradient_clinic.probe.meters.mapped import norms_of_each, total_of_each
from worker.groups.held import HeldWeights, numbers, of_each
from worker.trainer import Trainer


@dataclass(frozen=True, slots=True)
class Bound:
    """``Bound`` of ``worker.remedies``, (networks, …) each."""

    hidden: Sequence[Tensor]
    output: Tensor | None
    parameters: Sequence[Tensor]

    def weights(self, layers: str) -> list[Tensor]:
        return [*self.hidden, self.output] if layers == "all" and self.output is not None else list(self.hidden)

    def gradients(self) -> list[Tensor]:
        return [its.grad for its in self.parameters if its.grad is not None]


class Penalty(ABC):
    @abstractmethod
    def add_gradient(self, bound: Bound) -> None: ...

    @abstractmethod
    def penalty(self, bound: Bound) -> Tensor:
        """(networks,)."""


class Rule(ABC):
    @abstractmethod
    def change(self, bound: Bound) -> None: ...


class Clipping(ABC):
    @abstractmethod
    def clip(self, bound: Bound, total_norm: Tensor) -> Tensor:
        """The norms (networks,) after."""


class Decay(ABC):
    @abstractmethod
    def shrink(self, bound: Bound, rates: Sequence[float]) -> None: ...


class L2(Penalty):
    def __init__(self, specs: Sequence[Any], device: torch.device) -> None:
        self._strengths, self._layers = numbers((its.strength for its in specs), device), specs[0].layers

    def add_gradient(self, bound: Bound) -> None:
        for weight in bound.weights(self._layers):
            if weight.grad is not None:
                weight.grad.addcmul_(weight, of_each(2.0 * self._strengths, weight))

    def penalty(self, bound: Bound) -> Tensor:
        return self._strengths * norms_of_each(bound.weights(self._layers)).square().sum(0)


class GradientCentralization(Rule):
    def __init__(self, _specs: Sequence[Any], _device: torch.device) -> None:
        pass

    def change(self, bound: Bound) -> None:
        for gradient in bound.gradients():
            if gradient.dim() > 2 and gradient[0, 0].numel() > 1:
                gradient.sub_(gradient.mean(dim=tuple(range(2, gradient.dim())), keepdim=True))


class ClipNorm(Clipping):
    def __init__(self, specs: Sequence[Any], device: torch.device) -> None:
        self._most = numbers((its.max_norm for its in specs), device)

    def clip(self, bound: Bound, total_norm: Tensor) -> Tensor:
        factors = (self._most / (total_norm + 1e-6)).clamp(max=1.0)
        for gradient in bound.gradients():
            gradient.mul_(of_each(factors, gradient))
        return total_norm * factors


class ClipValue(Clipping):
    def __init__(self, specs: Sequence[Any], device: torch.device) -> None:
        self._most = numbers((its.max_value for its in specs), device)

    def clip(self, bound: Bound, total_norm: Tensor) -> Tensor:  # noqa: ARG002 -- others stand on it
        for gradient in bound.gradients():
            most = of_each(self._most, gradient)
            gradient.clamp_(-most, most)
        return total_of_each(bound.gradients())


class Agc(Clipping):
    def __init__(self, specs: Sequence[Any], device: torch.device) -> None:
        self._clipping, self._eps = (
            numbers(its, device) for its in zip(*((s.clipping, s.eps) for s in specs), strict=True)
        )

    def clip(self, bound: Bound, total_norm: Tensor) -> Tensor:  # noqa: ARG002 -- others stand on it
        for parameter in bound.parameters:
            if parameter.grad is not None and parameter is not bound.output:
                norms, norm = _per_unit(parameter), _per_unit(parameter.grad)
                largest = of_each(self._clipping, norms) * norms.maximum(of_each(self._eps, norms))
                parameter.grad.mul_(torch.where(norm > largest, largest / norm, 1.0).to(parameter.dtype))
        return total_of_each(bound.gradients())


class WeightDecay(Decay):
    def __init__(self, specs: Sequence[Any], device: torch.device) -> None:
        self._strengths, self._device, self._layers = [its.strength for its in specs], device, specs[0].layers

    def shrink(self, bound: Bound, rates: Sequence[float]) -> None:
        pairs = zip(rates, self._strengths, strict=True)
        kept = numbers((1.0 - rate * strength for rate, strength in pairs), self._device)
        for weight in bound.weights(self._layers):
            weight.mul_(of_each(kept, weight))


FORMS: Final[dict[str, Callable[[Sequence[Any], torch.device], Any]]] = {
    "l2": L2,
    "gradient_centralization": GradientCentralization,
    "clip_norm": ClipNorm,
    "clip_value": ClipValue,
    "agc": Agc,
    "weight_decay": WeightDecay,
}
TREATED: Final = FORMS.keys() | {"warm_up"}
"""The remedies of runs that can be treated as one; a warm-up acts on each one's rate alone."""


class Treatment:
    """Of ``trainers`` with remedies of the same kinds in the same order."""

    def __init__(self, trainers: Sequence[Trainer], weights: HeldWeights, device: torch.device) -> None:
        first = trainers[0]
        self._trainers = trainers
        self._bound = Bound(
            [weights.of(its) for its in first.bound.hidden],
            None if first.bound.output is None else weights.of(first.bound.output),
            [weights.of(its) for its in first.parameters],
        )
        of_all = zip(*(trainer.plan.run_time for trainer in trainers), strict=True)
        forms = [FORMS[its[0].kind](its, device) for its in of_all if its[0].kind in FORMS]
        self._penalising = [its for its in forms if isinstance(its, Penalty)]
        self._changing = [its for its in forms if isinstance(its, Rule)]
        self._clipping = [its for its in forms if isinstance(its, Clipping)]
        self._decaying = [its for its in forms if isinstance(its, Decay)]
        self._are_some_frozen = bool(first.frozen)

    @torch.no_grad()
    def apply(self, *, recording: bool) -> dict[str, Tensor]:
        """As ``Trainer.treat``: all that acts before the optimiser does. The curves of it, (networks,) each."""
        bound, curves = self._bound, dict[str, Tensor]()
        for penalty in self._penalising:
            penalty.add_gradient(bound)
        for rule in self._changing:
            rule.change(bound)
        changed = self._penalising or self._changing or self._are_some_frozen
        if self._clipping:
            norm = clipped = total_of_each(bound.gradients())
            for clipping in self._clipping:
                clipped = clipping.clip(bound, clipped)
            curves |= {"total_gradient_norm": norm, "clipped_gradient_norm": clipped, "clipped": clipped < norm}
            if not changed:
                curves["gradient_norm"] = norm
        elif changed and recording:
            curves["total_gradient_norm"] = total_of_each(bound.gradients())
        if recording and self._penalising:
            curves["penalty"] = torch.stack([its.penalty(bound) for its in self._penalising]).sum(0)
        for decay in self._decaying:
            decay.shrink(bound, [trainer.rate for trainer in self._trainers])
        return curves


def _per_unit(tensor: Tensor) -> Tensor:
    axes = tuple(range(2, tensor.dim())) or (1,)
    norms: Tensor = torch.linalg.vector_norm(tensor, dim=axes, keepdim=True, dtype=torch.float64)
    return norms
