"""Seeds for an effect, against statsmodels and simulated trials."""

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from models.analysis.statistics.power import MOST_SEEDS, seeds_needed


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 7])
@pytest.mark.parametrize("effect_size", [-0.2, 0.15, 0.5, 1.0, 1.7, 4.0])
def test_seeds_needed_are_the_fewest_with_the_power_that_statsmodels_finds(effect_size: float, alpha: float) -> None:
    n, power = seeds_needed(effect_size, alpha), TTestPower()
    assert power.power(abs(effect_size), n, alpha) >= 0.8
    assert n == 2 or power.power(abs(effect_size), n - 1, alpha) < 0.8


def test_seeds_needed_hold_in_simulated_trials() -> None:
    random = np.random.default_rng(0)
    n = seeds_needed(1.0)
    differences = random.normal(1.0, 1.0, (20_000, n))
    t = differences.mean(axis=1) / (differences.std(axis=1, ddof=1) / np.sqrt(n))
    critical = 2.2622  # two-sided, 5 %, 9 degrees of freedom
    assert n == 10
    assert np.mean(np.abs(t) > critical) == pytest.approx(0.803, abs=0.01)


def test_an_effect_that_no_experiment_could_show_is_beyond_the_most() -> None:
    assert seeds_needed(0.01) == seeds_needed(0.0) == MOST_SEEDS + 1
    assert seeds_needed(1e9) == 2
