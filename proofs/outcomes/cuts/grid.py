"""The networks that the cut is held against: per kind a grid of depth, activation or cell, weight scale and norm.

Nothing is chosen by its outcome. Weight variances are multiples of what keeps a small signal: 2 for ReLU, 1 otherwise.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

Json = dict[str, Any]
Axis = Literal["depth", "time"]

SGD: Final = "sgd"
ADAM: Final = "adam"
RATES: Final = {SGD: (0.01, 0.001, 0.1), ADAM: (0.003, 0.0003, 0.03)}
"""Three rates a decade apart, in the order in which they are tried."""
OTHER_SCALE: Final = 1.25
SCALES: Final = (0.5, 0.7, 1.0, 1.4, 2.0)
NORMS: Final = ("batch_norm", "layer_norm")
DIGITS: Final[Json] = {"dataset": {"kind": "digits", "split_seed": 0}, "batch_size": 32}
VOWELS: Final[Json] = {"dataset": {"kind": "japanese_vowels", "standardise": "feature"}, "batch_size": 32}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One network of a group, and how it is trained. ``axis``: which total gain is held against its outcome."""

    group: str
    network: Json
    task: Json = field(default_factory=lambda: DIGITS)
    optimizer: str = SGD
    steps: int = 200
    axis: Axis = "depth"

    def body(self, rate: float, seed: int) -> Json:
        """A spec of one run."""
        optimizer: Json = {"kind": self.optimizer, "learning_rate": rate}
        if self.optimizer == SGD:
            optimizer["momentum"] = 0.9
        training = {"optimizer": optimizer, "steps": self.steps, "seeds": [seed]}
        return {**self.task, **training, "network": self.network}


def candidates() -> list[Candidate]:
    """All of them. New ones go to the end: a network's place is its seed."""
    kinds = [*_mlp(), *_cnn(), *_residual_mlp(), *_residual_cnn(), *_sequential(), *_transformer(), *_rnn()]
    return [*kinds, *_louder()]


def others() -> list[Candidate]:
    """As many networks that no cut was chosen on: every weight variance a quarter larger, the other optimiser."""
    return [
        replace(
            candidate,
            network=_scaled(candidate.network, OTHER_SCALE),
            optimizer=ADAM if candidate.optimizer == SGD else SGD,
        )
        for candidate in candidates()
    ]


def _scaled(network: Any, by: float) -> Any:
    """With every ``weight_variance`` in it multiplied."""
    if isinstance(network, dict):
        return {key: value * by if key == "weight_variance" else _scaled(value, by) for key, value in network.items()}
    return [_scaled(item, by) for item in network] if isinstance(network, list) else network


def _gaussian(activation: str, scale: float) -> Json:
    return {"kind": "gaussian", "weight_variance": (2.0 if activation == "relu" else 1.0) * scale}


def _stacks(depths: Sequence[int]) -> Iterator[tuple[int, Json]]:
    """(depth, what a stack is made of): two activations at every scale, and each norm under ReLU."""
    for depth, activation, scale in itertools.product(depths, ("relu", "tanh"), SCALES):
        yield depth, {"activation": activation, "init": _gaussian(activation, scale)}
    for depth, norm in itertools.product(depths, NORMS):
        yield depth, {"activation": "relu", "init": _gaussian("relu", 1.0), "normalization": {"kind": norm}}


def _mlp() -> Iterator[Candidate]:
    for depth, parts in _stacks((8, 16, 32)):
        yield Candidate("mlp", {"kind": "mlp", "depth": depth, "width": 64, **parts})


def _cnn() -> Iterator[Candidate]:
    for depth, parts in _stacks((2, 5, 10)):
        yield _convolutions(depth, parts)


def _convolutions(depth: int, parts: Json) -> Candidate:
    network = {"kind": "cnn", "channels": [8, 16], "layers_per_stage": depth, "pool": "stride", **parts}
    return Candidate("cnn", network, steps=150)


def _streams(depths: Sequence[int]) -> Iterator[tuple[int, Json]]:
    """(blocks, what a residual stream is made of): sums at three scales, gated sums, and batch norm in the branch."""
    for depth, scale, skip in itertools.product(depths, (0.5, 1.0, 2.0), ("residual", "scaled", "rezero")):
        yield depth, {"activation": "relu", "init": _gaussian("relu", scale), "skip": {"kind": skip}}
    for depth, bias in itertools.product(depths, (-2.0, 0.0, 1.0, 2.0)):
        gate = {"kind": "highway", "bias": bias}
        yield depth, {"activation": "tanh", "init": _gaussian("tanh", 1.0), "skip": gate}
    for depth in depths:
        yield depth, {"activation": "relu", "init": _gaussian("relu", 1.0), "normalization": {"kind": "batch_norm"}}


