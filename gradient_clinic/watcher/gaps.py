"""Records without gaps: a service takes NaN for a broken value, and a row of a watch may lack what others have."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from gradient_clinic.layers import Layer
from gradient_clinic.signals import SIGNALS
from gradient_clinic.values import Array
from gradient_clinic.watcher.records import NONFINITE, UPDATE
from gradient_clinic.watcher.rows import Row
from gradient_clinic.watcher.trace import NOT_NAMED, OF_H, updates_of

OF_WEIGHT: Final = [SIGNALS.index(name) for name in ("weight_gradient_norm", "weight_gradient_max", "weight_norm")]


class Gaps:
    """Of rows in the order of their ``layers``, the output last."""

    def __init__(self, rows: Sequence[Row], layers: Sequence[Layer]) -> None:
        self._layers = layers
        self._met = np.array([row.place is not None for row in rows], dtype=bool)
        self._weighed = np.array([row.weight is not None for row in rows], dtype=bool)
        self.last = _before_the_first((len(SIGNALS), len(rows)))
        """(signals, layers): of each the newest finite value."""

    def filled(self, ours: Array) -> Array:
        """(signals, layers) of one step. What it did not measure is as it was last."""
        ours = ours.copy()
        ours[NONFINITE] = np.nan_to_num(ours[NONFINITE])
        ours[UPDATE] = updates_of(self._layers, ours[UPDATE][:, None])[:, 0]
        ours_or_last = np.where(np.isnan(ours) & ~self._is_broken(ours), self.last, ours)
        self.last = np.where(np.isfinite(ours_or_last), ours_or_last, self.last)
        return ours_or_last

    def _is_broken(self, ours: Array) -> Any:
        """(signals, layers): a NaN of h or δ is one where some of their entries were counted."""
        broken = np.zeros(ours.shape, dtype=bool)
        broken[[SIGNALS.index(name) for name in OF_H]] = (ours[NONFINITE] > 0) & self._met
        broken[OF_WEIGHT] = (ours[NONFINITE] > 0) & self._weighed
        return broken


def _before_the_first(shape: tuple[int, ...]) -> Array:
    """Of what was never measured: an rms of 1, which no rule but that of broken values reads; all else 0."""
    values = np.zeros(shape)
    values[[SIGNALS.index(name) for name in OF_H if name.endswith("rms")]] = NOT_NAMED
    return values
