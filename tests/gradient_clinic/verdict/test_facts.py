"""Facts beside the headline: forward slope, scale, first steps, and accuracy against the commonest label."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from gradient_clinic.verdict.case import Case, Setup
from gradient_clinic.verdict.facts.fact import Fact
from gradient_clinic.verdict.facts.of_gains import AFTER_TRANSIENT, AFTER_ZERO
from gradient_clinic.verdict.facts.of_layers import GROWTH, SCALE
from gradient_clinic.verdict.facts.of_losses import (
    ABOVE_MAJORITY,
    AS_NEIGHBOURS,
    AT_MAJORITY,
    BELOW_NEIGHBOURS,
    FALLING,
)
from gradient_clinic.verdict.measurements import measure, steps_read
from gradient_clinic.verdict.run_trace import RunTrace
from gradient_clinic.verdict.shapes import Evidence, RunSummary, Verdict
from models.analysis.verdict.summary import summarise
from models.analysis.verdict.variant import variant_verdict
from models.plan import Plan
from tests.models.analysis.synthetic import (
    CHANCE,
    DEEP,
    DEEP_HE,
    LEARNED,
    even,
    facts_of,
    plan_of,
    summary_of,
    trace_of,
)

NAN = math.nan
HE = plan_of(**DEEP_HE)
SHALLOW = plan_of(hidden=[8, 8])  # where nothing depends on depth, and many runs are judged
NORMED = plan_of(**DEEP, activation="relu", init={"kind": "kaiming_normal"}, normalization={"kind": "batch_norm"})


def shown(verdict: Verdict, fact: Fact) -> Evidence | None:
    return next((item for item in verdict.evidence if item.statistic == fact.name), None)


# --- forward slope --------------------------------------------------------------------------------------------------


def with_forward(plan: Plan, growth: float, loss: float = CHANCE) -> RunTrace:
    trace = trace_of(plan, even(19, 0.0), loss=loss)
    trace.signals["activation_rms"][:-1] = (growth ** np.arange(19))[:, None]
    return trace


@pytest.mark.parametrize(("growth", "said"), [(0.7, "shrinks"), (1.4, "grows"), (1.05, None), (1.0, None)])
def test_the_forward_slope_is_shown_and_said_beyond_a_factor_of_twenty(growth: float, said: str | None) -> None:
    found = summarise(HE, with_forward(HE, growth), facts_of(HE)).verdict
    slope = shown(found, GROWTH)
    assert slope is not None
    assert slope.value == pytest.approx(growth)
    assert slope.threshold == pytest.approx(math.exp(math.copysign(3 / 18, math.log(growth))))
    assert (slope.margin is not None and slope.margin > 0) == (said is not None)
    assert ("Forward, h" in found.sentence) == (said is not None)
    assert said is None or f"h {said} from hidden.0 to hidden.18" in found.sentence


@pytest.mark.parametrize("last", [0.0, math.inf, NAN])
def test_a_forward_pass_that_ends_in_nothing_has_no_slope(last: float) -> None:
    trace = trace_of(HE, even(19, 0.0))
    trace.signals["activation_rms"][18] = last
    assert shown(summarise(HE, trace, facts_of(HE)).verdict, GROWTH) is None


# --- global scale ---------------------------------------------------------------------------------------------------


def scaled(by: float, gain: float = 0.0, loss: float = CHANCE, **facts: Any) -> Verdict:
    """All hidden layers' ln rms δ raised by ``by`` over that of the output layer, which is 0."""
    levels = [level + by for level in even(19, gain)]
    return summarise(HE, trace_of(HE, levels, loss=loss), facts_of(HE, **facts)).verdict


