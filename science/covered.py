"""Intervals as arrays, and the share of them that hold the truth."""

from typing import Final

import numpy as np

from models.analysis.statistics import Array, Interval

SEED: Final = 5
Bounds = tuple[Array, Array]


def bounds_of(intervals: tuple[Interval, ...]) -> Bounds:
    return np.array([its.low for its in intervals]), np.array([its.high for its in intervals])


def covered(low: Array, high: Array, truth: float) -> float:
    return float(((low <= truth) & (truth <= high)).mean())
