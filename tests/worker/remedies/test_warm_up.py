"""The warmed-up rate against torch's LinearLR, whatever groups the optimiser has."""

import pytest
import torch
from torch import nn

from models.specs.training_remedies import WarmUpRemedy
from tests.worker.trials import plan_of, run_of, trainer_of
from worker.remedies.warm_up import WarmUp


@pytest.mark.parametrize(("steps", "start"), [(7, 0.0), (5, 0.3), (2, 1.0)])
def test_the_factor_is_that_of_torchs_linear_schedule(steps: int, start: float) -> None:
    remedy = WarmUp(WarmUpRemedy(kind="warm_up", steps=steps, start_factor=start))
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    first = start + (1.0 - start) / steps
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=first, total_iters=steps - 1)
    for step in range(2 * steps):
        assert remedy.factor(step) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_one_step_of_warm_up_changes_nothing() -> None:
    plan, warmed = plan_of(), plan_of(remedies=[{"kind": "warm_up", "steps": 1}])
    assert run_of(plan)[2].weights_hash == run_of(warmed)[2].weights_hash


def test_both_parts_of_muon_follow_before_and_after_a_checkpoint() -> None:
    muon = {"kind": "muon", "learning_rate": 0.02, "adamw_learning_rate": 0.004}
    trainer = trainer_of(plan_of(optimizer=muon, remedies=[{"kind": "warm_up", "steps": 4}]))
    for step, rates in enumerate([(0.005, 0.001), (0.01, 0.002), (0.015, 0.003)]):
        record = trainer.step(step)
        assert record is not None
        assert record.learning_rate == pytest.approx(rates[0])
        in_force = [group["lr"] for part in trainer.optimizer.parts for group in part.param_groups]  # type: ignore[attr-defined]
        assert in_force == pytest.approx(rates)
        trainer.optimizer.load_state_dict(trainer.optimizer.state_dict())
