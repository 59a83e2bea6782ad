"""Coverage against what is known exactly, and against intervals that are wrong on purpose."""

import math

import numpy as np
import pytest
from scipy import stats

from models.analysis.statistics import paired_success_difference, t_intervals
from science import coverage


def test_a_right_interval_covers_and_one_too_narrow_does_not() -> None:
    values = np.random.default_rng(1).standard_normal((5, 20_000))
    low, high = coverage.bounds_of(t_intervals(values))
    assert coverage.covered(low, high, 0.0) == pytest.approx(0.95, abs=0.006)
    half = (high - low) / 4
    middle = (high + low) / 2
    known = 2 * stats.t.cdf(stats.t.ppf(0.975, 4) / 2, 4) - 1
    assert coverage.covered(middle - half, middle + half, 0.0) == pytest.approx(known, abs=0.01)


def test_populations_have_the_means_that_they_say() -> None:
    for population in coverage.POPULATIONS:
        drawn = population.draw(np.random.default_rng(2), (1000, 1000))
        error = float(drawn.std()) / 1000
        assert float(drawn.mean()) == pytest.approx(population.mean, abs=6 * error)


def test_exact_coverage_is_that_of_a_hand_count() -> None:
    # n = 2: the bounds of 0 of 2 reach to 1 − √.025 = .842. Just above, only counts 1 and 2 hold p.
    p = 1 - math.sqrt(0.025) + 1e-9
    found = coverage.exact(2)
    assert found["least"] == pytest.approx(1 - (1 - p) ** 2, abs=1e-6)
    assert found["least"] >= 0.95


def test_pairs_counted_exactly_agree_with_a_simulation() -> None:
    cell = (0.5, 0.5, 0.0)
    found = coverage.newcombe(5)
    rng = np.random.default_rng(3)
    first, second = rng.random((5, 4000)) < cell[0], rng.random((5, 4000)) < cell[1]
    intervals = tuple(
        paired_success_difference(ones.tolist(), twos.tolist()) for ones, twos in zip(first.T, second.T, strict=True)
    )
    simulated = coverage.covered(*coverage.bounds_of(intervals), 0.0)
    assert found["least"] <= simulated + 0.01
    assert found["mean"] >= 0.95


def test_layers_held_at_once_are_fewer_than_each_alone() -> None:
    rows = {(row["population"], row["layers"], row["n"]): row["coverage"] for row in coverage.simultaneous(1000)}
    assert all(rows[("normal", layers, 5)] > 0.93 for layers in (5, 30))


def test_gains_of_many_networks_are_those_of_critical_relus() -> None:
    found = coverage.increments(batch=8, nets=250)
    assert abs(found["mean"]) < 1.0
    assert found["one run"] > 0.85
