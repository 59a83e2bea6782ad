"""The early reading: each alarm by its evidence, no alarm where loss and gradients contradict, nothing breaks it."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradient_clinic.values import Array
from gradient_clinic.verdict.early import FAR, EarlyReading, read_early
from gradient_clinic.verdict.run_trace import RunTrace
from tests.as_json import as_json, from_json
from tests.models.analysis.synthetic import CHANCE, DEEP_HE, even, plan_of, trace_of

PLAN = plan_of(**DEEP_HE)
NORMED = plan_of(**DEEP_HE, normalization={"kind": "batch_norm"})
HIDDEN = len(PLAN.network.hidden)
UPDATE = 1e-3


def trace(
    start: float, now: float | None = None, loss: Array | float = 1.0, *, steps: int = 51, **signals: Any
) -> RunTrace:
    """G is ``start`` in record 0 and ``now`` after it; the loss is in units of chance."""
    losses = np.broadcast_to(np.asarray(loss) * CHANCE, (steps,))
    plan = signals.pop("plan", PLAN)
    first, rest = (even(HIDDEN, gain / (HIDDEN - 1)) for gain in (start, start if now is None else now))
    whole = trace_of(plan, first, rest, np.resize(losses, plan.steps))
    kept = {name: values[:, :steps].copy() for name, values in whole.signals.items()}
    kept["update_ratio"] += UPDATE
    for name, value in signals.items():
        kept[name][:] = value
    return RunTrace(whole.layers, whole.steps[:steps], kept, {"loss": losses.astype(float)})


def read(*args: Any, optimizer: str = "adam", **more: Any) -> EarlyReading:
    return read_early(trace(*args, **more), CHANCE, optimizer)


FALLING = np.linspace(1.0, 0.3, 51)
BACK_UP = np.concatenate([np.linspace(1.0, 0.4, 30), np.linspace(0.4, 0.7, 21)])
NOISE = np.concatenate([np.linspace(1.0, 0.1, 30), np.linspace(0.1, 0.45, 21)])


@pytest.mark.parametrize(
    ("reading", "kind"),
    [
        (read(0.0, nonfinite_count=1.0), "diverged"),
        (read(-12.0), "vanishing"),
        (read(12.0), "exploding"),
        (read(0.0, -12.0), "vanishing"),
        (read(-12.0, 0.0, 0.8), "vanishing"),
        (read(0.0, loss=np.linspace(1.4, 0.9, 51), activation_gradient_rms=0.0), "vanishing"),
        (read(0.0, update_ratio=np.r_[2.0, np.full(50, 1e-3)]), "unstable"),  # and nothing has been learned since
        (read(-5.0, steps=1, update_ratio=1e-6), "vanishing"),
        (read(0.0, steps=1, update_ratio=2.0), "unstable"),
        (read(5.0, steps=1, update_ratio=2.0), "exploding"),
        (read(0.0, loss=BACK_UP), "unstable"),
        (read(0.0, loss=np.linspace(1.0, 3.0, 51)), "unstable"),
        (read(4.0), "exploding"),
        (read(0.0, dead_fraction=0.9), "dead"),
        (read(0.0, saturated_fraction=0.9), "saturated"),
        (read(0.0), "stalled"),
        (read(0.0, loss=0.8, update_ratio=1e-6), "stalled"),
        (read(0.0, loss=0.9, activation_gradient_rms=0.0), "vanishing"),
        (read(4.0, 0.0, 0.9, plan=NORMED), "exploding"),  # batch norm's first steps hide it, and mend nothing
        (read(-5.0, loss=np.linspace(1.0, 0.9, 51)), "vanishing"),  # it falls, and half of chance is 200 steps away
    ],
)
def test_each_alarm_names_its_kind(reading: EarlyReading, kind: str) -> None:
    assert reading.kind == kind
    assert reading.alarm
    assert len(reading.evidence) == 1


@pytest.mark.parametrize(
    ("reading", "kind"),
    [
        (read(0.0, loss=FALLING), "healthy"),
        (read(-12.0, -5.0, loss=FALLING), "healthy"),  # the loss has left its plateau: gradients decide nothing
        (read(0.0, steps=1), "healthy"),
        (read(-5.0, steps=1), "undecided"),  # Adam often makes up for it
        (read(0.0, loss=FALLING, update_ratio=np.r_[2.0, np.full(50, 1e-3)]), "healthy"),
        (read(-12.0, optimizer="muon", steps=30), "undecided"),  # its steps do not shrink with the gradient
        (read(-5.0, loss=0.9, optimizer="muon"), "undecided"),
        (read(0.0, steps=30), "undecided"),  # at chance, no layer says why, and it is early
        (read(0.0, loss=0.95), "undecided"),  # on a plateau below chance, and no layer says why
        (read(4.0, 0.0, 0.9), "undecided"),  # the first steps have put it right
        (read(0.0, steps=11, update_ratio=1e-6), "undecided"),  # a warm-up
        (read(0.0, loss=NOISE), "healthy"),  # it rose, and is still better than half of chance
        (read(4.0, steps=30), "undecided"),  # too early to call it stalled
        (read(4.0, loss=np.linspace(1.0, 0.85, 51)), "undecided"),  # it falls
    ],
)
def test_no_alarm_where_evidence_is_missing_or_contradicts(reading: EarlyReading, kind: str) -> None:
    assert reading.kind == kind
    assert not reading.alarm


def test_a_long_step_is_no_alarm_under_a_norm() -> None:
    assert not read(0.0, steps=1, update_ratio=2.0, plan=NORMED).alarm


def test_a_loss_that_starts_high_and_falls_is_not_risen() -> None:
    assert not read(0.0, loss=np.geomspace(700.0, 8.0, 51)).alarm


def test_the_evidence_lies_beyond_its_threshold_and_names_the_steps() -> None:
    (shown,) = read(-12.0).evidence
    assert shown.threshold == -FAR
    assert shown.value == pytest.approx(-12.0)
    assert shown.margin == pytest.approx(3.0)
    assert shown.steps == (0, 50)


def test_later_records_are_not_needed_and_change_nothing_earlier() -> None:
    long = trace(0.0, loss=BACK_UP)
    short = RunTrace(
        long.layers,
        long.steps[:11],
        {name: values[:, :11] for name, values in long.signals.items()},
        {"loss": long.curves["loss"][:11]},
    )
    assert read_early(short, CHANCE, "sgd").kind == "healthy"
    assert read_early(long, CHANCE, "sgd").kind == "unstable"


anything = st.one_of(st.floats(-80.0, 80.0), st.sampled_from([math.nan, math.inf, -math.inf]))


@settings(max_examples=80, deadline=None)
@given(anything, anything, anything, st.sampled_from([1, 2, 11, 51]), anything)
def test_no_trace_breaks_it_and_its_json_has_no_nan(
    start: float, now: float, loss: float, steps: int, update: float
) -> None:
    found = read(start, now, abs(loss), steps=steps, update_ratio=abs(update))
    assert from_json(EarlyReading, as_json(found)) == found
