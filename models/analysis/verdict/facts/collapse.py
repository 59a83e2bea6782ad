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

from models.analysis.verdict.case import Case
from models.analysis.verdict.facts.fact import START, Fact, Reading, above
from models.analysis.verdict.shapes import Evidence
from models.analysis.verdict.wording import number

CORRELATION: Final = 0.97
"""Where half the layers see more, samples are taken for one point. Of plain He-ReLUs none of 64 with 12 or 20 layers
lies above, and they learn; 2 of 32 with 30 layers, 27 of 32 with 60, 30 of 32 with 80. Of what was tried alone there,
only skips and fewer layers let them learn."""
FEWEST_CASES: Final = 8
"""Of fewer the share that is off for all is near ½ without any collapse."""


def _off_at_start(case: Case) -> Reading | None:
    """Where the median hidden layer of the untrained network has more units off for all of a batch than samples of
    correlation 0.97 leave off. None where a layer is off altogether, which is another fault.
    """
    shares, cases = [share for share in case.measured.dead_at_start if not math.isnan(share)], case.setup.batch_size
    if cases < FEWEST_CASES or not shares or max(shares) == 1.0:
        return None
    share, limit = float(np.median(shares)), share_off(CORRELATION, cases)
    return above(share, limit, case.measured.hidden, START) if share > limit else None


def _collapsed_words(item: Evidence) -> str:
    share = f"{number(item.value)} of the units of the median layer are off for every sample of the batch at the start"
    return f"samples become one point on their way: {share}"


OFF_AT_START: Final = Fact("dead_fraction", "median_off_for_all_at_start", _off_at_start, _collapsed_words)


@lru_cache(maxsize=64)
def share_off(correlation: float, cases: int) -> float:
    """P(all of ``cases`` standard normals with this common correlation are below 0) = E[Φ(−√(c/(1−c))·z)^cases]."""
    z = np.linspace(-9.0, 9.0, 20_001)
    all_off = np.exp(cases * special.log_ndtr(-math.sqrt(correlation / (1.0 - correlation)) * z))
    return float(np.trapezoid(all_off * np.exp(-0.5 * z * z), z)) / math.sqrt(2.0 * math.pi)
