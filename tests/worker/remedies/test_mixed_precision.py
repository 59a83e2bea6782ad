"""Loss scaling by torch's own scaler, and what a run records under it."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from models.plan import Plan, expand
from models.specs.training_remedies import MixedPrecisionRemedy
from tests.networks import EVERY_KIND
from tests.worker.trials import plan_of, run_of, spec_of_kind, state_of, trainer_of
from worker.optimizers import tensors_of
from worker.remedies.base import Bound
from worker.remedies.mixed_precision import MixedPrecision


def half(**changes: Any) -> dict[str, Any]:
    return {"kind": "mixed_precision", "dtype": "float16", **changes}


def hook(**changes: Any) -> MixedPrecision:
    return MixedPrecision(MixedPrecisionRemedy.model_validate(half(**changes)))


def plan_with(remedy: dict[str, Any], **changes: Any) -> Plan:
    return plan_of({"init": {"kind": "kaiming_normal"}}, remedies=[remedy], **changes)


def test_scale_skips_and_gradients_are_those_of_torchs_scaler() -> None:
    ours, theirs = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3, 2))
    optimizer = torch.optim.SGD([theirs], 0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)
    remedy = hook(initial_scale=1024.0, growth_interval=3)
    random = torch.Generator().manual_seed(0)
    for step in range(40):
        gradient = torch.randn(3, 2, generator=random) * remedy.scale
        if step % 7 == 2:
            gradient[1, 1] = math.inf if step % 2 else math.nan
        assert remedy.scale == float(scaler.scale(torch.ones(())))
        ours.grad, theirs.grad, before = gradient.clone(), gradient.clone(), theirs.detach().clone()
        made = remedy.unscale(Bound([], ours, [ours]))
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=0, equal_nan=True)
        assert made == (not torch.equal(theirs, before))


def test_where_every_step_overflows_the_scale_stays_a_number_to_divide_by() -> None:
    remedy, weight = hook(), nn.Parameter(torch.ones(2, 2))
    for _ in range(300):
        weight.grad = torch.full((2, 2), math.nan)
        assert not remedy.unscale(Bound([], weight, [weight]))
    assert 0.0 < remedy.scale < 1e-30
    assert math.isfinite(1.0 / remedy.scale)


def test_records_are_without_the_scale_on_its_way_through_one() -> None:
    growing, _, _ = run_of(plan_with(half(initial_scale=0.25, growth_interval=1), steps=6))
    fixed, _, _ = run_of(plan_with(half(initial_scale=1.0), steps=6))
    assert [record.loss_scale for record in growing] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]
    for one, other in zip(growing, fixed, strict=True):
        for name in ("activation_gradient_rms", "weight_gradient_norm", "weight_gradient_max"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-2), name
        assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-2)
        assert one.total_gradient_norm == one.gradient_norm


def test_a_falling_scale_is_recorded_right_too() -> None:
    trainer = trainer_of(plan_with(half(initial_scale=2.0)))
    trainer.step(0)
    remedy = trainer.precision
    assert remedy is not None
    remedy.scale = 1.0
    record = trainer.step(1)
    assert record is not None
    norms = [float(its.grad.norm()) for its in trainer.parameters if its.grad is not None]
    assert record.gradient_norm == pytest.approx(math.hypot(*norms), rel=1e-5)


def test_a_skipped_step_leaves_weights_and_optimiser_alone_and_its_update_is_zero() -> None:
    trainer = trainer_of(plan_with(half(initial_scale=64.0)))
    trainer.step(0)
    remedy = trainer.precision
    assert remedy is not None
    remedy.scale = 2.0**100
    before, kept = state_of(trainer), [its.clone() for its in tensors_of(trainer.optimizer)]
    record = trainer.step(1)
    assert record is not None
    assert trainer.skipped
    assert record.nonfinite_count.any()
    assert record.update_ratio.tolist() == [0.0, 0.0, 0.0]
    assert all(torch.equal(its, before[name]) for name, its in state_of(trainer).items())
    assert all(torch.equal(*pair) for pair in zip(tensors_of(trainer.optimizer), kept, strict=True))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_kind_of_network_trains_in_it_recorded_or_not(kind: str, dtype: str) -> None:
    asked = {**EVERY_KIND[kind], "remedies": [half(dtype=dtype, initial_scale=1024.0)]}
    plan = expand(spec_of_kind(asked))[-1].plan
    records, _, result = run_of(plan)
    assert all(record.finite for record in records)
    assert (records[-1].update_ratio > 0).all()
    assert result.weights_hash == run_of(plan, record=False)[2].weights_hash
