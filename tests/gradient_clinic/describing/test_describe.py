"""What is described, built by the service's own planner and worker with the module's weights, gives the same outputs;
what cannot be said is listed, and then nothing is.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import gradient_clinic as gc
from gradient_clinic.describing.passing import follow
from gradient_clinic.describing.starts import init_of
from models.plan import LayerPlan, Shape, plan_network
from models.specs.sequential import SequentialSpec
from tests.gradient_clinic.describing.models import (
    Aside,
    BasicBlock,
    Deciding,
    Gated,
    Loops,
    Made,
    Otherwise,
    Overwritten,
    PreNorm,
    ResNet,
    Shared,
    Summing,
    Tokens,
    Vgg,
    Written,
    images,
    perceptron,
)
from worker.networks import build
from worker.networks.initialise import initialise
from worker.networks.parts import Dropout

OWNERS = (
    *(nn.Linear, nn.Conv2d, nn.Embedding, nn.PReLU, nn.RNNBase),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm),
)
ACTIVATIONS: dict[str, nn.Module] = {
    "identity": nn.Identity(),
    "relu": nn.ReLU(inplace=True),
    "leaky_relu": nn.LeakyReLU(0.3),
    "prelu": nn.PReLU(init=0.4),
    "elu": nn.ELU(0.5),
    "celu": nn.CELU(2.0),
    "selu": nn.SELU(),
    "gelu": nn.GELU(),
    "silu": nn.SiLU(),
    "mish": nn.Mish(),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "softsign": nn.Softsign(),
    "softplus": nn.Softplus(),
    "logsigmoid": nn.LogSigmoid(),
    "tanhshrink": nn.Tanhshrink(),
    "hardtanh": nn.Hardtanh(),
    "hardsigmoid": nn.Hardsigmoid(),
    "hardswish": nn.Hardswish(),
    "relu6": nn.ReLU6(),
    "softshrink": nn.Softshrink(),
    "hardshrink": nn.Hardshrink(),
}
VECTORS = torch.linspace(-2.0, 2.0, 30).reshape(5, 6)


def steps_of(*shape: int) -> Tensor:
    return torch.randn(4, *shape)


def hooked(model: nn.Sequential) -> nn.Sequential:
    model[0].register_forward_hook(lambda _module, _given, h: h * 2.0)
    return model


def activated(phi: nn.Module) -> Made:
    return perceptron(phi), VECTORS


SAID: dict[str, Callable[[], Made]] = {
    **{f"activation {name}": partial(activated, phi) for name, phi in ACTIVATIONS.items()},
    "batch norm": lambda: (perceptron(nn.BatchNorm1d(9, eps=0.01, momentum=0.3), nn.Tanh()), VECTORS),
    "norm without weights": lambda: (perceptron(nn.LayerNorm(9, elementwise_affine=False), nn.Tanh()), VECTORS),
    "group norm": lambda: (perceptron(nn.GroupNorm(3, 9)), VECTORS),
    "rms norm": lambda: (perceptron(nn.RMSNorm(9), nn.Dropout(0.3)), VECTORS),
    "norm behind the activation": lambda: (perceptron(nn.ReLU(), nn.BatchNorm1d(9), nn.Dropout(0.1)), VECTORS),
    "images as vectors": lambda: (nn.Sequential(nn.Flatten(), nn.Linear(192, 7), nn.ReLU(), nn.Linear(7, 5)), images()),
    "vgg": lambda: (Vgg(), images()),
    "vgg with smaller means": lambda: (Vgg(1), images()),
    "resnet": lambda: (ResNet(), images(side=16)),
    "a block by itself": lambda: (
        nn.Sequential(nn.Conv2d(3, 4, 1), BasicBlock(4), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16, 5)),
        images(),
    ),
    "prenorm over steps": lambda: (PreNorm(), steps_of(5, 3)),
    "lstm": lambda: (Loops(nn.LSTM), steps_of(5, 3)),
    "gru, the mean": lambda: (Loops(nn.GRU, "mean"), steps_of(5, 3)),
    "rnn": lambda: (Loops(nn.RNN, nonlinearity="relu"), steps_of(5, 3)),
    "tokens": lambda: (Tokens(), torch.arange(20).reshape(4, 5) % 11),
    "a scaled branch": lambda: (Summing(factor=0.3), VECTORS),
    "what nobody takes": lambda: (Aside(changes=False), VECTORS),
    "functions": lambda: (Written(), images(side=12)),
}


def in_order(model: nn.Module, example: Tensor) -> list[nn.Module]:
    """The modules with weights or moments, as the pass meets them."""
    followed = follow(model, example)
    called = [followed.module_of(node) for node in followed.traced.graph.nodes if node.op == "call_module"]
    return [module for module in called if isinstance(module, OWNERS)]


def tensors_of(module: nn.Module) -> list[Tensor]:
    """As the worker's network has them; a bias that is not there is 0."""
    if isinstance(module, nn.RNNBase):
        return [getattr(module, f"{what}_{which}_l0") for which in ("ih", "hh") for what in ("weight", "bias")]
    tensors = [*module.parameters(), *(its for its in module.buffers() if its.is_floating_point())]
    if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is None:
        tensors.append(torch.zeros(len(module.weight)))
    return tensors


