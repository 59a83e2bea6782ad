"""Means over seeds against scipy and statsmodels; which method is chosen, and how often wrongly."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.robust_compare import TrimmedMean

from gradient_clinic.values import Array
from models.analysis.statistics.over_seeds import (
    MIDDLE_TEST,
    has_heavy_tails,
    middle_t_p,
    over_seeds,
    paired_over_seeds,
    paired_test,
    widened,
)

INF = math.inf
NAN = math.nan
NORMAL = np.random.default_rng(1).normal(0.9, 0.02, size=24)
SKEWED = np.random.default_rng(2).exponential(size=22)
HEAVY = np.random.default_rng(4).standard_t(1.5, size=24)
anything = st.one_of(st.floats(-1e3, 1e3), st.sampled_from([0.0, 0.5, 0.9]), st.sampled_from([NAN, INF, -INF]))


def by_scipy(values: Array, *, middle: bool) -> tuple[float, float]:
    """With other resamples, and more, at the level at which a normal's cut is √(n/(n−1))·t (Hesterberg 2015)."""
    n = values.size
    level = 1 - 2 * stats.norm.sf(math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1))
    centre = (lambda data, axis: stats.trim_mean(data, 0.25, axis=axis)) if middle else np.mean
    found = stats.bootstrap(
        (values,), centre, n_resamples=40_000, batch=4_000, confidence_level=level, rng=np.random.default_rng(9)
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


# --- the interval -----------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), min_size=2, max_size=19).filter(lambda values: np.std(values) > 1e-6))
def test_fewer_than_twenty_seeds_have_students_interval(values: list[float]) -> None:
    found = over_seeds(values)
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(values), low, high))
    assert (found.method, found.n) == ("t", len(values))


@pytest.mark.parametrize(("values", "middle"), [(NORMAL, False), (SKEWED, False), (HEAVY, True)])
def test_twenty_seeds_have_scipys_bootstrap_interval(values: Array, *, middle: bool) -> None:
    found = over_seeds(values.tolist())
    low, high = by_scipy(values, middle=middle)
    mean = np.sort(values)[6:18].mean() if middle else values.mean()
    assert (found.method, found.n) == ("IQM, BCa" if middle else "BCa", values.size)
    assert found.mean == pytest.approx(mean)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05 * (high - low))


@pytest.mark.parametrize("values", [NORMAL, SKEWED, HEAVY])
def test_the_same_figures_give_the_same_interval_and_their_negatives_its_mirror_image(values: Array) -> None:
    there, again, back = (paired_over_seeds(its.tolist()) for its in (values, values[::-1], -values))
    assert there == again
    assert None not in {there.mean, there.low, there.high}
    assert [back.mean, back.high, back.low] == [-value for value in (there.mean, there.low, there.high) if value]
    assert there.method.startswith("paired ")


@pytest.mark.parametrize(("n", "level"), [(20, 0.9682), (50, 0.9576), (1_000, 0.9504)])
def test_a_bootstrap_is_asked_for_more_the_fewer_seeds_there_are(n: int, level: float) -> None:
    assert widened(n) == pytest.approx(level, abs=5e-5)


@pytest.mark.long
def test_twenty_normal_seeds_have_an_interval_as_wide_as_students() -> None:
    samples = np.random.default_rng(7).normal(size=(100, 20))
    found = [over_seeds(sample) for sample in samples.tolist()]
    widths = np.array([its.high - its.low for its in found if its.low is not None and its.high is not None])
    student = 2 * stats.t.ppf(0.975, 19) * stats.sem(samples, axis=1)
    assert np.mean(widths / student) == pytest.approx(1.0, abs=0.02)


@pytest.mark.long
@pytest.mark.parametrize("draw", [np.random.default_rng(5).normal, np.random.default_rng(6).uniform])
def test_intervals_of_twenty_seeds_hold_the_mean_about_as_often_as_they_say(draw: object) -> None:
    assert callable(draw)
    middle = 0.5 if "uniform" in repr(draw) else 0.0
    found = [over_seeds(sample) for sample in draw(size=(200, 20)).tolist()]
    held = [its.low < middle < its.high for its in found if its.low is not None and its.high is not None]
    assert len(held) == 200
    assert np.mean(held) >= 0.92  # 0.95 less twice the error of 200 samples


@settings(max_examples=60, deadline=None)
@given(st.lists(anything, max_size=26))
def test_whatever_the_figures_an_interval_holds_its_mean(values: list[float]) -> None:
    found = over_seeds(values)
    assert found.n == sum(not math.isnan(value) for value in values)
    if found.low is not None and found.high is not None and found.mean is not None:
        assert found.low - 1e-9 <= found.mean <= found.high + 1e-9
    paired_test(values)


@pytest.mark.parametrize(
    ("values", "method", "known"),
    [
        ([0.5] * 30, "t", True),
        ([0.5] * 28 + [0.1, 0.9], "BCa", True),
        ([0.0] * 14 + [1.0] * 5 + [1e107], "BCa", True),
        ([0.5] * 29 + [INF], "t", False),
    ],
)
def test_seeds_that_hardly_differ_are_no_trouble(values: list[float], method: str, *, known: bool) -> None:
    found = over_seeds(values)
    assert (found.method, found.low is not None) == (method, known)


# --- heavy tails ------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("n", [20, 50])
def test_one_in_a_hundred_normal_samples_is_taken_for_heavy(n: int) -> None:
    samples = np.random.default_rng(n).normal(size=(2_000, n))
    assert np.mean([has_heavy_tails(sample) for sample in samples]) == pytest.approx(0.01, abs=0.006)


def test_heavy_tails_are_seen_more_often_the_more_seeds_there_are() -> None:
    seen = [np.mean([has_heavy_tails(sample) for sample in _cauchy(n)]) for n in (20, 50)]
    assert seen[0] > 0.6
    assert seen[1] > 0.95


def _cauchy(n: int) -> Array:
    return np.random.default_rng(n).standard_cauchy(size=(500, n))


# --- the test ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [NORMAL - 0.89, SKEWED - 0.5, HEAVY, HEAVY[:21] + 1.0])
def test_the_test_of_the_middle_half_is_statsmodels(values: Array) -> None:
    _, p, _ = TrimmedMean(values, 0.25).ttest_mean(0.0)
    assert middle_t_p(values) == pytest.approx(p)


def test_the_test_speaks_of_the_mean_that_is_given() -> None:
    assert paired_test(HEAVY.tolist()) == (MIDDLE_TEST, middle_t_p(HEAVY))
    test, p = paired_test((NORMAL - 0.89).tolist())
    assert test == "paired t"
    assert p == pytest.approx(stats.ttest_1samp(NORMAL, 0.89).pvalue)


@pytest.mark.long
def test_the_test_keeps_its_level_and_sees_more_than_paired_t_where_tails_are_heavy() -> None:
    samples = np.random.default_rng(5).standard_t(2, size=(800, 20))
    by_chance = [paired_test(sample)[1] or 1.0 for sample in samples.tolist()]
    found = [paired_test(sample)[1] or 1.0 for sample in (samples + 0.6).tolist()]
    by_t = stats.ttest_1samp(samples + 0.6, 0.0, axis=1).pvalue
    assert np.mean(np.less(by_chance, 0.05)) == pytest.approx(0.05, abs=0.025)
    assert np.mean(np.less(found, 0.05)) > np.mean(by_t < 0.05) + 0.08
