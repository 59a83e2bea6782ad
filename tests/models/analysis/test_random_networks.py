"""Predictions beside networks: drawn, run forward and backward in plain numpy float64, nothing but matrices.

The oracle for everything that theory assumes (widths, initialisations, norms, dropout, lengths on their way to q*).
Width, depth and seeds are small enough for a second in all, so tolerances are those of finite networks.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from gradient_clinic.gains.increments import kept_increments
from gradient_clinic.values import Array
from models.analysis.theory.initial_variance import initial_variance
from models.analysis.theory.prediction import predict
from models.plan import LayerPlan, NetworkPlan, plan_network
from models.specs.network import MlpSpec

SEEDS = 4


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices this small gain nothing from two threads, and lose much where both cores are busy."""
    with threadpool_limits(1):
        yield


@dataclasses.dataclass(frozen=True)
class Passed:
    """What the backward pass needs of one hidden layer; ``scale`` is the norm's deviation, ``axis`` its direction."""

    weight: Array
    h: Array
    mask: Array
    scale: Array | None
    axis: int


def draw_weight(layer: LayerPlan, generator: np.random.Generator) -> Array:
    if layer.init.kind == "orthogonal":
        long, short = max(layer.fan_in, layer.fan_out), min(layer.fan_in, layer.fan_out)
        basis, _ = np.linalg.qr(generator.normal(size=(long, short)))
        return np.asarray(layer.init.gain * (basis if layer.fan_out == long else basis.T))
    variance = initial_variance(layer.init, layer.fan_in, layer.fan_out).weight / layer.fan_in
    return generator.normal(scale=np.sqrt(variance), size=(layer.fan_out, layer.fan_in))


def forward(layer: LayerPlan, inputs: Array, generator: np.random.Generator) -> tuple[Passed, Array]:
    assert layer.activation is not None
    weight = draw_weight(layer, generator)
    bias_variance = initial_variance(layer.init, layer.fan_in, layer.fan_out).bias
    h = inputs @ weight.T + generator.normal(scale=np.sqrt(bias_variance), size=layer.fan_out)
    norm = layer.normalization
    axis = 0 if norm is not None and norm.kind == "batch_norm" else 1
    scale = None
    if norm is not None:
        scale = np.sqrt(h.var(axis=axis, keepdims=True) + norm.eps)
        h = (h - h.mean(axis=axis, keepdims=True)) / scale
    mask = (generator.random(h.shape) >= layer.dropout) / (1.0 - layer.dropout)
    return Passed(weight, h, mask, scale, axis), layer.activation.phi(h) * mask


