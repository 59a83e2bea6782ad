"""One training on several processes that each see other cases (DDP): their records become one, on every rank.

Sums of squares over the cases of a rank add up; gradients, weights and updates are the same everywhere and count once.
It is one all-reduce of one vector a recorded step, in a group of its own: a rank that is not there ends the watching
of the others after a time, and no collective of the training meets one of these.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gradient_clinic.probe.meters.meter import flat_intervals
from gradient_clinic.signals import SIGNALS
from gradient_clinic.values import Array
from gradient_clinic.watcher.listener import Seen
from gradient_clinic.watcher.rows import Row

PATIENCE: Final = timedelta(seconds=30)
"""For the other ranks, once; then each goes on without them."""
RMS, DELTA, DEAD, SATURATED, NONFINITE = (
    SIGNALS.index(name)
    for name in ("activation_rms", "activation_gradient_rms", "dead_fraction", "saturated_fraction", "nonfinite_count")
)
PARTS: Final = 6
"""Numbers of a row beside its units: squares and entries of h, of δ, saturated and non-finite entries."""


class NotWatchableError(ValueError):
    """A way to train that a watch does not understand."""


def check_parallel(model: nn.Module, optimizer: object) -> None:
    """NotWatchableError where parameters are not where a step of the optimiser would show them."""
    if any(base.__module__.startswith("deepspeed.runtime") for its in (model, optimizer) for base in type(its).__mro__):
        raise NotWatchableError("DeepSpeed steps by itself, on gradients that nobody else sees: it cannot be watched")
    flat = any(type(its).__name__ == "FullyShardedDataParallel" for its in model.modules())
    if flat or any(hasattr(its, "_local_tensor") for its in model.parameters()):
        raise NotWatchableError("parameters are sharded (FSDP): what can be watched is DDP, and a single process")


class Ranks:
    """All ranks of the default group. Made on each of them, at the same time."""

    def __init__(self, device: torch.device) -> None:
        """RuntimeError where the others do not come."""
        self.size, self.rank = dist.get_world_size(), dist.get_rank()
        self._group = dist.new_group(timeout=PATIENCE)
        # Collectives of a device take what lies on it.
        self._device = torch.device("cpu") if dist.get_backend(self._group) == "gloo" else device

    def with_all_cases(self, rows: Sequence[Row]) -> list[Row]:
        return [replace(row, cases=row.cases * self.size) for row in rows]

    def agreed(self, stride: int) -> int:
        """The largest of all ranks."""
        return int(self._reduced(np.array([stride], dtype=np.float64), dist.ReduceOp.MAX)[0])

    def joined(
        self, matrix: Array, curves: Mapping[str, float], rows: Sequence[Row], seen: Seen
    ) -> tuple[Array, dict[str, float]]:
        """(signals × rows) and the curves of the step as one process would have them, with the cases of all."""
        units = [_units(row) for row in rows]
        own = _of_gradients(matrix[NONFINITE], rows)
        parts = np.zeros((PARTS, len(rows)))
        flags = [np.zeros(1 + size) for size in units]
        for index, entries in seen.of_h.items():
            parts[:2, index] = matrix[RMS, index] ** 2 * entries, entries
            parts[4:, index] = matrix[SATURATED, index] * entries, matrix[NONFINITE, index] - own[index]
            flags[index][0] = 1.0
            if index in seen.dead and units[index]:
                flags[index][1:] = seen.dead[index].cpu().numpy()
        for index, entries in seen.of_delta.items():
            parts[2:4, index] = matrix[DELTA, index] ** 2 * entries, entries
        loss = curves.get("loss", 0.0)
        total = self._reduced(np.concatenate([parts.ravel(), *flags, [loss]]), dist.ReduceOp.SUM)
        joined = self._of_sums(matrix.copy(), total[: parts.size].reshape(parts.shape), own)
        at = parts.size
        for index, size in enumerate(units):
            here, at = total[at : at + 1 + size], at + 1 + size
            if size and here[0]:
                joined[DEAD, index] = np.mean(here[1:] == here[0])
        return joined, {**curves, **({"loss": total[-1] / self.size} if "loss" in curves else {})}

    def _of_sums(self, matrix: Array, sums: Array, own: Array) -> Array:
        """``own``: of the gradients, which are the same on all ranks."""
        with np.errstate(invalid="ignore", divide="ignore"):
            matrix[RMS] = np.sqrt(sums[0] / sums[1])
            # The loss of all is the mean of theirs, so each rank's δ is so many times too large.
            matrix[DELTA] = np.sqrt(sums[2] / sums[3]) / self.size
            matrix[SATURATED] = np.where(sums[1] > 0, sums[4] / sums[1], math.nan)
        matrix[NONFINITE] = sums[5] + own
        return matrix

    def _reduced(self, values: Array, how: Any) -> Array:
        vector = torch.from_numpy(values).to(self._device)
        work = dist.all_reduce(vector, how, group=self._group, async_op=True)
        work.wait(PATIENCE)
        return np.asarray(vector.cpu().numpy())


def ranks_of(model: nn.Module, say: Callable[[str], None]) -> Ranks | None:
    """None where the model is not one of several replicas, or the others are not watched, which ``say`` is told."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return None
    if not any(isinstance(its, DistributedDataParallel) for its in model.modules()):
        return None
    try:
        return Ranks(next(model.parameters()).device)
    except RuntimeError as error:
        say(f"the other ranks are not watched, so numbers are of the cases of this one alone: {error}")
        return None


def _units(row: Row) -> int:
    """That can be dead."""
    if row.place is None or flat_intervals(row.activation) is None:
        return 0
    return row.entries // max(row.positions, 1)


def _of_gradients(counts: Array, rows: Sequence[Row]) -> Array:
    """How many of the entries that are not finite are of ∂L/∂W: only where there are any is it looked at."""
    found = np.zeros(len(rows))
    for index in np.flatnonzero(counts > 0).tolist():
        gradient: Tensor | None = None if (weight := rows[index].weight) is None else weight.grad
        if gradient is not None:
            found[index] = float((~gradient.isfinite()).sum())
    return found
