"""φ and φ' beside torch's own functions and beside numerical differentiation."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from gradient_clinic.activations import SATURATED_BELOW, SHAPES, Activation
from gradient_clinic.values import Array

TORCH: dict[str, Callable[[torch.Tensor, float], torch.Tensor]] = {
    "identity": lambda z, _: z * 1.0,
    "relu": lambda z, _: functional.relu(z),
    "leaky_relu": functional.leaky_relu,
    "prelu": lambda z, a: functional.prelu(z, torch.tensor([a], dtype=z.dtype)),
    "elu": functional.elu,
    "celu": functional.celu,
    "selu": lambda z, _: functional.selu(z),
    "gelu": lambda z, _: functional.gelu(z),
    "silu": lambda z, _: functional.silu(z),
    "mish": lambda z, _: functional.mish(z),
    "tanh": lambda z, _: torch.tanh(z),
    "sigmoid": lambda z, _: torch.sigmoid(z),
    "softsign": lambda z, _: functional.softsign(z),
    "softplus": lambda z, _: functional.softplus(z),
    "logsigmoid": lambda z, _: functional.logsigmoid(z),
    "tanhshrink": lambda z, _: functional.tanhshrink(z),
    "hardtanh": lambda z, _: functional.hardtanh(z),
    "hardsigmoid": lambda z, _: functional.hardsigmoid(z),
    "hardswish": lambda z, _: functional.hardswish(z),
    "relu6": lambda z, _: functional.relu6(z),
    "softshrink": lambda z, _: functional.softshrink(z),
    "hardshrink": lambda z, _: functional.hardshrink(z),
}
BOUNDED = sorted(name for name, shape in SHAPES.items() if shape.unsaturated is not None)
ONE_SIDED = sorted(name for name, shape in SHAPES.items() if shape.active is not None)
EVERY = [
    *(Activation(name, shape.default) for name, shape in sorted(SHAPES.items())),
    Activation("leaky_relu", -0.3),
    Activation("elu", 2.5),
    Activation("celu", 0.2),
]
GRID: Array = np.linspace(-30.0, 30.0, 60_008)  # no point of it is a kink


@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_values_and_slopes_are_those_of_torch(activation: Activation) -> None:
    z = torch.tensor(GRID, requires_grad=True)
    value = TORCH[activation.function](z, activation.parameter)
    (slope,) = torch.autograd.grad(value.sum(), z)
    # torch takes 1/alpha of CELU in float32 and softplus as linear above 20
    np.testing.assert_allclose(activation.phi(GRID), value.detach().numpy(), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(activation.dphi(GRID), slope.numpy(), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_the_slope_is_the_derivative_away_from_kinks(activation: Activation) -> None:
    step = 1e-6
    smooth = np.all([np.abs(GRID - kink) > 2 * step for kink in (np.inf, *activation.shape.kinks)], axis=0)
    z = GRID[smooth]
    numerical = (activation.phi(z + step) - activation.phi(z - step)) / (2.0 * step)
    np.testing.assert_allclose(activation.dphi(z), numerical, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_no_kink_is_missing_from_the_list(activation: Activation) -> None:
    slope = activation.dphi(GRID)
    holds_kink = np.any([(GRID[:-1] < kink) & (kink < GRID[1:]) for kink in (np.inf, *activation.shape.kinks)], axis=0)
    assert np.abs(np.diff(slope))[~holds_kink].max() < 0.01


@pytest.mark.parametrize("name", BOUNDED)
def test_the_unsaturated_interval_ends_where_the_slope_falls_to_one_per_cent(name: str) -> None:
    activation = Activation(name)
    low, high = activation.shape.unsaturated or (0.0, 0.0)
    limit = SATURATED_BELOW * activation.dphi(np.append(GRID, 0.0)).max()
    inside = (low < GRID) & (high > GRID)
    assert activation.bounded
    assert (np.abs(activation.dphi(GRID[inside])) >= limit).all()
    assert (np.abs(activation.dphi(GRID[~inside])) <= limit).all()


@pytest.mark.parametrize("name", ONE_SIDED)
def test_the_active_intervals_are_where_the_slope_is_not_zero(name: str) -> None:
    activation = Activation(name)
    inside = np.any([(low < GRID) & (high > GRID) for low, high in activation.shape.active or ()], axis=0)
    slope = activation.dphi(GRID)
    assert (slope[~inside] == 0.0).all()
    assert np.count_nonzero(slope[inside]) >= np.count_nonzero(inside) - 1  # hard swish turns once


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_a_nan_is_handed_on_without_a_warning(activation: Activation) -> None:
    z = np.array([np.nan, 1.0])
    assert np.isnan(activation.phi(z)).tolist() == [True, False]
    assert np.isfinite(activation.dphi(z))[1]  # that of pieces may be a number for a NaN


def test_tanhshrink_keeps_its_slope_near_zero() -> None:
    slope = Activation("tanhshrink").dphi(np.array([1e-6]))
    np.testing.assert_allclose(slope, 1e-12, rtol=1e-9)
