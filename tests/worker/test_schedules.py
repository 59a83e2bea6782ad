"""The factor of a schedule, step by step, against torch's own schedulers."""

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR, StepLR

from models.plan.over_steps import factor_of
from models.specs.schedule import ScheduleSpec
from tests.worker.plain_torch import batches, perceptron, start_as, train_by_engine
from tests.worker.trials import plan_of, trainer_of

STEPS = 20
RATE = 0.1


def planned(**asked: Any) -> ScheduleSpec:
    adapter: TypeAdapter[ScheduleSpec] = TypeAdapter(ScheduleSpec)
    return adapter.validate_python(asked)


def torchs(optimizer: torch.optim.Optimizer, schedule: ScheduleSpec) -> LRScheduler:
    warm_up = schedule.warm_up
    after: LRScheduler
    if schedule.kind == "cosine":
        after = CosineAnnealingLR(optimizer, STEPS - warm_up, eta_min=schedule.final_factor * RATE)
    else:
        after = StepLR(optimizer, schedule.every, schedule.factor)
    if warm_up == 0:
        return after
    return SequentialLR(optimizer, [LinearLR(optimizer, 1.0 / warm_up, total_iters=warm_up - 1), after], [warm_up])


ALL = [
    planned(kind="cosine"),
    planned(kind="cosine", final_factor=0.2),
    planned(kind="cosine", warm_up=4),
    planned(kind="step", every=6),
    planned(kind="step", every=5, factor=0.5, warm_up=3),
]


@pytest.mark.parametrize("schedule", ALL, ids=str)
def test_the_factor_is_that_of_torchs_schedule(schedule: ScheduleSpec) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=RATE)
    theirs = torchs(optimizer, schedule)
    for step in range(STEPS):
        assert RATE * factor_of(schedule, step, STEPS) == pytest.approx(theirs.get_last_lr()[0]), step
        optimizer.step()
        theirs.step()


def test_a_step_behind_the_end_has_the_last_factor() -> None:
    assert factor_of(planned(kind="cosine", final_factor=0.25), STEPS + 7, STEPS) == pytest.approx(0.25)


@pytest.mark.parametrize("schedule", ALL, ids=str)
def test_a_run_under_a_schedule_trains_as_torch_trains_it(schedule: ScheduleSpec) -> None:
    plan = plan_of(
        optimizer={"kind": "sgd", "learning_rate": RATE, "momentum": 0.9, "schedule": schedule.model_dump()},
        steps=STEPS,
    )
    model = start_as(perceptron(plan, nn.ReLU()), plan)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)
    theirs, expected = torchs(optimizer, schedule), []
    for x, y in batches(plan):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        theirs.step()
        expected.append(loss.item())
    assert train_by_engine(plan)[0] == pytest.approx(expected, rel=1e-8)


def test_both_groups_of_muon_follow_and_the_record_says_the_rate() -> None:
    cosine = {"kind": "cosine", "final_factor": 0.5}
    muon = {"kind": "muon", "learning_rate": 0.02, "adamw_learning_rate": 0.004, "schedule": cosine}
    trainer = trainer_of(plan_of(optimizer=muon, steps=2))
    trainer.step(0)
    record = trainer.step(1)
    assert record is not None
    assert record.learning_rate == pytest.approx(0.015)
    in_force = [group["lr"] for part in trainer.optimizer.parts for group in part.param_groups]  # type: ignore[attr-defined]
    assert in_force == pytest.approx([0.015, 0.003])


def test_a_warm_up_that_is_a_remedy_multiplies() -> None:
    adam = {"kind": "adam", "learning_rate": RATE, "schedule": {"kind": "step", "every": 1, "factor": 0.5}}
    trainer = trainer_of(plan_of(optimizer=adam, steps=4, remedies=[{"kind": "warm_up", "steps": 2}]))
    rates = [record.learning_rate for step in range(3) if (record := trainer.step(step)) is not None]
    assert rates == pytest.approx([RATE / 2, RATE / 2, RATE / 4])
