"""Two groups of runs whose mean would describe neither: deep networks train or die."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from gradient_clinic.values import Array

LEAST_GAP: Final = 0.05
"""Of accuracy or R²: what lies closer is told apart by the size of the test set as much as by training."""
RUNS: Final = (4, 5, 6, 8, 10, 12)
WITHIN: Final = (0.0014, 0.008, 0.021, 0.050, 0.076, 0.099)
"""By runs, the share of the variance that the best two groups of normal data leave within them in one case of 200
(quantiles of 100,000 samples). From 12 runs on it stays, lest evenly spread ones be taken for two groups."""


class Mode(BaseModel):
    """One of two groups of runs by their metric."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int
    mean: float
    lowest: float
    highest: float


def two_groups(values: Sequence[float]) -> tuple[Mode, Mode] | None:
    """The lower and the upper group; None where the values are one, or fewer than 4. Only finite ones count."""
    ordered = np.sort(np.asarray([value for value in values if np.isfinite(value)], dtype=np.float64))
    if ordered.size < RUNS[0]:
        return None
    split, within = _best_split(ordered)
    if ordered[split] - ordered[split - 1] < LEAST_GAP or within > np.interp(ordered.size, RUNS, WITHIN):
        return None
    return _mode(ordered[:split]), _mode(ordered[split:])


def _best_split(ordered: Array) -> tuple[int, float]:
    """How many are in the lower group where least variance is left within the two, and the share that is left."""
    n = ordered.size
    scaled = ordered / (np.abs(ordered).max() or 1.0)  # squares stay finite
    centred = scaled - scaled.mean()
    sizes = np.arange(1, n)
    between = np.cumsum(centred)[:-1] ** 2 * n / (sizes * (n - sizes))
    best, total = int(between.argmax()), float((centred**2).sum())
    return best + 1, 1.0 - float(between[best]) / total if total > 0.0 else 1.0


def _mode(values: Array) -> Mode:
    return Mode(n=values.size, mean=float(values.mean()), lowest=float(values[0]), highest=float(values[-1]))