def _residual_mlp() -> Iterator[Candidate]:
    for blocks, parts in _streams((6, 12, 24)):
        yield Candidate("residual_mlp", {"kind": "residual_mlp", "blocks": blocks, "width": 64, **parts})


def _residual_cnn() -> Iterator[Candidate]:
    for blocks, parts in _streams((2, 4, 7)):
        size = {"channels": [8, 16], "blocks_per_stage": blocks, "layers_per_block": 1}
        yield Candidate("residual_cnn", {"kind": "residual_cnn", **size, **parts}, steps=150)


def _sequential() -> Iterator[Candidate]:
    """Two convolutions, then linear layers: activations that no other group has, too."""
    for depth, activation, scale in itertools.product((4, 10, 20), ("relu", "elu", "sigmoid"), (0.5, 0.8, 1.25, 2.0)):
        yield _list_of_layers(depth, activation, scale)


def _list_of_layers(depth: int, activation: str, scale: float) -> Candidate:
    bend = {"kind": "activation", "function": activation}
    pixels = [{"kind": "conv", "channels": 8}, bend, {"kind": "conv", "channels": 8, "stride": 2}, bend]
    layers = [*pixels, {"kind": "flatten"}, *[{"kind": "linear", "units": 64}, bend] * depth]
    return Candidate("sequential", {"kind": "sequential", "layers": layers, "init": _gaussian(activation, scale)})


def _transformer() -> Iterator[Candidate]:
    for blocks, position, variance in itertools.product((2, 4, 8), ("pre", "post"), (0.1, 1 / 3, 1.0, 3.0)):
        init = {"kind": "gaussian", "weight_variance": variance}
        parts = {"blocks": blocks, "width": 32, "norm_position": position, "init": init}
        yield Candidate("transformer", {"kind": "transformer", **parts}, optimizer=ADAM, steps=120)
    for blocks, variance in itertools.product((2, 4, 8), (1.0, 3.0)):
        init = {"kind": "gaussian", "weight_variance": variance}
        parts = {"blocks": blocks, "width": 32, "normalization": None, "init": init}
        yield Candidate("transformer", {"kind": "transformer", **parts}, optimizer=ADAM, steps=120)


CELLS: Final[tuple[Json, ...]] = (
    {"cell": "tanh"},
    *({"cell": "tanh", "recurrent_init": {"kind": "orthogonal", "gain": gain}} for gain in (0.8, 1.0, 1.3, 2.0)),
    {"cell": "relu", "recurrent_init": {"kind": "identity"}, "input_init": {"kind": "normal", "std": 0.1}},
    {"cell": "lstm"},
    {"cell": "lstm", "forget_bias": 2.0},
    {"cell": "gru"},
)


def _rnn() -> Iterator[Candidate]:
    for length, cell in itertools.product((6, 12, 25), CELLS):
        adding = {"dataset": {"kind": "adding", "length": length, "cases": 20_000}, "loss": "mse", "batch_size": 64}
        network = {"kind": "rnn", "width": 32, **cell}
        yield Candidate("rnn, time: adding", network, adding, ADAM, 300, "time")
    for cell in CELLS:
        yield Candidate("rnn, time: vowels", {"kind": "rnn", "width": 32, **cell}, VOWELS, ADAM, 150, "time")
    for layers, variance in itertools.product((3, 6, 10), (0.1, 1 / 3, 1.0, 2.0, 4.0)):
        yield _stacked_cells("tanh", layers, variance)


def _stacked_cells(cell: str, layers: int, variance: float) -> Candidate:
    """Recurrent layers one on another that remember little, so that depth is what matters."""
    init, recurrent = {"kind": "gaussian", "weight_variance": variance}, {"kind": "orthogonal", "gain": 0.5}
    parts = {"cell": cell, "width": 32, "layers": layers, "init": init, "recurrent_init": recurrent}
    return Candidate("rnn, depth: vowels", {"kind": "rnn", **parts}, VOWELS, ADAM, 150)


def _louder() -> Iterator[Candidate]:
    """Of three groups that otherwise hardly explode."""
    for activation, depth, scale in itertools.product(("relu", "elu"), (10, 20), (3.0, 4.0)):
        yield _list_of_layers(depth, activation, scale)
    for cell, layers, variance in itertools.product(("relu", "identity"), (6, 10), (4.0, 9.0)):
        yield _stacked_cells(cell, layers, variance)
    for depth, scale in itertools.product((5, 10), (3.0, 4.0)):
        yield _convolutions(depth, {"activation": "relu", "init": _gaussian("relu", scale)})
