"""Weights and biases follow the law of their init, on drawn tensors; a layer's draw is its own."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.plan import LayerPlan, NetworkPlan, Shape, plan_network
from models.specs.init import INITS
from models.specs.network import CnnSpec, MlpSpec, ResidualCnnSpec, ResidualMlpSpec, RnnSpec, TransformerSpec
from worker import networks
from worker.datasets.split import Part
from worker.networks.lsuv import scale_by_data
from worker.networks.nodes import Recurrence, Weights


def random(*size: int) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(len(size)), dtype=torch.float64)


def plan_of(inputs: int = 20, outputs: int = 10, **changes: Any) -> NetworkPlan:
    return plan_network(MlpSpec.model_validate({"kind": "mlp", "hidden": [30], **changes}), inputs, outputs)


def weights_of(model: networks.Network) -> dict[str, tuple[Tensor, Tensor]]:
    """(weight, bias) by layer."""
    modules: list[Any] = [its for its in model.modules() if isinstance(its, Weights | Recurrence)]
    layers = [its.layer if isinstance(its, Weights) else its.recur.layer for its in modules]
    return {
        layer.name: (its.linear.weight.detach(), getattr(its.linear, "bias", torch.zeros(1)).detach())
        for layer, its in zip(layers, modules, strict=True)
    }


def drawn(plan: NetworkPlan, seed: int = 0) -> dict[str, tuple[Tensor, Tensor]]:
    return weights_of(networks.build(plan, seed))


def test_every_init_has_a_test_of_its_law() -> None:
    of_the_table = {params.values[0]["kind"] for params in INIT_CASES}  # type: ignore[index]
    assert of_the_table | OTHERS == INITS.keys()


# --- each entry for itself ----------------------------------------------------------------------------------------

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
    pytest.param({"kind": "uniform", "low": -0.3, "high": 0.3}, 0.03, 0, "uniform", id="uniform"),
]  # fmt: skip


def draws(init: dict[str, Any], seeds: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All weights and all biases of one layer FAN_IN → FAN_OUT over some seeds."""
    plan = plan_of(FAN_IN, 1, hidden=[FAN_OUT], init=init)
    first = [drawn(plan, seed)["hidden.0"] for seed in range(seeds)]
    return torch.stack([its[0] for its in first]), torch.stack([its[1] for its in first])


def assert_drawn(values: torch.Tensor, variance: float, distribution: str, slack: float = 0.0) -> None:
    """Mean, variance and kurtosis lie within 5 standard errors of those of the distribution."""
    n = values.numel()
    kurtosis, spread = (3.0, 24.0) if distribution == "normal" else (1.8, 0.43)
    assert abs(float(values.mean())) < 5 * math.sqrt(variance / n)
    assert float(values.var()) == pytest.approx(variance, rel=slack + 5 * math.sqrt((kurtosis - 1) / n))
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
    weight, bias = weights_of(model)["hidden.0"]
    gram = weight @ weight.T if fan_out <= fan_in else weight.T @ weight
    torch.testing.assert_close(gram, 2.25 * torch.eye(min(fan_in, fan_out), dtype=torch.float64), rtol=0, atol=1e-12)
    assert not bias.any()


# --- matrices with a structure --------------------------------------------------------------------------------------

OTHERS = {"orthogonal", "identity", "delta_orthogonal", "lsuv", "fixup", "gpt2", "constant"}


def test_one_value_for_all_weights_is_that_value() -> None:
    for rule in (None, "weight_norm"):
        plan = plan_of(init={"kind": "constant", "value": -0.25}, weight_rule=rule)
        for weight, bias in drawn(plan).values():
            torch.testing.assert_close(weight, torch.full_like(weight, -0.25))
            assert not bias.any()


def test_uniform_weights_lie_between_their_two_numbers_wherever_these_are() -> None:
    weights, biases = draws({"kind": "uniform", "low": 1.0, "high": 3.0}, 10)
    assert float(weights.min()) == pytest.approx(1.0, abs=1e-3)
    assert float(weights.max()) == pytest.approx(3.0, abs=1e-3)
    assert_drawn(weights - 2.0, 4.0 / 12.0, "uniform")
    assert not biases.any()


