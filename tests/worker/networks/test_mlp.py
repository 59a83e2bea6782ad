"""The network is the plan's: its parameters, the law of its weights, and its activations."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.activations import SHAPES, Activation
from models.plan import NetworkPlan, plan_network
from models.specs.init import INITS
from models.specs.network import NETWORKS, MlpSpec
from worker import networks
from worker.networks import mlp
from worker.networks.mlp import ACTIVATIONS

WIDTH = st.integers(1, 9)


def plan_of(inputs: int = 20, outputs: int = 10, **changes: Any) -> NetworkPlan:
    return plan_network(MlpSpec.model_validate({"kind": "mlp", "hidden": [30], **changes}), inputs, outputs)


def test_every_name_of_the_contract_has_its_builder() -> None:
    assert networks.BUILDERS.keys() == NETWORKS.keys()
    assert ACTIVATIONS.keys() == SHAPES.keys()
    assert {params.values[0]["kind"] for params in INIT_CASES} | {"orthogonal"} == INITS.keys()  # type: ignore[index]


@given(
    inputs=WIDTH,
    hidden=st.lists(WIDTH, min_size=1, max_size=4),
    outputs=WIDTH,
    norm=st.sampled_from([None, "batch_norm", "layer_norm"]),
    affine=st.booleans(),
    activation=st.sampled_from(sorted(SHAPES)),
    dropout=st.sampled_from([0.0, 0.5]),
)
def test_parameters_are_as_many_as_the_plan_counts(
    inputs: int,
    hidden: list[int],
    outputs: int,
    norm: str | None,
    affine: bool,  # noqa: FBT001
    activation: str,
    dropout: float,
) -> None:
    normalization = None if norm is None else {"kind": norm, "affine": affine}
    plan = plan_of(inputs, outputs, hidden=hidden, normalization=normalization, activation=activation, dropout=dropout)
    model = networks.build(plan, 0)
    assert sum(its.numel() for its in model.parameters()) == plan.parameters
    assert [point.name for point in model.points()] == [layer.name for layer in plan.layers]
    assert model(torch.zeros(2, inputs, dtype=torch.float64)).shape == (2, outputs)


# --- the law of weights and biases ------------------------------------------------------------------------------

FAN_IN, FAN_OUT = 150, 200
INIT_CASES = [
    pytest.param({"kind": "torch_default"}, 1 / (3 * FAN_IN), 1 / (3 * FAN_IN), "uniform", id="torch_default"),
    pytest.param({"kind": "xavier_normal"}, 2 / (FAN_IN + FAN_OUT), 0, "normal", id="xavier_normal"),
    pytest.param({"kind": "xavier_normal", "gain": 3.0}, 18 / (FAN_IN + FAN_OUT), 0, "normal", id="xavier_normal 3"),
    pytest.param({"kind": "xavier_uniform", "gain": 0.5}, 0.5 / (FAN_IN + FAN_OUT), 0, "uniform", id="xavier_uniform"),
    pytest.param({"kind": "kaiming_normal"}, 2 / FAN_IN, 0, "normal", id="kaiming_normal"),
    pytest.param({"kind": "kaiming_normal", "mode": "fan_out"}, 2 / FAN_OUT, 0, "normal", id="kaiming fan_out"),
    pytest.param({"kind": "kaiming_normal", "nonlinearity": "tanh"}, 25 / 9 / FAN_IN, 0, "normal", id="he tanh"),
    pytest.param({"kind": "kaiming_normal", "nonlinearity": "selu"}, 9 / 16 / FAN_IN, 0, "normal", id="he selu"),
    pytest.param({"kind": "kaiming_uniform", "nonlinearity": "linear"}, 1 / FAN_IN, 0, "uniform", id="he linear"),
    pytest.param({"kind": "kaiming_uniform", "nonlinearity": "sigmoid"}, 1 / FAN_IN, 0, "uniform", id="he sigmoid"),
    pytest.param({"kind": "kaiming_uniform"}, 2 / FAN_IN, 0, "uniform", id="kaiming_uniform"),
    pytest.param({"kind": "lecun_normal"}, 1 / FAN_IN, 0, "normal", id="lecun_normal"),
    pytest.param(
        {"kind": "gaussian", "weight_variance": 1.7, "bias_variance": 0.3}, 1.7 / FAN_IN, 0.3, "normal", id="gaussian"
    ),
    pytest.param(
        {"kind": "gaussian", "weight_variance": 1.7, "bias_variance": 0.3, "distribution": "uniform"},
        1.7 / FAN_IN, 0.3, "uniform", id="gaussian uniform",
    ),
    pytest.param({"kind": "normal", "std": 0.01}, 1e-4, 0, "normal", id="normal"),
]  # fmt: skip


def draws(init: dict[str, Any], seeds: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All weights and all biases of one layer FAN_IN → FAN_OUT over some seeds."""
    plan = plan_of(FAN_IN, 1, hidden=[FAN_OUT], init=init)
    first = [networks.build(plan, seed).blocks[0].linear for seed in range(seeds)]
    return torch.stack([its.weight.detach() for its in first]), torch.stack([its.bias.detach() for its in first])


