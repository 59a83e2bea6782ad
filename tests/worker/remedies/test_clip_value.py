"""Clipping by value as it is recorded."""

import pytest
import torch

from tests.worker.trials import plan_of, trainer_of

SGD = {"kind": "sgd", "learning_rate": 0.1}


@pytest.mark.parametrize(("max_value", "clipped"), [(1e-3, 1.0), (1e3, 0.0)])
def test_the_norm_after_is_that_of_torchs_function_and_layers_are_read_before(max_value: float, clipped: float) -> None:
    remedy = {"kind": "clip_value", "max_value": max_value}
    ours = trainer_of(plan_of(optimizer=SGD, remedies=[remedy]), dtype=torch.float64)
    plain = trainer_of(plan_of(optimizer=SGD), dtype=torch.float64)
    record, expected = ours.step(0), plain.step(0)
    assert record is not None
    assert expected is not None
    torch.nn.utils.clip_grad_value_(plain.parameters, max_value)
    norm = torch.nn.utils.get_total_norm([its.grad for its in plain.parameters if its.grad is not None])
    assert record.clipped_gradient_norm == pytest.approx(float(norm))
    assert record.clipped == clipped
    assert record.total_gradient_norm == pytest.approx(expected.gradient_norm)
    assert record.weight_gradient_norm.tolist() == expected.weight_gradient_norm.tolist()
