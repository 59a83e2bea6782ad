"""Closed forms on the engine's records in float64, before any storage: time, sums of residual branches, deep linear
learning.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gradient_clinic.gains.depth_axis import gradient_of_run
from gradient_clinic.gains.time_axis import time_of_run, time_of_seeds
from gradient_clinic.probe.probe import StepRecord
from models.plan import NetworkPlan, Shape, expand, plan_network
from models.specs.experiment import ExperimentSpec
from models.specs.network import ResidualMlpSpec, RnnSpec
from models.specs.training_remedies import ClipNormRemedy
from tests.worker.trials import plan_of, run_of, spec_of_kind, trainer_of
from worker.begun import laid_out
from worker.engine import measure
from worker.remedies.base import Bound
from worker.remedies.clip_norm import ClipNorm
from worker.remedies.norms import norm_of

STEPS = 100


def rnn(cell: str, width: int, steps: int, **changes: Any) -> NetworkPlan:
    spec = RnnSpec.model_validate({"kind": "rnn", "cell": cell, "width": width, **changes})
    return plan_network(spec, Shape("sequence", (steps, 2)), width)


def recorded(plan: NetworkPlan, gates: int, seed: int = 0, batch: int = 4) -> StepRecord:
    """N(0, 1) into the loop at every step, N(0, 1) cotangent on the output."""
    width = plan.layers[-1].fan_in
    random = torch.Generator().manual_seed(seed + 1000)
    given = torch.randn(batch, plan.recurrent[0].steps, gates * width, generator=random, dtype=torch.float64)
    cotangent = torch.randn(batch, width, generator=random, dtype=torch.float64)
    return measure(plan, input=given, cotangent=cotangent, dtype=torch.float64, seed=seed)


def levels_of(record: StepRecord) -> list[float]:
    with np.errstate(divide="ignore"):
        return list(np.log(record.state_gradient_rms))


def steps_of(record: StepRecord) -> list[int]:
    return [int(name.split("@")[1]) for name in record.times]


def time_kind(record: StepRecord) -> str:
    return time_of_run("recurrent.0", levels_of(record), steps_of(record)).kind


# --- RNN: a linear loop with an orthogonal matrix scales every gradient by ρ per step -------------------------------


@pytest.mark.parametrize(("rho", "ratio", "kind"), [(0.9, 2.65614e-5, "vanishing"), (1.1, 13780.61, "exploding")])
def test_a_linear_loop_is_rho_to_the_power_of_its_steps(rho: float, ratio: float, kind: str) -> None:
    plan = rnn("identity", 16, STEPS, recurrent_init={"kind": "orthogonal", "gain": rho})
    record = recorded(plan, 1)
    assert record.times[0] == "recurrent.0@0"
    assert record.times[-1] == "recurrent.0@100"
    found = record.state_gradient_rms[0] / record.state_gradient_rms[-1]
    assert found == pytest.approx(rho**STEPS, rel=1e-12)
    assert found == pytest.approx(ratio, rel=1e-5)
    assert time_kind(record) == kind


# --- LSTM: with zero weights the cell state passes its gradient on through the forget gate alone --------------------


@pytest.mark.parametrize(
    ("bias", "ratio", "kind"),
    [(0.0, 9.5367e-7, "vanishing"), (1.0, 1.90127e-3, "vanishing"), (2.0, 7.898e-2, "healthy")],
)
def test_an_lstm_without_weights_is_its_forget_gate(bias: float, ratio: float, kind: str) -> None:
    zero = {"kind": "normal", "std": 0.0}
    plan = rnn("lstm", 8, 20, input_init=zero, recurrent_init=zero, forget_bias=bias)
    random = torch.Generator().manual_seed(0)
    cotangent = torch.randn(4, 8, generator=random, dtype=torch.float64)
    record = measure(plan, input=torch.zeros(4, 20, 32), cotangent=cotangent, dtype=torch.float64, seed=0)
    found = record.state_gradient_rms[0] / record.state_gradient_rms[-1]
    assert found == pytest.approx((1 / (1 + math.exp(-bias))) ** 20, rel=1e-6)
    assert found == pytest.approx(ratio, rel=1e-3)
    assert time_kind(record) == kind


# --- TIME: the adding problem's gradient on its way back, H = 64, T = 100 -------------------------------------------

TIME = [
    pytest.param({}, 0.589, "vanishing", id="default tanh"),
    pytest.param({"recurrent_init": {"kind": "orthogonal"}}, 0.942, "vanishing", id="orthogonal"),
    pytest.param(
        {"cell": "relu", "recurrent_init": {"kind": "identity"}, "input_init": {"kind": "normal", "std": 0.001}},
        0.9999,
        "healthy",
        id="IRNN",
    ),
    pytest.param({"recurrent_init": {"kind": "orthogonal", "gain": 3.0}}, 1.346, "exploding", id="3·orthogonal"),
]


@pytest.mark.parametrize(("changes", "rate", "kind"), TIME)
def test_the_gradient_of_the_adding_problem_shrinks_or_grows_per_step_as_known(
    changes: dict[str, Any], rate: float, kind: str
) -> None:
    network = {"kind": "rnn", "cell": "tanh", "width": 64, **changes}
    adding = {"kind": "adding", "length": STEPS, "cases": 100}
    spec = spec_of_kind({"network": network, "dataset": adding}, batch_size=32, steps=0)
    (variant,) = expand(spec)
    runs = [run_of(variant.plan, seed=seed, dtype=torch.float64)[0][0] for seed in range(5)]
    facts = time_of_seeds("recurrent.0", [levels_of(record) for record in runs], steps_of(runs[0]))
    assert facts.gain_per_step.n == 5
    assert facts.gain_per_step.mean == pytest.approx(rate, abs=0.03)
    assert facts.kind == kind
    assert {time_kind(record) for record in runs} == {kind}


# --- RES: twenty He-ReLU blocks of one layer ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("skip", "chi", "kind"),
    [("residual", 2.0**20, "exploding"), ("scaled", (1 + 1 / 20) ** 20, "healthy"), ("rezero", 1.0, "healthy")],
)
def test_twenty_residual_blocks_grow_as_one_plus_alpha_squared(skip: str, chi: float, kind: str) -> None:
    network = {"kind": "residual_mlp", "blocks": 20, "width": 400, "layers_per_block": 1, "skip": {"kind": skip}}
    spec = ResidualMlpSpec.model_validate({**network, "init": {"kind": "kaiming_normal"}})
    plan = plan_network(spec, 400, 400)
    rows = [row for row, layer in enumerate(plan.layers) if layer.role == "hidden"]
    gains = []
    for seed in range(6):
        random = torch.Generator().manual_seed(seed + 1000)
        given, cotangent = torch.randn(2, 64, 400, generator=random, dtype=torch.float64)
        record = measure(plan, input=given, cotangent=cotangent, dtype=torch.float64, seed=seed)
        levels = np.log(record.activation_gradient_rms[rows])
        gains.append(2.0 * (levels[0] - levels[-1]))
        assert gradient_of_run(levels.tolist(), batch_norm=False).kind == kind
    assert len(rows) == 21
    assert math.exp(float(np.mean(gains))) == pytest.approx(chi, rel=0.06 if chi > 1.0 else 1e-12)


# --- CLIP and CHANCE ------------------------------------------------------------------------------------------


def test_clipping_scales_every_layer_by_one_factor_and_says_the_norm_before() -> None:
    gradients = [torch.full((3,), 3.0**0.5), torch.full((4,), 2.0)]  # norms 3 and 4: together 5
    weights = [nn.Parameter(torch.zeros_like(its)) for its in gradients]
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient.clone()
    remedy = ClipNorm(ClipNormRemedy(kind="clip_norm", max_norm=1.0))
    bound = Bound(weights[:1], weights[1], weights)
    before = norm_of(bound.gradients())
    after = remedy.clip(bound, before)
    assert float(before) == pytest.approx(5.0, rel=1e-6)
    assert float(after) == pytest.approx(5.0 / (5.0 + 1e-6), rel=1e-6)
    for weight, gradient in zip(weights, gradients, strict=True):
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad, gradient / (5.0 + 1e-6), rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("max_norm", [1e-3, 1e3])
def test_clipping_leaves_the_recorded_layers_and_their_ratios_as_they_were(max_norm: float) -> None:
    plans = plan_of(remedies=[{"kind": "clip_norm", "max_norm": max_norm}]), plan_of()
    clipped, free = (run_of(plan, dtype=torch.float64)[0][0] for plan in plans)
    for name in ("weight_gradient_norm", "activation_gradient_rms"):
        np.testing.assert_array_equal(getattr(clipped, name), getattr(free, name))
    norm = free.gradient_norm
    assert clipped.total_gradient_norm == pytest.approx(norm, rel=1e-12)
    expected = max_norm * norm / (norm + 1e-6) if max_norm < norm else norm
    assert clipped.clipped_gradient_norm == pytest.approx(expected, rel=1e-12)


def test_the_loss_of_a_network_that_knows_nothing_is_ln_10() -> None:
    plan = plan_of({"init": {"kind": "normal", "std": 0.0}}, steps=0)
    (record,), _, result = run_of(plan, dtype=torch.float64)
    assert record.loss == pytest.approx(2.302585092994046, rel=1e-14)
    assert result.chance_level == pytest.approx(2.302585, abs=0.01)  # of the labels' frequencies, which are not equal


# --- SAXE: two linear layers learn every mode of their teacher along a known curve ------------------------------------


def test_two_linear_layers_learn_as_saxe_says() -> None:
    """Balanced weights a0 on each mode, full batches of white inputs, a step of 1e-3 in units of τ: at t = 1."""
    start, modes, outputs = 0.001, (3.0, 2.0, 1.0), 8
    body = {
        "name": "saxe",
        "dataset": {
            "kind": "teacher_student",
            "singular_values": list(modes),
            "standardise": "none",
            "test_fraction": 0.0,
        },
        "network": {"kind": "mlp", "hidden": [3], "activation": "identity", "init": {"kind": "normal", "std": 0.0}},
        # The loss is a mean over outputs: its gradient is 2/outputs times that of half the summed square.
        "optimizer": {"kind": "sgd", "learning_rate": 1e-3 * outputs / 2},
        "steps": 1000,
    }
    cases = ExperimentSpec.model_validate(body).dataset.facts.cases
    plan = expand(ExperimentSpec.model_validate({**body, "batch_size": cases}))[0].plan
    trainer = trainer_of(plan, dtype=torch.float64, record=False)
    part = trainer.batches.part
    teacher = part.y.T @ part.x / cases
    left, strengths, right = torch.linalg.svd(teacher)
    torch.testing.assert_close(strengths[:3], torch.tensor(modes, dtype=torch.float64), rtol=1e-6, atol=0)
    first, second = (point.weight for point in laid_out(trainer.model).points())
    with torch.no_grad():
        first.copy_(math.sqrt(start) * right[:3])
        second.copy_(math.sqrt(start) * left[:, :3])
    for step in range(plan.steps):
        trainer.step(step)
    learned = (left[:, :3].T @ second @ first @ right[:3].T).diagonal().tolist()
    curve = [s * math.exp(2 * s) / (math.exp(2 * s) - 1 + s / start) for s in modes]
    assert curve == pytest.approx([0.3557, 0.0532, 0.0073], rel=0.01)
    assert learned == pytest.approx(curve, rel=0.01)
