"""Remedies that act while training: the L2 term exactly, clipping by the book, and both as they are recorded."""

import math

import numpy as np
import pytest
import torch

from models.specs.remedy import ClipNormRemedy, L2Remedy
from tests.worker.oracle import tell
from tests.worker.trials import plan_of, run_of, state_of, trainer_of
from worker.remedies.clip_norm import ClipNorm
from worker.remedies.l2 import L2

SGD = {"kind": "sgd", "learning_rate": 0.1}


@pytest.mark.parametrize("layers", ["hidden", "all"])
def test_the_l2_gradient_is_exactly_two_lambda_w_beside_the_data_gradient(layers: str) -> None:
    spec = L2Remedy.model_validate({"kind": "l2", "strength": 0.25, "layers": layers})
    hidden = [torch.nn.Parameter(torch.randn(3, 3, dtype=torch.float64)) for _ in range(2)]
    output = torch.nn.Parameter(torch.randn(2, 3, dtype=torch.float64))
    for weight in (*hidden, output):
        weight.grad = torch.full_like(weight, 4.0)
    remedy = L2(spec)
    remedy.add_gradient(hidden, output)
    for weight in hidden:
        assert weight.grad is not None
        assert torch.equal(weight.grad, 4.0 + 2 * 0.25 * weight.detach())
    assert output.grad is not None
    reached = [*hidden, *[output] * (layers == "all")]
    assert torch.equal(output.grad, 4.0 + (0.5 if layers == "all" else 0.0) * output.detach())
    penalty = remedy.penalty(hidden, output)
    assert penalty is not None
    assert float(penalty) == pytest.approx(0.25 * sum(weight.detach().square().sum().item() for weight in reached))


def test_l2_trains_as_if_the_penalty_were_in_the_loss_and_is_recorded_apart() -> None:
    plan = plan_of(optimizer=SGD, remedies=[{"kind": "l2", "strength": 0.5}])
    trainer, plain = trainer_of(plan, dtype=torch.float64), trainer_of(plan_of(optimizer=SGD), dtype=torch.float64)
    before = state_of(trainer)
    record, unpenalised = trainer.step(0), plain.step(0)
    assert record is not None
    assert unpenalised is not None
    oracle = tell(plan, before, state_of(trainer), *trainer.batch(0))
    np.testing.assert_allclose(record.weight_gradient_norm, unpenalised.weight_gradient_norm, rtol=1e-12)
    weights = [before[f"layers.hidden_{index}.linear.weight"] for index in range(2)]
    assert record.loss == pytest.approx(oracle.loss, rel=1e-9)
    assert record.gradient_norm == pytest.approx(oracle.gradient_norm, rel=1e-9)
    assert record.penalty == pytest.approx(0.5 * sum(its.square().sum().item() for its in weights), rel=1e-9)
    for name, other in state_of(plain).items():
        expected = (
            other - 0.1 * 2 * 0.5 * before[name] if "hidden" in name and name.endswith("linear.weight") else other
        )
        torch.testing.assert_close(state_of(trainer)[name], expected, rtol=1e-12, atol=1e-14)
    total = sum(((before[name] - its) / 0.1).square().sum().item() for name, its in state_of(trainer).items())
    assert record.total_gradient_norm == pytest.approx(math.sqrt(total), rel=1e-9)
    assert record.clipped_gradient_norm == record.total_gradient_norm


def test_clipping_a_norm_of_5_to_1_is_the_case_of_the_book() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(n, dtype=torch.float64)) for n in (1, 2)]
    parameters[0].grad = torch.tensor([3.0], dtype=torch.float64)
    parameters[1].grad = torch.tensor([0.0, 4.0], dtype=torch.float64)
    remedy = ClipNorm(ClipNormRemedy(kind="clip_norm", max_norm=1.0))
    after = remedy.clip(parameters, torch.tensor(5.0, dtype=torch.float64))
    assert float(after) == pytest.approx(0.99999980000004, abs=1e-14)
    assert parameters[0].grad.tolist() == pytest.approx([0.6 * 0.99999980000004], abs=1e-14)
    assert parameters[1].grad.tolist() == pytest.approx([0.0, 0.8 * 0.99999980000004], abs=1e-14)


def test_clipping_is_torchs_own() -> None:
    ours, theirs = ([torch.nn.Parameter(torch.zeros(50))] for _ in range(2))
    gradient = torch.randn(50, generator=torch.Generator().manual_seed(0))
    for parameters in (ours, theirs):
        parameters[0].grad = gradient.clone()
    norm = torch.nn.utils.clip_grad_norm_(theirs, 0.5)
    ClipNorm(ClipNormRemedy(kind="clip_norm", max_norm=0.5)).clip(ours, norm.double())
    assert ours[0].grad is not None
    assert theirs[0].grad is not None
    torch.testing.assert_close(ours[0].grad, theirs[0].grad, rtol=1e-6, atol=0.0)


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
    oracle = tell(plan, before, state_of(trainer), *trainer.batch(0))
    expected_norms = [layer.weight_gradient_norm for layer in oracle.layers]
    np.testing.assert_allclose(record.weight_gradient_norm, expected_norms, rtol=1e-9)


def test_the_penalty_is_clipped_with_the_data_gradient() -> None:
    remedies = [{"kind": "clip_norm", "max_norm": 0.5}, {"kind": "l2", "strength": 10.0}]
    (record, *_), _, _ = run_of(plan_of(remedies=remedies, design="add_all", optimizer=SGD))
    assert record.total_gradient_norm > 2 * record.gradient_norm
    assert record.clipped_gradient_norm == pytest.approx(0.5, rel=1e-4)
