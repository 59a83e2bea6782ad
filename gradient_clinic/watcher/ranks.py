"""One training on several processes that each see other cases (DDP, FSDP2): their records become one, on every rank.

Sums of squares over the cases of a rank add up. Gradients, weights and updates are the same everywhere and count once;
where each rank has a part of them, the squares of the parts add up.
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
from gradient_clinic.watcher.shards import Shards, is_sharded

PATIENCE: Final = timedelta(seconds=30)
"""For the other ranks, once; then each goes on without them."""
RMS, DELTA, DEAD, SATURATED, NONFINITE = (
    SIGNALS.index(name)
    for name in ("activation_rms", "activation_gradient_rms", "dead_fraction", "saturated_fraction", "nonfinite_count")
)
GRADIENT, LARGEST, WEIGHT, UPDATE = (
    SIGNALS.index(name) for name in ("weight_gradient_norm", "weight_gradient_max", "weight_norm", "update_ratio")
)
PARTS: Final = 6
"""Numbers of a row beside its units: squares and entries of h, of δ, saturated and non-finite entries."""


class NotWatchableError(ValueError):
    """A way to train that a watch does not understand."""


def check_parallel(model: nn.Module, optimizer: object) -> None:
    """NotWatchableError where parameters are not where a step of the optimiser would show them."""
    if any(base.__module__.startswith("deepspeed.runtime") for its in (model, optimizer) for base in type(its).__mro__):
        raise NotWatchableError("DeepSpeed steps by itself, on gradients that nobody else sees: it cannot be watched")
    if any(type(its).__name__ == "FullyShardedDataParallel" for its in model.modules()):
        raise NotWatchableError(
            "FSDP of the first kind flattens parameters: what can be watched is fully_shard, and DDP"
        )
    sharded: list[Any] = [its for its in model.parameters() if is_sharded(its)]
    if sharded and (len(sharded) < len(list(model.parameters())) or not all(map(_has_all_ranks, sharded))):
        raise NotWatchableError("of sharded models those can be watched whose every parameter lies on all ranks alike")


def _has_all_ranks(parameter: Any) -> bool:
    mesh = parameter.device_mesh
    return bool(mesh.ndim == 1 and mesh.size() == dist.get_world_size() and parameter.placements[0].is_shard())


class Ranks:
    """All ranks of the default group. Made on each of them, at the same time."""

    def __init__(self, model: nn.Module) -> None:
        """RuntimeError where the others do not come."""
        self.size, self.rank = dist.get_world_size(), dist.get_rank()
        self._model = model
        self._broken: list[Tensor | int] = []
        self._shards = Shards(model) if any(map(is_sharded, model.parameters())) else None
        self._group = dist.new_group(timeout=PATIENCE)
        # Collectives of a device take what lies on it.
        gloo = dist.get_backend(self._group) == "gloo"
        self._device = torch.device("cpu") if gloo else next(model.parameters()).device

    @property
    def parameters(self) -> list[Tensor]:
        return list(self._model.parameters()) if self._shards is None else self._shards.parts

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        """With the cases of all ranks, and this rank's part of each weight."""
        rows = rows if self._shards is None else self._shards.rows(self._model, rows)
        return [replace(row, cases=row.cases * self.size) for row in rows]

    def take_gradients(self, rows: Sequence[Row]) -> None:
        """Before they are clipped: each rank's non-finite entries are counted where they are."""
        if self._shards is not None:
            self._shards.take_gradients()
        gradients = [None if row.weight is None else row.weight.grad for row in rows]
        self._broken = [0 if its is None else (~its.isfinite()).sum() for its in gradients]

    def agreed(self, stride: int) -> int:
        """The largest of all ranks."""
        return int(self._reduced(np.array([stride], dtype=np.float64), dist.ReduceOp.MAX)[0])

    def joined(
        self, matrix: Array, curves: Mapping[str, float], rows: Sequence[Row], seen: Seen
    ) -> tuple[Array, dict[str, float]]:
        """(signals × rows) and the curves of the step as one process would have them, with the cases of all."""
        units = [_units(row) for row in rows]
        own = np.array([float(its) for its in self._broken])
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
        of_weights = np.zeros(0) if self._shards is None else self._of_weights(matrix, own, curves["gradient_norm"])
        loss = curves.get("loss", 0.0)
        total = self._reduced(np.concatenate([parts.ravel(), *flags, of_weights, [loss]]), dist.ReduceOp.SUM)
        curves = {**curves, **({"loss": total[-1] / self.size} if "loss" in curves else {})}
        joined, at = matrix.copy(), parts.size
        if self._shards is not None:
            own, norm = self._take_weights(joined, total[-1 - of_weights.size : -1])
            curves |= {"gradient_norm": norm, "total_gradient_norm": norm}
        joined = self._of_sums(joined, total[: parts.size].reshape(parts.shape), own)
        for index, size in enumerate(units):
            here, at = total[at : at + 1 + size], at + 1 + size
            if size and here[0]:
                joined[DEAD, index] = np.mean(here[1:] == here[0])
        return joined, curves

    def _of_weights(self, matrix: Array, own: Array, norm: float) -> Array:
        """Of this rank's parts: squares of norms, largest entries in a place of its own, non-finite entries, ‖g‖²."""
        changes = matrix[UPDATE] * matrix[WEIGHT]
        largest = np.zeros((self.size, matrix.shape[1]))
        largest[self.rank] = matrix[LARGEST]
        squares = np.square(np.stack([matrix[GRADIENT], matrix[WEIGHT], changes]))
        return np.concatenate([squares.ravel(), largest.ravel(), own, [norm**2]])

    def _take_weights(self, matrix: Array, total: Array) -> tuple[Array, float]:
        """Into ``matrix``. The non-finite entries of all gradients, and ‖g‖."""
        rows = matrix.shape[1]
        gradients, weights, changes = np.sqrt(total[: 3 * rows].reshape(3, rows))
        with np.errstate(invalid="ignore", divide="ignore"):
            matrix[[GRADIENT, WEIGHT, UPDATE]] = gradients, weights, changes / weights
        matrix[LARGEST] = total[3 * rows : -1 - rows].reshape(self.size, rows).max(axis=0)
        return total[-1 - rows : -1], math.sqrt(total[-1])

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
    replicated = any(isinstance(its, DistributedDataParallel) for its in model.modules())
    if not (replicated or any(map(is_sharded, model.parameters()))):
        return None
    try:
        return Ranks(model)
    except RuntimeError as error:
        say(f"the other ranks are not watched, so numbers are of the cases of this one alone: {error}")
        return None


def _units(row: Row) -> int:
    """That can be dead."""
    if row.place is None or flat_intervals(row.activation) is None:
        return 0
    return row.entries // max(row.positions, 1)