@pytest.mark.parametrize(("by", "size"), [(-9.0, "small"), (9.0, "large")])
def test_delta_of_all_layers_out_of_scale_is_an_initialisation_that_does_not_train(by: float, size: str) -> None:
    found = scaled(by)
    scale = shown(found, SCALE)
    assert scale is not None
    assert scale.value == pytest.approx(by)
    assert scale.threshold == pytest.approx(math.copysign(math.log(1000), by))
    assert (found.kind, found.at_start.kind, found.causes) == ("stalled", "healthy", ("initialisation",))
    assert f"together is {size} at the start" in found.sentence


@pytest.mark.parametrize(("by", "gain"), [(-6.5, 0.0), (6.5, 0.0), (-20.0, -0.5)])
def test_a_usual_scale_and_one_that_single_layers_explain_are_not_shown(by: float, gain: float) -> None:
    assert shown(scaled(by, gain), SCALE) is None


def test_a_run_that_trains_is_not_blamed_for_its_scale() -> None:
    found = scaled(-9.0, loss=LEARNED)
    assert (found.kind, found.causes) == ("healthy", ())
    assert shown(found, SCALE) is not None


def test_a_mean_over_pixels_makes_delta_small_and_is_no_fault() -> None:
    """64 pixels share the gradient of one mean: each has 1/64 of it."""
    run = measure(trace_of(HE, [-8.0] * 19), facts_of(HE))
    assert SCALE.of(Case(Setup(positions=1), run)) is not None
    assert SCALE.of(Case(Setup(positions=64), run)) is None


# --- the first steps ------------------------------------------------------------------------------------------------


def after(plan: Plan, start: float, then: float, end: float, loss: float = 2.0) -> RunSummary:
    """G at step 0, from step 1 to 60, and later."""
    trace = trace_of(plan, even(19, start / 18), even(19, then / 18), loss)
    trace.signals["activation_gradient_rms"][:-1, 60:] = np.exp(even(19, end / 18))[:, None]
    trace.signals["update_ratio"][:] = 0.02
    return summarise(plan, trace, facts_of(plan))


def test_a_batch_norm_transient_is_named_and_is_no_cause() -> None:
    run = after(NORMED, start=3.6, then=1.2, end=1.0)
    item = shown(run.verdict, AFTER_TRANSIENT)
    assert item is not None
    assert item.value == pytest.approx(1.2)
    assert item.steps == (10, 19)
    assert run.verdict.causes == ("no_gradient_cause_found",)
    assert (
        "under batch norm the start is a transient, and no cause: +1.2 at steps 10 to 19"
        in run.verdict.sentence.lower()
    )


def test_batch_norm_that_stays_or_comes_back_beyond_is_a_cause() -> None:
    stays, back = after(NORMED, 3.6, 3.6, 3.5), after(NORMED, 3.6, 1.2, 3.5)
    assert stays.verdict.causes == back.verdict.causes == ("batch_norm_at_depth",)
    assert shown(stays.verdict, AFTER_TRANSIENT) is None


def test_there_is_no_transient_without_batch_norm() -> None:
    assert shown(after(HE, 3.6, 1.2, 1.0).verdict, AFTER_TRANSIENT) is None


@pytest.mark.parametrize(
    ("every", "steps", "read"), [(1, 110, (10, 19)), (7, 110, (14, 14)), (50, 110, (50, 50)), (1, 8, None)]
)
def test_the_settled_steps_are_those_recorded_from_step_ten(
    every: int, steps: int, read: tuple[int, int] | None
) -> None:
    whole = trace_of(HE, even(19, 0.0), every=every)
    kept = whole.steps < steps
    trace = RunTrace(
        whole.layers,
        whole.steps[kept],
        {name: its[:, kept] for name, its in whole.signals.items()},
        {name: its[kept] for name, its in whole.curves.items()},
    )
    facts = facts_of(HE, steps_asked=steps)
    assert measure(trace, facts).settled_steps == read
    stretches = steps_read(facts, every, None, int(trace.steps[-1]))
    assert read is None or any(first <= read[0] and read[1] <= last for first, last in stretches)


