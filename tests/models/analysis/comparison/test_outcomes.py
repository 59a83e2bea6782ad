"""Outcomes of a variant: the metric of successes and of all runs, inside what the metric can be."""

import math
from collections.abc import Sequence

import pytest

from gradient_clinic.verdict.shapes import RunSummary
from models.analysis.comparison.outcomes import outcomes_of
from models.analysis.comparison.parts import Outcomes
from tests.models.analysis.compared import run, with_metrics

T1 = 12.7062047361747
"""Student's 97.5 % quantile at one degree of freedom, from a table."""


def of(runs: Sequence[RunSummary], metric: str = "accuracy") -> Outcomes:
    return outcomes_of(dict(enumerate(runs)), metric)


def test_the_interval_of_an_accuracy_stays_between_0_and_1() -> None:
    its = of(with_metrics(0.95, 0.975)).metric
    half = T1 * 0.0125  # sd/√n of two values is half their distance
    assert its.mean == pytest.approx(0.9625)
    assert its.low == pytest.approx(0.9625 - half)
    assert its.high == 1.0
    low = of(with_metrics(0.05, 0.025)).metric
    assert low.low == 0.0
    assert low.high == pytest.approx(0.0375 + half)


def test_r2_has_no_lower_limit() -> None:
    its = of(with_metrics(0.95, 0.55), "r2").metric
    assert its.low == pytest.approx(0.75 - T1 * 0.2)
    assert its.low is not None
    assert its.low < 0.0
    assert its.high == 1.0


def test_the_metric_of_all_is_over_runs_that_have_not_learned_too() -> None:
    runs = [run(trained="no", test_metric=0.1), run(trained="partly", test_metric=0.3), *with_metrics(0.8)]
    its = of(runs)
    assert its.metric.n == 1
    assert its.metric_of_all is not None
    assert its.metric_of_all.n == 3
    assert its.metric_of_all.mean == pytest.approx(0.4)
    assert its.metric_of_all.low == 0.0


def test_a_metric_that_is_not_finite_is_no_part_of_the_metric_of_all() -> None:
    every = of([*with_metrics(0.8, 0.9), run(trained="no", test_metric=math.nan)]).metric_of_all
    infinite = of([*with_metrics(0.8), run(trained="no", test_metric=-math.inf)], "r2").metric_of_all
    assert every is not None
    assert every.n == 2
    assert every.mean == pytest.approx(0.85)
    assert infinite is not None
    assert infinite.n == 1
    nothing = of([]).metric_of_all
    assert nothing is not None
    assert nothing.mean is None
