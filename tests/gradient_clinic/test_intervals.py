"""The t-interval against scipy and hand calculations, and what it says of infinite values."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gradient_clinic.intervals import t_interval, t_intervals

INF = math.inf
NAN = math.nan
numbers = st.floats(-1e6, 1e6, allow_nan=False)


def test_t_interval_of_one_to_five_is_three_plus_minus_1_963() -> None:
    interval = t_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (interval.mean, interval.n) == (3.0, 5)
    assert interval.high - 3.0 == pytest.approx(2.776445 * math.sqrt(2.5 / 5), abs=1e-6)
    assert interval.low == pytest.approx(6.0 - interval.high)


@given(st.lists(numbers, min_size=2, max_size=30), st.sampled_from([0.9, 0.95, 0.999]))
def test_t_interval_is_scipys(values: list[float], level: float) -> None:
    interval = t_interval(values, level)
    spread = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    low, high = (
        stats.t.interval(level, len(values) - 1, np.mean(values), spread) if spread > 0 else (interval.mean,) * 2
    )
    assert (interval.low, interval.high) == pytest.approx((low, high), rel=1e-9, abs=1e-6)


def test_differences_that_cancel_have_a_mean_of_zero_and_no_rest_of_rounding() -> None:
    accuracies = np.array([345, 350, 341, 352]) / 359
    found = t_interval(accuracies - accuracies[[1, 0, 3, 2]])
    assert found.mean == 0.0
    assert found.high == -found.low > 0.0
    assert t_interval([1e-12, 3e-12]).mean == 2e-12


def test_columns_are_estimated_apart_and_nan_is_left_out() -> None:
    first, second, third = t_intervals(np.array([[1.0, NAN, NAN], [2.0, 4.0, NAN], [6.0, NAN, NAN]]))
    assert (first.mean, first.n, second.mean, second.n, third.n) == (3.0, 3, 4.0, 1, 0)
    assert not second.bounded
    assert math.isnan(third.mean)


@pytest.mark.parametrize(
    ("values", "mean", "low", "high"),
    [
        ([-INF, -INF], -INF, -INF, -INF),
        ([INF, INF, NAN], INF, INF, INF),
        ([-INF, -20.0, -20.0], -INF, -INF, -20.0),
        ([INF, 5.0], INF, 5.0, INF),
        ([-INF, INF], NAN, -INF, INF),
    ],
)
def test_an_infinite_value_opens_the_interval_on_its_side(
    values: list[float], mean: float, low: float, high: float
) -> None:
    interval = t_interval(values)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((mean, low, high), nan_ok=True)


def test_an_estimate_has_bounds_only_where_there_is_a_spread_and_a_finite_mean() -> None:
    assert asdict(t_interval([2.0]).estimate("t")) == {
        "mean": 2.0,
        "low": None,
        "high": None,
        "n": 1,
        "method": "t",
    }
    assert asdict(t_interval([-INF, -20.0, -21.0]).estimate("t")) == {
        "mean": None,
        "low": None,
        "high": None,
        "n": 3,
        "method": "t",
    }


def test_t_intervals_of_five_normals_cover_95_percent() -> None:
    draws = np.random.default_rng(1).normal(7.0, 3.0, size=(5, 20_000))
    covered = np.mean([interval.low <= 7.0 <= interval.high for interval in t_intervals(draws)])
    assert covered == pytest.approx(0.95, abs=0.005)


def test_the_bonferroni_level_covers_eighteen_correlated_layers_at_once() -> None:
    rng = np.random.default_rng(2)
    steps = rng.normal(size=(2_000, 5, 18)).cumsum(axis=2)  # r is a sum of increments, so layers go together
    inside = [all(i.low <= 0.0 <= i.high for i in t_intervals(network, 1.0 - 0.05 / 18)) for network in steps]
    assert np.mean(inside) >= 0.95