def fixup(zeros: int, layer: int | None = None) -> RunSummary:
    """Fixup over 10 blocks: δ is exactly 0 in every layer (or one) for the first ``zeros`` records."""
    network = {"kind": "mlp", "depth": 20, "width": 64, "activation": "relu", "init": {"kind": "fixup"}}
    plan = plan_of(**network, skip={"kind": "residual", "every": 1})
    count = len(plan.network.hidden)
    trace = trace_of(plan, even(count, 0.0))
    rows = [i for i, its in enumerate(plan.layers) if its.role == "hidden"]
    for row in rows if layer is None else [rows[layer]]:
        trace.signals["activation_gradient_rms"][row, :zeros] = 0.0
    return summarise(plan, trace, facts_of(plan))


def test_zero_initialised_weights_are_exempt_until_step_ten() -> None:
    run = fixup(zeros=10)
    assert (run.verdict.at_start.kind, run.verdict.at_start.total_gain.mean) == ("inconclusive", None)
    assert run.verdict.causes == ("no_gradient_cause_found",)  # and not underflow: the zeros are the initialisation's
    item = shown(run.verdict, AFTER_ZERO)
    assert item is not None
    assert item.value == pytest.approx(0.0)
    assert "Weights start at zero, so G is read again once they have moved: 0 at steps 10 to 19" in run.verdict.sentence


def test_a_zero_after_step_ten_counts_as_one_and_so_it_does_without_a_zero_start() -> None:
    assert fixup(zeros=110, layer=0).verdict.kind == "vanishing"
    trace = trace_of(HE, even(19, 0.0))
    trace.signals["activation_gradient_rms"][0, :10] = 0.0
    assert summarise(HE, trace, facts_of(HE)).verdict.at_start.kind == "vanishing"


# --- a loss that still falls ----------------------------------------------------------------------------------------


def ending(tail: list[float], **facts: Any) -> Verdict:
    """A run whose last losses are ``tail``."""
    trace = trace_of(HE, even(19, 0.0), loss=CHANCE)
    trace.curves["loss"][-len(tail) :] = tail
    return summarise(HE, trace, facts_of(HE, **facts)).verdict


@pytest.mark.parametrize("slope", [0.0, 0.004, 0.02, -0.02])
@pytest.mark.parametrize("seed", range(4))
def test_a_falling_loss_is_told_where_welchs_t_says_so(slope: float, seed: int) -> None:
    tail = 1.6 - slope * np.arange(11) + 0.03 * np.random.default_rng(seed).standard_normal(11)
    found = shown(ending(tail.tolist()), FALLING)
    t = stats.ttest_ind(tail[:5], tail[-5:], equal_var=False).statistic
    assert (found is not None) == (t > 1.96)
    if found is not None:
        assert found.value == pytest.approx(tail[:5].mean() - tail[-5:].mean())
        assert found.steps == (99, 109)


def test_a_falling_loss_is_said_of_runs_that_have_not_trained_alone() -> None:
    falling = [1.7 - 0.01 * step for step in range(11)]
    assert (
        "still falling when training ended, by 0.06 from the first half of steps 99 to 109" in ending(falling).sentence
    )
    assert shown(ending([0.3 - 0.01 * step for step in range(11)]), FALLING) is None
    assert shown(ending([*falling[:-1], NAN], outcome="diverged"), FALLING) is None


def test_no_loss_is_held_against_a_number_below_zero() -> None:
    """Losses of 100 and 700 in turn have a standard error of some 95, and chance is 2.3."""
    found = ending([100.0, 700.0] * 5 + [100.0]).sentence
    assert "the loss ends near" in found
    assert "its noise alone is more than chance" in found
    assert "less its noise" not in found
    assert "is not below 2.303, chance less its noise" in ending([CHANCE] * 11).sentence


# --- accuracy at chance ---------------------------------------------------------------------------------------------


def tail(cases: int, share: float, right: int) -> float:
    """P(at least ``right`` of ``cases``) by the sum of its terms."""
    return sum(math.comb(cases, k) * share**k * (1 - share) ** (cases - k) for k in range(right, cases + 1))


