"""Golden cases of theory on the engine's records in float64, before any storage (Schoenholz et al. 2017; Yang 2019)."""

import math

import numpy as np
import pytest
import torch

from models.plan import NetworkPlan, plan_network
from models.specs.network import MlpSpec
from worker.engine import measure
from worker.probe import StepRecord

WIDTH, LAYERS, BATCH, SEEDS = 400, 30, 64, 6


def network(layers: int, width: int, **changes: object) -> NetworkPlan:
    """``layers`` hidden layers of ``width`` units, and an output of the same width."""
    spec = MlpSpec.model_validate({"kind": "mlp", "hidden": [width] * layers, **changes})
    return plan_network(spec, width, width)


def record(plan: NetworkPlan, seed: int, variance: float, batch: int) -> StepRecord:
    """Gaussian h of that variance in front of the first activation, N(0, 1) cotangent on the output."""
    width = plan.layers[0].fan_out
    random = torch.Generator().manual_seed(seed + 1000)
    given = torch.randn(batch, width, generator=random, dtype=torch.float64) * math.sqrt(variance)
    cotangent = torch.randn(batch, width, generator=random, dtype=torch.float64)
    return measure(plan, input=given, cotangent=cotangent, dtype=torch.float64, seed=seed)


def rms_ratio(plan: NetworkPlan, variance: float, *, batch: int = BATCH, seeds: int = SEEDS, drop: int = 2) -> float:
    """√χ: the geometric mean of rms δ's growth per layer toward the input, the first ``drop`` increments left out."""
    means = []
    for seed in range(seeds):
        level = np.log(record(plan, seed, variance, batch).activation_gradient_rms[:-1])
        means.append((level[:-1] - level[1:])[drop:].mean())
    return math.exp(float(np.mean(means)))


def gaussian(weight_variance: float, bias_variance: float = 0.0, distribution: str = "normal") -> dict[str, object]:
    return {
        "kind": "gaussian",
        "weight_variance": weight_variance,
        "bias_variance": bias_variance,
        "distribution": distribution,
    }


CASES = [
    pytest.param("identity", gaussian(1 / 3), 1.0, math.sqrt(1 / 3), id="G1"),
    pytest.param("relu", gaussian(2.0), 1.0, 1.0, id="G3"),
    pytest.param("relu", gaussian(1.0), 1.0, math.sqrt(0.5), id="G4"),
    pytest.param("relu", gaussian(1 / 3, 0.0, "uniform"), 1.0, 0.408248, id="G5"),
    pytest.param("tanh", gaussian(1 / 3, 0.0, "uniform"), 1e-6, 0.57735, id="G6"),
    pytest.param("tanh", gaussian(1.3, 0.05), 0.315316, 0.93817, id="G7"),
    pytest.param("tanh", gaussian(1.7609546396069404, 0.05), 0.570048, 1.0, id="G8"),
    pytest.param("tanh", gaussian(4.0, 0.05), 2.195494, 1.158621, id="G9"),
    pytest.param("sigmoid", gaussian(1.0), 0.264687, 0.236052, id="G10"),
]


@pytest.mark.parametrize(("activation", "init", "variance", "expected"), CASES)
def test_gain_per_layer_is_the_theory(
    activation: str, init: dict[str, object], variance: float, expected: float
) -> None:
    plan = network(LAYERS, WIDTH, activation=activation, init=init)
    assert rms_ratio(plan, variance) == pytest.approx(expected, rel=0.02)


def test_orthogonal_linear_layers_preserve_the_gradient_exactly() -> None:
    plan = network(LAYERS, 64, activation="identity", init={"kind": "orthogonal"})
    rms = record(plan, 0, 1.0, BATCH).activation_gradient_rms
    np.testing.assert_allclose(rms / rms[-1], 1.0, rtol=1e-12)


@pytest.mark.parametrize(("activation", "chi"), [("relu", math.pi / (math.pi - 1)), ("identity", 1.0)])
def test_batch_norm_explodes_by_its_own_theory(activation: str, chi: float) -> None:
    norm = {"kind": "batch_norm", "affine": False}
    plan = network(24, 768, activation=activation, init=gaussian(1.0), normalization=norm)
    assert rms_ratio(plan, 1.0, batch=256, seeds=3, drop=5) == pytest.approx(math.sqrt(chi), rel=0.03)


def test_dropout_adds_its_factor() -> None:
    plan = network(LAYERS, WIDTH, activation="relu", init=gaussian(2.0), dropout=0.2)
    assert rms_ratio(plan, 1.0) == pytest.approx(math.sqrt(1 / 0.8), rel=0.02)


def test_layer_norm_with_relu_is_critical_up_to_its_mean() -> None:
    """LN after the linear map: χ = E[φ'²]/E[φ²] = 1 for ReLU."""
    plan = network(LAYERS, WIDTH, activation="relu", init=gaussian(1.0), normalization={"kind": "layer_norm"})
    assert rms_ratio(plan, 1.0) == pytest.approx(1.0, rel=0.02)