def rebuilt(described: gc.Description, model: nn.Module, example: Tensor) -> nn.Module:
    """By the service, with the weights of the model."""
    assert described.spec is not None, described.text()
    assert described.input is not None
    assert described.outputs is not None
    spec = SequentialSpec.model_validate(json.loads(json.dumps(described.spec)))
    shape = Shape(described.input["form"], tuple(described.input["size"]), described.input.get("vocabulary", 0))
    network = build(plan_network(spec, shape, described.outputs), 0).to(torch.float32)
    targets = [its for module in network.modules() if isinstance(module, OWNERS) for its in tensors_of(module)]
    sources = [its for module in in_order(model, example) for its in tensors_of(module)]
    with torch.no_grad():
        for target, source in zip(targets, sources, strict=True):
            target.copy_(source)
    return network


@pytest.mark.parametrize("case", SAID)
def test_what_is_described_gives_the_same_outputs(case: str) -> None:
    torch.manual_seed(3)  # noqa: TID251 -- modules draw from torch's own
    model, example = SAID[case]()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)  # type: ignore[arg-type]  # it has one
    before = {name: its.clone() for name, its in model.state_dict().items()}
    described = gc.describe(model, example)
    assert all(bool((its == before[name]).all()) for name, its in model.state_dict().items())
    assert model.training
    network = rebuilt(described, model, example)
    torch.testing.assert_close(network.eval()(example), model.eval()(example), rtol=1e-5, atol=1e-6)
    for module in [*model.modules(), *network.modules()]:
        if isinstance(module, nn.Dropout | Dropout):
            module.p = 0.0  # masks are drawn otherwise
    if case != "functions":
        torch.testing.assert_close(network.train()(example), model.train()(example), rtol=1e-4, atol=1e-5)


def test_names_are_kept_and_the_text_is_the_spec() -> None:
    described = gc.describe(ResNet(), images(side=16))
    assert described.spec is not None
    named = [item.get("name") for item in described.spec["layers"]]
    assert named[0] == "conv1"
    (first, second) = (item for item in described.spec["layers"] if item["kind"] == "residual")
    assert [item["name"] for item in first["layers"] if "name" in item] == ["layer1.0.conv1", "layer1.0.conv2"]
    assert second["layers"][0]["name"] == "layer1.1.conv1"
    spec, remarks = described.text().split("\n\n")
    assert json.loads(spec) == described.spec
    assert "conv1 has no bias" in remarks
    assert (described.outputs, described.input) == (5, {"form": "image", "size": [3, 16, 16]})


UNSAID: dict[str, tuple[Callable[[], Made], list[tuple[str, str]]]] = {
    "a projection": (lambda: (ResNet(projects=True), images(side=16)), [("add_1", "the shortcut has weights")]),
    "what is shared": (lambda: (Shared(), VECTORS), [("hidden", "used 2 times")]),
    "what is overwritten": (lambda: (Overwritten(), VECTORS), [("relu", "changes in place")]),
    "what is changed by the way": (lambda: (Aside(changes=True), VECTORS), [("relu_", "changes in place")]),
    "gates and scales": (lambda: (Gated(), VECTORS), [("mul", "joins several"), ("mul_1", "stands beside the layers")]),
    "a stream that is scaled": (lambda: (Summing(stream=2.0), VECTORS), [("mul", "scales the stream")]),
    "a branch that is taken away": (lambda: (Summing(factor=-1.0), VECTORS), [("add", "scaled by -1")]),
    "a factor inside a sum": (lambda: (Summing(alpha=0.5), VECTORS), [("add", "joins several")]),
    "another network while it trains": (lambda: (Otherwise(), VECTORS), [("the network", "while it trains")]),
    "hooks": (lambda: (hooked(perceptron(nn.ReLU())), VECTORS), [("0", "hooks")]),
    "decisions": (lambda: (Deciding(), VECTORS), [("the network", "cannot be followed")]),
    "all at once": (
        lambda: (
            nn.Sequential(
                *(nn.Conv2d(3, 6, 3, groups=3), nn.InstanceNorm2d(6), nn.GELU(approximate="tanh")),
                *(nn.MaxPool2d(3, 2), nn.Flatten(), nn.Linear(24, 5), nn.LogSoftmax(1)),
            ),
            images(),
        ),
        [("0", "3 groups"), ("1", "no item"), ("2", "approximate"), ("3", "overlap"), ("6", "no item")],
    ),
    "an end without an output layer": (
        lambda: (nn.Sequential(nn.Linear(6, 9), nn.ReLU()), VECTORS),
        [("1", "ends in")],
    ),
    "no hidden layer": (lambda: (nn.Sequential(nn.Linear(6, 9)), VECTORS), [("0", "no layer but the output")]),
    "no bias": (
        lambda: (nn.Sequential(nn.Linear(6, 9, bias=False), nn.ReLU(), nn.Linear(9, 5)), VECTORS),
        [("0", "no bias")],
    ),
    "weights under a rule": (
        lambda: (nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 9)), nn.ReLU(), nn.Linear(9, 5)), VECTORS),
        [("0", "parametrized")],
    ),
    "both ways": (
        lambda: (Loops(nn.LSTM, bidirectional=True), steps_of(5, 3)),
        [("the network", "cannot be followed")],
    ),
    "several layers": (lambda: (Loops(nn.LSTM, num_layers=2), steps_of(5, 3)), [("rnn", "several layers")]),
    "an activation behind a loop": (
        lambda: (nn.Sequential(nn.Embedding(7, 6), nn.ReLU(), nn.Flatten(), nn.Linear(30, 3)), torch.ones(4, 5).long()),
        [("0", "directly behind it")],
    ),
    "half frozen": (
        lambda: (perceptron(nn.BatchNorm1d(9).requires_grad_(requires_grad=False)), VECTORS),
        [("0", "trains in part")],
    ),
    "a shape without a word": (lambda: (perceptron(), torch.randn(2, 3, 4, 5, 6)), [("the network", "one case is")]),
}


