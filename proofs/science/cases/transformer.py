"""Transformers on spoken vowels: where the norm stands, how weights are drawn, and other skips."""

import itertools
from collections.abc import Iterator

from proofs.science.cases.case import LECUN, VOWELS, XAVIER, Case, Json, case, optim


def _transformer(blocks: int, width: int, heads: int, **more: object) -> Json:
    return {"kind": "transformer", "blocks": blocks, "width": width, "heads": heads, **more}


def norm_positions() -> Iterator[Case]:
    for position, blocks, rate in (("pre", 2, 0.002), ("post", 2, 0.002), ("pre", 6, 0.002), ("post", 6, 0.01)):
        network, detail = _transformer(blocks, 32, 4, norm_position=position), f"{position}-norm, {blocks} blocks"
        yield case("transformer", detail, network, optim("adam", rate), VOWELS, steps=200)


def inits() -> Iterator[Case]:
    kinds: tuple[Json, ...] = ({"kind": "gpt2"}, {"kind": "normal", "std": 0.5}, LECUN)
    for position, init in itertools.product(("pre", "post"), kinds):
        norm = {"norm_position": position, "normalization": {"kind": "rms_norm"}}
        network, detail = (
            _transformer(4, 32, 2, activation="silu", **norm, init=init),
            f"{position}-norm, {init['kind']}",
        )
        yield case("transformer, rms norm", detail, network, optim("nadam", 0.003), VOWELS, steps=200)


def skips() -> Iterator[Case]:
    norms, kinds = ({"kind": "layer_norm"}, None), ({"kind": "scaled"}, {"kind": "rezero"})
    for norm, skip, blocks in itertools.product(norms, kinds, (3, 9)):
        network = _transformer(blocks, 24, 3, activation="relu", normalization=norm, skip=skip, init=XAVIER)
        detail = f"{skip['kind']}, {'layer norm' if norm else 'no norm'}, {blocks} blocks"
        yield case("transformer, other skips", detail, network, optim("adam", 0.004), VOWELS, steps=200)
