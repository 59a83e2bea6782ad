"""A run that goes on from a state is the run that never stopped, bit by bit: records, validation, weights."""

import io
from typing import Any

import pytest
import torch

from models.plan import Plan, expand
from proofs.gpu.exactness import bits_of
from tests.networks import EVERY_KIND, MORE_KINDS
from tests.worker.trials import data_of, plan_of, run_of, spec_of_kind
from worker.engine import train
from worker.results import RunResult, Seen, Snapshot, StateRefusedError, TrainState

STEPS = 7
TREATED: dict[str, list[dict[str, Any]]] = {
    "warm_up": [{"kind": "warm_up", "steps": 5}],
    "ema_clip": [{"kind": "ema_clip", "warm_up": 2, "z": 0.5}],
    "mixed_precision": [{"kind": "mixed_precision", "dtype": "float16", "growth_interval": 2}],
    "all at once": [
        {"kind": "batch_norm"},
        {"kind": "dropout", "p": 0.3},
        {"kind": "l2", "strength": 0.01},
        {"kind": "ema_clip", "warm_up": 2, "z": 0.5},
        {"kind": "warm_up", "steps": 5},
        {"kind": "weight_decay", "strength": 0.01},
    ],
}
OPTIMIZERS: list[dict[str, Any]] = [
    {"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
    {"kind": "rmsprop", "momentum": 0.5},
    {"kind": "adam"},
    {"kind": "adamw"},
    {"kind": "nadam"},
    {"kind": "radam"},
    {"kind": "muon"},
]


def stored(state: TrainState) -> TrainState:
    """As a file gives it back, which may hold nothing but tensors, numbers, strings and their containers."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    found: TrainState = torch.load(buffer, map_location="cpu", weights_only=True)
    return found


def stopped_at(plan: Plan, step: int) -> tuple[list[Seen], TrainState]:
    """What a run yields before ``step``, and its state there."""
    seen: list[Seen] = []
    for one in train(plan, data_of(plan), seed=0, wanted=lambda its: its == step):
        if isinstance(one, Snapshot):
            return seen, stored(one.state)
        seen.append(one)
    pytest.fail("no snapshot came")


def assert_resumes(plan: Plan, *steps: int) -> None:
    whole = bits_of(list(train(plan, data_of(plan), seed=0)))
    for step in steps:
        before, state = stopped_at(plan, step)
        after = list(train(plan, data_of(plan), seed=0, state=state))
        assert bits_of([*before, *after]) == whole


@pytest.mark.parametrize("kind", [*EVERY_KIND, *MORE_KINDS])
def test_a_network_of_every_kind_goes_on_where_it_stopped(kind: str) -> None:
    asked = {**EVERY_KIND, **MORE_KINDS}[kind]
    network = asked["network"]
    if network["kind"] != "sequential":
        asked = {**asked, "network": {"dropout": 0.3, **network}}
    plan = expand(spec_of_kind(asked, steps=STEPS, optimizer={"kind": "adam", "learning_rate": 0.01}))[0].plan
    assert_resumes(plan, 1, 4)


@pytest.mark.parametrize("treatment", TREATED)
def test_remedies_with_a_memory_keep_it(treatment: str) -> None:
    assert_resumes(plan_of(steps=STEPS, variants=[{"name": "treated", "remedies": TREATED[treatment]}]), 3, 5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda its: str(its["kind"]))
def test_every_optimizer_keeps_its_memory(optimizer: dict[str, Any]) -> None:
    assert_resumes(plan_of(steps=STEPS, optimizer=optimizer, remedies=[{"kind": "warm_up", "steps": 5}]), 3)


def test_epochs_and_their_order_go_on() -> None:
    dataset = {"kind": "digits", "validation_fraction": 0.2}
    plan = plan_of(epochs=3, batch_size=400, dataset=dataset)
    assert len(run_of(plan)[1]) == 3
    assert_resumes(plan, *range(1, plan.steps))


def test_broken_steps_before_the_stop_count_with_those_after_it() -> None:
    sgd = {"kind": "sgd", "learning_rate": 1000.0, "momentum": 0.9}
    plan = plan_of({"hidden": [12] * 8}, steps=STEPS, optimizer=sgd, stop_when={"nonfinite_steps": 3})
    *_, result = run_of(plan)
    assert (result.stopped_by, result.steps_done) == ("nonfinite_steps", 5)
    assert_resumes(plan, 3, 4)


def test_the_time_of_the_whole_run_is_told() -> None:
    plan = plan_of(steps=STEPS)
    _, state = stopped_at(plan, 4)
    state["seconds"] = [100.0, 90.0, 45.0]
    result = list(train(plan, data_of(plan), seed=0, state=state))[-1]
    assert isinstance(result, RunResult)
    assert 100.0 < result.device_seconds < 110.0
    assert result.overhead == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize("part", ["step", "model", "optimizer", "remedies"])
def test_a_state_of_something_else_is_refused(part: str) -> None:
    plan = plan_of(steps=STEPS, remedies=[{"kind": "ema_clip"}])
    _, state = stopped_at(plan, 4)
    other = plan_of({"hidden": [5]}, steps=STEPS, optimizer={"kind": "muon"})
    _, strange = stopped_at(other, 4)
    if part == "step":
        del state[part]
    else:
        state[part] = strange[part]
    with pytest.raises(StateRefusedError):
        next(train(plan, data_of(plan), seed=0, state=state))
