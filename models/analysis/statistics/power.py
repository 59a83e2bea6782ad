"""How many seeds a paired t-test needs to find a difference."""

import bisect
import math
from collections.abc import Sequence
from typing import Final

from scipy import special

from models.analysis.statistics.effects import standardised

ALPHA: Final = 0.05
POWER: Final = 0.8
MOST_SEEDS: Final = 1_000
"""As many as an experiment may have."""


def seeds_needed(effect_size: float, alpha: float = ALPHA) -> int:
    """The fewest seeds with which a two-sided test at ``alpha`` has power 0.8; ``MOST_SEEDS`` + 1 for more than those.

    ``effect_size``: the mean paired difference in its standard deviations.
    """
    several = range(MOST_SEEDS + 1)
    return bisect.bisect_left(several, POWER, lo=2, key=lambda n: _power(effect_size, n, alpha))


def seeds_to_show(differences: Sequence[float], p_holm: float | None, family: int) -> int | None:
    """Seeds for a mean difference as large as the one found, at the level that Holm gives the first of ``family``:
    so they are more than there are. None where it is shown already or cannot be tested, and beyond ``MOST_SEEDS``.
    """
    ratio = standardised(differences)
    if ratio is None or p_holm is None or p_holm < ALPHA:
        return None
    n = max(seeds_needed(abs(ratio), ALPHA / family), len(differences) + 1)  # these few have just not shown it
    return n if n <= MOST_SEEDS else None


def _power(effect_size: float, n: int, alpha: float) -> float:
    """Both tails of the noncentral t at n differences beyond its critical value."""
    critical = special.stdtrit(n - 1, 1.0 - alpha / 2.0)
    shift = effect_size * math.sqrt(n)
    below, above = special.nctdtr(n - 1, shift, [-critical, critical])
    return float(below + 1.0 - above)
