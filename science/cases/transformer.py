"""Transformers on spoken vowels: where the norm stands, how weights are drawn, and other skips."""

import itertools
from collections.abc import Iterator

from science.cases.case import ADAM, LECUN, NADAM, VOWELS, XAVIER, Case, Json, case, with_rate


def norm_positions() -> Iterator[Case]:
    for position, blocks, rate in (("pre", 2, 0.002), ("post", 2, 0.002), ("pre", 6, 0.002), ("post", 6, 0.01)):
        network = {"kind": "transformer", "blocks": blocks, "width": 32, "heads": 4, "norm_position": position}
        detail = f"{position}-norm, {blocks} blocks"
        yield case("transformer", detail, network, with_rate(ADAM, rate), VOWELS, steps=200)


def inits() -> Iterator[Case]:
    kinds: tuple[Json, ...] = ({"kind": "gpt2"}, {"kind": "normal", "std": 0.5}, LECUN)
    for position, init in itertools.product(("pre", "post"), kinds):
        network = {
            "kind": "transformer",
            "blocks": 4,
            "width": 32,
            "heads": 2,
            "activation": "silu",
            "norm_position": position,
            "normalization": {"kind": "rms_norm"},
            "init": init,
        }
        detail = f"{position}-norm, {init['kind']}"
        yield case("transformer, rms norm", detail, network, with_rate(NADAM, 0.003), VOWELS, steps=200)


def skips() -> Iterator[Case]:
    for norm, skip, blocks in itertools.product(
        ({"kind": "layer_norm"}, None), ({"kind": "scaled"}, {"kind": "rezero"}), (3, 9)
    ):
        network = {
            "kind": "transformer",
            "blocks": blocks,
            "width": 24,
            "heads": 3,
            "activation": "relu",
            "normalization": norm,
            "skip": skip,
            "init": XAVIER,
        }
        detail = f"{skip['kind']}, {'layer norm' if norm else 'no norm'}, {blocks} blocks"
        yield case("transformer, other skips", detail, network, with_rate(ADAM, 0.004), VOWELS, steps=200)
