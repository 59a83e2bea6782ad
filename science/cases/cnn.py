"""Convolutions: plain and residual, with other pools and kernels, and in front of linear layers."""

import itertools
from collections.abc import Iterator

from science.cases.case import (
    ADAM,
    DEFAULT,
    DIGITS,
    HE,
    LECUN,
    NADAM,
    NESTEROV,
    RADAM,
    SD_002,
    SD_003,
    SGD,
    Case,
    Json,
    case,
)


def plain_and_residual() -> Iterator[Case]:
    for function, layers, init in itertools.product(("relu", "tanh"), (1, 6), (HE, DEFAULT)):
        network = {
            "kind": "cnn",
            "channels": [12, 24],
            "layers_per_stage": layers,
            "activation": function,
            "init": init,
        }
        optimizer = NADAM if layers == 1 else SGD
        yield case("cnn", f"{function}, {2 * layers} layers, {init['kind']}", network, optimizer, DIGITS)
    for blocks, norm in itertools.product((1, 4), (None, {"kind": "batch_norm"})):
        network = {"kind": "residual_cnn", "channels": [8, 16], "blocks_per_stage": blocks, "normalization": norm}
        detail = f"{blocks} blocks a stage, {'batch norm' if norm else 'no norm'}"
        yield case("residual cnn", detail, network, ADAM, DIGITS, steps=200)


def average_pools() -> Iterator[Case]:
    for norm, layers, init in itertools.product((None, {"kind": "group_norm", "groups": 4}), (2, 8), (LECUN, HE)):
        network = {
            "kind": "cnn",
            "channels": [8, 16],
            "layers_per_stage": layers,
            "activation": "elu",
            "pool": "average",
            "init": init,
            "normalization": norm,
        }
        detail = f"elu, {2 * layers} layers, {init['kind']}{', group norm' if norm else ''}"
        yield case("cnn, average pool", detail, network, RADAM if layers == 2 else NESTEROV, DIGITS)


def kernels() -> Iterator[Case]:
    for kernel, layers, init in itertools.product((1, 5), (2, 9), (HE, SD_003)):
        network = {
            "kind": "cnn",
            "channels": [16, 16],
            "layers_per_stage": layers,
            "kernel_size": kernel,
            "pool": "stride",
            "activation": "leaky_relu",
            "init": init,
        }
        detail = f"kernel {kernel}, {2 * layers} layers, {init['kind']}"
        yield case("cnn, other kernels", detail, network, NADAM if layers == 2 else SGD, DIGITS)


def then_linear() -> Iterator[Case]:
    """LeCun's old shape: convolutions, a pool, then linear layers."""
    for function, init, linear in itertools.product(("sigmoid", "relu", "softsign"), (SD_002, LECUN), (2, 12)):
        phi: Json = {"kind": "activation", "function": function}
        dense: list[Json] = [{"kind": "linear", "units": 64, "init": init}, phi]
        layers: list[Json] = [
            {"kind": "conv", "channels": 8, "init": init},
            phi,
            {"kind": "max_pool", "size": 2},
            {"kind": "flatten"},
            *(dense * linear),
        ]
        detail = f"{function}, {linear} linear, {init['kind']}"
        yield case("convolution then linear", detail, {"kind": "sequential", "layers": layers}, ADAM, DIGITS)
