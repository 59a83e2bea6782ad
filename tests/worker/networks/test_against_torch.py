"""Networks against torch's own layers and against a few plain lines, with the same weights, in float64: what comes out,
and the gradient of every weight.
"""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from models.plan import NetworkPlan, Shape, plan_network
from models.plan.tree import Attend
from models.specs.network import CnnSpec, MlpSpec, ResidualCnnSpec, ResidualMlpSpec, RnnSpec, TransformerSpec
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


def same(found: Tensor, expected: Tensor, pairs: Sequence[tuple[Tensor, Tensor]] = ()) -> None:
    """Equal up to rounding, and so are the gradients of a sum of squares by (ours, theirs)."""
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    ours = torch.autograd.grad(found.square().sum(), [one for one, _ in pairs])
    theirs = torch.autograd.grad(expected.square().sum(), [other for _, other in pairs])
    for one, other in zip(ours, theirs, strict=True):
        assert other.any()
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def same_everywhere(model: Network, found: Tensor, expected: Tensor) -> None:
    """By every parameter that both went through."""
    same(found, expected, [(its, its) for its in model.parameters()])


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
    pairs = []
    for layer, loop in enumerate(loops):
        for name, linear in (("ih", inputs[f"recurrent.{layer}.input"].linear), ("hh", loop.linear)):
            pairs.append((linear.weight, getattr(theirs, f"weight_{name}_l{layer}")))
            pairs.append((linear.bias, getattr(theirs, f"bias_{name}_l{layer}")))
    with torch.no_grad():
        for one, other in pairs:
            other.copy_(one)
    x = random(4, 9, 5)
    shown, _ = theirs(x)
    last = shown[:, -1] if lengths is None else shown[torch.arange(4), lengths - 1]
    same(ours(x, lengths), layers_of(ours)["output"].linear(last), pairs)


CELLS = {"tanh": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}


@pytest.mark.parametrize("cell", CELLS)
def test_truncation_detaches_the_state_after_every_so_many_steps(cell: str) -> None:
    model = rnn(cell, truncate=4)
    (loop,) = [its for its in model.modules() if isinstance(its, Recurrence)]
    given = layers_of(model)["recurrent.0.input"].linear
    theirs = CELLS[cell](5, 6, dtype=torch.float64)
    pairs = [
        (given.weight, theirs.weight_ih), (given.bias, theirs.bias_ih),
        (loop.linear.weight, theirs.weight_hh), (loop.linear.bias, theirs.bias_hh),
    ]  # fmt: skip
    with torch.no_grad():
        for one, other in pairs:
            other.copy_(one)
    x = random(4, 9, 5)
    state: Any = None
    for step in range(9):
        if step in {4, 8}:
            state = tuple(its.detach() for its in state) if cell == "lstm" else state.detach()
        state = theirs(x[:, step], state)
    last = state[0] if cell == "lstm" else state
    same(model(x), layers_of(model)["output"].linear(last), pairs)


def test_a_linear_loop_adds_and_multiplies() -> None:
    model = rnn("identity")
    (loop,) = [its for its in model.modules() if isinstance(its, Recurrence)]
    x = random(4, 9, 5)
    h = torch.zeros(4, 6, dtype=torch.float64)
    for step in range(9):
        h = layers_of(model)["recurrent.0.input"].linear(x[:, step]) + loop.linear(h)
    same_everywhere(model, model(x), layers_of(model)["output"].linear(h))


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
    weights = theirs.in_proj_weight.detach().clone().requires_grad_()
    mixed = Attention(Attend(2, causal, 8))(x @ weights.T, lengths)
    inside = torch.ones(4, 9, dtype=torch.bool) if lengths is None else order < lengths[:, None]
    same((mixed @ theirs.out_proj.weight.T)[inside], expected[inside], [(weights, theirs.in_proj_weight)])


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
    same_everywhere(model, model(x), weights["output"].linear(z.mean(1)))


# --- stacks ---------------------------------------------------------------------------------------------------------


def residual(**changes: Any) -> tuple[NetworkPlan, Network]:
    spec = {"kind": "residual_mlp", "blocks": 3, "width": 7, "layers_per_block": 2, "activation": "tanh", **changes}
    plan = plan_network(ResidualMlpSpec.model_validate(spec), 5, 3)
    return plan, networks.build(plan, 0)


