"""MLPs: the grid of the published rules, and other activations, depths, widths, norms, weight rules and dropout.

Beside the grid about half of each list is usual practice. The other half is what people do wrong: a scale that does not
fit, or depth without a remedy.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Final

from proofs.science.cases.case import ADAM, DEFAULT, DIGITS, HE, LECUN, MNIST, SGD, XAVIER, Case, Json, case, optim, sd

WHOLE: Final[Json] = {**DIGITS, "standardise": "feature", "test_fraction": 0.0}
GAINS: Final = {"tanh": 1.1, "relu": math.sqrt(2.0), "sigmoid": 1.0}
"""Of orthogonal weights; for the sigmoid 1, which is torch's ``calculate_gain``."""


def grid() -> Iterator[Case]:
    """The grid of the published rules, 216 configurations: depth × activation × init × batch norm × optimiser."""
    for activation, depth in itertools.product(("sigmoid", "tanh", "relu"), (3, 10, 30)):
        for (name, init), norm, optimizer in itertools.product(_grid_inits(activation), (False, True), (SGD, ADAM)):
            parts = [activation, str(depth), name, *(["bn"] if norm else []), str(optimizer["kind"])]
            network = _grid_network(activation, depth, init, norm=norm)
            body = {"dataset": WHOLE, "network": network, "optimizer": optimizer, "steps": 220}
            yield Case(" ".join(parts), f"mlp {activation}", "grid", body)


def _grid_inits(activation: str) -> list[tuple[str, Json]]:
    return [
        ("default", DEFAULT),
        ("xavier", {"kind": "xavier_uniform"}),
        ("he", HE),
        ("orthogonal", {"kind": "orthogonal", "gain": GAINS[activation]}),
        ("sd .01", sd(0.01)),
        ("sd .3", sd(0.3)),
    ]


def _grid_network(activation: str, depth: int, init: Json, *, norm: bool) -> Json:
    """``depth`` weight layers; a list, because only the hidden ones take ``init``: the output keeps torch's default."""
    hidden: list[Json] = [{"kind": "linear", "units": 128, "init": init}]
    if norm:
        hidden.append({"kind": "batch_norm"})
    hidden.append({"kind": "activation", "function": activation})
    return {"kind": "sequential", "layers": [{"kind": "flatten"}, *(hidden * (depth - 1))]}


def _mlp(depth: int, width: int, activation: str = "relu", **more: object) -> Json:
    return {"kind": "mlp", "depth": depth, "width": width, "activation": activation, **more}


def common_activations() -> Iterator[Case]:
    optimizers = itertools.cycle((optim("adamw", 0.001), optim("sgd", 0.1), optim("rmsprop", 0.001)))
    functions = ("gelu", "selu", "elu", "leaky_relu", "softsign")
    for function, depth, init in itertools.product(functions, (4, 16), (HE, DEFAULT)):
        network = _mlp(depth, 96, function, init=init)
        yield case(f"mlp {function}", f"{depth} layers, {init['kind']}", network, next(optimizers), MNIST)


def rare_activations() -> Iterator[Case]:
    nesterov = optim("sgd", 0.02, momentum=0.9, nesterov=True)
    optimizers = itertools.cycle((optim("radam", 0.002), nesterov, ADAM, optim("muon", 0.02), optim("rmsprop", 0.001)))
    functions = ("silu", "mish", "hardtanh", "hardswish", "celu", "softplus")
    large: Json = {"kind": "gaussian", "weight_variance": 4.0, "bias_variance": 0.05}
    for function, (depth, width) in itertools.product(functions, ((5, 100), (20, 64))):
        for init in (LECUN, DEFAULT, large) if depth == 20 else (HE, sd(0.02)):
            network = _mlp(depth, width, function, init=init)
            yield case(f"mlp {function}", f"{depth} layers, {init['kind']}", network, next(optimizers), DIGITS)


def bounded_activations() -> Iterator[Case]:
    decayed, heavy = optim("adamw", 0.002, weight_decay=0.1), optim("sgd", 0.03, momentum=0.95)
    optimizers = itertools.cycle((decayed, heavy, optim("rmsprop", 0.001), optim("nadam", 0.002), ADAM))
    inits = itertools.cycle((HE, XAVIER, {"kind": "orthogonal", "gain": 1.0}, DEFAULT, sd(0.25)))
    functions = ("relu6", "prelu", "identity", "softshrink", "logsigmoid", "hardsigmoid")
    for function, (depth, width) in itertools.product(functions, ((4, 80), (12, 80), (24, 50))):
        init = next(inits)
        network = _mlp(depth, width, function, init=init)
        yield case(f"mlp {function}", f"{depth} layers, {init['kind']}", network, next(optimizers), DIGITS)


def layer_norms() -> Iterator[Case]:
    for function, depth, optimizer in itertools.product(("gelu", "tanh"), (6, 24), (optim("adamw", 0.001), SGD)):
        network = _mlp(depth, 64, function, init=HE, normalization={"kind": "layer_norm"})
        yield case("mlp layer norm", f"{function}, {depth} layers", network, optimizer, MNIST)


def norms_and_highways() -> Iterator[Case]:
    for function, depth, optimizer in itertools.product(("relu", "silu"), (6, 24), (SGD, optim("rmsprop", 0.001))):
        network = _mlp(depth, 80, function, normalization={"kind": "rms_norm"})
        yield case("mlp rms norm", f"{function}, {depth} layers", network, optimizer, MNIST)
    nesterov = optim("sgd", 0.02, momentum=0.9, nesterov=True)
    for depth, optimizer in itertools.product((8, 30), (optim("nadam", 0.002), nesterov)):
        network = _mlp(depth, 64, "tanh", skip={"kind": "highway"})
        yield case("mlp highway", f"{depth} layers", network, optimizer, MNIST)


def varying_widths() -> Iterator[Case]:
    """Widths that fall, and widths that pass through a bottleneck."""
    shapes = {"funnel": (256, 128, 64, 32, 16), "bottleneck": (96, 96, 4, 96, 96), "steps down": (120, 100) * 6}
    for (name, hidden), (function, init), optimizer in itertools.product(
        shapes.items(), (("relu", HE), ("tanh", sd(0.03))), (ADAM, optim("sgd", 0.05))
    ):
        network = {"kind": "mlp", "hidden": list(hidden), "activation": function, "init": init}
        yield case("mlp of varying width", f"{name}, {function}, {init['kind']}", network, optimizer, MNIST)


def weight_rules() -> Iterator[Case]:
    optimizers = optim("radam", 0.001), optim("sgd", 0.03, momentum=0.95)
    for rule, depth, optimizer in itertools.product(("weight_norm", "spectral_norm"), (5, 20), optimizers):
        network = {"kind": "mlp", "depth": depth, "width": 64, "init": HE, "weight_rule": rule}
        yield case("mlp under a weight rule", f"{rule}, {depth} layers", network, optimizer, DIGITS)


def dropout() -> Iterator[Case]:
    for p, depth in itertools.product((0.1, 0.5), (4, 14)):
        network = {"kind": "mlp", "depth": depth, "width": 128, "init": HE, "dropout": p}
        yield case("mlp with dropout", f"{p:g}, {depth} layers", network, ADAM, MNIST)
