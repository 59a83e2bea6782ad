"""MLPs with skips: kinds of skips, norms in the branch, blocks of one layer, and blocks in front of plain layers."""

import itertools
from collections.abc import Iterator

from science.cases.case import (
    ADAM,
    DEFAULT,
    HE,
    HEAVY_SGD,
    MNIST,
    NADAM,
    PLAIN_SGD,
    SGD,
    SLOW_RADAM,
    XAVIER,
    Case,
    Json,
    case,
)


def skips() -> Iterator[Case]:
    for skip, blocks, optimizer in itertools.product(("residual", "scaled", "rezero"), (4, 20), (ADAM, PLAIN_SGD)):
        network = {"kind": "residual_mlp", "blocks": blocks, "width": 64, "init": HE, "skip": {"kind": skip}}
        yield case("residual mlp", f"{skip}, {blocks} blocks", network, optimizer, MNIST)


def norms() -> Iterator[Case]:
    kinds_of_skip = itertools.cycle(({"kind": "residual"}, {"kind": "layer_scale", "value": 0.1}))
    for norm, blocks, optimizer in itertools.product(("batch_norm", "layer_norm"), (5, 25), (NADAM, SGD)):
        network = {
            "kind": "residual_mlp",
            "blocks": blocks,
            "width": 64,
            "activation": "elu",
            "normalization": {"kind": norm},
            "skip": next(kinds_of_skip),
        }
        yield case("residual mlp with norms", f"{norm}, {blocks} blocks", network, optimizer, MNIST)


def single_layers() -> Iterator[Case]:
    for skip, optimizer, blocks in itertools.product(("skip_init", "residual"), (NADAM, HEAVY_SGD), (6, 18)):
        network = {
            "kind": "residual_mlp",
            "blocks": blocks,
            "layers_per_block": 1,
            "width": 64,
            "activation": "softsign",
            "init": XAVIER,
            "skip": {"kind": skip},
        }
        yield case("residual mlp of single layers", f"{skip}, {blocks} blocks", network, optimizer, MNIST)


def blocks_then_layers() -> Iterator[Case]:
    """A user's own list: a stem, blocks with a norm, and a plain tail."""
    inner: list[Json] = [
        {"kind": "layer_norm"},
        {"kind": "linear", "units": 64},
        {"kind": "activation", "function": "gelu"},
        {"kind": "linear", "units": 64},
    ]
    block: Json = {"kind": "residual", "layers": inner}
    dense: list[Json] = [{"kind": "linear", "units": 64}, {"kind": "activation", "function": "relu"}]
    for blocks, tail, init in itertools.product((2, 8), (1, 10), (HE, DEFAULT)):
        layers = [{"kind": "flatten"}, {"kind": "linear", "units": 64}, *([block] * blocks), *(dense * tail)]
        network = {"kind": "sequential", "layers": layers, "init": init}
        yield case("blocks then layers", f"{blocks} blocks, {tail}, {init['kind']}", network, SLOW_RADAM, MNIST)
