"""Closed forms on the engine's records in float64, before any storage: time, and sums of residual branches."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from models.analysis.gradient import gradient_of_run
from models.analysis.time_axis import time_of_run
from models.plan import NetworkPlan, Shape, plan_network
from models.specs.network import ResidualMlpSpec, RnnSpec
from verdicts.running import run_all
from worker.engine import measure
from worker.probe import StepRecord

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


def time_kind(record: StepRecord) -> str:
    steps = [int(name.split("@")[1]) for name in record.times]
    with np.errstate(divide="ignore"):
        return time_of_run("recurrent.0", np.log(record.state_gradient_rms).tolist(), steps).kind


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
    body = {
        "dataset": {"kind": "adding", "length": STEPS, "cases": 100},
        "network": {"kind": "rnn", "cell": "tanh", "width": 64, **changes},
        "optimizer": {"kind": "adam"},
        "batch_size": 32,
        "steps": 0,
    }
    starts = [run.summary.verdict.at_start for run in run_all(body)]
    assert len(starts) == 5
    rates = [start.time[0].gain_per_step.mean or math.nan for start in starts]
    assert math.exp(float(np.mean(np.log(rates)))) == pytest.approx(rate, abs=0.03)
    assert {start.kind for start in starts} == {kind}


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
