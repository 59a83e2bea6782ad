"""How well a cut on G separates networks that train from those that do not, side by side with its intervals."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy import stats

from models.analysis.statistics.effects import clopper_pearson
from proofs.outcomes.cuts.outcomes import Outcome

Side = Literal["vanishing", "exploding"]
EDGES: Final = (-math.inf, -6.0, -3.0, 3.0, 6.0, math.inf)
CUT: Final = 3.0
CUTS: Final = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0, 14.0, 20.0)
EACH: Final = 0.975
"""Level of either rate's interval, so that their mean's covers at least 95 % (Bonferroni)."""
DRAWS: Final = 2000


@dataclass(frozen=True, slots=True)
class Separation:
    """A cut on one side: of ``failed`` networks ``caught`` lie beyond it, of ``trained`` ones ``spared`` do not.

    ``accuracy`` is the mean of the two shares, with exact limits; None where either kind of network is missing.
    """

    side: Side
    cut: float
    caught: int
    failed: int
    spared: int
    trained: int

    @property
    def p_value(self) -> float:
        """Fisher's exact one-sided test that networks beyond the cut fail more often than the others."""
        beyond, total = self.caught + self.trained - self.spared, self.failed + self.trained
        # P(X ≥ caught): the survival function leaves its own point out.
        return float(stats.hypergeom.sf(self.caught - 1, total, self.failed, beyond))

    @property
    def accuracy(self) -> tuple[float, float, float] | None:
        """(value, low, high)."""
        caught, spared = (
            clopper_pearson(count, of, EACH) for count, of in ((self.caught, self.failed), (self.spared, self.trained))
        )
        if caught is None or spared is None:
            return None
        value = (self.caught / self.failed + self.spared / self.trained) / 2
        return value, (caught[0] + spared[0]) / 2, (caught[1] + spared[1]) / 2


def bands(outcomes: Sequence[Outcome]) -> list[tuple[int, int]]:
    """(trained, of) in each band between ``EDGES``; a network without a G is in none."""
    pairs = itertools.pairwise(EDGES)
    # The last band holds its upper end as well, which is ∞.
    inside = [
        [outcome.trained for outcome in outcomes if low <= outcome.gain < high or outcome.gain == high > 6]
        for low, high in pairs
    ]
    return [(sum(those), len(those)) for those in inside]


def on_side(outcomes: Sequence[Outcome], side: Side) -> list[Outcome]:
    """Those that are not beyond the cut of the other side."""
    sign = _sign(side)
    return [outcome for outcome in outcomes if sign * outcome.gain >= -CUT]


def separation(outcomes: Sequence[Outcome], side: Side, cut: float = CUT) -> Separation:
    """``outcomes`` of one side."""
    beyond = np.array([_sign(side) * outcome.gain > cut for outcome in outcomes], dtype=bool)
    trained = np.array([outcome.trained for outcome in outcomes], dtype=bool)
    return Separation(
        side=side,
        cut=cut,
        caught=int((beyond & ~trained).sum()),
        failed=int((~trained).sum()),
        spared=int((~beyond & trained).sum()),
        trained=int(trained.sum()),
    )


def best_cuts(outcomes: Sequence[Outcome], side: Side, seed: int) -> tuple[float, float, float] | None:
    """(best, low, high) of ``CUTS`` by balanced accuracy; the limits are percentiles over networks drawn anew.

    Of cuts that separate equally well the one nearest to 3 counts. None where nothing failed, or nothing trained.
    """
    if len({outcome.trained for outcome in outcomes}) < 2:
        return None
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(0, len(outcomes), len(outcomes)) for _ in range(DRAWS))
    found = [_best([outcomes[i] for i in chosen], side) for chosen in drawn]
    # Nearest, and not between: a limit has to be one of the cuts. A draw without both outcomes has no best one.
    low, high = np.percentile([cut for cut in found if cut is not None], (2.5, 97.5), method="nearest")
    best = _best(outcomes, side)
    return None if best is None else (best, float(low), float(high))


def _best(outcomes: Sequence[Outcome], side: Side) -> float | None:
    gains = _sign(side) * np.array([outcome.gain for outcome in outcomes])
    trained = np.array([outcome.trained for outcome in outcomes], dtype=bool)
    if trained.all() or not trained.any():
        return None
    scores = {cut: np.mean(gains[~trained] > cut) + np.mean(gains[trained] <= cut) for cut in CUTS}
    top = max(scores.values())
    return min((cut for cut, score in scores.items() if math.isclose(score, top)), key=lambda cut: abs(cut - CUT))


def _sign(side: Side) -> int:
    return -1 if side == "vanishing" else 1
