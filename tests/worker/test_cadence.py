"""A recording budget chooses how often a run is recorded, and changes nothing else of it."""

from typing import Any

import pytest

from models.plan import Plan
from tests.worker.trials import CPU, data_of, plan_of, run_of
from worker.cadence import cadence


def budgeted(budget: float | None, every: int = 1, **changes: Any) -> Plan:
    return plan_of({"hidden": [12] * 3}, trace={"budget": budget, "every": every}, **changes)


def chosen(plan: Plan) -> int:
    return cadence(plan, data_of(plan, 0), seed=0, device=CPU)


def test_a_budget_that_recording_cannot_exceed_leaves_every_step_recorded() -> None:
    assert chosen(budgeted(10.0)) == 1


def test_a_smaller_budget_leaves_more_steps_out() -> None:
    # Recording costs more than 0.5 % of a step and less than three steps, whatever the machine does.
    assert 50 < chosen(budgeted(0.0001)) < 30_000


def test_the_cadence_is_never_closer_than_the_one_asked_for() -> None:
    assert chosen(budgeted(10.0, every=3)) == 3
    assert chosen(budgeted(None, every=3)) == 3


def test_nothing_is_tried_for_a_network_that_is_not_trained() -> None:
    assert chosen(budgeted(0.0001, steps=0)) == 1


@pytest.mark.parametrize("network", [{"dropout": 0.3}, {"normalization": {"kind": "batch_norm"}}])
def test_a_run_begins_as_if_no_cadence_had_been_tried(network: dict[str, Any]) -> None:
    plan = plan_of(network, trace={"budget": 0.5})
    _, _, untried = run_of(plan)
    tried = plan.recording_every(chosen(plan))
    records, _, result = run_of(tried)
    assert result.weights_hash == untried.weights_hash
    assert len(records) == tried.recorded_steps