@pytest.mark.parametrize("case", UNSAID)
def test_what_cannot_be_said_is_listed_with_its_reason_and_nothing_half_is_given(case: str) -> None:
    make, expected = UNSAID[case]
    described = gc.describe(*make())
    assert described.spec is None
    assert [its.name for its in described.unsaid] == [name for name, _ in expected]
    for its, (_, why) in zip(described.unsaid, expected, strict=True):
        assert why in its.why
        assert its.type
    assert all(str(its) in described.text() for its in described.unsaid)


def test_frozen_layers_are_frozen() -> None:
    model = perceptron(nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 9), nn.ReLU())
    for part in list(model)[:2]:
        part.requires_grad_(requires_grad=False)
    described = gc.describe(model, VECTORS)
    assert described.spec is not None
    assert described.spec["frozen"] == ["0"]
    rebuilt(described, model, VECTORS)


STARTS: list[dict[str, Any]] = [
    {"kind": "torch_default"},
    {"kind": "orthogonal", "gain": 1.5},
    {"kind": "identity", "gain": 0.5},
    {"kind": "constant", "value": 0.25},
    {"kind": "gaussian", "weight_variance": 2.0, "bias_variance": 0.5, "distribution": "normal"},
    {"kind": "gaussian", "weight_variance": 0.3, "bias_variance": 0.0, "distribution": "uniform"},
    {"kind": "gaussian", "weight_variance": 0.05, "bias_variance": 0.001, "distribution": "uniform"},
]


@pytest.mark.parametrize("asked", STARTS)
@pytest.mark.parametrize("units", [20, 60])
def test_how_weights_start_is_told_from_them(asked: dict[str, Any], units: int) -> None:
    spec = SequentialSpec.model_validate({"kind": "sequential", "layers": [{"kind": "flatten"}], "init": asked})
    layer = LayerPlan(1, "a", "linear", "hidden", 20, units, spec.init)
    weight, bias = torch.empty(units, 20, dtype=torch.float64), torch.empty(units, dtype=torch.float64)
    initialise(weight, bias, layer, seed=4)
    found = init_of(weight.float(), bias.float())
    assert {key: its for key, its in found.items() if isinstance(its, str)} == {
        key: its for key, its in asked.items() if isinstance(its, str)
    }
    for name, value in asked.items():
        if isinstance(value, float):
            assert found[name] == pytest.approx(value, rel=1.0 if "bias" in name else 0.2)


def test_loops_that_start_otherwise_are_remarked() -> None:
    own, other = Loops(nn.LSTM), Loops(nn.LSTM)
    nn.init.orthogonal_(own.rnn.weight_hh_l0)  # type: ignore[arg-type]  # it has one
    nn.init.orthogonal_(other.out.weight)
    nn.init.zeros_(other.out.bias)
    said = [" ".join(gc.describe(its, steps_of(5, 3)).remarks) for its in (own, other)]
    assert "rnn starts otherwise" in said[0]
    assert "recurrent layers start by the spec's init" in said[1]


def test_inits_that_differ_are_said_where_they_stand() -> None:
    model = perceptron(nn.ReLU(), nn.Linear(9, 9), nn.ReLU(), width=9)
    weight, bias = model[2].parameters()
    nn.init.constant_(weight, 0.5)
    nn.init.zeros_(bias)
    described = gc.describe(model, VECTORS)
    assert described.spec is not None
    assert "init" not in described.spec
    assert [item.get("init") for item in described.spec["layers"] if item["kind"] == "linear"] == [
        None,
        {"kind": "constant", "value": 0.5},
    ]
    assert "initialisations are as the weights show them: a kind, or their variances" in described.remarks
