"""Networks drawn at random from the whole catalogue, of architectures that are not among those known: nobody's taste
decides what is hard.

Each draw has a seed. The first draw was held out when the fourth rules of the early alarm were measured, and the fifth
rules were chosen on it too. The second draw was made before the fifth rules, and nobody looked at its runs until those
stood. The third and the fourth judged it too. A rule more was chosen on the third (on its plateau, the loss falls too
slowly for the steps that are planned) and given up on the fourth: it found no failure that others had not, and alarmed
3 of 127 healthy runs, whose loss fell all at once later. The fifth judges them again, with five seeds, and so does the
sixth. The twelfth rules of the verdict are chosen on both, and the seventh judges those.

An architecture is the kind of network with its activation or cell, its norm and its skip. Every recurrent cell was
chosen on, so none is drawn.

Five more draws are for advice, of any architecture of the catalogue; no network of theirs was in a list before. The
product's counts come from one. Of the second it was told how often the first order of advice repairs (.44 of 32 failed
networks by one of three pieces), and the next order was made with those failures known. The third judged that one (.76
of 33); answers of several remedies were made with its failures known. The fourth judged them (.97 of 30). Since then
causes are sought and answers put in order by later rules, and the fifth judges those.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from models.specs.activation import Function
from proofs.science.cases.case import ADAM, DIGITS, MNIST, SGD, VOWELS, Case, Json, Part, case, optim

COUNT: Final = 100
FIRST_DRAW: Final = 20261126
SECOND_DRAW: Final = 20261127
THIRD_DRAW: Final = 20261208
FOURTH_DRAW: Final = 20261210
FIFTH_DRAW: Final = 20261212
SIXTH_DRAW: Final = 20261216
SEVENTH_DRAW: Final = 20261218
"""Committed before any run of it; no rule is chosen on it."""
RECORD_DRAW: Final = 20261129
"""Of networks whose repairs are counted for the product."""
FIRST_ADVICE_DRAW: Final = 20261130
SECOND_ADVICE_DRAW: Final = 20261201
THIRD_ADVICE_DRAW: Final = 20261207
ADVICE_DRAW: Final = 20261214
"""Of networks on which advice is judged: committed before any run of it, and no rule is chosen on it."""
KINDS: Final = ("mlp", "mlp", "mlp", "residual_mlp", "cnn", "residual_cnn", "transformer")
FUNCTIONS: Final[tuple[Function, ...]] = (
    "relu", "leaky_relu", "prelu", "relu6", "elu", "celu", "selu", "gelu", "silu", "mish", "hardswish", "tanh",
    "hardtanh", "softsign", "sigmoid", "softplus", "tanhshrink", "identity",
)  # fmt: skip
INITS: Final[tuple[Json, ...]] = (
    *({"kind": kind} for kind in ("torch_default", "xavier_normal", "kaiming_normal", "lecun_normal")),
    *({"kind": "orthogonal", "gain": gain} for gain in (1.0, 1.4)),
    *({"kind": "gaussian", "weight_variance": variance, "bias_variance": 0.05} for variance in (0.5, 1.7, 4.0)),
    *({"kind": "normal", "std": std} for std in (0.01, 0.05, 0.2)),
)
NORMS: Final[tuple[Json | None, ...]] = (
    None,
    None,
    None,
    {"kind": "batch_norm"},
    {"kind": "layer_norm"},
    {"kind": "rms_norm"},
    {"kind": "group_norm", "groups": 4},
)
FITTING: Final = {
    "cnn": {"batch_norm", "group_norm"},
    "residual_cnn": {"batch_norm", "group_norm"},
    "transformer": {"layer_norm", "rms_norm"},
}
"""Kinds of network that bear only these."""
SKIPS: Final = ("residual", "scaled", "rezero", "skip_init", "layer_scale", "highway")
OPTIMIZERS: Final[tuple[Json, ...]] = (
    SGD,
    optim("sgd", 0.1),
    ADAM,
    optim("adamw", 0.002, weight_decay=0.01),
    optim("rmsprop", 0.001),
    optim("nadam", 0.002),
    optim("radam", 0.002),
    optim("muon", 0.02),
)
RATES: Final = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.002, 10.0, 60.0)
"""By which a usual rate is multiplied: seven of ten times by 1."""


def architecture(network: Json) -> tuple[str, ...]:
    """(kind, activation or cell, norm, skip), as far as the network says so."""
    parts = [network.get("cell") or network.get("activation", "relu")]
    parts += [(network.get(name) or {}).get("kind", "none") for name in ("normalization", "skip")]
    return network["kind"], *(str(part) for part in parts)


def random_cases(chosen_on: Iterable[Case], seed: int, part: Part) -> Iterator[Case]:
    """``COUNT`` cases, of architectures that are not among those of ``chosen_on``."""
    known = {architecture(case.body["network"]) for case in chosen_on}
    rng, names = np.random.default_rng(seed), set[str]()
    while len(names) < COUNT:
        candidate = _candidate(rng, part)
        if architecture(candidate.body["network"]) not in known and candidate.name not in names:
            names.add(candidate.name)
            yield candidate


def any_cases(known: Iterable[Case], seed: int, part: Part) -> Iterator[Case]:
    """Cases of any architecture without end, none of the name of a known one."""
    rng, names = np.random.default_rng(seed), {case.name for case in known}
    while True:
        candidate = _candidate(rng, part)
        if candidate.name not in names:
            names.add(candidate.name)
            yield candidate


def _candidate(rng: np.random.Generator, part: Part) -> Case:
    network = _network(str(rng.choice(KINDS)), rng)
    usual = _choice(rng, OPTIMIZERS)
    optimizer = {**usual, "learning_rate": float(f"{usual['learning_rate'] * _choice(rng, RATES):.3g}")}
    dataset = VOWELS if network["kind"] == "transformer" else MNIST if rng.random() < 0.5 else DIGITS
    if network["kind"].endswith("cnn"):  # as published: the draw of a data set stays, or all later cases would differ
        dataset = DIGITS
    kind, *parts = architecture(network)
    choices = [part for part in parts if part != "none"]
    init = " ".join(str(value) for value in network["init"].values())
    size = [str(value) for name, value in network.items() if isinstance(value, int)]
    detail = f"{' '.join(choices)}, {' × '.join(size)}, {init}"
    return case(f"any {kind}", detail, network, optimizer, dataset, steps=250, part=part)


def _network(kind: str, rng: np.random.Generator) -> Json:
    network: Json = {"kind": kind, "init": _choice(rng, INITS)}
    norms = [norm for norm in NORMS if norm is None or kind not in FITTING or norm["kind"] in FITTING[kind]]
    network |= {"activation": _choice(rng, FUNCTIONS), "normalization": _choice(rng, norms)}
    if kind == "mlp":
        return {**network, "depth": _depth(rng, 3, 30), "width": _choice(rng, (48, 64, 96, 128))}
    if kind == "cnn":
        return {**network, "channels": [8, 16], "layers_per_stage": _depth(rng, 1, 8)}
    skip: Json = {"kind": _choice(rng, SKIPS)}
    if kind == "residual_mlp":
        return {**network, "skip": skip, "blocks": _depth(rng, 3, 24), "width": _choice(rng, (48, 64, 96))}
    if kind == "residual_cnn":
        return {**network, "skip": skip, "channels": [8, 16], "blocks_per_stage": _depth(rng, 1, 4)}
    position = {"norm_position": _choice(rng, ("pre", "post"))}
    skip = {"kind": _choice(rng, SKIPS[:-1])}
    return {**network, **position, "skip": skip, "blocks": _depth(rng, 2, 8), "width": 32}


def _depth(rng: np.random.Generator, least: int, most: int) -> int:
    """Even in its logarithm."""
    return round(math.exp(rng.uniform(math.log(least), math.log(most))))


def _choice(rng: np.random.Generator, among: Sequence[Any]) -> Any:
    return among[int(rng.integers(len(among)))]
