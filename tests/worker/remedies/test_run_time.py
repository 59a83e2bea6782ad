"""The L2 term and clipping as they are recorded."""

import math

import numpy as np
import pytest
import torch

from tests.worker.oracle import tell
from tests.worker.trials import plan_of, run_of, state_of, trainer_of

HIDDEN = ("body.steps.1.linear.weight", "body.steps.3.linear.weight")
SGD = {"kind": "sgd", "learning_rate": 0.1}


def test_l2_trains_as_if_the_penalty_were_in_the_loss_and_is_recorded_apart() -> None:
    plan = plan_of(optimizer=SGD, remedies=[{"kind": "l2", "strength": 0.5}])
    trainer, plain = trainer_of(plan, dtype=torch.float64), trainer_of(plan_of(optimizer=SGD), dtype=torch.float64)
    before = state_of(trainer)
    record, unpenalised = trainer.step(0), plain.step(0)
    assert record is not None
    assert unpenalised is not None
    oracle = tell(plan, before, state_of(trainer), trainer.batches.of(0))
    np.testing.assert_allclose(record.weight_gradient_norm, unpenalised.weight_gradient_norm, rtol=1e-12)
    weights = [before[name] for name in HIDDEN]
    assert record.loss == pytest.approx(oracle.loss, rel=1e-9)
    assert record.gradient_norm == pytest.approx(oracle.gradient_norm, rel=1e-9)
    assert record.penalty == pytest.approx(0.5 * sum(its.square().sum().item() for its in weights), rel=1e-9)
    for name, other in state_of(plain).items():
        expected = other - 0.1 * 2 * 0.5 * before[name] if name in HIDDEN else other
        torch.testing.assert_close(state_of(trainer)[name], expected, rtol=1e-12, atol=1e-14)
    total = sum(((before[name] - its) / 0.1).square().sum().item() for name, its in state_of(trainer).items())
    assert record.total_gradient_norm == pytest.approx(math.sqrt(total), rel=1e-9)
    assert record.clipped_gradient_norm == record.total_gradient_norm


@pytest.mark.parametrize(("max_norm", "clipped"), [(1e-3, 1.0), (1e3, 0.0)])
def test_clipping_is_recorded_as_it_happened(max_norm: float, clipped: float) -> None:
    plan = plan_of(optimizer=SGD, remedies=[{"kind": "clip_norm", "max_norm": max_norm}])
    trainer = trainer_of(plan, dtype=torch.float64)
    before = state_of(trainer)
    record = trainer.step(0)
    assert record is not None
    norm = record.gradient_norm
    expected = norm * min(1.0, max_norm / (norm + 1e-6))
    assert (record.clipped, record.total_gradient_norm) == (clipped, norm)
    assert record.clipped_gradient_norm == pytest.approx(expected, rel=1e-12)
    moved = sum((its - before[name]).square().sum().item() for name, its in state_of(trainer).items())
    assert math.sqrt(moved) / 0.1 == pytest.approx(expected, rel=1e-6)
    # The layers' gradients are read before clipping.
    oracle = tell(plan, before, state_of(trainer), trainer.batches.of(0))
    expected_norms = [layer.weight_gradient_norm for layer in oracle.layers]
    np.testing.assert_allclose(record.weight_gradient_norm, expected_norms, rtol=1e-9)


def test_the_penalty_is_clipped_with_the_data_gradient() -> None:
    remedies = [{"kind": "clip_norm", "max_norm": 0.5}, {"kind": "l2", "strength": 10.0}]
    (record, *_), _, _ = run_of(plan_of(remedies=remedies, design="add_all", optimizer=SGD))
    assert record.total_gradient_norm > 2 * record.gradient_norm
    assert record.clipped_gradient_norm == pytest.approx(0.5, rel=1e-4)
