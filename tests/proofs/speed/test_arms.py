"""What others' ways of watching report is what ours records: the benchmark compares the cost of the same numbers."""

from typing import Any

import numpy as np
import pytest
import torch

from proofs.speed import arms, probe
from worker.begun import laid_out
from worker.datasets import load
from worker.trainer import Trainer

SMALL: dict[str, Any] = {
    "dataset": {"kind": "digits"},
    "network": {"kind": "mlp", "depth": 4, "width": 8, "normalization": {"kind": "batch_norm"}},
    "batch_size": 16,
}


@pytest.fixture
def trainer() -> Trainer:
    plan = probe.plan_of(SMALL)
    data = load(plan.dataset, 0)
    return Trainer(plan, data, seed=0, device=torch.device("cpu"), dtype=torch.float32, record=True)


def test_one_norm_call_over_all_gradients_is_our_weight_gradient_norm(trainer: Trainer) -> None:
    look = arms.foreach_norm(trainer)
    for step in range(3):
        record = trainer.step(step)
        assert record is not None
        np.testing.assert_allclose(look(step), record.weight_gradient_norm, rtol=1e-5)


def test_the_item_loop_reads_our_gradient_norms(trainer: Trainer) -> None:
    look = arms.item_loop(trainer)
    record = trainer.step(0)
    assert record is not None
    gradients, weights = zip(*look(0), strict=True)
    np.testing.assert_allclose(gradients, record.weight_gradient_norm, rtol=1e-5)
    expected = [point.weight.detach().norm().item() for point in laid_out(trainer.model).points()]
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_every_arm_takes_its_turns_and_is_told_by_name() -> None:
    found = probe.measure(probe.plan_of(SMALL), [probe.OWN], seconds=0.0)
    assert set(found["arms"]) == {probe.UNTRACED, probe.OURS, *probe.OWN}
    assert found["rounds"] == probe.FEWEST_ROUNDS
    assert found["layers"] == 4
    assert found["arms"][probe.UNTRACED]["ratio"] == 1.0


@pytest.mark.parametrize("name", [*probe.MLPS, *probe.OTHERS])
def test_every_case_is_a_spec_that_can_be_planned(name: str) -> None:
    assert probe.plan_of((probe.MLPS | probe.OTHERS)[name]).layers
