"""torch's own optimisers by the names of the specs, fused or over all tensors at once."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.specs.optimizer import MuonSpec, OptimizerSpec


def build_optimizer(  # noqa: PLR0911 -- one per kind
    spec: OptimizerSpec, parameters: Sequence[nn.Parameter], matrices: Sequence[Tensor]
) -> torch.optim.Optimizer:
    """Over ``parameters``; ``matrices`` are the hidden weights among them, which some optimisers treat apart."""
    held, rate = list(parameters), spec.learning_rate
    match spec.kind:
        case "sgd":
            return torch.optim.SGD(held, rate, momentum=spec.momentum, nesterov=spec.nesterov, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(held, rate, spec.alpha, spec.eps, momentum=spec.momentum, foreach=True)
        case "adam":
            return torch.optim.Adam(held, rate, spec.betas, spec.eps, fused=True)
        case "adamw":
            return torch.optim.AdamW(held, rate, spec.betas, spec.eps, spec.weight_decay, fused=True)
        case "nadam":
            return torch.optim.NAdam(held, rate, spec.betas, spec.eps, momentum_decay=spec.momentum_decay, foreach=True)
        case "radam":
            return torch.optim.RAdam(held, rate, spec.betas, spec.eps, foreach=True)
        case "muon":
            return MuonBesideAdamW(spec, held, matrices)


class MuonBesideAdamW(torch.optim.Optimizer):
    """Muon on the hidden matrices, AdamW without decay on all other parameters, in one step."""

    def __init__(self, spec: MuonSpec, parameters: Sequence[nn.Parameter], matrices: Sequence[Tensor]) -> None:
        # Muon orthogonalises an update, which only a matrix has: kernels of convolutions go to AdamW.
        chosen = {id(weight) for weight in matrices if weight.dim() == 2}
        hidden = [parameter for parameter in parameters if id(parameter) in chosen]
        others = [parameter for parameter in parameters if id(parameter) not in chosen]
        # The base class wants groups of its own; those of the two parts take their place below.
        super().__init__(list(parameters), {})
        self.parts: list[torch.optim.Optimizer] = []
        if hidden:
            # "original" multiplies the rate by √max(1, rows/columns).
            muon = torch.optim.Muon(
                hidden,
                spec.learning_rate,
                spec.weight_decay,
                spec.momentum,
                nesterov=spec.nesterov,
                ns_steps=spec.ns_steps,
                adjust_lr_fn="original",
            )
            self.parts.append(muon)
        if others:
            self.parts.append(torch.optim.AdamW(others, spec.adamw_learning_rate, weight_decay=0.0, fused=True))
        self._share_groups()

    def _share_groups(self) -> None:
        """The parts' groups themselves, so that a schedule that sets their rates is heard."""
        self.param_groups = list(itertools.chain.from_iterable(part.param_groups for part in self.parts))

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # noqa: ARG002 -- torch's signature
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups()  # each part has made new ones


def tensors_of(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    """The tensors that an optimiser keeps between steps."""
    parts = optimizer.parts if isinstance(optimizer, MuonBesideAdamW) else [optimizer]
    for part in parts:
        for state in part.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))
