"""Total gain, gain per layer and their kind: one run by its increments, several by their gains."""

import math

import numpy as np
import pytest
from scipy import stats

from gradient_clinic.gains.depth_axis import gradient_of_run, gradient_of_seeds, region
from gradient_clinic.gains.limits import Cut
from gradient_clinic.intervals import Interval
from tests.models.analysis.synthetic import even

INF = math.inf
NAN = math.nan


def test_a_runs_interval_of_g_is_that_of_its_mean_increment_times_their_number() -> None:
    increments = np.random.default_rng(0).normal(-0.4, 0.3, size=18)
    levels = np.append(increments[::-1].cumsum()[::-1], 0.0)
    facts = gradient_of_run(levels.tolist(), batch_norm=False)
    low, high = stats.t.interval(0.95, 17, increments.mean(), stats.sem(increments))
    gain, each = facts.total_gain, facts.gain_per_layer
    assert (gain.mean, gain.low, gain.high) == pytest.approx((levels[0], 18 * low, 18 * high))
    assert (gain.n, gain.method) == (18, "t over increments")
    assert each is not None
    assert each.mean == pytest.approx(math.exp(increments[2:].mean()))
    low, high = stats.t.interval(0.95, 15, increments[2:].mean(), stats.sem(increments[2:]))
    assert (each.low, each.high, each.n) == pytest.approx((math.exp(low), math.exp(high), 16))


def test_batch_norm_leaves_out_five_increments() -> None:
    levels = [*even(14, 0.1)[:1], *even(14, 0.1)[1:]]
    levels[0] += 5.0
    each = gradient_of_run(levels, batch_norm=True).gain_per_layer
    assert each is not None
    assert (each.mean, each.n) == pytest.approx((math.exp(0.1), 8))


@pytest.mark.parametrize(
    ("levels", "kind"),
    [
        ([-3.1, -1.0, 0.0], "vanishing"),
        ([3.1, 9.0, 0.0], "exploding"),
        ([2.9, 9.0, 0.0], "healthy"),
        ([-3.1, 0.0], "vanishing"),
    ],
)
def test_with_fewer_than_three_increments_the_point_decides(levels: list[float], kind: str) -> None:
    facts = gradient_of_run(levels, batch_norm=False)
    assert (facts.kind, facts.total_gain.mean, facts.total_gain.low) == (kind, levels[0], None)


def test_three_scattered_increments_are_inconclusive_where_their_point_is_not() -> None:
    assert gradient_of_run([-3.5, 1.0, -2.0, 0.0], batch_norm=False).kind == "inconclusive"


@pytest.mark.parametrize(
    ("levels", "kind"),
    [
        ([-INF, 0.0, 1.0, 2.0, 2.0], "vanishing"),
        ([-INF, -INF, -INF, 2.0, 2.0], "vanishing"),
        ([INF, 0.0, 1.0, 2.0, 2.0], "exploding"),
        ([1.0, 0.0, 1.0, 2.0, -INF], "inconclusive"),
        ([-INF, -INF, -INF, -INF, -INF], "inconclusive"),
        ([NAN, 0.0, 1.0, 2.0, 2.0], "inconclusive"),
        ([1.0, 0.0, 1.0, 2.0, NAN], "inconclusive"),
    ],
)
def test_a_gain_that_is_not_finite_is_null_and_still_decides(levels: list[float], kind: str) -> None:
    facts = gradient_of_run(levels, batch_norm=False)
    assert (facts.kind, facts.total_gain.mean, facts.total_gain.low, facts.total_gain.high) == (kind, None, None, None)


def test_one_hidden_layer_has_gain_zero_and_none_per_layer() -> None:
    for facts in (gradient_of_run([-7.0], batch_norm=False), gradient_of_seeds([[-7.0], [-6.0]], batch_norm=False)):
        assert (facts.kind, facts.total_gain.mean, facts.gain_per_layer) == ("healthy", 0.0, None)


def test_over_seeds_the_interval_is_t_over_their_gains() -> None:
    gains = [-26.1, -26.4, -25.9, -26.0, -26.6]
    facts = gradient_of_seeds([even(19, gain / 18) for gain in gains], batch_norm=False)
    low, high = stats.t.interval(0.95, 4, np.mean(gains), stats.sem(gains))
    total = facts.total_gain
    assert (total.mean, total.low, total.high) == pytest.approx((np.mean(gains), low, high))
    assert (total.n, total.method, facts.kind) == (5, "t", "vanishing")
    assert facts.gain_per_layer is not None
    assert facts.gain_per_layer.mean == pytest.approx(math.exp(np.mean(gains) / 18))


def test_one_seed_speaks_for_itself() -> None:
    levels = even(19, -0.3)
    assert gradient_of_seeds([levels], batch_norm=False) == gradient_of_run(levels, batch_norm=False)


@pytest.mark.parametrize(
    ("first_layers", "kind"),
    [
        ([-INF, -INF, -INF], "vanishing"),
        ([-INF, -9.0, -9.1], "vanishing"),
        ([-INF, -0.2, -0.1], "inconclusive"),
        ([-INF, INF, 0.0], "inconclusive"),
        ([NAN, -9.0, -9.1], "vanishing"),
        ([NAN, NAN, NAN], "inconclusive"),
    ],
)
def test_infinite_gains_among_seeds(first_layers: list[float], kind: str) -> None:
    assert gradient_of_seeds([[first, 0.0, 0.0] for first in first_layers], batch_norm=False).kind == kind


# --- cuts of other kinds --------------------------------------------------------------------------------------------

WIDER = Cut(-5.0, None, "made up: wider below, nothing confirmed above")


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (-6.0, -5.1, "below"),
        (-6.0, -4.9, "across"),
        (-4.5, -3.5, "across"),
        (-2.9, 2.9, "inside"),
        (2.0, 3.1, "across"),
        (40.0, 50.0, "across"),
        (math.nan, math.nan, "across"),
    ],
)
def test_beyond_a_limit_that_outcomes_do_not_confirm_nothing_is_named(low: float, high: float, found: str) -> None:
    assert region(Interval((low + high) / 2, low, high, 5, bounded=True), WIDER) == found


@pytest.mark.parametrize(
    ("gain", "beyond", "is_open"), [(-6.0, True, False), (-4.0, False, True), (2.0, False, False), (9.0, False, True)]
)
def test_a_cut_knows_which_gains_it_names_and_which_it_leaves_open(gain: float, beyond: bool, is_open: bool) -> None:  # noqa: FBT001
    assert (WIDER.is_beyond(gain), WIDER.leaves_open(gain)) == (beyond, is_open)
