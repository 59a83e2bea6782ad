"""Where a total gain is called vanishing or exploding, per kind of network, and what of that training outcomes confirm.

The figures are those of ``python -m proofs.outcomes.cuts`` (docs/verdicts.md); the limits are decision 12.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LIMIT: Final = 3.0
"""|G| of the cut: a factor e³ = 20 between the ends, which is the trainable depth 6ξ (Schoenholz et al. 2017)."""


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
    "cnn": Cut(-LIMIT, LIMIT, "beyond 5 of 24 train, inside 50 of 56"),
    "residual_mlp": Cut(-4.0, LIMIT, "below -4 2 of 5 train, between -4 and -3 3 of 3, above 6 of 14, inside 62 of 62"),
    "residual_cnn": Cut(None, LIMIT, "above 1 of 7 train, inside 67 of 70; below 5 of 7, which shows nothing"),
    "rnn": Cut(-LIMIT, LIMIT, "over depth: beyond 4 of 20 train, inside 25 of 26"),
    "transformer": Cut(None, LIMIT, "above 4 of 12 train, inside 43 of 48; none of the grid starts below"),
    "sequential": Cut(
        -5.0, LIMIT, "between -5 and -3 8 of 8 train; below -5 3 of 30, above 3 4 of 18, inside 31 of 32"
    ),
}
"""Of the depth axis."""
OVER_TIME: Final = STANDARD
"""A name for a gain, fixed by the golden cases; it separates no outcomes."""
