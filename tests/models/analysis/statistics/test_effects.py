"""Every interval and test against scipy, statsmodels, published examples or a hand calculation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from models.analysis.statistics.effects import (
    clopper_pearson,
    hedges_g,
    hedges_g_interval,
    holm,
    paired_success_difference,
    paired_t_p,
    wilson,
)

INF = math.inf
NAN = math.nan
numbers = st.floats(-1e6, 1e6, allow_nan=False)
pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=12)


def table(both: int, first_only: int, second_only: int, neither: int) -> tuple[list[bool], list[bool]]:
    cells = [(True, True)] * both + [(True, False)] * first_only + [(False, True)] * second_only
    first, second = zip(*(cells + [(False, False)] * neither), strict=True)
    return list(first), list(second)


# --- paired effects ---------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=12))
def test_paired_p_is_scipys(both: list[tuple[float, float]]) -> None:
    first, second = np.array(both).T
    ours = paired_t_p((first - second).tolist())
    spread = float(np.std(first - second, ddof=1))
    if ours is not None and spread > 1e-6:
        assert ours == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-6, abs=1e-12)


def test_differences_that_are_all_zero_are_no_difference() -> None:
    assert paired_t_p([0.0, 0.0, 0.0]) == 1.0
    assert hedges_g([0.0, 0.0, 0.0]) == 0.0


@pytest.mark.parametrize("differences", [[], [0.3], [0.02, 0.02], [0.95 - 0.93, 0.90 - 0.88, 0.02], [0.1, INF]])
def test_without_a_spread_there_is_no_test(differences: list[float]) -> None:
    assert paired_t_p(differences) is None
    assert hedges_g(differences) is None


def test_hedges_g_of_one_to_five() -> None:
    correction = math.gamma(2.0) / (math.sqrt(2.0) * math.gamma(1.5))  # J(4) = 0.7979
    assert hedges_g([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(correction * 3.0 / math.sqrt(2.5))


def test_hedges_g_of_two_pairs_says_nothing() -> None:
    assert hedges_g([1.0, 2.0]) is None


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0, 4.0, -2.0])
@pytest.mark.parametrize("n", [3, 5, 20])
def test_the_interval_of_g_has_the_effects_at_which_t_lies_at_the_edge_of_either_tail(n: int, shift: float) -> None:
    differences = np.random.default_rng(n).normal(shift, 1.0, size=n)
    found = hedges_g_interval(differences.tolist())
    t = stats.ttest_1samp(differences, 0.0).statistic
    edges = [
        stats.nct.cdf(abs(t), n - 1, math.copysign(1.0, t) * end * math.sqrt(n)) for end in (found.low, found.high)
    ]
    assert sorted(edges) == pytest.approx([0.025, 0.975], abs=1e-6)
    assert found.low < found.mean < found.high
    assert found.mean == hedges_g(differences.tolist())


# Beside the largest shift the smallest spread is still a hundred times what counts as rounding.
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=30).filter(lambda its: np.std(its) > 1e-3), st.floats(-1e4, 1e4))
@example([0.0, 0.0, 0.0, 1.0], 1e4)
def test_the_interval_of_g_holds_it_and_turns_with_its_sign(values: list[float], shift: float) -> None:
    there, back = (hedges_g_interval([sign * (value + shift) for value in values]) for sign in (1.0, -1.0))
    assert there.low <= there.mean <= there.high
    assert (there.low, there.mean, there.high) == pytest.approx((-back.high, -back.mean, -back.low), rel=1e-9)


def test_the_interval_of_a_huge_g_goes_on_where_the_search_for_its_shift_ends() -> None:
    nearly, beyond = (hedges_g_interval([t - 1.0, float(t), t + 1.0]) for t in (577, 578))  # t = 999.4, 1001.1
    assert (beyond.low, beyond.high) == pytest.approx((nearly.low * 578 / 577, nearly.high * 578 / 577), rel=1e-3)


@pytest.mark.parametrize("differences", [[], [0.3], [1.0, -1.0], [0.0, 0.0, 0.0], [0.02, 0.02, 0.02], [0.1, 0.2, INF]])
def test_without_a_spread_or_a_third_pair_g_has_no_bounds(differences: list[float]) -> None:
    assert not hedges_g_interval(differences).bounded


@settings(max_examples=25)  # statsmodels takes 20 ms a call
@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_is_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())


def test_what_was_not_tested_is_not_in_the_family() -> None:
    assert holm([0.02, None, 0.03]) == pytest.approx((0.04, None, 0.04))


# --- successes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "of"), [(0, 5), (3, 5), (5, 5), (1, 1), (7, 20)])
def test_intervals_of_a_rate_are_statsmodels(count: int, of: int) -> None:
    assert clopper_pearson(count, of) == pytest.approx(proportion_confint(count, of, method="beta"))
    assert wilson(count, of) == pytest.approx(proportion_confint(count, of, method="wilson"))


def test_five_of_five_is_the_contracts_example() -> None:
    assert clopper_pearson(5, 5) == pytest.approx((0.478, 1.0), abs=5e-4)
    assert clopper_pearson(0, 0) is None


@pytest.mark.parametrize("n", [1, 3, 5, 10])
def test_clopper_pearson_never_covers_less_than_95_percent(n: int) -> None:
    bounds = [clopper_pearson(k, n) or (NAN, NAN) for k in range(n + 1)]
    for p in np.linspace(0.005, 0.995, 100):
        covered = sum(stats.binom.pmf(k, n, p) for k, (low, high) in enumerate(bounds) if low <= p <= high)
        assert covered >= 0.95 - 1e-12


@pytest.mark.parametrize(
    ("cells", "difference", "low", "high"),
    [
        # R package contingencytables 3.1.0 prints these for Cavo et al. 2012.
        ((59, 6, 16, 80), -0.0621, -0.1186, -0.0046),
        # Nothing is discordant but all: Wilson's bounds are 5/(5 + 1.96²) = 0.5655 and 0.4345, so ±√2·0.4345.
        ((0, 5, 0, 0), 1.0, 1.0 - math.sqrt(2) * 0.43448, 1.0),
        ((5, 0, 0, 0), 0.0, -0.43448, 0.43448),
    ],
)
def test_success_differences_by_newcombes_method_10(
    cells: tuple[int, int, int, int], difference: float, low: float, high: float
) -> None:
    interval = paired_success_difference(*table(*cells))
    assert (interval.mean, interval.low, interval.high) == pytest.approx((difference, low, high), abs=5e-5)


@given(pairs)
def test_success_difference_is_antisymmetric_bounded_and_holds_its_point(both: list[tuple[bool, bool]]) -> None:
    first, second = [a for a, _ in both], [b for _, b in both]
    there, back = paired_success_difference(first, second), paired_success_difference(second, first)
    assert (there.mean, there.low, there.high) == pytest.approx((-back.mean, -back.high, -back.low))
    assert -1.0 <= there.low <= there.mean <= there.high <= 1.0
    assert there.low < there.high


def test_success_differences_of_five_pairs_cover_95_percent_on_average() -> None:
    tables = [cells for cells in itertools.product(range(6), repeat=4) if sum(cells) == 5]
    intervals = {cells: paired_success_difference(*table(*cells)) for cells in tables}
    covered = []
    for p in np.random.default_rng(3).dirichlet([1, 1, 1, 1], size=300):
        weights = stats.multinomial.pmf(tables, 5, p)
        held = [i.low <= p[1] - p[2] <= i.high for i in intervals.values()]
        covered.append(weights @ np.array(held))
    assert np.mean(covered) >= 0.94


def test_no_pairs_and_one_pair_have_no_interval() -> None:
    assert paired_success_difference([], []).n == 0
    assert not paired_success_difference([True], [False]).bounded