def assert_drawn(values: torch.Tensor, variance: float, distribution: str) -> None:
    """Mean, variance and kurtosis lie within 5 standard errors of those of the distribution."""
    n = values.numel()
    kurtosis, spread = (3.0, 24.0) if distribution == "normal" else (1.8, 0.43)
    assert abs(float(values.mean())) < 5 * math.sqrt(variance / n)
    assert float(values.var()) == pytest.approx(variance, rel=5 * math.sqrt((kurtosis - 1) / n))
    standard = values / values.std()
    assert float(standard.pow(4).mean()) == pytest.approx(kurtosis, abs=5 * math.sqrt(max(spread, 1.0) / n))


@pytest.mark.parametrize(("init", "variance", "bias_variance", "distribution"), INIT_CASES)
def test_weights_and_biases_follow_the_formula(
    init: dict[str, Any], variance: float, bias_variance: float, distribution: str
) -> None:
    weights, biases = draws(init, 10)
    assert_drawn(weights, variance, distribution)
    if bias_variance:
        assert_drawn(biases, bias_variance, distribution)
    else:
        assert not biases.any()


@pytest.mark.parametrize(("fan_in", "fan_out"), [(20, 20), (12, 30), (30, 12)])
def test_the_smaller_gram_matrix_of_an_orthogonal_weight_is_gain_squared(fan_in: int, fan_out: int) -> None:
    model = networks.build(plan_of(fan_in, 10, hidden=[fan_out], init={"kind": "orthogonal", "gain": 1.5}), 0)
    linear = model.blocks[0].linear
    weight = linear.weight.detach()
    gram = weight @ weight.T if fan_out <= fan_in else weight.T @ weight
    torch.testing.assert_close(gram, 2.25 * torch.eye(min(fan_in, fan_out), dtype=torch.float64), rtol=0, atol=1e-12)
    assert not linear.bias.any()


# --- activations ------------------------------------------------------------------------------------------------

PARAMETERS = {"leaky_relu": 0.2, "prelu": 0.3, "elu": 0.7, "celu": 1.4}


@pytest.mark.parametrize("function", SHAPES)
def test_the_trained_function_is_the_one_of_theory(function: str) -> None:
    parameter = PARAMETERS.get(function, 0.0)
    shape = Activation(function, parameter)
    grid = np.linspace(-8, 8, 1601) + 0.0013  # off every kink, where torch picks a side
    z = torch.from_numpy(grid).requires_grad_()
    value = ACTIVATIONS[function](parameter).double()(z)
    (slope,) = torch.autograd.grad(value.sum(), z)
    # torch keeps some constants in float32: the slope of a PReLU, 1/alpha of a CELU, the sixth of a hard sigmoid.
    tolerance = 1e-6 if function in {"prelu", "celu", "hardsigmoid"} else 1e-10
    np.testing.assert_allclose(value.detach().numpy(), shape.phi(grid), rtol=tolerance, atol=1e-12)
    np.testing.assert_allclose(slope.numpy(), shape.dphi(grid), rtol=tolerance, atol=1e-12)


def test_dropout_is_inverted_and_acts_in_training_only() -> None:
    dropout = mlp.Dropout(0.25, 0, "hidden.0")
    ones = torch.ones(200, 200)
    values = dropout(ones)
    assert values.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert float(values.mean()) == pytest.approx(1.0, abs=0.02)
    assert not torch.equal(dropout(ones), values)
    dropout.eval()
    assert torch.equal(dropout(ones), ones)


def test_forward_from_the_first_h_is_the_rest_of_the_forward_pass() -> None:
    model = networks.build(plan_of(hidden=[7, 6], normalization={"kind": "layer_norm"}), 0)
    x = torch.randn(4, 20, dtype=torch.float64)
    block = model.blocks[0]
    assert torch.equal(model.forward_from(block.point_of(block.linear(x))), model(x))