FIXED = {"residual", "scaled"}
SHAPE_OF = {"layer_scale": (7,)}


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
    sums = [its for its in model.modules() if isinstance(its, Sum)]
    learned = [its.factor for its in sums if its.factor is not None]
    assert [its.shape for its in learned] == ([] if skip["kind"] in FIXED else 3 * [SHAPE_OF.get(skip["kind"], (1,))])
    with torch.no_grad():
        for its in learned:
            assert set(its.tolist()) == {factor}
            its.add_(random(*its.shape))  # away from 0, where no gradient would reach the branch
    factors = learned or 3 * [torch.tensor(factor, dtype=torch.float64)]
    x = random(4, 5)
    z = weights["stem"].linear(x)
    for block in range(3):
        inner = weights[f"block.{block}.0"].linear(z.tanh())
        z = z + factors[block] * weights[f"block.{block}"].linear(inner.tanh())
    same_everywhere(model, model(x), weights["output"].linear(z.tanh()))


def test_a_highway_mixes_by_its_gate() -> None:
    _, model = residual(skip={"kind": "highway", "bias": -1.0}, layers_per_block=1)
    weights = layers_of(model)
    assert set(weights["block.1.gate"].linear.bias.tolist()) == {-1.0}
    x = random(4, 5)
    z = weights["stem"].linear(x)
    for block in range(3):
        opened = weights[f"block.{block}.gate"].linear(z).sigmoid()
        z = opened * weights[f"block.{block}"].linear(z.tanh()) + (1 - opened) * z
    same_everywhere(model, model(x), weights["output"].linear(z.tanh()))


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
    same_everywhere(model, model(x), weights["output"].linear(z.mean((2, 3))))


@pytest.mark.parametrize("pool", ["max", "stride", None])
def test_a_convolutional_network_shrinks_between_stages_as_asked(pool: str | None) -> None:
    spec = {"kind": "cnn", "channels": [3, 4], "kernel_size": 5, "pool": pool, "activation": "tanh"}
    model = networks.build(plan_network(CnnSpec.model_validate(spec), Shape("image", (2, 8, 8)), 5), 0)
    first, second, output = (layers_of(model)[name].linear for name in ("hidden.0", "hidden.1", "output"))
    x = random(3, 2, 8, 8)
    z = functional.conv2d(x, first.weight, first.bias, padding=2).tanh()
    z = functional.max_pool2d(z, 2) if pool == "max" else z
    z = functional.conv2d(z, second.weight, second.bias, padding=2, stride=2 if pool == "stride" else 1).tanh()
    same_everywhere(model, model(x), output(z.mean((2, 3))))


def test_a_residual_convolutional_network_has_a_shortcut_where_the_shape_changes() -> None:
    spec = {"kind": "residual_cnn", "channels": [3, 4], "blocks_per_stage": 1, "activation": "tanh"}
    plan = plan_network(ResidualCnnSpec.model_validate(spec), Shape("image", (2, 7, 9)), 5)
    model = networks.build(plan, 0)
    weights = layers_of(model)

    def conv(name: str, z: Tensor, stride: int = 1) -> Tensor:
        kernel = weights[name].linear.weight
        return functional.conv2d(z, kernel, weights[name].linear.bias, stride, padding=kernel.shape[-1] // 2)

    x = random(3, 2, 7, 9)
    z = conv("stem", x)
    z = z + conv("block.0", conv("block.0.0", z.tanh()).tanh())
    z = conv("block.1.shortcut", z, 2) + conv("block.1", conv("block.1.0", z.tanh(), 2).tanh())
    assert weights["block.1.shortcut"].linear.weight.shape == (4, 3, 1, 1)
    same_everywhere(model, model(x), weights["output"].linear(z.tanh().mean((2, 3))))


NORMS = [{"kind": "batch_norm"}, {"kind": "layer_norm"}, {"kind": "rms_norm"}, {"kind": "group_norm", "groups": 2}]


def by_hand(norm: dict[str, Any], z: Tensor) -> Tensor:
    """Of vectors, as the norm starts: γ = 1 and β = 0."""
    if norm["kind"] == "rms_norm":
        return z / (z.square().mean(1, keepdim=True) + 1e-5).sqrt()
    parts = z.view(len(z), norm.get("groups", 1), -1)
    axis = 0 if norm["kind"] == "batch_norm" else -1
    spread = parts.var(axis, correction=0, keepdim=True)
    normed = (parts - parts.mean(axis, keepdim=True)) / (spread + 1e-5).sqrt()
    return normed.flatten(1)


@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: str(norm["kind"]))
def test_a_norm_stands_behind_the_linear_map_and_before_the_activation(norm: dict[str, Any]) -> None:
    spec = MlpSpec.model_validate({"kind": "mlp", "hidden": [8, 6], "activation": "tanh", "normalization": norm})
    model = networks.build(plan_network(spec, 5, 3), 0)
    first, second, output = (layers_of(model)[name].linear for name in ("hidden.0", "hidden.1", "output"))
    x = random(4, 5)
    z = by_hand(norm, second(by_hand(norm, first(x)).tanh())).tanh()
    same(model(x), output(z), [(its, its) for its in (first.weight, second.weight, output.weight)])


