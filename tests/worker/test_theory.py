"""Theory beside untrained networks of every kind, in float64 on the engine's own records."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from gradient_clinic.gains.time_axis import time_of_run
from models.analysis.theory.initial_variance import layer_variance
from models.analysis.theory.prediction import predict
from models.analysis.theory.propagation import kept
from models.plan import NetworkPlan, Shape, plan_network
from models.specs.networks import NetworkSpec
from worker.engine import measure
from worker.networks.initialise import initialise

HE = {"kind": "kaiming_normal"}
ZERO = {"kind": "normal", "std": 0.0}
DEFAULT, GROUPS = {"kind": "torch_default"}, {"kind": "group_norm", "groups": 16}
VECTOR, IMAGE, SEQUENCE = Shape("vector", (128,)), Shape("image", (3, 16, 16)), Shape("sequence", (40, 8))
BLOCKS: dict[str, Any] = {"kind": "residual_mlp", "blocks": 20, "width": 128, "layers_per_block": 1, "init": HE}
CNN: dict[str, Any] = {"kind": "cnn", "channels": [32] * 10, "pool": None, "init": HE}
RNN: dict[str, Any] = {"kind": "rnn", "width": 128}
TRANSFORMER: dict[str, Any] = {"kind": "transformer", "blocks": 8, "width": 64}
OUTPUTS = 32
SEEDS = 4


def planned(spec: dict[str, Any], given: Shape) -> NetworkPlan:
    adapter: TypeAdapter[NetworkSpec] = TypeAdapter(NetworkSpec)
    return plan_network(adapter.validate_python(spec), given, OUTPUTS)


def first_h(network: NetworkPlan, batch: int, random: torch.Generator) -> torch.Tensor:
    """As the first layer makes it of inputs with mean square 1: Gaussian, of that variance or its norm's."""
    layer, given = network.layers[0], network.input
    drawn = layer_variance(layer)
    variance = drawn.weight + drawn.bias if layer.normalization is None else 1.0
    places = {"vector": (), "image": given.size[1:], "sequence": given.size[:1]}[given.form]
    shape = (batch, layer.units, *places) if given.form == "image" else (batch, *places, layer.units)
    noise = torch.randn(shape, generator=random, dtype=torch.float64)
    return noise * math.sqrt(variance)


