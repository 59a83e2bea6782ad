"""Learning rates that do not fit, in networks of every kind: far more than they bear, or far too small."""

import itertools
from collections.abc import Iterator, Sequence

from proofs.science.cases.case import ADAM, DIGITS, HE, MNIST, SGD, VOWELS, Case, Json, case, optim

Base = tuple[str, Json, Json, Json]
"""(family, network, optimiser, data)."""


def _mlp(depth: int, width: int, activation: str = "relu", **more: object) -> Json:
    return {"kind": "mlp", "depth": depth, "width": width, "activation": activation, "init": HE, **more}


def beyond_bearing() -> Iterator[Case]:
    yield case("mlp gelu", "8 layers", _mlp(8, 96, "gelu"), optim("adamw", 0.1), MNIST)
    residual = {"kind": "residual_mlp", "blocks": 6, "width": 64, "init": HE}
    yield case("residual mlp", "residual, 6 blocks", residual, optim("rmsprop", 0.1), MNIST)
    cnn = {"kind": "cnn", "channels": [12, 24], "layers_per_stage": 3, "init": HE}
    yield case("cnn", "relu, 6 layers, kaiming_normal", cnn, optim("sgd", 3.0), DIGITS)
    gru = {"kind": "rnn", "cell": "gru", "width": 32}
    yield case("rnn gru", "vowels", gru, optim("sgd", 30.0), VOWELS, steps=250)


def times_100_and_a_thousandth() -> Iterator[Case]:
    residual = {"kind": "residual_mlp", "blocks": 6, "width": 64, "activation": "celu"}
    hardtanh: Json = {"kind": "mlp", "depth": 5, "width": 96, "activation": "hardtanh"}
    cnn: Json = {"kind": "cnn", "channels": [8, 16], "layers_per_stage": 3, "activation": "silu", "pool": "average"}
    bases: tuple[Base, ...] = (
        ("mlp silu", _mlp(6, 96, "silu"), ADAM, MNIST),
        ("mlp hardtanh", hardtanh, optim("sgd", 0.02, momentum=0.9, nesterov=True), MNIST),
        (
            "residual mlp with norms",
            {**residual, "normalization": {"kind": "layer_norm"}},
            optim("nadam", 0.002),
            MNIST,
        ),
        ("cnn, average pool", cnn, SGD, DIGITS),
        ("rnn, stacked", {"kind": "rnn", "cell": "gru", "width": 24, "layers": 2}, ADAM, VOWELS),
    )
    yield from _times(bases, (100.0, 0.001))


def times_30_and_less() -> Iterator[Case]:
    dropout = {"kind": "mlp", "depth": 4, "width": 96, "init": HE, "dropout": 0.2}
    cnn: Json = {"kind": "cnn", "channels": [12, 12], "kernel_size": 5, "init": HE}
    lstm: Json = {"kind": "rnn", "cell": "lstm", "width": 24, "forget_bias": 1.0}
    bases: tuple[Base, ...] = (
        ("mlp relu6", _mlp(6, 96, "relu6"), optim("adamw", 0.002, weight_decay=0.1), MNIST),
        ("mlp prelu", _mlp(8, 64, "prelu"), optim("sgd", 0.03, momentum=0.95), MNIST),
        ("mlp with dropout", dropout, ADAM, MNIST),
        ("cnn, other kernels", cnn, optim("rmsprop", 0.001), DIGITS),
        ("lstm, forget bias", lstm, optim("radam", 0.001), VOWELS),
    )
    yield from _times(bases, (30.0, 0.0003))


def _times(bases: Sequence[Base], factors: Sequence[float]) -> Iterator[Case]:
    for (family, network, optimizer, dataset), factor in itertools.product(bases, factors):
        changed = {**optimizer, "learning_rate": optimizer["learning_rate"] * factor}
        yield case(family, f"rate × {factor:g}", network, changed, dataset)
