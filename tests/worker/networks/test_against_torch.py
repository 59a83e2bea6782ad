"""Networks against torch's own layers and against a few plain lines, with the same weights, in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.plan import NetworkPlan, Shape, plan_network
from models.plan.layers import Attend
from models.specs.network import CnnSpec, MlpSpec, ResidualMlpSpec, RnnSpec, TransformerSpec
from worker import networks
from worker.networks.network import Network, Sum
from worker.networks.nodes import Attention, Recurrence, Weights

LENGTHS = torch.tensor([4, 9, 1, 6])
GATES = {"tanh": nn.RNN, "relu": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def layers_of(model: Network) -> dict[str, Any]:
    """The weighing modules by layer, with a ``linear`` of torch's own inside."""
    return {its.layer.name: its for its in model.modules() if isinstance(its, Weights)}


def random(*size: int) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(len(size)), dtype=torch.float64)


# --- recurrent --------------------------------------------------------------------------------------------------------


def rnn(cell: str, **changes: Any) -> Network:
    spec = RnnSpec.model_validate({"kind": "rnn", "cell": cell, "width": 6, **changes})
    return networks.build(plan_network(spec, Shape("sequence", (9, 5)), 3), 0)


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["all steps", "varying"])
def test_recurrent_networks_are_torchs_own(cell: str, lengths: Tensor | None) -> None:
    ours = rnn(cell, layers=2)
    keywords = {"nonlinearity": cell} if cell in {"tanh", "relu"} else {}
    theirs = GATES[cell](5, 6, num_layers=2, batch_first=True, dtype=torch.float64, **keywords)
    loops = [its for its in ours.modules() if isinstance(its, Recurrence)]
    inputs = layers_of(ours)
    with torch.no_grad():
        for layer, loop in enumerate(loops):
            given = inputs[f"recurrent.{layer}.input"].linear
            for name, tensor in (("ih", given), ("hh", loop.linear)):
                getattr(theirs, f"weight_{name}_l{layer}").copy_(tensor.weight)
                getattr(theirs, f"bias_{name}_l{layer}").copy_(tensor.bias)
    x = random(4, 9, 5)
    shown, _ = theirs(x)
    last = shown[:, -1] if lengths is None else shown[torch.arange(4), lengths - 1]
    output = layers_of(ours)["output"].linear
    expected, found = output(last), ours(x, lengths)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    found.square().sum().backward()
    expected.square().sum().backward()
    for layer, loop in enumerate(loops):
        torch.testing.assert_close(
            loop.linear.weight.grad, getattr(theirs, f"weight_hh_l{layer}").grad, rtol=1e-9, atol=1e-12
        )


def test_truncation_detaches_the_state_after_every_so_many_steps() -> None:
    model = rnn("tanh", truncate=4)
    (loop,) = [its for its in model.modules() if isinstance(its, Recurrence)]
    given = layers_of(model)["recurrent.0.input"].linear
    x = random(4, 9, 5)
    state = torch.zeros(4, 6, dtype=torch.float64)
    for step in range(9):
        if step in {4, 8}:
            state = state.detach()
        state = torch.tanh(given(x[:, step]) + functional.linear(state, loop.linear.weight, loop.linear.bias))
    by_hand = torch.autograd.grad(layers_of(model)["output"].linear(state).sum(), loop.linear.weight)[0]
    (found,) = torch.autograd.grad(model(x).sum(), loop.linear.weight)
    torch.testing.assert_close(found, by_hand, rtol=1e-10, atol=1e-13)


def test_what_lies_behind_a_cases_end_changes_nothing() -> None:
    for model in (rnn("lstm", layers=2), transformer()):
        x = random(4, 9, 5)
        spoiled = x.clone()
        spoiled[torch.arange(9) >= LENGTHS[:, None]] = 1e3
        torch.testing.assert_close(model(x, LENGTHS), model(spoiled, LENGTHS), rtol=0, atol=0)


# --- attention --------------------------------------------------------------------------------------------------------


def transformer(**changes: Any) -> Network:
    spec = {"kind": "transformer", "blocks": 2, "width": 8, "heads": 2, **changes}
    return networks.build(plan_network(TransformerSpec.model_validate(spec), Shape("sequence", (9, 5)), 3), 0)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["all steps", "varying"])
