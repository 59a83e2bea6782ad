"""Recurrent networks on spoken vowels: cells, stacks of them, scales of W_hh, cells without bounds, forget biases."""

import itertools
from collections.abc import Iterator

from proofs.science.cases.case import ORTHOGONAL, VOWELS, XAVIER, Case, Json, case, optim, sd


def _rnn(cell: str, width: int, **more: object) -> Json:
    return {"kind": "rnn", "cell": cell, "width": width, **more}


def cells() -> Iterator[Case]:
    for cell, optimizer in itertools.product(("tanh", "lstm", "gru"), (optim("adam", 0.005), optim("rmsprop", 0.001))):
        yield case(f"rnn {cell}", "vowels", _rnn(cell, 32), optimizer, VOWELS, steps=250)
    for init in ("identity", "orthogonal"):
        network = _rnn("relu", 32, recurrent_init={"kind": init})
        yield case("rnn relu", f"vowels, {init}", network, optim("adam", 0.003), VOWELS, steps=250)
    shrunk = _rnn("tanh", 32, init=sd(0.001), layers=3)
    yield case("rnn tanh", "vowels, 3 layers of sd .001", shrunk, optim("sgd", 0.1), VOWELS, steps=250)


def stacks() -> Iterator[Case]:
    for cell, layers in itertools.product(("lstm", "gru", "tanh"), (2, 4)):
        network = _rnn(cell, 24, layers=layers)
        yield case("rnn, stacked", f"{layers} of {cell}", network, optim("adam", 0.004), VOWELS)
    for variance in (0.05, 1.0, 16.0):
        network = _rnn("tanh", 48, recurrent_init={"kind": "gaussian", "weight_variance": variance})
        yield case("rnn, scale of W_hh", f"σw² {variance:g}", network, optim("radam", 0.002), VOWELS)


def unbounded_cells() -> Iterator[Case]:
    for cell, init in itertools.product(("identity", "relu"), (XAVIER, sd(0.25), sd(0.03))):
        network = _rnn(cell, 40, init=init, recurrent_init=ORTHOGONAL)
        detail = f"{cell}, {init['kind']} {init.get('std', 1)}"
        yield case("rnn without bounds", detail, network, optim("adam", 0.003), VOWELS)
    for bias in (-3.0, 1.0, 4.0):
        network = _rnn("lstm", 24, forget_bias=bias)
        yield case("lstm, forget bias", f"{bias:g}", network, optim("nadam", 0.004), VOWELS)