def cnn(init: dict[str, Any], **changes: Any) -> NetworkPlan:
    spec = {"kind": "cnn", "channels": [6], "layers_per_stage": 3, "init": init, **changes}
    return plan_network(CnnSpec.model_validate(spec), Shape("image", (1, 8, 8)), 10)


def test_the_identity_passes_each_unit_and_each_channel_on() -> None:
    weight, bias = drawn(plan_of(30, hidden=[30], init={"kind": "identity", "gain": 0.5}))["hidden.0"]
    assert torch.equal(weight, 0.5 * torch.eye(30, dtype=torch.float64))
    assert not bias.any()
    kernel, _ = drawn(cnn({"kind": "identity"}))["hidden.1"]
    image = random(2, 6, 5, 5)
    assert torch.equal(torch.nn.functional.conv2d(image, kernel, padding=1), image)


def test_a_delta_orthogonal_kernel_keeps_every_norm_and_is_zero_but_at_its_centre() -> None:
    kernel, _ = drawn(cnn({"kind": "delta_orthogonal"}))["hidden.1"]
    image = random(2, 6, 5, 5)
    passed = torch.nn.functional.conv2d(image, kernel, padding=1)
    torch.testing.assert_close(passed.square().sum(1), image.square().sum(1))
    kernel[:, :, 1, 1] = 0.0
    assert not kernel.any()


