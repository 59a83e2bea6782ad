"""Learning rates that do not fit, in networks of every kind: far more than they bear, or far too small."""

import itertools
from collections.abc import Iterator, Sequence

from science.cases.case import (
    ADAM,
    ADAMW,
    DECAYED,
    DIGITS,
    HE,
    HEAVY_SGD,
    MNIST,
    NADAM,
    NESTEROV,
    PLAIN_SGD,
    RMSPROP,
    SGD,
    SLOW_RADAM,
    VOWELS,
    Case,
    Json,
    case,
    with_rate,
)

Base = tuple[str, Json, Json, Json]
"""(family, network, optimiser, data)."""


def beyond_bearing() -> Iterator[Case]:
    gelu = {"kind": "mlp", "depth": 8, "width": 96, "activation": "gelu", "init": HE}
    yield case("mlp gelu", "8 layers", gelu, with_rate(ADAMW, 0.1), MNIST)
    residual = {"kind": "residual_mlp", "blocks": 6, "width": 64, "init": HE}
    yield case("residual mlp", "residual, 6 blocks", residual, with_rate(RMSPROP, 0.1), MNIST)
    cnn = {"kind": "cnn", "channels": [12, 24], "layers_per_stage": 3, "init": HE}
    yield case("cnn", "relu, 6 layers, kaiming_normal", cnn, with_rate(PLAIN_SGD, 3.0), DIGITS)
    gru = {"kind": "rnn", "cell": "gru", "width": 32}
    yield case("rnn gru", "vowels", gru, with_rate(PLAIN_SGD, 30.0), VOWELS, steps=250)


def times_100_and_a_thousandth() -> Iterator[Case]:
    normed = {
        "kind": "residual_mlp",
        "blocks": 6,
        "width": 64,
        "activation": "celu",
        "normalization": {"kind": "layer_norm"},
    }
    pooled = {"kind": "cnn", "channels": [8, 16], "layers_per_stage": 3, "activation": "silu", "pool": "average"}
    bases: tuple[Base, ...] = (
        ("mlp silu", {"kind": "mlp", "depth": 6, "width": 96, "activation": "silu", "init": HE}, ADAM, MNIST),
        ("mlp hardtanh", {"kind": "mlp", "depth": 5, "width": 96, "activation": "hardtanh"}, NESTEROV, MNIST),
        ("residual mlp with norms", normed, NADAM, MNIST),
        ("cnn, average pool", pooled, SGD, DIGITS),
        ("rnn, stacked", {"kind": "rnn", "cell": "gru", "width": 24, "layers": 2}, ADAM, VOWELS),
    )
    yield from _times(bases, (100.0, 0.001))


def times_30_and_less() -> Iterator[Case]:
    bases: tuple[Base, ...] = (
        ("mlp relu6", {"kind": "mlp", "depth": 6, "width": 96, "activation": "relu6", "init": HE}, DECAYED, MNIST),
        ("mlp prelu", {"kind": "mlp", "depth": 8, "width": 64, "activation": "prelu", "init": HE}, HEAVY_SGD, MNIST),
        ("mlp with dropout", {"kind": "mlp", "depth": 4, "width": 96, "init": HE, "dropout": 0.2}, ADAM, MNIST),
        ("cnn, other kernels", {"kind": "cnn", "channels": [12, 12], "kernel_size": 5, "init": HE}, RMSPROP, DIGITS),
        ("lstm, forget bias", {"kind": "rnn", "cell": "lstm", "width": 24, "forget_bias": 1.0}, SLOW_RADAM, VOWELS),
    )
    yield from _times(bases, (30.0, 0.0003))


def _times(bases: Sequence[Base], factors: Sequence[float]) -> Iterator[Case]:
    for (family, network, optimizer, dataset), factor in itertools.product(bases, factors):
        changed = with_rate(optimizer, optimizer["learning_rate"] * factor)
        yield case(family, f"rate × {factor:g}", network, changed, dataset)
