"""The headline's precedence, the contract's fixed cases, seeds together; and that no trace at all breaks a verdict."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradient_clinic.values import Array
from gradient_clinic.verdict.run_trace import RunTrace
from gradient_clinic.verdict.shapes import RULES, RunSummary, Verdict
from models.analysis.verdict.summary import summarise
from models.analysis.verdict.variant import variant_verdict
from models.plan import Plan, expand
from tests.as_json import as_json, from_json
from tests.models.analysis.synthetic import (
    CHANCE,
    DEEP,
    DEEP_HE,
    LEARNED,
    even,
    experiment,
    facts_of,
    plan_of,
    summary_of,
    supported,
    trace_of,
)

INF = math.inf
NAN = math.nan
PLAN = plan_of(**DEEP_HE)
SIGMOID_GAIN = 18 * math.log(0.2361)  # science 3.1, G10, over 18 increments: −26.0


def verdict(start: float, end: float | None = None, **run: Any) -> Verdict:
    return summary_of(PLAN, start, end, **run).verdict


# --- headline ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "run", "kind"),
    [
        (0.0, 0.0, {"outcome": "diverged"}, "diverged"),
        (0.0, 0.0, {"stopped_by": "loss_above"}, "diverged"),
        (5.0, 0.0, {"outcome": "diverged", "loss": LEARNED}, "exploding"),
        (0.0, 5.0, {"outcome": "diverged"}, "exploding"),
        (-9.0, -9.0, {"outcome": "diverged"}, "diverged"),
        (-9.0, -9.0, {"loss": LEARNED}, "healthy"),
        (9.0, 9.0, {"loss": LEARNED}, "healthy"),
        (0.0, -9.0, {}, "vanishing"),
        (-9.0, 0.0, {}, "vanishing"),
        (-9.0, 9.0, {"loss": 2.0}, "exploding"),
        (0.0, 0.0, {}, "stalled"),
        (0.0, 0.0, {"loss": 2.0}, "slow"),
    ],
)
def test_headline_precedence(start: float, end: float, run: dict[str, Any], kind: str) -> None:
    assert verdict(start, end, **run).kind == kind


@pytest.mark.parametrize(
    ("signals", "loss", "kind"),
    [
        (["dead_fraction", "saturated_fraction"], CHANCE, "dead"),
        (["saturated_fraction"], 2.0, "saturated"),
        (["dead_fraction"], LEARNED, "healthy"),
    ],
)
def test_dead_before_saturated_and_neither_where_it_trains(signals: list[str], loss: float, kind: str) -> None:
    trace = trace_of(PLAN, even(19, 0.0), loss=loss)
    for signal in signals:
        trace.signals[signal][5, :] = 0.51
    assert summarise(PLAN, trace, facts_of(PLAN)).verdict.kind == kind


def test_a_dead_output_layer_does_not_count() -> None:
    trace = trace_of(PLAN, even(19, 0.0))
    trace.signals["dead_fraction"][-1, :] = 1.0
    assert summarise(PLAN, trace, facts_of(PLAN)).verdict.kind == "stalled"


@pytest.mark.parametrize(("gain", "kind"), [(-9.0, "vanishing"), (9.0, "exploding"), (0.5, "healthy")])
def test_without_training_the_start_decides(gain: float, kind: str) -> None:
    plan = expand(experiment(network=DEEP_HE, epochs=None, steps=0))[0].plan
    untrained = summary_of(plan, gain).verdict
    assert (untrained.kind, untrained.at_end, untrained.trained) == (kind, None, None)


# --- the contract's fixed cases ---------------------------------------------------------------------------------


def seeds_of(plan: Plan, start: float, end: float, loss: float, **facts: Any) -> list[RunSummary]:
    scatter = (-0.3, -0.1, 0.0, 0.2, 0.3)
    return [summary_of(plan, start + by, end + by, loss, **facts) for by in scatter]


def test_xavier_sigmoid_vanishes_by_initialisation_and_activation() -> None:
    found = variant_verdict(seeds_of(plan_of(), SIGMOID_GAIN, SIGMOID_GAIN, CHANCE))
    assert (found.kind, found.at_start.kind, found.trained) == ("vanishing", "vanishing", "no")
    assert found.at_start.total_gain.mean == pytest.approx(-26.0, abs=0.05)
    assert found.at_start.gain_per_layer is not None
    assert found.at_start.gain_per_layer.mean == pytest.approx(0.236, abs=0.001)
    assert found.causes == ("initialisation", "saturating_activation")
    assert set(supported(found)) == {"batch_norm", "activation"}
    assert (found.seeds, found.rules) == ({"vanishing": 5}, RULES)


def test_a_relu_network_that_starts_vanishing_and_learns_is_healthy_with_both_facts() -> None:
    found = variant_verdict(
        seeds_of(plan_of(**DEEP, activation="relu", init={"kind": "xavier_normal"}), -6.2, 1.3, 0.5)
    )
    assert (found.kind, found.at_start.kind, found.trained) == ("healthy", "vanishing", "yes")
    assert found.at_end is not None
    assert (found.at_end.kind, found.causes, found.answers) == ("healthy", (), ())


def test_orthogonal_gain_two_explodes_though_its_end_is_nan() -> None:
    plan = plan_of(**DEEP, activation="relu", init={"kind": "orthogonal", "gain": 2.0})
    trace = trace_of(plan, even(19, math.log(2.0) / 2), loss=NAN)
    trace.curves["loss"][:2] = CHANCE
    for signal in ("activation_rms", "activation_gradient_rms", "nonfinite_count"):
        trace.signals[signal][:, 2:] = NAN
    run = summarise(plan, trace, facts_of(plan, outcome="diverged", stopped_by="nonfinite_steps")).verdict
    assert (run.kind, run.causes, run.trained) == ("exploding", ("initialisation",), "no")


def test_the_seed_article_needs_no_remedy() -> None:
    network = {"hidden": [64, 64], "activation": "relu", "init": {"kind": "torch_default"}}
    found = variant_verdict(seeds_of(plan_of(**network), -0.9, 0.3, LEARNED))
    assert (found.kind, found.answers, found.causes) == ("healthy", (), ())
    assert "no remedy needed" in found.sentence


# --- over seeds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("trained", "kind", "said"), [(4, "healthy", "yes"), (3, "mixed", "mixed")])
def test_a_variant_has_what_four_of_five_seeds_have(trained: int, kind: str, said: str) -> None:
    runs = [summary_of(PLAN, 0.0, 0.0, LEARNED if i < trained else CHANCE) for i in range(5)]
    found = variant_verdict(runs)
    assert (found.kind, found.trained) == (kind, said)
    assert found.seeds == {"healthy": trained, "stalled": 5 - trained}


def test_a_variant_without_runs_has_no_verdict() -> None:
    with pytest.raises(ValueError, match="at least one run"):
        variant_verdict([])


# --- any trace at all -------------------------------------------------------------------------------------------

SMALL = plan_of(hidden=[8, 8, 8, 8, 8], activation="tanh", init={"kind": "normal", "std": 0.1})
PALETTE = np.array([0.0, NAN, INF, 1e-40, 1e-20, 0.01, 0.6, 1.0, 2.3, 1e20, 1e200])


def any_run(seed: int) -> RunSummary:
    """A run of 1 to 4 records whose numbers are anything: mostly usual ones in some runs, mostly broken in others."""
    rng = np.random.default_rng(seed)
    odds = rng.dirichlet(np.full(PALETTE.size, 0.3))

    def some(*shape: int) -> Array:
        return rng.choice(PALETTE, p=odds, size=shape)

    records = int(rng.integers(1, 5))
    names = trace_of(SMALL, even(5, 0.0)).signals
    signals = {name: some(len(SMALL.layers), records) for name in names}
    trace = RunTrace(SMALL.network.judged, np.arange(records), signals, {"loss": some(records)})
    facts = facts_of(
        SMALL,
        steps_asked=int(rng.choice([0, records, 110])),
        outcome=str(rng.choice(["finished", "diverged"])),
        stopped_by=rng.choice(np.array([None, "nonfinite_steps", "loss_above"], dtype=object)),
        test_metric=float(some()),
        test_loss=float(some()),
    )
    return summarise(SMALL, trace, facts)


runs_of_any_kind = st.integers(0, 2**32 - 1).map(any_run)


@settings(max_examples=60, deadline=None)
@given(st.lists(runs_of_any_kind, min_size=1, max_size=4))
def test_no_trace_breaks_a_verdict_and_its_json_has_no_nan(runs: list[RunSummary]) -> None:
    for found in (*(run.verdict for run in runs), variant_verdict(runs)):
        assert from_json(Verdict, as_json(found)) == found


@settings(max_examples=60, deadline=None)
@given(runs_of_any_kind)
def test_a_summary_returns_from_json_as_it_was(run: RunSummary) -> None:
    stored = as_json(run)
    again = from_json(RunSummary, stored)
    assert as_json(again) == stored
    assert repr(again) == repr(run)  # repr, because NaN is not equal to itself
