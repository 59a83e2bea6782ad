"""MLPs: activations, depths, widths, norms, highways, weight rules and dropout.

About half of each list is usual practice. The other half is what people do wrong: a scale that does not fit, or depth
without a remedy.
"""

import itertools
from collections.abc import Iterator

from science.cases.case import (
    ADAM,
    ADAMW,
    DECAYED,
    DEFAULT,
    DIGITS,
    HE,
    HEAVY_SGD,
    LECUN,
    MNIST,
    MUON,
    NADAM,
    NESTEROV,
    ORTHOGONAL,
    PLAIN_SGD,
    RADAM,
    RMSPROP,
    SD_002,
    SD_003,
    SD_025,
    SGD,
    SLOW_RADAM,
    XAVIER,
    Case,
    Json,
    case,
)


def _mlp(depth: int, width: int, activation: str = "relu", **more: object) -> Json:
    return {"kind": "mlp", "depth": depth, "width": width, "activation": activation, **more}


def common_activations() -> Iterator[Case]:
    optimizers = itertools.cycle((ADAMW, PLAIN_SGD, RMSPROP))
    functions = ("gelu", "selu", "elu", "leaky_relu", "softsign")
    for function, depth, init in itertools.product(functions, (4, 16), (HE, DEFAULT)):
        network = _mlp(depth, 96, function, init=init)
        yield case(f"mlp {function}", f"{depth} layers, {init['kind']}", network, next(optimizers), MNIST)


def rare_activations() -> Iterator[Case]:
    optimizers = itertools.cycle((RADAM, NESTEROV, ADAM, MUON, RMSPROP))
    functions = ("silu", "mish", "hardtanh", "hardswish", "celu", "softplus")
    large: Json = {"kind": "gaussian", "weight_variance": 4.0, "bias_variance": 0.05}
    for function, (depth, width) in itertools.product(functions, ((5, 100), (20, 64))):
        for init in (LECUN, DEFAULT, large) if depth == 20 else (HE, SD_002):
            network = _mlp(depth, width, function, init=init)
            yield case(f"mlp {function}", f"{depth} layers, {init['kind']}", network, next(optimizers), DIGITS)


def bounded_activations() -> Iterator[Case]:
    optimizers = itertools.cycle((DECAYED, HEAVY_SGD, RMSPROP, NADAM, ADAM))
    inits = itertools.cycle((HE, XAVIER, ORTHOGONAL, DEFAULT, SD_025))
    functions = ("relu6", "prelu", "identity", "softshrink", "logsigmoid", "hardsigmoid")
    for function, (depth, width) in itertools.product(functions, ((4, 80), (12, 80), (24, 50))):
        init = next(inits)
        network = _mlp(depth, width, function, init=init)
        yield case(f"mlp {function}", f"{depth} layers, {init['kind']}", network, next(optimizers), DIGITS)


def layer_norms() -> Iterator[Case]:
    for function, depth, optimizer in itertools.product(("gelu", "tanh"), (6, 24), (ADAMW, SGD)):
        network = _mlp(depth, 64, function, init=HE, normalization={"kind": "layer_norm"})
        yield case("mlp layer norm", f"{function}, {depth} layers", network, optimizer, MNIST)


def norms_and_highways() -> Iterator[Case]:
    for function, depth, optimizer in itertools.product(("relu", "silu"), (6, 24), (SGD, RMSPROP)):
        network = _mlp(depth, 80, function, normalization={"kind": "rms_norm"})
        yield case("mlp rms norm", f"{function}, {depth} layers", network, optimizer, MNIST)
    for depth, optimizer in itertools.product((8, 30), (NADAM, NESTEROV)):
        network = _mlp(depth, 64, "tanh", skip={"kind": "highway"})
        yield case("mlp highway", f"{depth} layers", network, optimizer, MNIST)


def varying_widths() -> Iterator[Case]:
    """Widths that fall, and widths that pass through a bottleneck."""
    shapes = {"funnel": (256, 128, 64, 32, 16), "bottleneck": (96, 96, 4, 96, 96), "steps down": (120, 100) * 6}
    for (name, hidden), (function, init), optimizer in itertools.product(
        shapes.items(), (("relu", HE), ("tanh", SD_003)), (ADAM, {"kind": "sgd", "learning_rate": 0.05})
    ):
        network = {"kind": "mlp", "hidden": list(hidden), "activation": function, "init": init}
        yield case("mlp of varying width", f"{name}, {function}, {init['kind']}", network, optimizer, MNIST)


def weight_rules() -> Iterator[Case]:
    for rule, depth, optimizer in itertools.product(("weight_norm", "spectral_norm"), (5, 20), (SLOW_RADAM, HEAVY_SGD)):
        network = {"kind": "mlp", "depth": depth, "width": 64, "init": HE, "weight_rule": rule}
        yield case("mlp under a weight rule", f"{rule}, {depth} layers", network, optimizer, DIGITS)


def dropout() -> Iterator[Case]:
    for p, depth in itertools.product((0.1, 0.5), (4, 14)):
        network = {"kind": "mlp", "depth": depth, "width": 128, "init": HE, "dropout": p}
        yield case("mlp with dropout", f"{p:g}, {depth} layers", network, ADAM, MNIST)
