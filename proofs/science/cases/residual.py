"""MLPs with skips: kinds of skips, norms in the branch, blocks of one layer, and blocks in front of plain layers."""

import itertools
from collections.abc import Iterator

from proofs.science.cases.case import ADAM, DEFAULT, HE, MNIST, SGD, XAVIER, Case, Json, case, optim


def _residual(blocks: int, skip: Json, **more: object) -> Json:
    return {"kind": "residual_mlp", "blocks": blocks, "width": 64, "skip": skip, **more}


def skips() -> Iterator[Case]:
    kinds, optimizers = ("residual", "scaled", "rezero"), (ADAM, optim("sgd", 0.1))
    for skip, blocks, optimizer in itertools.product(kinds, (4, 20), optimizers):
        network = _residual(blocks, {"kind": skip}, init=HE)
        yield case("residual mlp", f"{skip}, {blocks} blocks", network, optimizer, MNIST)


def norms() -> Iterator[Case]:
    kinds: tuple[Json, ...] = ({"kind": "residual"}, {"kind": "layer_scale", "value": 0.1})
    optimizers, of_branch = (optim("nadam", 0.002), SGD), itertools.cycle(kinds)
    for norm, blocks, optimizer in itertools.product(("batch_norm", "layer_norm"), (5, 25), optimizers):
        network = _residual(blocks, next(of_branch), activation="elu", normalization={"kind": norm})
        yield case("residual mlp with norms", f"{norm}, {blocks} blocks", network, optimizer, MNIST)


def single_layers() -> Iterator[Case]:
    optimizers = optim("nadam", 0.002), optim("sgd", 0.03, momentum=0.95)
    for skip, optimizer, blocks in itertools.product(("skip_init", "residual"), optimizers, (6, 18)):
        network = _residual(blocks, {"kind": skip}, layers_per_block=1, activation="softsign", init=XAVIER)
        yield case("residual mlp of single layers", f"{skip}, {blocks} blocks", network, optimizer, MNIST)


def blocks_then_layers() -> Iterator[Case]:
    """A user's own list: a stem, blocks with a norm, and a plain tail."""
    linear: Json = {"kind": "linear", "units": 64}
    inner = [{"kind": "layer_norm"}, linear, {"kind": "activation", "function": "gelu"}, linear]
    block: Json = {"kind": "residual", "layers": inner}
    dense = [linear, {"kind": "activation", "function": "relu"}]
    for blocks, tail, init in itertools.product((2, 8), (1, 10), (HE, DEFAULT)):
        layers = [{"kind": "flatten"}, linear, *([block] * blocks), *(dense * tail)]
        detail, network = f"{blocks} blocks, {tail}, {init['kind']}", {"kind": "sequential", "layers": layers}
        yield case("blocks then layers", detail, {**network, "init": init}, optim("radam", 0.001), MNIST)
