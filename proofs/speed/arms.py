"""Ways to watch the layers of a network while it trains, ours and those of others, each around the same trainer.

An arm is made for one trainer and called after each of its steps, when the gradients of the step are still there. Its
time counts with that of the step. It returns what somebody would log: values per layer, in forward order.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from proofs.speed import peers
from worker.begun import laid_out
from worker.trainer import Trainer

Look = Callable[[int], object]
Arm = Callable[[Trainer], Look]


def nothing(_: Trainer) -> Look:
    return lambda _: None


def foreach_norm(trainer: Trainer) -> Callable[[int], list[float]]:
    """‖∂L/∂W‖ of every layer's weight in one call, and one copy to the host: the least that shows every layer."""
    weights = [point.weight for point in laid_out(trainer.model).points()]

    def look(_: int) -> list[float]:
        norms: list[float] = torch.stack(torch._foreach_norm(_gradients(weights))).tolist()  # noqa: SLF001 -- no public name
        return norms

    return look


def item_loop(trainer: Trainer) -> Callable[[int], list[tuple[float, float]]]:
    """‖∂L/∂W‖ and ‖W‖ one by one with ``.item()``, as most training scripts do it."""
    weights = [point.weight for point in laid_out(trainer.model).points()]

    def look(_: int) -> list[tuple[float, float]]:
        return [
            (gradient.norm().item(), weight.detach().norm().item())
            for gradient, weight in zip(_gradients(weights), weights, strict=True)
        ]

    return look


def _gradients(weights: list[Tensor]) -> list[Tensor]:
    return [weight.grad for weight in weights if weight.grad is not None]


@contextmanager
def wandb_watch() -> Iterator[Arm]:
    """``wandb.watch(log="all", log_freq=1)`` and a ``log`` per step, offline: it writes to a folder that disappears.

    What its own process and threads do meanwhile is in no figure.
    """
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("CACHE", "CONFIG", "DATA"):
            os.environ[f"WANDB_{kind}_DIR"] = folder  # noqa: TID251 -- its only way to leave the user's home alone
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # noqa: TID251 -- nothing goes over a network
        settings = peers.wandb().Settings(silent=True, console="off", x_disable_stats=True)
        run = peers.wandb().init(mode="offline", dir=folder, project="benchmark", settings=settings)
        watched: list[Any] = []

        def arm(trainer: Trainer) -> Look:
            run.watch(trainer.model, log="all", log_freq=1)
            watched.append(trainer.model)
            return lambda step: run.log({"step": step})

        try:
            yield arm
        finally:
            for model in watched:
                run.unwatch(model)
            run.finish()
