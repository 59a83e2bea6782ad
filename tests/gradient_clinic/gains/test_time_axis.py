"""The time axis of recurrent layers: numbers of one run, Student's intervals over several."""

import math

import numpy as np
import pytest
from scipy import stats

from gradient_clinic.gains.time_axis import time_of_run, time_of_seeds

STEPS = list(range(31))


def levels(rate: float, seed: int = 0) -> list[float]:
    """ln rms ∂L/∂state that changes by about ``rate`` a step back, and by 1 more in the five first and three last."""
    each = np.random.default_rng(seed).normal(rate, 0.1, size=30)
    each[:5] += 1.0
    each[-3:] += 1.0
    return [float(value) for value in np.append(each[::-1].cumsum()[::-1], 0.0)]


def test_one_run_has_numbers_and_no_intervals() -> None:
    found, its = time_of_run("recurrent.0", levels(-0.5), STEPS), levels(-0.5)
    rate = found.gain_per_step
    assert rate.mean == pytest.approx(math.exp((its[5] - its[27]) / 22))
    assert found.total_gain.mean == pytest.approx(its[0])
    assert [(one.low, one.high, one.n) for one in (rate, found.total_gain)] == [(None, None, 1)] * 2
    assert found.kind == "vanishing"


def test_several_runs_have_students_interval_of_their_rates() -> None:
    runs = [levels(-0.5, seed) for seed in range(5)]
    rates = [(its[5] - its[27]) / 22 for its in runs]
    found = time_of_seeds("recurrent.0", runs, STEPS).gain_per_step
    low, high = stats.t.interval(0.95, 4, np.mean(rates), stats.sem(rates))
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((*np.exp([np.mean(rates), low, high]), 5))


def test_a_state_without_a_gradient_leaves_no_rate() -> None:
    found = time_of_run("recurrent.0", [-math.inf, *levels(-0.5)[1:]], STEPS)
    assert (found.gain_per_step.mean, found.gain_per_step.n) == (None, 0)
    assert found.kind == "vanishing"
