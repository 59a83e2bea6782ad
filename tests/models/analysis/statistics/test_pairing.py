"""What pairing has brought, against scipy's two t-tests."""

import math

import numpy as np
import pytest
from scipy import stats

from models.analysis.statistics.pairing import pairing_of

BASELINE = (0.90, 0.92, 0.88, 0.91, 0.93)
BETTER = (0.93, 0.96, 0.90, 0.92, 0.95)


def test_pairing_is_the_correlation_and_the_width_beside_unpaired_figures() -> None:
    found = pairing_of(BETTER, BASELINE)
    paired, apart = stats.ttest_rel(BETTER, BASELINE), stats.ttest_ind(BETTER, BASELINE, equal_var=False)
    assert found is not None
    assert found.correlation == pytest.approx(stats.pearsonr(BETTER, BASELINE).statistic)
    assert found.width == pytest.approx(apart.statistic / paired.statistic)  # standard error beside standard error
    assert found.width < 1.0
    assert found.n == 5


def test_seeds_that_go_against_each_other_widen_the_interval_by_the_root_of_two() -> None:
    found = pairing_of(BASELINE, [1.8 - value for value in BASELINE])
    assert found is not None
    assert (found.correlation, found.width) == pytest.approx((-1.0, math.sqrt(2.0)))


def test_independent_seeds_bring_nothing_on_average() -> None:
    ones, others = np.random.default_rng(0).normal(size=(2, 2_000, 10))
    found = [pairing_of(one.tolist(), other.tolist()) for one, other in zip(ones, others, strict=True)]
    assert np.mean([its.width**2 for its in found if its is not None]) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [((), ()), ((0.1, 0.2), (0.2, 0.4)), ((0.5, 0.5, 0.5), (0.1, 0.2, 0.3)), ((0.1, 0.2, 0.3), (1,) * 3)],
)
def test_pairing_is_not_known_without_three_seeds_and_a_spread(ours: list[float], theirs: list[float]) -> None:
    assert pairing_of(ours, theirs) is None
