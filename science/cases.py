"""What is trained: the benchmark grid of the published rules, networks, data and optimisers beside it, and the part
that is held out.

The thresholds of the early reading were chosen on the grid and beside it; what they are worth the second
draw tells.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Final

from science.case import ADAM, DEFAULT, DIGITS, HE, MNIST, NADAM, RMSPROP, SGD, VOWELS, Case, Json, case
from science.drawn import FIRST, SECOND, drawn
from science.further import further
from science.wider import wider

# --- the grid ----------------------------------------------------------------------------------------------------

WHOLE: Final[Json] = {**DIGITS, "standardise": "feature", "test_fraction": 0.0}
GAINS: Final = {"tanh": 1.1, "relu": math.sqrt(2.0), "sigmoid": 1.0}
"""Of orthogonal weights; for the sigmoid 1, which is torch's ``calculate_gain``."""


def grid() -> Iterator[Case]:
    """216 configurations: depth × activation × init of the hidden layers × batch norm × optimiser."""
    for activation, depth in itertools.product(("sigmoid", "tanh", "relu"), (3, 10, 30)):
        for (name, init), norm, optimizer in itertools.product(_inits(activation), (False, True), (SGD, ADAM)):
            parts = [activation, str(depth), name, *(["bn"] if norm else []), str(optimizer["kind"])]
            network = _grid_network(activation, depth, init, norm=norm)
            body = {"dataset": WHOLE, "network": network, "optimizer": optimizer, "steps": 220}
            yield Case(" ".join(parts), f"mlp {activation}", "grid", body)


def _inits(activation: str) -> list[tuple[str, Json]]:
    return [
        ("default", {"kind": "torch_default"}),
        ("xavier", {"kind": "xavier_uniform"}),
        ("he", {"kind": "kaiming_normal"}),
        ("orthogonal", {"kind": "orthogonal", "gain": GAINS[activation]}),
        ("sd .01", {"kind": "normal", "std": 0.01}),
        ("sd .3", {"kind": "normal", "std": 0.3}),
    ]


def _grid_network(activation: str, depth: int, init: Json, *, norm: bool) -> Json:
    """``depth`` weight layers; a list, because only the hidden ones take ``init``: the output keeps torch's default."""
    hidden: list[Json] = [{"kind": "linear", "units": 128, "init": init}]
    if norm:
        hidden.append({"kind": "batch_norm"})
    hidden.append({"kind": "activation", "function": activation})
    return {"kind": "sequential", "layers": [{"kind": "flatten"}, *(hidden * (depth - 1))]}


# --- beside the grid ---------------------------------------------------------------------------------------------

ADAMW: Final[Json] = {"kind": "adamw", "learning_rate": 0.001}
PLAIN_SGD: Final[Json] = {"kind": "sgd", "learning_rate": 0.1}


def elsewhere() -> Iterator[Case]:
    """Other architectures, data and optimisers, healthy ones and sick ones."""
    yield from _activations()
    yield from _layer_norms()
    yield from _residuals()
    yield from _convolutions()
    yield from _recurrent()
    yield from _transformers()
    yield from _too_fast()


def cases() -> list[Case]:
    known = [*grid(), *elsewhere(), *wider(), *further()]
    known += drawn(known, FIRST, "beside")
    return [*known, *drawn(known, SECOND, "unseen")]


def _activations() -> Iterator[Case]:
    optimizers = itertools.cycle((ADAMW, PLAIN_SGD, RMSPROP))
    for function, depth, init in itertools.product(
        ("gelu", "selu", "elu", "leaky_relu", "softsign"), (4, 16), (HE, DEFAULT)
    ):
        network = {"kind": "mlp", "depth": depth, "width": 96, "activation": function, "init": init}
        yield case(f"mlp {function}", f"{depth} layers, {init['kind']}", network, next(optimizers), MNIST)


def _layer_norms() -> Iterator[Case]:
    for function, depth, optimizer in itertools.product(("gelu", "tanh"), (6, 24), (ADAMW, SGD)):
        network = {
            "kind": "mlp",
            "depth": depth,
            "width": 64,
            "activation": function,
            "init": HE,
            "normalization": {"kind": "layer_norm"},
        }
        yield case("mlp layer norm", f"{function}, {depth} layers", network, optimizer, MNIST)


def _residuals() -> Iterator[Case]:
    for skip, blocks, optimizer in itertools.product(("residual", "scaled", "rezero"), (4, 20), (ADAM, PLAIN_SGD)):
        network = {"kind": "residual_mlp", "blocks": blocks, "width": 64, "init": HE, "skip": {"kind": skip}}
        yield case("residual mlp", f"{skip}, {blocks} blocks", network, optimizer, MNIST)


def _convolutions() -> Iterator[Case]:
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


def _recurrent() -> Iterator[Case]:
    for cell, optimizer in itertools.product(("tanh", "lstm", "gru"), ({**ADAM, "learning_rate": 0.005}, RMSPROP)):
        network = {"kind": "rnn", "cell": cell, "width": 32}
        yield case(f"rnn {cell}", "vowels", network, optimizer, VOWELS, steps=250)
    for init in ("identity", "orthogonal"):
        network = {"kind": "rnn", "cell": "relu", "width": 32, "recurrent_init": {"kind": init}}
        yield case("rnn relu", f"vowels, {init}", network, {**ADAM, "learning_rate": 0.003}, VOWELS, steps=250)
    shrunk = {"kind": "rnn", "cell": "tanh", "width": 32, "init": {"kind": "normal", "std": 0.001}, "layers": 3}
    yield case("rnn tanh", "vowels, 3 layers of sd .001", shrunk, PLAIN_SGD, VOWELS, steps=250)


def _transformers() -> Iterator[Case]:
    for position, blocks, rate in (("pre", 2, 0.002), ("post", 2, 0.002), ("pre", 6, 0.002), ("post", 6, 0.01)):
        network = {"kind": "transformer", "blocks": blocks, "width": 32, "heads": 4, "norm_position": position}
        optimizer = {**ADAM, "learning_rate": rate}
        yield case("transformer", f"{position}-norm, {blocks} blocks", network, optimizer, VOWELS, steps=200)


def _too_fast() -> Iterator[Case]:
    """Learning rates beyond what the network bears."""
    gelu = {"kind": "mlp", "depth": 8, "width": 96, "activation": "gelu", "init": HE}
    yield case("mlp gelu", "8 layers", gelu, {**ADAMW, "learning_rate": 0.1}, MNIST)
    residual = {"kind": "residual_mlp", "blocks": 6, "width": 64, "init": HE}
    yield case("residual mlp", "residual, 6 blocks", residual, {**RMSPROP, "learning_rate": 0.1}, MNIST)
    cnn = {"kind": "cnn", "channels": [12, 24], "layers_per_stage": 3, "init": HE}
    yield case("cnn", "relu, 6 layers, kaiming_normal", cnn, {**PLAIN_SGD, "learning_rate": 3.0}, DIGITS)
    gru = {"kind": "rnn", "cell": "gru", "width": 32}
    yield case("rnn gru", "vowels", gru, {**PLAIN_SGD, "learning_rate": 30.0}, VOWELS, steps=250)
