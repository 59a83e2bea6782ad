"""Clipping, penalties, decay, schedules and precision by their formulas, on real tensors."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.specs.remedy import REMEDIES
from models.specs.training_remedies import (
    AgcRemedy,
    ClipNormRemedy,
    ClipValueRemedy,
    EmaClipRemedy,
    L2Remedy,
    OrthogonalPenaltyRemedy,
)
from tests.worker.trials import plan_of, run_of, state_of, trainer_of
from worker.remedies import RUN_TIME
from worker.remedies.agc import Agc
from worker.remedies.base import Bound
from worker.remedies.clip_norm import ClipNorm
from worker.remedies.clip_value import ClipValue
from worker.remedies.ema_clip import EmaClip
from worker.remedies.l2 import L2
from worker.remedies.norms import norm_of
from worker.remedies.orthogonal_penalty import OrthogonalPenalty

SGD = {"kind": "sgd", "learning_rate": 0.1}


def bound(*sizes: tuple[int, ...], scale: float = 1.0) -> Bound:
    """Weights of those sizes, the last the output's, and gradients; drawn, in float64."""
    random = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.randn(size, generator=random, dtype=torch.float64)) for size in sizes]
    for weight in weights:
        weight.grad = scale * torch.randn(weight.shape, generator=random, dtype=torch.float64)
    return Bound(weights[:-1], weights[-1], weights)


def grads(held: Bound) -> list[Tensor]:
    return [its.clone() for its in held.gradients()]


def test_clipping_a_norm_of_5_to_1_is_the_case_of_the_book() -> None:
    held = bound((1,), (2,))
    held.parameters[0].grad = torch.tensor([3.0], dtype=torch.float64)
    held.parameters[1].grad = torch.tensor([0.0, 4.0], dtype=torch.float64)
    after = ClipNorm(ClipNormRemedy(kind="clip_norm", max_norm=1.0)).clip(held, norm_of(held.gradients()))
    assert float(after) == pytest.approx(0.99999980000004, abs=1e-14)
    assert held.gradients()[0].tolist() == pytest.approx([0.6 * 0.99999980000004], abs=1e-14)
    assert held.gradients()[1].tolist() == pytest.approx([0.0, 0.8 * 0.99999980000004], abs=1e-14)


@pytest.mark.parametrize("max_norm", [0.5, 1e3])
def test_clipping_by_norm_is_torchs_own_and_leaves_ratios(max_norm: float) -> None:
    ours, theirs = bound((30, 4), (5, 30)), bound((30, 4), (5, 30))
    before = norm_of(ours.gradients())
    returned = torch.nn.utils.clip_grad_norm_(theirs.parameters, max_norm)
    after = ClipNorm(ClipNormRemedy(kind="clip_norm", max_norm=max_norm)).clip(ours, before)
    torch.testing.assert_close(ours.gradients(), theirs.gradients(), rtol=1e-9, atol=0.0)
    assert float(before) == pytest.approx(float(returned), rel=1e-9)
    assert float(after) == pytest.approx(float(norm_of(ours.gradients())), rel=1e-9)


def test_clipping_by_value_is_torchs_own() -> None:
    ours, theirs = bound((30, 4), (5, 30)), bound((30, 4), (5, 30))
    torch.nn.utils.clip_grad_value_(theirs.parameters, 0.3)
    after = ClipValue(ClipValueRemedy(kind="clip_value", max_value=0.3)).clip(ours, norm_of(ours.gradients()))
    torch.testing.assert_close(ours.gradients(), theirs.gradients(), rtol=0, atol=0)
    assert float(after) == pytest.approx(float(norm_of(theirs.gradients())))


def test_adaptive_clipping_bounds_every_unit_by_its_weight_and_spares_the_output() -> None:
    held = bound((6, 3, 2, 2), (4, 6), (4,), (5, 4), scale=0.1)
    before = grads(held)
    Agc(AgcRemedy(kind="agc", clipping=0.05)).clip(held, norm_of(held.gradients()))
    touched = 0
    for weight, gradient, after in zip(held.parameters, before, held.gradients(), strict=True):
        rows = (
            zip(weight.detach(), gradient, after, strict=True)
            if weight.dim() > 1
            else [(weight.detach(), gradient, after)]
        )
        for w, g, found in rows:
            largest = 0.05 * max(float(w.norm()), 1e-3)
            expected = g if float(g.norm()) <= largest or weight is held.output else g * largest / g.norm()
            touched += not torch.equal(expected, g)
            torch.testing.assert_close(found, expected)
    assert touched > 3
    assert torch.equal(held.gradients()[-1], before[-1])


