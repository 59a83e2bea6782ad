"""The benchmark grid of the published rules: MLPs on digits, 216 configurations."""

import itertools
import math
from collections.abc import Iterator
from typing import Final

from science.cases.case import ADAM, DIGITS, SGD, Case, Json

WHOLE: Final[Json] = {**DIGITS, "standardise": "feature", "test_fraction": 0.0}
GAINS: Final = {"tanh": 1.1, "relu": math.sqrt(2.0), "sigmoid": 1.0}
"""Of orthogonal weights; for the sigmoid 1, which is torch's ``calculate_gain``."""


def grid() -> Iterator[Case]:
    """Depth × activation × init of the hidden layers × batch norm × optimiser."""
    for activation, depth in itertools.product(("sigmoid", "tanh", "relu"), (3, 10, 30)):
        for (name, init), norm, optimizer in itertools.product(_inits(activation), (False, True), (SGD, ADAM)):
            parts = [activation, str(depth), name, *(["bn"] if norm else []), str(optimizer["kind"])]
            network = _network(activation, depth, init, norm=norm)
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


def _network(activation: str, depth: int, init: Json, *, norm: bool) -> Json:
    """``depth`` weight layers; a list, because only the hidden ones take ``init``: the output keeps torch's default."""
    hidden: list[Json] = [{"kind": "linear", "units": 128, "init": init}]
    if norm:
        hidden.append({"kind": "batch_norm"})
    hidden.append({"kind": "activation", "function": activation})
    return {"kind": "sequential", "layers": [{"kind": "flatten"}, *(hidden * (depth - 1))]}
