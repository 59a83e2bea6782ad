"""Rank collapse: deep in an untrained network of ReLUs all samples become one point, at any scale of the weights.

The correlation of two samples' h goes to 1 with depth even where gradients keep their size (Poole 2016; of a critical
ReLU 1 − c falls as 1/depth²), and no gradient through such layers tells samples apart. ``dead_fraction`` at the start
shows it: a random unit is off for a sample with probability ½, so where a share near ½ is off for all, all are one
point. Smooth and leaky activations collapse too and are never flat, so there it cannot be seen.
"""

import math
from functools import lru_cache
from typing import Final

import numpy as np
from scipy import special

from models.analysis.verdict.evidence import START, Where, above
from models.analysis.verdict.shapes import Evidence, Measured

OFF_AT_START: Final = "median_off_for_all_at_start"
CORRELATION: Final = 0.97
"""Where half the layers see more, samples are taken for one point. Of plain He-ReLUs none of 64 with 12 or 20 layers
lies above, and they learn; 2 of 32 with 30 layers, 27 of 32 with 60, 30 of 32 with 80. Of what was tried alone there,
only skips and fewer layers let them learn."""
FEWEST_CASES: Final = 8
"""Of fewer the share that is off for all is near ½ without any collapse."""


def collapsed(measured: Measured, cases: int) -> Evidence | None:
    """Where the median hidden layer of the untrained network has more units off for all of a batch of ``cases`` than
    samples of correlation 0.97 leave off. None where a layer is off altogether, which is another fault.
    """
    shares = np.array([share for share in measured.dead_at_start if not math.isnan(share)])
    if cases < FEWEST_CASES or not shares.size or shares.max() == 1.0:
        return None
    found = above(
        Where("dead_fraction", measured.hidden, START),
        OFF_AT_START,
        float(np.median(shares)),
        share_off(CORRELATION, cases),
    )
    return found if found.margin is not None and found.margin > 0 else None


@lru_cache(maxsize=64)
def share_off(correlation: float, cases: int) -> float:
    """P(all of ``cases`` standard normals with this common correlation are below 0) = E[Φ(−√(c/(1−c))·z)^cases]."""
    z = np.linspace(-9.0, 9.0, 20_001)
    all_off = np.exp(cases * special.log_ndtr(-math.sqrt(correlation / (1.0 - correlation)) * z))
    return float(np.trapezoid(all_off * np.exp(-0.5 * z * z), z)) / math.sqrt(2.0 * math.pi)