def test_a_delta_orthogonal_layer_that_is_no_convolution_is_orthogonal() -> None:
    weight, _ = drawn(plan_of(20, hidden=[30], init={"kind": "delta_orthogonal", "gain": 2.0}))["hidden.0"]
    torch.testing.assert_close(weight.T @ weight, 4.0 * torch.eye(20, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("init", "variance", "distribution"),
    [
        ({"kind": "kaiming_normal"}, 2 / (20 * 9), "normal"),
        ({"kind": "kaiming_normal", "mode": "fan_out"}, 2 / (30 * 9), "normal"),
        ({"kind": "xavier_uniform"}, 2 / (50 * 9), "uniform"),
        ({"kind": "gaussian", "weight_variance": 1.7}, 1.7 / (20 * 9), "normal"),
    ],
)
def test_a_convolution_counts_its_kernel_in_its_fans(init: dict[str, Any], variance: float, distribution: str) -> None:
    kernel, _ = drawn(cnn(init, channels=[20, 30], layers_per_stage=1))["hidden.1"]
    assert kernel.shape == (30, 20, 3, 3)
    assert_drawn(kernel, variance, distribution)


def test_tokens_are_embedded_as_torchs_are() -> None:
    spec = RnnSpec.model_validate({"kind": "rnn", "width": 80})
    weight, _ = drawn(plan_network(spec, Shape("tokens", (5,), 120), 3))["embedding"]
    assert_drawn(weight, 1.0, "normal")


def same_law(ours: Tensor, theirs: Tensor) -> None:
    """Both uniform between the same bounds: 4,000 draws come within 1 % of a bound but once in e^40."""
    theirs = theirs.detach().double()
    assert ours.shape == theirs.shape
    for bound in (torch.amin, torch.amax):
        assert float(bound(ours)) == pytest.approx(float(bound(theirs)), rel=0.02)
    assert_drawn(ours, float(theirs.abs().max()) ** 2 / 3, "uniform", slack=0.02)


def test_the_default_of_every_layer_is_that_of_torchs_own_class() -> None:
    """Weights and biases; those of an LSTM are all of one law, by its width."""
    with torch.random.fork_rng():
        linear, kernel = nn.Linear(60, 4000), nn.Conv2d(20, 4000, 3)
        lstm, gru = nn.LSTM(7, 1000), nn.GRU(7, 1000)
    ours = drawn(plan_of(60, hidden=[4000]))["hidden.0"]
    ours_kernel = drawn(cnn({"kind": "torch_default"}, channels=[20, 4000], layers_per_stage=1))["hidden.1"]
    for one, other in ((ours, linear), (ours_kernel, kernel)):
        assert other.bias is not None
        same_law(one[0], other.weight)
        same_law(one[1], other.bias)
    for cell, theirs in (("lstm", lstm), ("gru", gru)):
        drawn_cell = rnn(cell=cell, width=1000)
        for name, suffix in (("recurrent.0.input", "ih_l0"), ("recurrent.0", "hh_l0")):
            same_law(drawn_cell[name][0], getattr(theirs, f"weight_{suffix}"))
            same_law(drawn_cell[name][1], getattr(theirs, f"bias_{suffix}"))


# --- LSUV ----------------------------------------------------------------------------------------------------


def variances_after_lsuv(plan: NetworkPlan, batch: Part) -> dict[str, float]:
    """Of every layer's own output, the sum of a branch left out, over what lies before the cases' ends."""
    model = networks.build(plan, 0)
    scale_by_data(model, batch)
    seen: dict[str, float] = {}

    def see(module: nn.Module, _inputs: object, h: Tensor) -> None:
        assert isinstance(module, Weights)
        h = h.detach()
        if batch.lengths is not None and h.dim() == 3:
            h = torch.cat([case[:length] for case, length in zip(h, batch.lengths.tolist(), strict=True)])
        seen[module.layer.name] = float(h.var())

    for its in model.modules():
        if isinstance(its, Weights):
            its.register_forward_hook(see)
    model(batch.x, batch.lengths)
    return seen


def no_labels(cases: int) -> Tensor:
    return torch.zeros(cases, dtype=torch.int64)


LSUV = {"kind": "lsuv", "tolerance": 0.01}


def test_lsuv_gives_every_layer_unit_variance_on_the_batch() -> None:
    batch = Part(3.0 * random(64, 1, 8, 8), no_labels(64))
    seen = variances_after_lsuv(cnn(LSUV, activation="tanh"), batch)
    assert seen == pytest.approx(dict.fromkeys(seen, 1.0), abs=0.01)


@pytest.mark.parametrize("skip", ["residual", "scaled", "highway"])
def test_lsuv_scales_a_branch_by_its_own_output_and_not_by_the_sum(skip: str) -> None:
    body = {"kind": "residual_cnn", "channels": [4, 6], "blocks_per_stage": 1, "init": LSUV, "skip": {"kind": skip}}
    plan = plan_network(ResidualCnnSpec.model_validate(body), Shape("image", (1, 8, 8)), 10)
    seen = variances_after_lsuv(plan, Part(3.0 * random(32, 1, 8, 8), no_labels(32)))
    assert seen == pytest.approx(dict.fromkeys(seen, 1.0), abs=0.01)


def test_lsuv_scales_under_weight_norm_too() -> None:
    plan = plan_of(20, hidden=[30, 30], init=LSUV, weight_rule="weight_norm")
    seen = variances_after_lsuv(plan, Part(3.0 * random(32, 20), no_labels(32)))
    assert seen == pytest.approx(dict.fromkeys(seen, 1.0), abs=0.01)


def test_lsuv_leaves_a_loop_orthonormal_and_counts_no_step_behind_an_end() -> None:
    spec = RnnSpec.model_validate({"kind": "rnn", "cell": "lstm", "width": 8, "init": LSUV})
    plan = plan_network(spec, Shape("sequence", (9, 5)), 3)
    lengths = torch.tensor([1, 2, 9, 3] * 8)
    batch = Part(3.0 * random(32, 9, 5), no_labels(32), lengths)
    seen = variances_after_lsuv(plan, batch)
    assert seen == pytest.approx(dict.fromkeys(seen, 1.0), abs=0.01)
    model = networks.build(plan, 0)
    before = weights_of(model)["recurrent.0"][0].clone()
    scale_by_data(model, batch)
    assert torch.equal(weights_of(model)["recurrent.0"][0], before)


def test_lsuv_changes_no_statistics_of_batch_norm() -> None:
    model = networks.build(plan_of(20, init=LSUV, normalization={"kind": "batch_norm"}), 0)
    before = {name: its.clone() for name, its in model.named_buffers()}
    scale_by_data(model, Part(3.0 * random(32, 20), no_labels(32)))
    assert before
    for name, its in model.named_buffers():
        assert torch.equal(its, before[name])


# --- residual branches ------------------------------------------------------------------------------------------------


def residual(init: dict[str, Any], layers: int = 3) -> NetworkPlan:
    spec = {"kind": "residual_mlp", "blocks": 16, "width": 200, "layers_per_block": layers, "init": init}
    return plan_network(ResidualMlpSpec.model_validate(spec), 200, 10)


def test_fixup_scales_the_branches_and_silences_their_ends_and_the_head() -> None:
    weights = drawn(residual({"kind": "fixup"}))
    for name, factor in (
        ("stem", 1.0),
        ("block.3.0", 16**-0.25),
        ("block.3.1", 16**-0.25),
        ("block.3", 0.0),
        ("output", 0.0),
    ):
        assert float(weights[name][0].var()) == pytest.approx(factor**2 * 2 / 200, rel=0.05), name


def test_gpt2_scales_the_end_of_every_branch_by_the_root_of_their_number() -> None:
    weights = drawn(residual({"kind": "gpt2"}, layers=2))
    for name, factor in (("stem", 1.0), ("block.3.0", 1.0), ("block.3", 0.25), ("output", 1.0)):
        assert float(weights[name][0].std()) == pytest.approx(0.02 * factor, rel=0.05), name
    spec = TransformerSpec.model_validate({"kind": "transformer", "blocks": 8, "width": 64, "init": {"kind": "gpt2"}})
    weights = drawn(plan_network(spec, Shape("sequence", (5, 64)), 10))
    assert float(weights["block.2.attention.out"][0].std()) == pytest.approx(0.02 / 4, rel=0.05)
    assert float(weights["block.2.mlp.up"][0].std()) == pytest.approx(0.02, rel=0.05)


# --- recurrent layers -------------------------------------------------------------------------------------------------


def rnn(**changes: Any) -> dict[str, tuple[Tensor, Tensor]]:
    spec = RnnSpec.model_validate({"kind": "rnn", "cell": "lstm", "width": 120, **changes})
    return drawn(plan_network(spec, Shape("sequence", (5, 7)), 3))


def test_every_gate_is_an_orthogonal_matrix_of_its_own() -> None:
    weight, _ = rnn(recurrent_init={"kind": "orthogonal"})["recurrent.0"]
    gates = weight.chunk(4)
    for gate in gates:
        torch.testing.assert_close(gate @ gate.T, torch.eye(120, dtype=torch.float64), rtol=0, atol=1e-10)
    assert not torch.equal(gates[0], gates[1])


def test_both_biases_of_a_loop_follow_the_init_of_its_input() -> None:
    small = rnn(input_init={"kind": "normal", "std": 0.001}, recurrent_init={"kind": "torch_default"})
    assert not any(small[name][1].any() for name in ("recurrent.0", "recurrent.0.input"))
    assert_drawn(small["recurrent.0.input"][0], 1e-6, "normal")
    usual = rnn(recurrent_init={"kind": "identity"})
    assert torch.equal(usual["recurrent.0"][0], torch.eye(120, dtype=torch.float64).repeat(4, 1))
    assert_drawn(usual["recurrent.0"][1], 1 / (3 * 120), "uniform")


def test_the_forget_bias_is_in_one_of_the_two_biases() -> None:
    plain, biased = rnn(), rnn(forget_bias=2.0)
    assert torch.equal(plain["recurrent.0.input"][1], biased["recurrent.0.input"][1])
    change = biased["recurrent.0"][1] - plain["recurrent.0"][1]
    expected = torch.zeros(4, 120, dtype=torch.float64)
    expected[1] = 2.0
    torch.testing.assert_close(change.view(4, 120), expected, rtol=0, atol=1e-15)


def test_a_layer_draws_by_its_own_name() -> None:
    def layer(name: str) -> LayerPlan:
        return LayerPlan(1, name, "linear", "hidden", 4, 4, MlpSpec(kind="mlp", hidden=(4,)).init)

    one, other = (Weights(layer(name), 0).trained for name in ("hidden.0", "hidden.1"))
    assert not torch.equal(one, other)
    assert torch.equal(one, Weights(layer("hidden.0"), 0).trained)
