"""A small training of every kind of network, with all that draws at random or keeps state from step to step."""

from functools import cache
from typing import Any

from models.plan import Plan, expand
from models.specs.experiment import ExperimentSpec
from worker.datasets import load
from worker.datasets.split import TrialData

SEED = 0
Json = dict[str, Any]

# The cases of each data set have one length: to look for cases that end early would make the host wait.
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
"""Networks that get dropout too in the checks of repetition."""


def plan_of(kind: str, *, dropout: bool = False, **changes: object) -> Plan:
    """With plain SGD: Adam divides by gradients near zero, which enlarges the rounding."""
    spec: Json = {
        "name": f"gpu-check {kind}",
        "dataset": {"kind": "digits"},
        "optimizer": {"kind": "sgd", "learning_rate": 0.05},
        "batch_size": 64,
        "steps": 4,
        **NETWORKS[kind],
        **changes,
    }
    if dropout and kind in DROPPING:
        spec["network"] = {**spec["network"], "dropout": 0.2}
    return expand(ExperimentSpec.model_validate(spec))[-1].plan


@cache
def data_of(kind: str) -> TrialData:
    """Read once: no run changes its data."""
    return load(plan_of(kind).dataset, SEED)