@pytest.mark.parametrize(("cases", "share"), [(360, 0.1), (40, 0.75), (7, 0.5), (5, 0.0), (5, 1.0)])
def test_the_accuracy_is_held_against_the_commonest_label_exactly(cases: int, share: float) -> None:
    for right in range(cases + 1):
        luck = tail(cases, share, right) > 0.05
        facts = {"test_metric": right / cases, "test_cases": cases, "majority_share": share}
        found = summary_of(SHALLOW, 0.0, LEARNED, **facts).verdict
        assert (shown(found, AT_MAJORITY) is not None) == luck
        assert (shown(found, ABOVE_MAJORITY) is not None) == (not luck)


def test_accuracy_at_chance_is_said_over_seeds_and_only_where_it_did_not_train() -> None:
    floor = {"test_cases": 360, "majority_share": 0.1}
    stalled = [summary_of(HE, 0.0, test_metric=metric, **floor) for metric in (0.09, 0.1)]
    assert "Test accuracy 0.095 is not above what luck makes" in variant_verdict(stalled).sentence
    trained = summary_of(HE, 0.0, loss=LEARNED, test_metric=0.1, **floor)
    assert "commonest label" not in trained.verdict.sentence


@pytest.mark.parametrize("unknown", [{"majority_share": None}, {"test_cases": 0}, {"test_metric": NAN}])
def test_without_labels_or_a_test_part_nothing_is_said_of_accuracy(unknown: dict[str, Any]) -> None:
    facts = {"test_metric": 0.1, "test_cases": 360, "majority_share": 0.1, **unknown}
    found = summary_of(HE, 0.0, **facts).verdict
    assert shown(found, AT_MAJORITY) is shown(found, ABOVE_MAJORITY) is None


@pytest.mark.parametrize(
    ("metric", "as_good", "below"),
    # A vote that is right in 0.8 of 400 cases has a standard error of 0.02.
    [(0.85, True, False), (0.785, True, False), (0.77, False, False), (0.75, False, True), (0.2, False, True)],
)
def test_the_accuracy_is_held_against_a_vote_of_the_nearest_cases(metric: float, as_good: bool, below: bool) -> None:  # noqa: FBT001
    facts = {"test_metric": metric, "test_cases": 400, "neighbour_accuracy": 0.8}
    found = summary_of(SHALLOW, 0.0, loss=2.0, **facts).verdict
    assert (shown(found, AS_NEIGHBOURS) is not None, shown(found, BELOW_NEIGHBOURS) is not None) == (as_good, below)
    assert ("more can be had" in found.sentence) == below
    for unknown in ({"neighbour_accuracy": None}, {"test_cases": 0}, {"test_metric": NAN}):
        left = summary_of(SHALLOW, 0.0, loss=2.0, **facts | unknown).verdict
        assert shown(left, AS_NEIGHBOURS) is shown(left, BELOW_NEIGHBOURS) is None
    trained = summary_of(SHALLOW, 0.0, loss=LEARNED, **facts).verdict
    assert shown(trained, AS_NEIGHBOURS) is shown(trained, BELOW_NEIGHBOURS) is None


# --- the learning rate ------------------------------------------------------------------------------------------------


def test_a_rate_breaks_a_network_whose_start_is_not_certain_too() -> None:
    """G = +2.5 with increments that scatter: inconclusive, and in range."""
    increments = np.where(np.arange(18) % 2 == 0, 2.0, -2.0) + 2.5 / 18
    levels = [*np.cumsum(increments[::-1])[::-1], 0.0]
    run = summarise(HE, trace_of(HE, levels, even(19, 0.0), loss=1e9), facts_of(HE, outcome="diverged"))
    assert run.verdict.at_start.kind == "inconclusive"
    assert (run.verdict.kind, run.verdict.causes) == ("diverged", ("learning_rate",))
