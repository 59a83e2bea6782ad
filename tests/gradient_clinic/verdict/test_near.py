"""What rounding may turn: a number at its threshold is told, with what the rules say on its other side."""

import math

import pytest
from scipy import stats

from models.analysis.verdict.summary import summarise
from models.analysis.verdict.variant import variant_verdict
from tests.models.analysis.synthetic import DEEP_HE, even, facts_of, plan_of, summary_of, trace_of

PLAN = plan_of(**DEEP_HE)
LOSS = 1.2 * math.log(10.0)
"""Far above chance: no rule of the loss is near."""


@pytest.mark.parametrize(("gain", "other"), [(-3.001, "stalled"), (-2.999, "vanishing")])
def test_a_gain_at_its_cut_is_near_and_says_the_other_kind(gain: float, other: str) -> None:
    """Levels are on a line, so the interval of G is a point."""
    found = summary_of(PLAN, 0.0, gain, LOSS).verdict
    assert other in {near.would_be.kind for near in found.near if near.would_be is not None}
    assert f"Rounding may take G at the end from −{abs(gain)} across −3." in found.sentence


@pytest.mark.parametrize("limit", [5.0, 0.05])
@pytest.mark.parametrize("side", [1.0 - 1e-7, 1.0 + 1e-7])
def test_inputs_at_a_limit_of_their_scale_are_near_the_cause_that_they_are(limit: float, side: float) -> None:
    """He's weights multiply the rms of the inputs by √2."""
    trace = trace_of(PLAN, even(19, 0.0), loss=LOSS)
    trace.signals["activation_rms"][0, :] = limit * side * math.sqrt(2.0)
    found = summarise(PLAN, trace, facts_of(PLAN)).verdict
    beyond = side > 1.0 if limit > 1.0 else side < 1.0
    assert ("input_scale" in found.causes) == beyond
    (near,) = [item for item in found.near if item.rule == "input_scale"]
    assert near.would_be is not None
    assert ("input_scale" in near.would_be.causes) != beyond
    assert near.value == pytest.approx(limit)


@pytest.mark.parametrize("side", [1.0 - 1e-7, 1.0 + 1e-7])
def test_weights_that_have_grown_to_the_limit_of_a_small_start_are_near_it(side: float) -> None:
    plan = plan_of(hidden=[32, 16], activation="tanh", init={"kind": "gaussian", "weight_variance": 0.01})
    trace = trace_of(plan, even(2, 0.0))
    trace.signals["activation_rms"][0] = 0.1
    trace.signals["weight_norm"][:, 1:] = 40.0 * side
    trace.signals["update_ratio"][:, 0] = 1.0
    found = summarise(plan, trace, facts_of(plan, test_metric=0.1)).verdict
    assert found.causes == (("initialisation",) if side < 1.0 else ("learning_rate",))
    (near,) = [item for item in found.near if item.statistic == "gain_at_end"]
    assert near.would_be is not None
    assert near.would_be.causes == (("learning_rate",) if side < 1.0 else ("initialisation",))
    assert near.value == pytest.approx(4.0)


@pytest.mark.parametrize("side", [1.0 - 1e-7, 1.0 + 1e-7])
def test_a_step_as_long_as_branches_that_start_small_bear_is_near_the_other_cause(side: float) -> None:
    """0.15 beside branches of √σw² = 1, and 3 beside such of 0.05."""
    init = {"kind": "gaussian", "weight_variance": 0.0025}
    plan = plan_of(kind="transformer", blocks=2, width=8, heads=2, init=init)
    trace = trace_of(plan, even(len(plan.layers) - 1, 0.0))
    trace.signals["activation_rms"][0] = 0.05
    trace.signals["update_ratio"][:, 0] = 3.0 * side
    found = summarise(plan, trace, facts_of(plan, test_metric=0.1)).verdict
    assert found.causes == (("initialisation",) if side < 1.0 else ("learning_rate",))
    (near,) = [item for item in found.near if item.statistic == "median_of_largest_steps" and item.rule != "steps"]
    assert near.would_be is not None
    assert near.would_be.causes == (("learning_rate",) if side < 1.0 else ("initialisation",))
    assert near.value == pytest.approx(3.0)


def test_a_verdict_far_from_every_threshold_is_near_none() -> None:
    assert summary_of(PLAN, -26.0, -26.0, LOSS).verdict.near == ()


def test_an_end_of_an_interval_that_is_near_is_told_as_that_end() -> None:
    """The interval of G is that of its three increments."""
    plan, spread = plan_of(hidden=[8, 8, 8, 8], activation="relu"), 0.4019
    trace = trace_of(plan, even(4, 0.0), [6.0, 4.0 - spread, 2.0 - spread, 0.0], loss=LOSS)
    found = summarise(plan, trace, facts_of(plan)).verdict
    (near,) = [item for item in found.near if item.rule == "at_end"]
    low = 6.0 - stats.t.ppf(0.975, 2) * math.sqrt(3.0) * spread  # increments 2 + s, 2, 2 − s
    assert (near.bound, near.threshold) == ("low", 3.0)
    assert near.value == pytest.approx(low)
    assert "Rounding may take the lower end of G's interval at the end from +3.005 across +3." in found.sentence


def test_runs_that_are_near_with_other_ends_are_not_averaged() -> None:
    below, above = (summary_of(PLAN, 0.0, gain, LOSS) for gain in (-3.001, 3.001))
    near = [item for item in variant_verdict([below, above]).near if item.rule == "at_end"]
    assert sorted((item.threshold or 0.0, item.seeds) for item in near) == [(-3.0, 1), (3.0, 1)]
    assert all(abs((item.value or 0.0) - (item.threshold or 0.0)) < 0.01 for item in near)


def test_a_loss_that_is_near_is_told_with_what_it_is_near() -> None:
    half = math.log(10.0) / 2.0
    told = summary_of(PLAN, 0.0, 0.0, half * (1.0 + 1e-6), chance_level=2.0 * half).verdict.sentence
    assert f"Rounding may take the final loss from 1.151294 across {half:.6f}, half of chance." in told
    assert "On another processor this may be healthy" in told


def test_a_variant_is_near_where_its_counts_hang_on_near_runs() -> None:
    far, near = (summary_of(PLAN, 0.0, gain, LOSS) for gain in (-26.0, -3.001))
    assert variant_verdict([far] * 9 + [near]).near == ()
    assert [item.seeds for item in variant_verdict([far] * 3 + [near] * 2).near][:1] == [2]