def test_zclip_scales_a_spike_to_mu_plus_z_star_squared_sigma_over_z() -> None:
    remedy = EmaClip(EmaClipRemedy(kind="ema_clip", z=2.0, decay=0.9, warm_up=10))
    norms = [1.0 + 0.1 * (-1) ** step for step in range(10)]
    for norm in norms:
        held = bound((1, 1), (1, 1))
        assert float(remedy.clip(held, torch.tensor(norm, dtype=torch.float64))) == norm
    mean = sum(norms) / 10
    sd = math.sqrt(sum((norm - mean) ** 2 for norm in norms) / 10)
    held = bound((3, 3), (2, 3))
    before = grads(held)
    spike = 50.0
    z = (spike - mean) / sd
    after = float(remedy.clip(held, torch.tensor(spike, dtype=torch.float64)))
    assert after == pytest.approx(mean + 4.0 * sd / z, rel=1e-9)
    torch.testing.assert_close(held.gradients(), [its * after / spike for its in before])
    again = EmaClip(EmaClipRemedy(kind="ema_clip", z=2.0, decay=0.9, warm_up=10))
    again.load_state_dict(remedy.state_dict())
    usual = torch.tensor(1.05, dtype=torch.float64)
    assert float(again.clip(bound((1, 1), (1, 1)), usual)) == float(remedy.clip(bound((1, 1), (1, 1)), usual))


def test_a_norm_that_is_not_finite_leaves_zclips_memory_alone() -> None:
    remedy = EmaClip(EmaClipRemedy(kind="ema_clip", warm_up=2))
    for norm in (1.0, 2.0, math.nan, math.inf):
        remedy.clip(bound((1, 1), (1, 1)), torch.tensor(norm, dtype=torch.float64))
    assert all(math.isfinite(float(its)) for its in remedy.state_dict().values())


@pytest.mark.parametrize("size", [(4, 7), (7, 4), (3, 2, 2, 2)])
def test_the_orthogonality_penalty_and_its_gradient_are_autograds(size: tuple[int, ...]) -> None:
    held = bound(size, (2, 2))
    before = grads(held)
    remedy = OrthogonalPenalty(OrthogonalPenaltyRemedy(kind="orthogonal_penalty", strength=0.3))
    weight = held.hidden[0].detach().clone().requires_grad_()
    flat = weight.flatten(1)
    gram = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
    value = 0.3 * (gram - torch.eye(len(gram), dtype=torch.float64)).square().sum()
    (gradient,) = torch.autograd.grad(value, weight)
    assert float(remedy.penalty(held)) == pytest.approx(value.item())
    remedy.add_gradient(held)
    torch.testing.assert_close(held.gradients(), [before[0] + gradient, before[1]])


@pytest.mark.parametrize("layers", ["hidden", "all"])
def test_the_l2_gradient_is_exactly_two_lambda_w_beside_the_data_gradient(layers: str) -> None:
    held = bound((3, 3), (4, 3), (2, 4))
    before = grads(held)
    remedy = L2(L2Remedy.model_validate({"kind": "l2", "strength": 0.25, "layers": layers}))
    remedy.add_gradient(held)
    reached = [*held.hidden] if layers == "hidden" or held.output is None else [*held.hidden, held.output]
    for weight, gradient, after in zip(held.parameters, before, held.gradients(), strict=True):
        expected = gradient + 0.5 * weight.detach() if any(weight is its for its in reached) else gradient
        torch.testing.assert_close(after, expected, rtol=1e-15, atol=0)
    total = sum(its.detach().square().sum().item() for its in reached)
    assert float(remedy.penalty(held)) == pytest.approx(0.25 * total)


# --- in training ----------------------------------------------------------------------------------------------------


def stepped(remedy: dict[str, Any], optimizer: dict[str, Any] | None = None) -> dict[str, Tensor]:
    """The change of every tensor in one step in float64."""
    trainer = trainer_of(plan_of(optimizer=optimizer or SGD, remedies=[remedy]), dtype=torch.float64)
    before = state_of(trainer)
    trainer.step(0)
    return {name: its - before[name] for name, its in state_of(trainer).items()}


