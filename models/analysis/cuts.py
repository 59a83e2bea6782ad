"""Where a total gain is called vanishing or exploding, per kind of network, and what of that training outcomes confirm.

The figures are those of ``python -m verdicts.cuts`` (docs/verdicts.md); the limits are decision 12.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LIMIT: Final = 3.0
"""|G| of the cut: a factor e³ = 20 between the ends, which is the trainable depth 6ξ (Schoenholz 2017; science 5b)."""


@dataclass(frozen=True, slots=True)
class Cut:
    """G below ``vanishing`` or above ``exploding`` is called so.

    None: outcomes confirm no limit on that side; G is shown and its kind is inconclusive. Healthy is what lies inside
    ±3 whatever the limits are, and what lies between 3 and a wider limit is inconclusive too. ``reason``: what the
    limits rest on.
    """

    vanishing: float | None
    exploding: float | None
    reason: str

    def nearest(self, gain: float) -> float:
        """The limit on the side of ``gain``, ±3 where there is none."""
        if gain < 0:
            return -LIMIT if self.vanishing is None else self.vanishing
        return LIMIT if self.exploding is None else self.exploding

    def is_beyond(self, gain: float) -> bool:
        """Whether a point lies where this kind of network is called vanishing or exploding."""
        limit = self.vanishing if gain < 0 else self.exploding
        return limit is not None and abs(gain) > abs(limit)

    def leaves_open(self, gain: float) -> bool:
        """Whether a point lies beyond ±3, and outcomes confirm no name for it."""
        return abs(gain) > LIMIT and not self.is_beyond(gain)


STANDARD: Final = Cut(-LIMIT, LIMIT, "the 6ξ rule, which the outcomes of multilayer perceptrons confirm")

CUTS: Final[Mapping[str, Cut]] = {
    "mlp": STANDARD,
    "cnn": Cut(-LIMIT, LIMIT, "beyond 2 of 13 train, inside 22 of 27"),
    "residual_mlp": Cut(-LIMIT, LIMIT, "beyond 4 of 11 train, inside 31 of 31"),
    "residual_cnn": Cut(None, LIMIT, "above 0 of 3 train, inside 32 of 35; below 2 of 4, which shows nothing"),
    "rnn": Cut(-LIMIT, LIMIT, "over depth: beyond 3 of 10 train, inside 13 of 13"),
    "transformer": Cut(None, LIMIT, "above 2 of 6 train, inside 23 of 24; none of the grid starts below"),
    "sequential": Cut(-5.0, LIMIT, "between -5 and -3 most train; below -5 0 of 16, above 3 2 of 8, inside 14 of 15"),
}
"""Of the depth axis."""
OVER_TIME: Final = STANDARD
"""A name for a gain, fixed by the golden cases; it separates no outcomes."""
