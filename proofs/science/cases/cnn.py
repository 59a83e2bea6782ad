"""Convolutions: plain and residual, with other pools and kernels, and in front of linear layers."""

import itertools
from collections.abc import Iterator, Sequence

from proofs.science.cases.case import ADAM, DEFAULT, DIGITS, HE, LECUN, SGD, Case, Json, case, optim, sd


def _cnn(channels: Sequence[int], layers: int, activation: str, **more: object) -> Json:
    return {"kind": "cnn", "channels": channels, "layers_per_stage": layers, "activation": activation, **more}


def plain_and_residual() -> Iterator[Case]:
    for function, layers, init in itertools.product(("relu", "tanh"), (1, 6), (HE, DEFAULT)):
        network = _cnn([12, 24], layers, function, init=init)
        optimizer = optim("nadam", 0.002) if layers == 1 else SGD
        yield case("cnn", f"{function}, {2 * layers} layers, {init['kind']}", network, optimizer, DIGITS)
    for blocks, norm in itertools.product((1, 4), (None, {"kind": "batch_norm"})):
        network = {"kind": "residual_cnn", "channels": [8, 16], "blocks_per_stage": blocks, "normalization": norm}
        detail = f"{blocks} blocks a stage, {'batch norm' if norm else 'no norm'}"
        yield case("residual cnn", detail, network, ADAM, DIGITS, steps=200)


def average_pools() -> Iterator[Case]:
    radam, nesterov = optim("radam", 0.002), optim("sgd", 0.02, momentum=0.9, nesterov=True)
    for norm, layers, init in itertools.product((None, {"kind": "group_norm", "groups": 4}), (2, 8), (LECUN, HE)):
        network = _cnn([8, 16], layers, "elu", pool="average", init=init, normalization=norm)
        detail = f"elu, {2 * layers} layers, {init['kind']}{', group norm' if norm else ''}"
        yield case("cnn, average pool", detail, network, radam if layers == 2 else nesterov, DIGITS)


def kernels() -> Iterator[Case]:
    for kernel, layers, init in itertools.product((1, 5), (2, 9), (HE, sd(0.03))):
        network = _cnn([16, 16], layers, "leaky_relu", kernel_size=kernel, pool="stride", init=init)
        detail = f"kernel {kernel}, {2 * layers} layers, {init['kind']}"
        yield case("cnn, other kernels", detail, network, optim("nadam", 0.002) if layers == 2 else SGD, DIGITS)


def then_linear() -> Iterator[Case]:
    """LeCun's old shape: convolutions, a pool, then linear layers."""
    for function, init, linear in itertools.product(("sigmoid", "relu", "softsign"), (sd(0.02), LECUN), (2, 12)):
        phi: Json = {"kind": "activation", "function": function}
        front: list[Json] = [{"kind": "conv", "channels": 8, "init": init}, phi, {"kind": "max_pool", "size": 2}]
        dense: list[Json] = [{"kind": "linear", "units": 64, "init": init}, phi]
        network = {"kind": "sequential", "layers": [*front, {"kind": "flatten"}, *(dense * linear)]}
        detail = f"{function}, {linear} linear, {init['kind']}"
        yield case("convolution then linear", detail, network, ADAM, DIGITS)
