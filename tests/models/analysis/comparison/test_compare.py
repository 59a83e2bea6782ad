"""Comparisons from hand-made summaries: numbers by scipy, states by the contract's words, honest when incomplete."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from gradient_clinic.verdict.shapes import RunSummary
from models.analysis.comparison.compare import RunRow, Trial, compare
from tests.models.analysis.compared import BASE, FIRST, SECOND, SPEC, VARIANTS, compared, part, run, with_metrics
from tests.models.analysis.synthetic import summary_of, variants_of

INF = math.inf
NAN = math.nan
BASELINE = (0.90, 0.92, 0.88, 0.91, 0.93)
BETTER = (0.93, 0.94, 0.93, 0.92, 0.95)
OTHER = (0.91, 0.90, 0.90, 0.91, 0.92)


# --- the metric -------------------------------------------------------------------------------------------------


def test_metric_differences_are_paired_t_with_holm_over_remedies() -> None:
    comparison = compared({BASE: with_metrics(*BASELINE), FIRST: with_metrics(*BETTER), SECOND: with_metrics(*OTHER)})
    tests = [stats.ttest_rel(metrics, BASELINE) for metrics in (BETTER, OTHER)]
    adjusted = multipletests([test.pvalue for test in tests], method="holm")[1]
    for name, test, p in zip((FIRST, SECOND), tests, adjusted, strict=True):
        versus = part(comparison, name).versus_baseline
        assert versus is not None
        bounds = test.confidence_interval(0.95)
        difference = versus.metric_difference
        assert (difference.low, difference.high, difference.n) == pytest.approx((bounds.low, bounds.high, 5))
        assert versus.p_holm == pytest.approx(p)
        assert (versus.test, versus.primary) == ("paired t", "metric_difference")


def test_effect_size_is_paired_hedges_g() -> None:
    versus = part(compared({BASE: with_metrics(*BASELINE), FIRST: with_metrics(*BETTER)}), FIRST).versus_baseline
    differences = np.subtract(BETTER, BASELINE)
    assert versus is not None
    assert versus.effect_size == pytest.approx(0.797885 * differences.mean() / differences.std(ddof=1), rel=1e-5)


def test_the_interval_of_the_effect_size_and_the_test_agree() -> None:
    versus = part(compared({BASE: with_metrics(*BASELINE), FIRST: with_metrics(*BETTER)}), FIRST).versus_baseline
    assert versus is not None
    its = versus.effect_size_interval
    assert its is not None
    assert (its.mean, its.n, its.method) == (versus.effect_size, 5, "paired hedges g, noncentral t")
    assert None not in {its.low, its.mean, its.high}
    low, mean, high = its.low or 0.0, its.mean or 0.0, its.high or 0.0
    assert low < mean < high
    assert (low > 0) == (stats.ttest_rel(BETTER, BASELINE).pvalue < 0.05)


def test_metric_and_difference_are_over_successes_only() -> None:
    runs = [*with_metrics(0.9, 0.8), run(trained="no", test_metric=0.1)]
    base = [run(trained="partly", test_metric=0.2), *with_metrics(0.7, 0.7)]
    found = part(compared({BASE: base, FIRST: runs}), FIRST)
    assert found.outcomes.metric.n == 2
    assert found.outcomes.metric.mean == pytest.approx(0.85)
    assert found.versus_baseline is not None
    assert found.versus_baseline.metric_difference.n == 1
    assert found.versus_baseline.metric_difference.mean == pytest.approx(0.1)
    assert (found.versus_baseline.p_holm, found.versus_baseline.primary) == (None, "success_difference")


def test_a_variant_that_changes_nothing_is_no_difference() -> None:
    versus = part(compared({BASE: with_metrics(*BASELINE), FIRST: with_metrics(*BASELINE)}), FIRST).versus_baseline
    assert versus is not None
    assert (versus.p_holm, versus.effect_size, versus.metric_difference.low) == (1.0, 0.0, 0.0)


def test_the_benefit_of_pairing_is_measured_over_the_seeds_where_both_train() -> None:
    alone = run(trained="no", test_metric=0.1)
    base, ours = [*with_metrics(*BASELINE), *with_metrics(0.9)], [*with_metrics(*BETTER), alone]
    versus = part(compared({BASE: base, FIRST: ours}), FIRST).versus_baseline
    assert versus is not None
    assert versus.pairing is not None
    assert versus.pairing.n == 5
    assert versus.pairing.correlation == pytest.approx(stats.pearsonr(BETTER, BASELINE).statistic)


def test_what_is_not_shown_would_take_more_seeds_at_the_level_of_the_family() -> None:
    unsure = (0.92, 0.95, 0.87, 0.93, 0.92)
    comparison = compared({BASE: with_metrics(*BASELINE), FIRST: with_metrics(*BETTER), SECOND: with_metrics(*unsure)})
    shown, not_shown = (part(comparison, name).versus_baseline for name in (FIRST, SECOND))
    assert shown is not None
    assert not_shown is not None
    differences = np.subtract(unsure, BASELINE)
    n = TTestPower().solve_power(differences.mean() / differences.std(ddof=1), alpha=0.05 / 2, power=0.8)
    assert (shown.seeds_needed, not_shown.seeds_needed) == (None, math.ceil(n))
    same = part(compared({BASE: with_metrics(*BASELINE), FIRST: with_metrics(*OTHER)}), FIRST).versus_baseline
    assert same is not None
    assert same.seeds_needed is None  # its mean difference is 0


def test_the_middle_half_is_compared_where_differences_have_heavy_tails() -> None:
    base = [0.90 + 0.001 * (seed % 7) for seed in range(24)]
    ours = [value + 0.02 + 0.0005 * (seed % 5) for seed, value in enumerate(base)]
    ours[3], ours[10] = 0.2, 0.3
    versus = part(compared({BASE: with_metrics(*base), FIRST: with_metrics(*ours)}), FIRST).versus_baseline
    assert versus is not None
    assert versus.metric_difference.mean == pytest.approx(stats.trim_mean(np.subtract(ours, base), 0.25))
    assert (versus.metric_difference.method, versus.test) == ("paired IQM, BCa", "paired t on the middle half")
    assert versus.p_holm is not None
    assert versus.p_holm < 0.001  # the two would hide it from a paired t-test
    assert stats.ttest_rel(ours, base).pvalue > 0.05


# --- successes, cost --------------------------------------------------------------------------------------------


def test_successes_carry_exact_intervals_and_a_paired_difference() -> None:
    found = part(compared({BASE: [run(trained="no")] * 5, FIRST: [run()] * 5}), FIRST)
    success = found.outcomes.success
    assert (success.count, success.of, success.method) == (5, 5, "clopper-pearson")
    assert (success.low, success.high) == pytest.approx((0.478, 1.0), abs=5e-4)
    assert found.versus_baseline is not None
    assert found.versus_baseline.primary == "success_difference"
    difference = found.versus_baseline.success_difference
    assert (difference.mean, difference.low, difference.high) == pytest.approx((1.0, 0.38555, 1.0), abs=1e-5)


def test_two_groups_are_of_all_runs_whether_they_trained_or_not() -> None:
    dead = [run(trained="no", test_metric=metric) for metric in (0.10, 0.11, 0.12)]
    found = part(compared({BASE: [*dead, *with_metrics(0.95, 0.97)]}), BASE)
    assert found.outcomes.modes is not None
    assert [mode.n for mode in found.outcomes.modes] == [3, 2]
    assert [mode.mean for mode in found.outcomes.modes] == pytest.approx([0.11, 0.96])
    assert found.outcomes.metric.mean == pytest.approx(0.96)
    assert found.sentence.endswith("groups: 3 near 0.11, 2 near 0.96; their mean describes none of them.")
    assert part(compared({BASE: with_metrics(*BASELINE)}), BASE).outcomes.modes is None


def test_step_time_ratio_is_the_geometric_mean_of_paired_ratios() -> None:
    base = [run(step_seconds=seconds) for seconds in (0.010, 0.020, 0.010)]
    ours = [run(step_seconds=seconds) for seconds in (0.020, 0.020, 0.040)]
    ratio = part(compared({BASE: base, FIRST: ours}), FIRST).cost.step_time_ratio
    logs = np.log([2.0, 1.0, 4.0])
    low, high = stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))
    assert (ratio.mean, ratio.low, ratio.high) == pytest.approx((2.0, math.exp(low), math.exp(high)))


def test_cost_adds_time_and_takes_the_largest_memory() -> None:
    runs = [run(device_seconds=2.0, peak_memory_bytes=10), run(device_seconds=3.5, peak_memory_bytes=7)]
    cost = part(compared({BASE: runs}), BASE).cost
    assert (cost.device_seconds, cost.peak_memory_bytes, cost.parameters) == (5.5, 10, 82_122 - 19 * 128)


# --- the shape, and what is missing -----------------------------------------------------------------------------


def test_the_answer_has_the_contracts_keys() -> None:
    answer = compared({BASE: [run()] * 2, FIRST: [run()] * 2}).model_dump(mode="json")
    assert answer.keys() == {"experiment_id", "metric", "answer", "causes", "notes", "variants", "earlier", "factorial"}
    assert (answer["metric"], answer["factorial"]) == ("accuracy", None)
    assert "at this learning rate only" in answer["notes"]
    baseline, variant, _ = answer["variants"]
    assert baseline["versus_baseline"] is None
    assert variant.keys() >= {
        *("name", "remedies", "runs", "tuned", "verdict", "outcomes", "gradient", "cost", "versus_baseline", "sentence")
    }
    assert variant["remedies"] == [{"kind": "l2", "strength": 1e-4, "layers": "hidden"}]
    assert variant["runs"].items() >= {"succeeded": 2, "failed": 0, "cancelled": 0, "diverged": 0}.items()
    assert variant["gradient"].keys() == {"at_start", "at_end", "predicted", "profile"}
    first = variant["gradient"]["profile"][0]
    assert (first["layer"], first["index"], first["predicted"]) == ("hidden.0", 1, pytest.approx(-26.1, abs=0.05))
    assert variant["cost"].keys() == {"step_time_ratio", "parameters", "peak_memory_bytes", "device_seconds"}
    assert variant["versus_baseline"].keys() >= {
        *("success_difference", "metric_difference", "effect_size", "test", "p_holm", "layers", "repaired_layers")
    }


def test_profiles_are_t_over_seeds_of_r() -> None:
    gains = [-20.0, -21.0, -23.0]
    profile = part(compared({BASE: [run(g) for g in gains]}), BASE).gradient.profile
    low, high = stats.t.interval(0.95, 2, np.mean(gains), stats.sem(gains))
    assert profile[0].at_start is not None
    assert (profile[0].at_start.low, profile[0].at_start.high) == pytest.approx((low, high))
    assert profile[-1].at_start is not None
    assert profile[-1].at_start.mean == 0.0


def test_diverged_runs_have_succeeded_and_are_counted() -> None:
    found = part(compared({BASE: [run(outcome="diverged", trained="no"), run()]}), BASE)
    assert (found.runs["succeeded"], found.runs["diverged"], found.outcomes.success.of) == (2, 1, 2)


def test_an_answer_before_anything_ended_is_empty_and_valid() -> None:
    rows = [RunRow(name, seed, "queued") for name in (BASE, FIRST, SECOND) for seed in range(5)]
    answer = compare(Trial("e", SPEC, VARIANTS, rows))
    json.dumps(answer.model_dump(mode="json"), allow_nan=False)
    assert [found.verdict for found in answer.variants] == [None] * 3
    assert sum(note.startswith("missing from") for note in answer.notes) == 3


def test_missing_runs_are_named_and_the_rest_is_compared() -> None:
    rows = [RunRow(BASE, seed, "succeeded", run(test_metric=0.8)) for seed in (0, 1)]
    rows += [RunRow(FIRST, 1, "succeeded", run(test_metric=0.9))]
    rows += [RunRow(FIRST, 0, "failed"), RunRow(FIRST, 2, "cancelled")]
    rows += [RunRow(SECOND, seed, "cancelled", reason="Budget spent") for seed in range(5, -1, -1)]
    rows += [RunRow(SECOND, seed, "failed", reason="Out of memory") for seed in (8, 6)]
    answer = compare(Trial("e", SPEC, VARIANTS, rows))
    assert f"missing from {FIRST}: seed 0 failed; seed 2 cancelled" in answer.notes
    lost = "6 seeds from 0 to 5 cancelled (Budget spent); seeds 6, 8 failed (Out of memory)"
    assert f"missing from {SECOND}: {lost}" in answer.notes
    assert "a partial answer, from the 3 of 13 runs that have succeeded" in answer.notes
    found = part(answer, FIRST)
    assert (found.runs["failed"], found.runs["cancelled"]) == (1, 1)
    assert found.versus_baseline is not None
    assert found.versus_baseline.metric_difference.n == 1
    assert found.versus_baseline.metric_difference.mean == pytest.approx(0.1)


def test_a_variant_without_its_baseline_is_not_compared_and_its_states_are_unclear() -> None:
    found = part(compared({FIRST: [run()] * 3}), FIRST)
    assert found.verdict is not None
    assert found.versus_baseline is not None
    assert found.versus_baseline.success_difference.n == 0
    assert {layer.at_end and layer.at_end.state for layer in found.versus_baseline.layers} == {"unclear"}


def test_untrained_networks_are_compared_by_their_start_alone() -> None:
    spec, variants = variants_of({"kind": "batch_norm"}, epochs=None, steps=0)
    rows = [
        RunRow(variant.name, seed, "succeeded", summary_of(variant.plan, gain))
        for variant, gain in zip(variants, (-26.0, 0.3), strict=True)
        for seed in range(3)
    ]
    answer = compare(Trial("e", spec, variants, rows))
    found = answer.variants[1]
    assert (found.gradient.at_end, found.outcomes.success.of, found.outcomes.success.low) == (None, 0, None)
    assert found.versus_baseline is not None
    assert (found.versus_baseline.primary, len(found.versus_baseline.repaired_layers)) == (None, 16)
    assert {layer.at_end for layer in found.versus_baseline.layers} == {None}
    assert answer.notes[0].startswith("untrained networks only")


# --- properties -------------------------------------------------------------------------------------------------

gains = st.one_of(st.floats(-30, 30), st.sampled_from([-INF, INF, NAN]))
any_runs = st.lists(
    st.builds(
        run,
        gains,
        gains,
        trained=st.sampled_from(["yes", "no", "partly"]),
        test_metric=st.one_of(st.floats(0, 1), st.just(NAN)),
        step_seconds=st.floats(1e-4, 1.0),
    ),
    min_size=1,
    max_size=4,
)
MIRROR = {
    "repaired": {"harmed"},
    "harmed": {"repaired"},
    "not_repaired": {"not_repaired"},
    "over_corrected": {"over_corrected"},
    "fine": {"fine"},
    "unclear": {"unclear"},
}


def negated(estimate: Any) -> tuple[Any, ...]:
    mean, low, high = (None if value is None else -value for value in (estimate.mean, estimate.high, estimate.low))
    return mean, low, high, estimate.n


@settings(max_examples=40, deadline=None)
@given(any_runs, any_runs)
def test_a_comparison_turned_round_is_its_mirror_image(ours: list[RunSummary], theirs: list[RunSummary]) -> None:
    there = part(compared({BASE: theirs, FIRST: ours}), FIRST)
    back = part(compared({BASE: ours, FIRST: theirs}), FIRST)
    assert there.versus_baseline is not None
    assert back.versus_baseline is not None
    for name in ("success_difference", "metric_difference"):
        one, other = getattr(there.versus_baseline, name), getattr(back.versus_baseline, name)
        assert (one.mean, one.low, one.high, one.n) == pytest.approx(negated(other))
    assert there.versus_baseline.p_holm == pytest.approx(back.versus_baseline.p_holm)
    for one, other in zip(there.versus_baseline.layers, back.versus_baseline.layers, strict=True):
        assert other.at_start.state in MIRROR[one.at_start.state]
        assert (one.at_start.change.mean, one.at_start.change.n) == pytest.approx(negated(other.at_start.change)[::3])
    ratio, inverse = there.cost.step_time_ratio, back.cost.step_time_ratio
    assert ratio.mean == pytest.approx(1.0 / inverse.mean if inverse.mean else None)


@settings(max_examples=40, deadline=None)
@given(any_runs, any_runs)
def test_bounds_hold_their_means_and_rates_stay_rates(ours: list[RunSummary], theirs: list[RunSummary]) -> None:
    answer = compared({BASE: theirs, FIRST: ours})
    text = json.dumps(answer.model_dump(mode="json"), allow_nan=False)
    for estimate in _estimates(json.loads(text)):
        if estimate["low"] is not None:
            assert estimate["low"] <= estimate["mean"] + 1e-9
            assert estimate["mean"] <= estimate["high"] + 1e-9
        assert estimate["n"] > 1 or estimate["low"] is None
    versus = part(answer, FIRST).versus_baseline
    assert versus is not None
    difference = versus.success_difference
    known = [value for value in (difference.low, difference.mean, difference.high) if value is not None]
    assert all(-1.0 <= value <= 1.0 for value in known)
    assert versus.p_holm is None or 0.0 <= versus.p_holm <= 1.0


def _estimates(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        own = [value] if value.keys() == {"mean", "low", "high", "n", "method"} else []
        return own + [found for inner in value.values() for found in _estimates(inner)]
    return [found for inner in value for found in _estimates(inner)] if isinstance(value, list) else []