def plain(optimizer: dict[str, Any] | None = None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(what every tensor was, its change) in one step without a remedy."""
    trainer = trainer_of(plan_of(optimizer=optimizer or SGD), dtype=torch.float64)
    before = state_of(trainer)
    trainer.step(0)
    return before, {name: its - before[name] for name, its in state_of(trainer).items()}


def hidden_weight(name: str) -> bool:
    return name.endswith("linear.weight") and "steps.5" not in name  # flatten, two hidden layers with φ, output


def test_weight_decay_is_apart_from_the_gradient_and_no_l2_under_adam() -> None:
    adam = {"kind": "adam", "learning_rate": 0.01}
    before, change = plain(adam)
    decayed = stepped({"kind": "weight_decay", "strength": 0.5}, adam)
    for name, its in change.items():
        expected = its - 0.01 * 0.5 * before[name] if hidden_weight(name) else its
        torch.testing.assert_close(decayed[name], expected, rtol=1e-9, atol=1e-12, msg=name)
    penalised = stepped({"kind": "l2", "strength": 0.25}, adam)
    assert any(not torch.allclose(decayed[name], penalised[name]) for name in change if hidden_weight(name))


def test_centralised_gradients_have_no_mean_over_a_units_inputs() -> None:
    _, change = plain()
    centred = stepped({"kind": "gradient_centralization"})
    for name, its in change.items():
        expected = its - its.mean(dim=1, keepdim=True) if its.dim() > 1 else its
        torch.testing.assert_close(centred[name], expected, rtol=1e-9, atol=1e-12, msg=name)


def test_warm_up_multiplies_the_rate_and_is_seen_in_its_curve() -> None:
    remedy = {"kind": "warm_up", "steps": 4, "start_factor": 0.2}
    records, _, _ = run_of(plan_of(optimizer=SGD, remedies=[remedy], steps=6))
    assert [record.learning_rate for record in records] == pytest.approx([0.04, 0.06, 0.08, 0.1, 0.1, 0.1])
    _, change = plain()
    for name, its in stepped(remedy).items():
        torch.testing.assert_close(its, 0.4 * change[name], rtol=1e-9, atol=1e-15, msg=name)


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.05), ("float16", 0.01)])
def test_mixed_precision_records_gradients_without_the_scale(dtype: str, tolerance: float) -> None:
    full, half = (
        run_of(plan_of({"init": {"kind": "kaiming_normal"}}, remedies=remedies, steps=2))[0][0]
        for remedies in ([], [{"kind": "mixed_precision", "dtype": dtype, "initial_scale": 1024.0}])
    )
    assert half.loss_scale == (1024.0 if dtype == "float16" else 1.0)
    for name in ("activation_gradient_rms", "weight_gradient_norm", "activation_rms"):
        assert getattr(half, name) == pytest.approx(getattr(full, name), rel=tolerance), name
    assert half.gradient_norm == pytest.approx(full.gradient_norm, rel=tolerance)
    assert half.loss != full.loss


def test_an_overflowing_step_is_skipped_halves_the_scale_and_is_no_divergence() -> None:
    remedy = {"kind": "mixed_precision", "dtype": "float16", "initial_scale": 2.0**30, "growth_interval": 2}
    plan = plan_of({"init": {"kind": "kaiming_normal"}}, remedies=[remedy], steps=40)
    trainer = trainer_of(plan)
    before = state_of(trainer)
    first = trainer.step(0)
    assert first is not None
    assert first.loss_scale == 2.0**30
    assert first.nonfinite_count.any()
    for name, its in state_of(trainer).items():
        assert torch.equal(its, before[name]), name
    records, _, result = run_of(plan)
    scales = [record.loss_scale for record in records]
    assert scales[:3] == [2.0**30, 2.0**29, 2.0**28]
    assert any(later == 2.0 * earlier for earlier, later in itertools.pairwise(scales))
    assert result.outcome == "finished"


def test_every_remedy_that_acts_while_training_returns_from_its_own_state() -> None:
    for kind, hook in RUN_TIME.items():
        spec = REMEDIES[kind].model_validate({"kind": kind})
        one, other = hook(spec), hook(spec)
        other.load_state_dict(one.state_dict())
        assert other.state_dict() == one.state_dict(), kind
