"""Fewer points without losing a spike: buckets with min, mean, max, last and a count of what is not finite.

Pure numpy, over the last axis. Used where rollups are written and where pictures are read, so both agree.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Buckets:
    """Statistics of consecutive records; arrays of shape (…, buckets).

    ``minimum``, ``mean`` and ``maximum`` are over finite values (NaN where a bucket has none), ``last`` is the
    last record's value as it is, ``nonfinite`` counts NaN and ±Inf; ``records`` has shape (buckets,).
    """

    minimum: Array
    mean: Array
    maximum: Array
    last: Array
    nonfinite: Array
    records: Array

    @classmethod
    def of(cls, values: npt.ArrayLike, size: int) -> Self:
        """Buckets of ``size`` consecutive records of ``values`` (…, records); the last one may be shorter."""
        return cls.beginning_at(values, np.arange(0, np.shape(values)[-1], size))

    @classmethod
    def beginning_at(cls, values: npt.ArrayLike, starts: Places) -> Self:
        """Buckets of ``values`` (…, records) that begin at these records, the first of which is record 0."""
        data = np.asarray(values, dtype=np.float64)
        ends = np.append(starts[1:], data.shape[-1])[: len(starts)]
        finite = np.isfinite(data)
        # What is not finite gives way to a value that leaves a sum or an extreme as it is.
        count = np.add.reduceat(finite.astype(np.float64), starts, axis=-1)
        total = np.add.reduceat(np.where(finite, data, 0.0), starts, axis=-1)
        minimum = _or_nan(np.minimum.reduceat(np.where(finite, data, np.inf), starts, axis=-1), count)
        maximum = _or_nan(np.maximum.reduceat(np.where(finite, data, -np.inf), starts, axis=-1), count)
        return cls(
            minimum=minimum,
            mean=_mean(total, count, minimum, maximum),
            maximum=maximum,
            last=data[..., ends - 1],
            nonfinite=(ends - starts).astype(np.float64) - count,
            records=(ends - starts).astype(np.float64),
        )

    @classmethod
    def from_arrays(cls, arrays: Sequence[Array], records: Array) -> Self:
        """From what ``arrays`` gives, in its order."""
        minimum, mean, maximum, last, nonfinite = arrays
        return cls(minimum, mean, maximum, last, nonfinite, records)

    def merged(self, size: int) -> Self:
        """``size`` neighbouring buckets made one: the same as buckets of the raw values, but for rounding."""
        return self.merged_at(np.arange(0, self.records.shape[-1], size))

    def merged_at(self, starts: Places) -> Self:
        """Neighbouring buckets made one, each beginning with one of these, the first of which is bucket 0."""
        ends = np.append(starts[1:], self.records.shape[-1])[: len(starts)]
        finite = self.records - self.nonfinite
        # Means weigh by their finite records, so that a mean of means is the mean of the values.
        count = np.add.reduceat(finite, starts, axis=-1)
        total = np.add.reduceat(np.where(finite > 0, np.nan_to_num(self.mean) * finite, 0.0), starts, axis=-1)
        low = np.where(finite > 0, self.minimum, np.inf)
        high = np.where(finite > 0, self.maximum, -np.inf)
        minimum = _or_nan(np.minimum.reduceat(low, starts, axis=-1), count)
        maximum = _or_nan(np.maximum.reduceat(high, starts, axis=-1), count)
        return type(self)(
            minimum=minimum,
            mean=_mean(total, count, minimum, maximum),
            maximum=maximum,
            last=self.last[..., ends - 1],
            nonfinite=np.add.reduceat(self.nonfinite, starts, axis=-1),
            records=np.add.reduceat(self.records, starts, axis=-1),
        )

    @property
    def arrays(self) -> tuple[Array, Array, Array, Array, Array]:
        """minimum, mean, maximum, last, nonfinite."""
        return self.minimum, self.mean, self.maximum, self.last, self.nonfinite


def joined(parts: Sequence[Buckets]) -> Buckets:
    """Buckets that follow one another, as one."""
    stacked = [np.concatenate(arrays, axis=-1) for arrays in zip(*(part.arrays for part in parts), strict=True)]
    return Buckets.from_arrays(stacked, np.concatenate([part.records for part in parts]))


def _mean(total: Array, count: Array, minimum: Array, maximum: Array) -> Array:
    """total/count; NaN for no records. Rounding must not take the mean of equal values beside them."""
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return np.clip(mean, minimum, maximum)


def _or_nan(extreme: Array, count: Array) -> Array:
    return np.where(count > 0, extreme, np.nan)


def bucket_size(records: int, points: int) -> int:
    """The smallest number of records to a bucket that needs at most ``points`` buckets."""
    return max(1, math.ceil(records / points))