def measured(network: NetworkPlan, batch: int, seeds: int = SEEDS) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(ln rms δ per hidden layer, ln rms ∂L/∂state), means over seeds."""
    hidden = [index for index, layer in enumerate(network.layers) if layer.role == "hidden"]
    levels, states = [], []
    for seed in range(seeds):
        random = torch.Generator().manual_seed(seed + 1000)
        h = first_h(network, batch, random)
        cotangent = torch.randn(batch, OUTPUTS, generator=random, dtype=torch.float64)
        record = measure(network, input=h, cotangent=cotangent, dtype=torch.float64, seed=seed)
        levels.append(np.log(record.activation_gradient_rms[hidden]))
        states.append(np.log(record.state_gradient_rms))
    return np.mean(levels, axis=0), np.mean(states, axis=0)


@pytest.mark.parametrize(
    ("spec", "given", "batch", "tolerance"),
    [
        pytest.param(BLOCKS, VECTOR, 32, 0.05, id="residual"),
        pytest.param({**BLOCKS, "skip": {"kind": "scaled"}}, VECTOR, 32, 0.01, id="scaled"),
        pytest.param({**BLOCKS, "init": DEFAULT}, VECTOR, 32, 0.01, id="default residual"),
        pytest.param({**BLOCKS, "layers_per_block": 2, "activation": "tanh"}, VECTOR, 32, 0.05, id="tanh residual"),
        pytest.param({**BLOCKS, "normalization": {"kind": "batch_norm"}}, VECTOR, 64, 0.05, id="batch norm residual"),
        pytest.param({**BLOCKS, "normalization": {"kind": "layer_norm"}}, VECTOR, 32, 0.05, id="layer norm residual"),
        pytest.param({**BLOCKS, "normalization": GROUPS}, VECTOR, 32, 0.05, id="group norm residual"),
        pytest.param({**BLOCKS, "skip": {"kind": "layer_scale", "value": 0.3}}, VECTOR, 32, 0.02, id="layer scale"),
        pytest.param({**BLOCKS, "skip": {"kind": "highway"}}, VECTOR, 32, 0.05, id="highway"),
        pytest.param(
            {"kind": "mlp", "depth": 17, "width": 128, "init": HE, "weight_rule": "spectral_norm"},
            VECTOR, 32, 0.05, id="spectral norm",
        ),
        pytest.param(
            {"kind": "mlp", "depth": 17, "width": 128, "init": HE, "weight_rule": "weight_norm"},
            VECTOR, 32, 0.05, id="weight norm",
        ),
        pytest.param(
            {"kind": "mlp", "depth": 17, "width": 128, "activation": "selu", "init": {"kind": "lecun_normal"},
             "dropout": 0.1, "alpha_dropout": True},
            VECTOR, 32, 0.05, id="self-normalising",
        ),
        pytest.param(CNN, IMAGE, 8, 0.05, id="cnn"),
        pytest.param(CNN, Shape("image", (3, 8, 8)), 8, 0.05, id="cnn of small images"),
        pytest.param({**CNN, "activation": "tanh", "init": DEFAULT}, IMAGE, 8, 0.05, id="default cnn"),
        pytest.param(
            {**CNN, "activation": "tanh", "init": {"kind": "delta_orthogonal"}}, IMAGE, 8, 0.05, id="delta-orthogonal"
        ),
        pytest.param({**CNN, "normalization": {"kind": "batch_norm"}}, IMAGE, 8, 0.05, id="batch norm cnn"),
        pytest.param({**CNN, "normalization": {"kind": "layer_norm"}}, IMAGE, 8, 0.05, id="layer norm cnn"),
        pytest.param(
            {"kind": "residual_cnn", "channels": [32], "blocks_per_stage": 8, "init": HE, "skip": {"kind": "highway"}},
            IMAGE, 8, 0.05, id="highway cnn",
        ),
        pytest.param({"kind": "residual_cnn", "init": HE}, IMAGE, 8, 0.05, id="residual cnn"),
        pytest.param({**RNN, "layers": 3}, SEQUENCE, 32, 0.05, id="stacked recurrent"),
        # Attention's own assumptions: steps that grow alike over depth, which theory does not follow.
        pytest.param(TRANSFORMER, SEQUENCE, 8, 0.05, id="transformer"),
        pytest.param({**TRANSFORMER, "norm_position": "post"}, SEQUENCE, 8, 0.05, id="post-norm transformer"),
        pytest.param({**TRANSFORMER, "init": {"kind": "xavier_normal"}}, SEQUENCE, 8, 0.10, id="xavier transformer"),
    ],
)  # fmt: skip
def test_gain_per_layer_is_that_of_drawn_networks(
    spec: dict[str, Any], given: Shape, batch: int, tolerance: float
) -> None:
    network = planned(spec, given)
    levels, _ = measured(network, batch)
    increments = kept(network, (levels[:-1] - levels[1:]).tolist())
    assert predict(network, batch).gain_per_layer == pytest.approx(math.exp(np.mean(increments)), rel=tolerance)


@pytest.mark.parametrize(
    ("pool", "known"), [("average", True), ("stride", True), ("max", False)], ids=["average", "stride", "max"]
)
def test_resized_layers_count_in_the_total(pool: str, known: bool) -> None:  # noqa: FBT001 -- whether theory has it
    network = planned({"kind": "cnn", "channels": [16, 32], "layers_per_stage": 4, "init": HE, "pool": pool}, IMAGE)
    levels, _ = measured(network, 8)
    answer = predict(network, 8)
    increments = kept(network, (levels[:-1] - levels[1:]).tolist())
    assert answer.gain_per_layer == pytest.approx(math.exp(np.mean(increments)), rel=0.06)
    assert (answer.total_gain == pytest.approx(levels[0] - levels[-1], abs=0.35)) == known


@pytest.mark.parametrize(
    ("spec", "tolerance"),
    [
        pytest.param({"cell": "tanh"}, 0.05, id="default tanh"),
        pytest.param({"cell": "relu"}, 0.05, id="default relu"),
        pytest.param({"recurrent_init": {"kind": "orthogonal"}}, 0.02, id="orthogonal tanh"),
        pytest.param({"recurrent_init": {"kind": "orthogonal", "gain": 3.0}}, 0.02, id="chaotic tanh"),
        pytest.param({"cell": "lstm"}, 0.05, id="lstm"),
        pytest.param({"cell": "lstm", "forget_bias": 1.0}, 0.02, id="lstm that remembers"),
        pytest.param({"cell": "gru"}, 0.05, id="gru"),
        pytest.param({"cell": "gru", "recurrent_init": {"kind": "orthogonal"}}, 0.05, id="orthogonal gru"),
    ],
)
def test_gain_per_step_is_that_of_drawn_networks(spec: dict[str, Any], tolerance: float) -> None:
    network = planned({**RNN, **spec}, SEQUENCE)
    _, states = measured(network, 32)
    facts = time_of_run("recurrent.0", states.tolist(), [point.step for point in network.time])
    (axis,) = predict(network, 32).time
    assert axis.gain_per_step == pytest.approx(facts.gain_per_step.mean, rel=tolerance)
    assert axis.total_gain == pytest.approx(facts.total_gain.mean, rel=0.08)


@pytest.mark.parametrize(
    "spec",
    [
        {"cell": "identity", "recurrent_init": {"kind": "orthogonal", "gain": 0.9}},
        {"cell": "identity", "recurrent_init": {"kind": "orthogonal", "gain": 1.1}},
        {"cell": "lstm", "recurrent_init": ZERO, "forget_bias": 1.0},
        {"cell": "gru", "recurrent_init": ZERO},
    ],
    ids=["orthogonal 0.9", "orthogonal 1.1", "lstm at zero weights", "gru at zero weights"],
)
def test_closed_forms_over_time_are_exact(spec: dict[str, Any]) -> None:
    network = planned({**RNN, "width": 32, "input_init": ZERO, **spec}, SEQUENCE)
    random = torch.Generator().manual_seed(0)
    cotangent = torch.randn(4, OUTPUTS, generator=random, dtype=torch.float64)
    h = torch.zeros(4, SEQUENCE.size[0], network.layers[0].units, dtype=torch.float64)
    states = _state_levels(network, h, cotangent)
    facts = time_of_run("recurrent.0", states, [point.step for point in network.time])
    (axis,) = predict(network, 4).time
    assert axis.gain_per_step == pytest.approx(facts.gain_per_step.mean, rel=1e-9)
    assert axis.total_gain == pytest.approx(facts.total_gain.mean, rel=1e-9)


def _state_levels(network: NetworkPlan, h: torch.Tensor, cotangent: torch.Tensor) -> list[float]:
    record = measure(network, input=h, cotangent=cotangent, dtype=torch.float64, seed=0)
    return [float(level) for level in np.log(record.state_gradient_rms)]


@pytest.mark.parametrize("init", ["identity", "delta_orthogonal", "lsuv", "fixup", "gpt2", "torch_default"])
@pytest.mark.parametrize("kind", ["recurrent", "linear", "conv2d"])
def test_variances_are_those_that_the_worker_draws(init: str, kind: str) -> None:
    network = (
        planned({**RNN, "cell": "lstm", "width": 64, "init": {"kind": init}}, Shape("sequence", (2, 48)))
        if kind != "conv2d"
        else planned({"kind": "cnn", "channels": [32, 48], "pool": None, "init": {"kind": init}}, IMAGE)
    )
    layer = network.layers[1 if kind != "linear" else 0]
    shape = (layer.units, layer.fan_in // 9, 3, 3) if kind == "conv2d" else (layer.units, layer.fan_in)
    weight, bias = torch.empty(shape, dtype=torch.float64), torch.empty(layer.units, dtype=torch.float64)
    initialise(weight, bias, layer, 0)
    drawn = layer_variance(layer)
    per_output = float(weight.flatten(1).square().sum(dim=1).mean())  # Σ over inputs of W², as σw² is
    assert drawn.weight == pytest.approx(per_output, rel=0.1)
    assert drawn.bias == pytest.approx(float(bias.square().mean()), rel=0.3)
