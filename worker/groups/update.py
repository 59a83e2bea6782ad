"""One update of many members: those whose optimisers are alike in kind and numbers go through one call.

The call is torch's own function behind ``optimizer.step()``, which goes from tensor to tensor: the same bits as one
call for each member, with the cost of a call paid once.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from gradient_clinic.probe.probe import Probe
from worker.trainer import Trainer

_Call = Callable[[dict[str, Any], list[Tensor], list[dict[str, Any]]], None]


@torch.no_grad()
def update(trainers: Sequence[Trainer]) -> None:
    """``optimizer.step()`` of each."""
    alike: dict[Hashable, list[Trainer]] = defaultdict(list)
    for trainer in trainers:
        numbers = _numbers(trainer)
        # In its first step an optimiser makes its memory, by itself.
        if numbers is None:
            trainer.optimizer.step()
        else:
            alike[numbers].append(trainer)
    for some in alike.values():
        _update_alike(some)


def _numbers(trainer: Trainer) -> Hashable | None:
    """All that the call depends on but tensors; None where a member goes through ``optimizer.step()``."""
    optimizer = trainer.optimizer
    group = optimizer.param_groups[0]
    parameters = group["params"]
    if type(optimizer) not in CALLS or len(optimizer.param_groups) > 1:
        return None
    remembers = not isinstance(optimizer, SGD) or group["momentum"] != 0
    if any(its.grad is None or (remembers and its not in optimizer.state) for its in parameters):
        return None
    return type(optimizer), tuple((name, its) for name, its in group.items() if name != "params")


def _update_alike(trainers: Sequence[Trainer]) -> None:
    for trainer in trainers:
        if isinstance(trainer.recording, Probe):
            trainer.recording.updating()
    group = trainers[0].optimizer.param_groups[0]
    parameters = [its for trainer in trainers for its in trainer.optimizer.param_groups[0]["params"]]
    states = [
        trainer.optimizer.state[its] for trainer in trainers for its in trainer.optimizer.param_groups[0]["params"]
    ]
    CALLS[type(trainers[0].optimizer)](group, parameters, states)


def _adam(group: dict[str, Any], parameters: list[Tensor], states: list[dict[str, Any]]) -> None:
    adam(
        parameters,
        [its.grad for its in parameters if its.grad is not None],
        [state["exp_avg"] for state in states],
        [state["exp_avg_sq"] for state in states],
        [],
        [state["step"] for state in states],
        fused=group["fused"],
        decoupled_weight_decay=group["decoupled_weight_decay"],
        amsgrad=False,
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        lr=group["lr"],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        maximize=False,
    )


def _sgd(group: dict[str, Any], parameters: list[Tensor], states: list[dict[str, Any]]) -> None:
    sgd(
        parameters,
        [its.grad for its in parameters if its.grad is not None],
        [state["momentum_buffer"] for state in states] if group["momentum"] else [],
        fused=group["fused"],
        weight_decay=group["weight_decay"],
        momentum=group["momentum"],
        lr=group["lr"],
        dampening=group["dampening"],
        nesterov=group["nesterov"],
        maximize=False,
    )


CALLS: dict[type, _Call] = {Adam: _adam, AdamW: _adam, SGD: _sgd}