@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: str(norm["kind"]))
def test_a_norm_ends_every_step_of_a_branch_and_never_touches_the_sum(norm: dict[str, Any]) -> None:
    _, model = residual(normalization=norm, width=8, blocks=2)
    linear = {name: its.linear for name, its in layers_of(model).items()}
    x = random(4, 5)
    z = by_hand(norm, linear["stem"](x))
    for block in range(2):
        inner = by_hand(norm, linear[f"block.{block}.0"](z.tanh()))
        z = z + by_hand(norm, linear[f"block.{block}"](inner.tanh()))
    same(model(x), linear["output"](z.tanh()), [(its.weight, its.weight) for its in linear.values()])


def test_skips_of_an_mlp_leave_its_layers_their_names_and_weights() -> None:
    plain, skipping = (
        networks.build(plan_network(MlpSpec.model_validate({"kind": "mlp", "depth": 6, "width": 7, **skip}), 5, 3), 0)
        for skip in ({}, {"skip": {"kind": "residual", "every": 2}})
    )
    assert sum(isinstance(its, Sum) for its in skipping.modules()) == 2
    for name, weights in layers_of(plain).items():
        assert torch.equal(weights.linear.weight, layers_of(skipping)[name].linear.weight), name


@pytest.mark.parametrize("rule", ["weight_norm", "spectral_norm"])
def test_a_weight_rule_is_torchs_own_and_spares_the_output(rule: str) -> None:
    spec = MlpSpec.model_validate({"kind": "mlp", "hidden": [7], "weight_rule": rule, "activation": "tanh"})
    model = networks.build(plan_network(spec, 5, 3), 0)
    ours = layers_of(model)["hidden.0"]
    theirs = getattr(parametrizations, rule)(nn.Linear(5, 7, dtype=torch.float64))
    # Away from the start, where g = ‖V‖ and nothing can be told from W.
    with torch.no_grad():
        ours.trained.mul_(random(7, 5).abs() + 0.5)
    theirs.load_state_dict(ours.linear.state_dict())
    x = random(4, 5)
    pairs = list(zip(ours.linear.parameters(), theirs.parameters(), strict=True))
    same(ours(x), theirs(x), pairs)
    assert any(its is ours.trained for its in ours.linear.parameters())
    output = layers_of(model)["output"]
    assert output.trained is output.linear.weight


def test_a_weight_rule_begins_with_the_weights_that_were_drawn() -> None:
    plain, normed, spectral = (
        layers_of(networks.build(plan_network(MlpSpec(kind="mlp", hidden=(7,), weight_rule=rule), 5, 3), 0))["hidden.0"]
        for rule in (None, "weight_norm", "spectral_norm")
    )
    torch.testing.assert_close(normed.linear.weight, plain.linear.weight)
    assert torch.equal(normed.trained, plain.trained)
    assert torch.equal(spectral.trained, plain.trained)
    largest = torch.linalg.matrix_norm(plain.trained, 2)
    torch.testing.assert_close(spectral.linear.weight, plain.trained / largest, rtol=1e-3, atol=1e-6)


def test_an_embedding_under_weight_norm_has_a_length_for_every_unit() -> None:
    spec = RnnSpec.model_validate({"kind": "rnn", "width": 6, "weight_rule": "weight_norm"})
    model = networks.build(plan_network(spec, Shape("tokens", (9,), 11), 3), 0)
    embedding = layers_of(model)["embedding"]
    v, g = embedding.trained, next(its for its in embedding.linear.parameters() if its is not embedding.trained)
    assert g.numel() == 6
    with torch.no_grad():
        v.mul_(random(11, 6))
    torch.testing.assert_close(embedding.linear.weight, g * v / v.norm(dim=0))


def test_forward_from_the_first_h_is_the_rest_of_the_forward_pass() -> None:
    spec = MlpSpec.model_validate({"kind": "mlp", "hidden": [7, 6], "normalization": {"kind": "layer_norm"}})
    model = networks.build(plan_network(spec, 5, 3), 0)
    x = random(4, 5)
    first = layers_of(model)["hidden.0"]
    assert torch.equal(model.forward_from(first(x)), model(x))
