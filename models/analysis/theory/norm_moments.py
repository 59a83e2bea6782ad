"""What norms over few values make of χ: batches and groups of finite size beside their limits."""

import math
from typing import Final

from models.analysis.theory.batch_statistics import batch_norm_multiplier
from models.analysis.theory.meanfield import LayerMap
from models.plan.tree import Activate
from models.specs.normalization import NormalizationSpec

BATCH_MATTERS: Final = 0.01
"""Relative change of the rms ratio from which χ(B) replaces its limit (ReLU: batches of 57 and smaller)."""
LINEAR: Final = 1e-9
"""The limit of χ under batch norm is 1 for linear φ only; then (B − 2)/(B − 3) is all there is, at any B."""


def group_factor(norm: NormalizationSpec | None, units: int, places: int) -> float:
    """What few values per group make of χ: (n − 2)/(n − 3), E[1/variance] less the two directions that the norm takes.

    Layer norm has as many values as units, and reads the limit.
    """
    if norm is None or norm.kind != "group_norm":
        return 1.0
    values = units // norm.groups * places
    return (values - 2.0) / (values - 3.0) if values > 3 else math.inf


def batch_factor(below: Activate, batch_size: int) -> float:
    """χ(B)/χ(∞) under batch norm where that matters, else 1, so that common batches read the published limit."""
    activation, dropout = below.activation, below.dropout
    limit = LayerMap(activation, 1.0, dropout=dropout, norm="batch_norm").gradient_multiplier(1.0)
    factor = batch_norm_multiplier(activation, batch_size, dropout) / limit
    return factor if abs(limit - 1.0) < LINEAR or abs(math.sqrt(factor) - 1.0) > BATCH_MATTERS else 1.0
