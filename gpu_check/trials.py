"""A small trial of every kind of network, with all that draws chance or keeps a memory as it trains."""

from functools import cache
from typing import Any

from models.plan import Plan, expand
from models.specs.experiment import ExperimentSpec
from worker.datasets import load
from worker.datasets.split import TrialData

SEED = 0
Json = dict[str, Any]

# Of data whose cases all have one length: those that end early are looked for on the device, which waits for it.
NETWORKS: dict[str, Json] = {
    "mlp": {"network": {"kind": "mlp", "depth": 6, "width": 48, "normalization": {"kind": "batch_norm"}}},
    "cnn": {"network": {"kind": "cnn", "channels": [8, 16], "layers_per_stage": 2, "activation": "tanh"}},
    "residual_cnn": {"network": {"kind": "residual_cnn", "channels": [8, 16], "blocks_per_stage": 1}},
    "rnn": {"network": {"kind": "rnn", "cell": "lstm", "width": 32}, "dataset": {"kind": "sequential_digits"}},
    "transformer": {
        "network": {"kind": "transformer", "blocks": 2, "width": 32, "heads": 2},
        "dataset": {"kind": "python_docs", "length": 32, "standardise": "none"},
    },
}
DROPPING = {"mlp", "cnn", "transformer"}
"""Networks that are given dropout too, where repetition is the question."""


def plan_of(kind: str, *, dropout: bool = False, **changes: object) -> Plan:
    """Plain SGD: Adam divides by gradients near zero, which makes much of a rounding."""
    asked: Json = {
        "name": f"gpu-check {kind}",
        "dataset": {"kind": "digits"},
        "optimizer": {"kind": "sgd", "learning_rate": 0.05},
        "batch_size": 64,
        "steps": 4,
        **NETWORKS[kind],
        **changes,
    }
    if dropout and kind in DROPPING:
        asked["network"] = {**asked["network"], "dropout": 0.2}
    return expand(ExperimentSpec.model_validate(asked))[-1].plan


@cache
def data_of(kind: str) -> TrialData:
    """Read once: no run changes its data."""
    return load(plan_of(kind).dataset, SEED)
