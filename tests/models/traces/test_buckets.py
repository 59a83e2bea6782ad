"""Buckets against a plain Python oracle, and merged buckets against buckets of the raw values."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.traces.buckets import Buckets, bucket_size, joined

VALUES = st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=1, max_size=60)


def oracle(values: list[float]) -> tuple[float, float, float, float, int]:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return math.nan, math.nan, math.nan, values[-1], len(values)
    return min(finite), math.fsum(finite) / len(finite), max(finite), values[-1], len(values) - len(finite)


@given(VALUES, st.integers(1, 10))
def test_each_bucket_says_what_plain_python_says(values: list[float], size: int) -> None:
    buckets = Buckets.of(values, size)
    expected = [oracle(values[start : start + size]) for start in range(0, len(values), size)]
    for index, array in enumerate(buckets.arrays):
        np.testing.assert_allclose(array, [row[index] for row in expected], rtol=1e-6, atol=1e-6)


@given(VALUES, st.integers(1, 4), st.integers(1, 5))
def test_merged_buckets_are_buckets_of_the_raw_values(values: list[float], size: int, group: int) -> None:
    merged = Buckets.of(values, size).merged(group)
    for ours, raw in zip(merged.arrays, Buckets.of(values, size * group).arrays, strict=True):
        np.testing.assert_allclose(ours, raw, rtol=1e-9, atol=1e-3)


@given(VALUES, st.integers(1, 5))
def test_extremes_survive_any_thinning(values: list[float], points: int) -> None:
    buckets = Buckets.of(values, bucket_size(len(values), points))
    finite = [value for value in values if math.isfinite(value)]
    assert len(buckets.records) <= points
    assert buckets.nonfinite.sum() == len(values) - len(finite)
    if finite:
        assert np.nanmax(buckets.maximum) == max(finite)
        assert np.nanmin(buckets.minimum) == min(finite)


def test_no_records_make_no_buckets() -> None:
    buckets = Buckets.of(np.empty((3, 0)), 1)
    assert buckets.minimum.shape == (3, 0)


def test_joined_parts_read_as_one() -> None:
    values = np.arange(10.0)
    whole = joined([Buckets.of(values[:4], 2), Buckets.of(values[4:], 2)])
    np.testing.assert_array_equal(whole.maximum, Buckets.of(values, 2).maximum)


def test_the_mean_of_equal_values_is_that_value() -> None:
    buckets = Buckets.of(np.full(55, 0.001), 55)
    assert buckets.mean == buckets.minimum == buckets.maximum
    assert Buckets.of(np.full(55, 0.001), 5).merged(11).mean == buckets.mean
