"""What pairing by seed has brought: how far a seed's figures go together, and what that did to the interval."""

import math
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from models.analysis.statistics.effects import has_spread

FEWEST = 3


class Pairing(BaseModel):
    """``correlation`` of the metric over shared seeds; ``width``: the paired interval's beside that of unpaired
    figures, sd(differences) / √(sd² + sd²). Below 1 pairing has narrowed it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    correlation: float
    width: float
    n: int


def pairing_of(ours: Sequence[float], theirs: Sequence[float]) -> Pairing | None:
    """None for fewer than 3 seeds, and where either does not spread."""
    one, other = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if one.size < FEWEST or not (has_spread(one) and has_spread(other)):
        return None
    apart = math.hypot(one.std(ddof=1), other.std(ddof=1))
    return Pairing(
        correlation=float(np.corrcoef(one, other)[0, 1]),
        width=float((one - other).std(ddof=1)) / apart,
        n=one.size,
    )