def test_attention_is_torchs_own(causal: bool, lengths: Tensor | None) -> None:  # noqa: FBT001
    theirs = nn.MultiheadAttention(8, 2, bias=False, batch_first=True, dtype=torch.float64)
    x = random(4, 9, 8)
    order = torch.arange(9)
    hidden = None if lengths is None else order >= lengths[:, None]
    mask = order[None, :] > order[:, None] if causal else None
    expected, _ = theirs(x, x, x, key_padding_mask=hidden, attn_mask=mask)
    mixed = Attention(Attend(2, causal))(x @ theirs.in_proj_weight.T, lengths)
    inside = torch.ones(4, 9, dtype=torch.bool) if hidden is None else ~hidden
    torch.testing.assert_close((mixed @ theirs.out_proj.weight.T)[inside], expected[inside], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("position", ["pre", "post"])
def test_a_transformer_block_is_its_formula(position: str) -> None:
    model = transformer(norm_position=position, blocks=1)
    weights = layers_of(model)
    norms = [its for its in model.modules() if isinstance(its, nn.LayerNorm)]
    mix = next(its for its in model.modules() if isinstance(its, Attention))
    x = random(4, 9, 5)

    def attention(z: Tensor) -> Any:
        mixed = mix(weights["block.0.attention.qkv"].linear(z))
        return weights["block.0.attention.out"].linear(mixed)

    def perceptron(z: Tensor) -> Any:
        return weights["block.0"].linear(functional.gelu(weights["block.0.mlp.up"].linear(z)))

    positions = next(its for name, its in model.named_parameters() if "vectors" in name)
    z = weights["embedding"].linear(x) + positions
    if position == "pre":
        z = z + attention(norms[0](z))
        z = norms[2](z + perceptron(norms[1](z)))
    else:
        z = norms[0](z + attention(z))
        z = norms[1](z + perceptron(z))
    torch.testing.assert_close(model(x), weights["output"].linear(z.mean(1)), rtol=1e-10, atol=1e-12)


# --- stacks ---------------------------------------------------------------------------------------------------------


def residual(**changes: Any) -> tuple[NetworkPlan, Network]:
    spec = {"kind": "residual_mlp", "blocks": 3, "width": 7, "layers_per_block": 2, "activation": "tanh", **changes}
    plan = plan_network(ResidualMlpSpec.model_validate(spec), 5, 3)
    return plan, networks.build(plan, 0)


@pytest.mark.parametrize(
    ("skip", "factor"),
    [
        ({"kind": "residual"}, 1.0),
        ({"kind": "scaled"}, 3**-0.5),
        ({"kind": "scaled", "factor": 0.25}, 0.25),
        ({"kind": "rezero"}, 0.0),
        ({"kind": "skip_init", "alpha": 0.5}, 0.5),
        ({"kind": "layer_scale", "value": 0.1}, 0.1),
    ],
)
def test_a_residual_network_adds_its_scaled_branches(skip: dict[str, Any], factor: float) -> None:
    _, model = residual(skip=skip)
    weights = layers_of(model)
    x = random(4, 5)
    z = weights["stem"].linear(x)
    for block in range(3):
        inner = weights[f"block.{block}.0"].linear(z.tanh())
        z = z + factor * weights[f"block.{block}"].linear(inner.tanh())
    torch.testing.assert_close(model(x), weights["output"].linear(z.tanh()), rtol=1e-10, atol=1e-12)


def test_a_highway_mixes_by_its_gate() -> None:
    _, model = residual(skip={"kind": "highway", "bias": -1.0}, layers_per_block=1)
    weights = layers_of(model)
    assert set(weights["block.1.gate"].linear.bias.tolist()) == {-1.0}
    x = random(4, 5)
    z = weights["stem"].linear(x)
    for block in range(3):
        opened = weights[f"block.{block}.gate"].linear(z).sigmoid()
        z = opened * weights[f"block.{block}"].linear(z.tanh()) + (1 - opened) * z
    torch.testing.assert_close(model(x), weights["output"].linear(z.tanh()), rtol=1e-10, atol=1e-12)


def test_a_convolutional_network_is_convolutions_by_hand() -> None:
    spec = {"kind": "cnn", "channels": [3, 4], "layers_per_stage": 2, "pool": "average", "activation": "elu"}
    plan = plan_network(CnnSpec.model_validate(spec), Shape("image", (2, 8, 8)), 5)
    model = networks.build(plan, 0)
    weights = layers_of(model)
    x = z = random(3, 2, 8, 8)
    for layer in range(4):
        if layer == 2:
            z = functional.avg_pool2d(z, 2)
        linear = weights[f"hidden.{layer}"].linear
        z = functional.elu(functional.conv2d(z, linear.weight, linear.bias, padding=1))
    torch.testing.assert_close(model(x), weights["output"].linear(z.mean((2, 3))), rtol=1e-10, atol=1e-12)


def test_skips_of_an_mlp_leave_its_layers_their_names_and_weights() -> None:
    plain, skipping = (
        networks.build(plan_network(MlpSpec.model_validate({"kind": "mlp", "depth": 6, "width": 7, **skip}), 5, 3), 0)
        for skip in ({}, {"skip": {"kind": "residual", "every": 2}})
    )
    assert sum(isinstance(its, Sum) for its in skipping.modules()) == 2
    for name, weights in layers_of(plain).items():
        assert torch.equal(weights.linear.weight, layers_of(skipping)[name].linear.weight), name


@pytest.mark.parametrize("rule", ["weight_norm", "spectral_norm"])
def test_a_weight_rule_is_torchs_and_spares_the_output(rule: str) -> None:
    spec = MlpSpec.model_validate({"kind": "mlp", "hidden": [7, 6], "weight_rule": rule})
    model = networks.build(plan_network(spec, 5, 3), 0)
    weights = layers_of(model)
    first, trained = weights["hidden.0"].linear.weight, weights["hidden.0"].trained
    if rule == "weight_norm":
        torch.testing.assert_close(first, trained)
    else:
        torch.testing.assert_close(first, trained / torch.linalg.matrix_norm(trained, 2), rtol=1e-3, atol=1e-6)
    assert weights["output"].trained is weights["output"].linear.weight


def test_forward_from_the_first_h_is_the_rest_of_the_forward_pass() -> None:
    spec = MlpSpec.model_validate({"kind": "mlp", "hidden": [7, 6], "normalization": {"kind": "layer_norm"}})
    model = networks.build(plan_network(spec, 5, 3), 0)
    x = random(4, 5)
    first = layers_of(model)["hidden.0"]
    assert torch.equal(model.forward_from(first(x)), model(x))
