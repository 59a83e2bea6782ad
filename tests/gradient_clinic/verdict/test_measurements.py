"""Windows, the first non-finite place and the ``trained`` rule, each on a trace made by hand."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gradient_clinic.signals import SIGNALS
from gradient_clinic.values import Array
from gradient_clinic.verdict.measurements import end_window, finite_maximum, log_median, measure, steps_read
from gradient_clinic.verdict.run_trace import RunTrace
from models.analysis.verdict.summary import summarise
from tests.models.analysis.synthetic import CHANCE, DEEP_HE, LEARNED, even, facts_of, plan_of, summary_of, trace_of

INF = math.inf
NAN = math.nan
PLAN = plan_of(**DEEP_HE)


# --- windows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "counted", "window"),
    [
        (range(110), 110, range(99, 110)),
        (range(0, 110, 10), 110, [100]),
        (range(0, 110, 50), 110, [100]),
        (range(5), 5, [4]),
        (range(110), 50, range(45, 50)),
        (range(110), 1, [0]),
        (range(110), 0, []),
    ],
)
def test_the_end_is_the_last_tenth_of_the_steps_that_count(recorded: Any, counted: int, window: Any) -> None:
    steps = np.array(recorded)
    assert steps[end_window(steps, counted)].tolist() == list(window)


def test_the_end_of_a_diverged_run_lies_before_its_first_non_finite_value() -> None:
    trace = trace_of(PLAN, even(19, 0.0))
    trace.signals["activation_gradient_rms"][0, 36:40] = math.exp(2.0)
    trace.signals["activation_gradient_rms"][3, 40:] = NAN
    trace.signals["nonfinite_count"][3, 40:] = 7.0
    run = summarise(PLAN, trace, facts_of(PLAN, outcome="diverged"))
    assert run.end_steps == (36, 39)
    assert run.end is not None
    assert run.end[0] == pytest.approx(2.0)
    assert run.first_nonfinite is not None
    assert (run.first_nonfinite.step, run.first_nonfinite.layer) == (40, "hidden.3")


def test_a_skipped_overflow_is_left_out_of_the_median() -> None:
    trace = trace_of(PLAN, even(19, 0.0), loss=LEARNED)
    trace.signals["activation_gradient_rms"][:, 105] = INF
    trace.signals["nonfinite_count"][:, 105] = 64.0
    run = summarise(PLAN, trace, facts_of(PLAN, outcome="finished"))
    assert (run.verdict.kind, run.end_steps, run.end) == ("healthy", (99, 109), (0.0,) * 19)


@given(st.lists(st.floats(0.0, 1e300), min_size=1, max_size=9))
def test_a_median_is_numpys_to_the_bit(values: list[float]) -> None:
    with np.errstate(divide="ignore"):
        expected = float(np.median(np.log(values)))
    assert log_median(np.array(values)) == expected


def test_a_layer_that_is_silent_in_most_of_the_window_counts_as_silent() -> None:
    trace = trace_of(PLAN, even(19, 0.0))
    trace.signals["activation_gradient_rms"][0, 100:107] = 0.0
    run = summarise(PLAN, trace, facts_of(PLAN))
    assert run.end is not None
    assert run.end[0] == -INF
    assert run.verdict.kind == "vanishing"


@pytest.mark.parametrize(
    ("signal", "rows", "layer", "where"),
    [
        ("activation_rms", [4, 6], "hidden.4", "forward"),
        ("activation_gradient_rms", [4, 6], "hidden.6", "backward"),
        ("nonfinite_count", [2], "hidden.2", "backward"),
        ("loss", [], "output", "forward"),
    ],
)
def test_the_first_non_finite_place(signal: str, rows: list[int], layer: str, where: str) -> None:
    trace = trace_of(PLAN, even(19, 0.0))
    if signal == "loss":
        trace.curves["loss"][7:] = INF
    else:
        trace.signals[signal][np.ix_(rows, range(7, 110))] = NAN
    place = summarise(PLAN, trace, facts_of(PLAN, outcome="diverged")).first_nonfinite
    assert place is not None
    assert (place.step, place.layer, place.where) == (7, layer, where)


# --- some of the records ------------------------------------------------------------------------------------------


@given(
    asked=st.integers(1, 120),
    every=st.integers(1, 50),
    share=st.floats(0.01, 1.0),
    ended=st.sampled_from([("finished", None), ("diverged", None), ("finished", "loss_above")]),
    broken=st.none() | st.integers(0, 119),
    seed=st.integers(0, 10_000),
)
def test_the_steps_that_are_read_measure_as_the_whole_trace(
    asked: int, every: int, share: float, ended: Any, broken: int | None, seed: int
) -> None:
    random = np.random.default_rng(seed)
    steps = np.arange(0, asked, every)
    steps = steps if ended[1] is None else steps[: max(1, int(share * len(steps)))]
    shape = (len(PLAN.layers), len(steps))
    signals: dict[str, Array] = {name: np.exp(random.standard_normal(shape)) for name in SIGNALS}
    signals["nonfinite_count"] = np.zeros(shape)
    curves = {"loss": random.random(len(steps))}
    if broken is not None:
        for values in (*signals.values(), curves["loss"]):
            behind = values[..., broken % len(steps) :]
            behind[random.random(behind.shape) < 0.05] = random.choice([NAN, INF])
    whole = RunTrace(PLAN.network.judged, steps, signals, curves)
    facts = facts_of(PLAN, steps_asked=asked, outcome=ended[0], stopped_by=ended[1])
    measured = measure(whole, facts)
    place = measured.first_nonfinite
    found = steps_read(facts, every, None if place is None else place.step, int(steps[-1]))
    chosen = np.zeros(len(steps), dtype=bool)
    for first, last in found:
        chosen |= (steps >= first) & (steps <= last)
    part = RunTrace(
        PLAN.network.judged,
        steps[chosen],
        {name: values[:, chosen] for name, values in signals.items() if name != "update_ratio"},
        {"loss": curves["loss"][chosen]},
        largest_update=np.array([finite_maximum(row) for row in signals["update_ratio"]]),
    )
    assert repr(measure(part, facts)) == repr(measured)  # as text, where NaN equals NaN


# --- trained ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "trained"),
    [
        (CHANCE / 2, "yes"),
        (CHANCE / 2 + 1e-6, "partly"),
        (CHANCE - 1e-6, "partly"),
        (CHANCE, "no"),
        (9.0, "no"),
        (NAN, "no"),
        (INF, "no"),
    ],
)
def test_trained_by_the_final_loss(loss: float, trained: str) -> None:
    assert summary_of(PLAN, 0.0, loss=loss).trained == trained


@pytest.mark.parametrize(("errors_below", "trained"), [(1.95, "no"), (1.97, "partly")])
def test_the_noise_of_the_windows_batches_counts(errors_below: float, trained: str) -> None:
    noise = np.array([1.0, -1.0] * 5 + [0.0]) * 0.02
    error = stats.sem(noise)
    loss = np.concatenate([np.full(99, CHANCE), CHANCE - errors_below * error + noise])
    assert summary_of(PLAN, 0.0, loss=loss).trained == trained


@pytest.mark.parametrize(("broken_from", "stopped_by"), [(80, "nonfinite_steps"), (109, None)])
def test_a_run_that_had_learned_and_ended_non_finite_is_not_trained(broken_from: int, stopped_by: str | None) -> None:
    loss = np.full(110, LEARNED)
    loss[broken_from:] = NAN
    run = summary_of(PLAN, 0.0, loss=loss, outcome="diverged", stopped_by=stopped_by)
    assert (run.trained, run.verdict.kind) == ("no", "diverged")
    assert run.final_loss == pytest.approx(LEARNED)
