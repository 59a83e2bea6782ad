"""The loss of who knows the targets' frequencies and nothing else, from the targets that a loss's own graph holds.

Cross-entropy with class indices, binary cross-entropy with logits and the mean squared error are known. Their graph
keeps the targets until backward: of a loss that is told later they are not known.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(slots=True)
class Targets:
    """Sums over the losses that were seen, on their device: nothing here waits for it."""

    kind: str | None = None
    """The node of the graph that they came from."""
    _sums: Tensor | None = None

    @property
    def of_values(self) -> bool:
        """Whether the targets are numbers, and the loss their squared error."""
        return self.kind == "MseLossBackward0"

    @property
    def classes(self) -> int | None:
        """Of a cross-entropy."""
        known = self.kind in {"NllLossBackward0", "NllLoss2DBackward0"} and self._sums is not None
        return len(self._sums) if known and self._sums is not None else None

    def see(self, loss: Tensor) -> None:
        node: Any = loss.grad_fn
        kind = "" if node is None else node.name()
        if self.kind not in {None, kind} or kind not in SUMS:
            return
        try:
            with torch.no_grad():
                its = SUMS[kind](node)
        except RuntimeError:  # backward has freed them
            return
        self.kind, self._sums = kind, its if self._sums is None else self._sums + its

    def chance_level(self) -> float | None:
        """None where no loss was of a known kind, or it is 0 (targets that do not differ)."""
        if self._sums is None or self.kind is None:
            return None
        level = LEVELS[self.kind](self._sums.tolist())
        return level if level > 0.0 else None


def _classes(node: Any) -> Tensor:
    target, classes = node._saved_target.flatten(), node._saved_self.shape[1]  # noqa: SLF001 -- torch's own name for it
    counts = torch.zeros(classes, dtype=torch.float64, device=target.device)
    return counts.index_add_(0, target.clamp(0, classes - 1), (target >= 0).double())


def _values(node: Any) -> Tensor:
    target = node._saved_target.double()  # noqa: SLF001 -- as above
    return torch.stack([torch.ones_like(target).sum(), target.sum(), target.square().sum()])


def _entropy(counts: list[float]) -> float:
    total = sum(counts)
    return -sum(its / total * math.log(its / total) for its in counts if its) if total else 0.0


def _variance(sums: list[float]) -> float:
    count, total, squares = sums
    return squares / count - (total / count) ** 2


def _binary(sums: list[float]) -> float:
    count, total, _ = sums
    return _entropy([total, count - total])


SUMS = {
    "NllLossBackward0": _classes,
    "NllLoss2DBackward0": _classes,
    "MseLossBackward0": _values,
    "BinaryCrossEntropyWithLogitsBackward0": _values,
}
LEVELS = {
    "NllLossBackward0": _entropy,
    "NllLoss2DBackward0": _entropy,
    "MseLossBackward0": _variance,
    "BinaryCrossEntropyWithLogitsBackward0": _binary,
}