def gradients(network: NetworkPlan, batch_size: int, seed: int) -> Array:
    """ln rms δ per hidden layer, from standardised Gaussian inputs and a random cotangent on the last φ."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(batch_size, network.hidden[0].fan_in))
    tape: list[Passed] = []
    for layer in network.hidden:
        passed, values = forward(layer, values, generator)
        tape.append(passed)
    above, logs = generator.normal(size=values.shape), []
    for layer, passed in zip(reversed(network.hidden), reversed(tape), strict=True):
        assert layer.activation is not None
        delta = above * passed.mask * layer.activation.dphi(passed.h)
        logs.append(0.5 * np.log(np.mean(delta**2)))
        if passed.scale is not None:
            mean = delta.mean(axis=passed.axis, keepdims=True)
            along = (delta * passed.h).mean(axis=passed.axis, keepdims=True)
            delta = (delta - mean - passed.h * along) / passed.scale
        above = delta @ passed.weight
    return np.array(logs[::-1])


def compare(input_width: int, batch_size: int, **spec: Any) -> tuple[float, float]:
    """Measured less predicted: of ln gain_per_layer, and the largest of r over the layers."""
    network = plan_network(MlpSpec.model_validate({"kind": "mlp", **spec}), input_width, 10)
    logs = np.mean([gradients(network, batch_size, seed) for seed in range(SEEDS)], axis=0)
    batch_norm = network.hidden[0].normalization is not None and network.hidden[0].normalization.kind == "batch_norm"
    kept = -np.diff(logs)[kept_increments(len(logs), batch_norm)]
    answer = predict(network, batch_size)
    assert answer.gain_per_layer is not None
    profile = np.array(list(answer.profile.values()), dtype=np.float64)
    return float(kept.mean() - np.log(answer.gain_per_layer)), float(np.abs(logs - logs[-1] - profile).max())


EQUAL = {"depth": 17, "width": 256}
VARYING = {"hidden": [100, 300, 150, 300, 100, 400, 400, 120, 250]}
BIASED = {"kind": "gaussian", "weight_variance": 1.2, "bias_variance": 0.3}


@pytest.mark.parametrize(
    "spec",
    [
        {**EQUAL, "activation": "relu", "init": {"kind": "kaiming_normal"}},
        {**EQUAL, "activation": "tanh", "init": {"kind": "torch_default"}},
        {**EQUAL, "activation": "tanh", "init": {"kind": "xavier_normal"}},  # never reaches q* = 0
        {**EQUAL, "activation": "sigmoid", "init": {"kind": "xavier_uniform"}},
        {**EQUAL, "activation": "silu", "init": {"kind": "torch_default"}},
        {**EQUAL, "activation": "elu", "init": BIASED},
        {**EQUAL, "activation": "hardtanh", "init": {"kind": "normal", "std": 0.1}},
        {**EQUAL, "activation": "leaky_relu", "negative_slope": -0.5, "init": {"kind": "lecun_normal"}},
        {**EQUAL, "activation": "tanh", "init": BIASED, "dropout": 0.3},
        {**EQUAL, "activation": "relu", "init": BIASED, "normalization": {"kind": "layer_norm"}},
        {**EQUAL, "activation": "sigmoid", "init": BIASED, "normalization": {"kind": "layer_norm"}, "dropout": 0.3},
        {**EQUAL, "activation": "tanh", "init": BIASED, "normalization": {"kind": "layer_norm", "eps": 0.5}},
        {**VARYING, "activation": "relu", "init": {"kind": "xavier_normal"}},
        {**VARYING, "activation": "relu", "init": {"kind": "kaiming_normal", "mode": "fan_out"}},
        {**VARYING, "activation": "tanh", "init": {"kind": "orthogonal", "gain": 1.3}},
        {**VARYING, "activation": "softsign", "init": {"kind": "normal", "std": 0.1}},
        {**VARYING, "activation": "gelu", "init": {"kind": "torch_default"}},
        {**VARYING, "activation": "relu", "init": BIASED, "normalization": {"kind": "layer_norm"}},
    ],
    ids=str,
)
def test_gains_and_profile_are_those_of_drawn_networks(spec: dict[str, Any]) -> None:
    gain, profile = compare(200, 32, **spec)
    assert abs(gain) < 0.015
    assert profile < 0.15


@pytest.mark.parametrize("batch_size", [8, 64])
@pytest.mark.parametrize(
    "spec",
    [
        {**EQUAL, "activation": "relu"},
        {**EQUAL, "activation": "tanh"},
        {**EQUAL, "activation": "relu", "init": BIASED, "dropout": 0.3},
        {**VARYING, "activation": "relu", "init": {"kind": "xavier_normal"}},
    ],
    ids=str,
)
def test_under_batch_norm_gains_are_those_of_drawn_networks(spec: dict[str, Any], batch_size: int) -> None:
    gain, profile = compare(200, batch_size, normalization={"kind": "batch_norm"}, **spec)
    assert abs(gain) < 0.03  # science 3.1
    assert profile < 0.25


def test_an_epsilon_beside_a_small_variance_is_that_of_drawn_networks() -> None:
    """σw² = 0.001: the variance of W·σ(h) is 4.4e-5, ε = 1e-5."""
    spec = {**EQUAL, "activation": "sigmoid", "init": {"kind": "normal", "std": 0.002}}
    gain, profile = compare(200, 64, normalization={"kind": "batch_norm"}, **spec)
    assert abs(gain) < 0.02
    assert profile < 0.25
