"""Small trials for the tests of training: a plan with changes, its data, and all that a run yields."""

import functools
from typing import Any

import torch
from torch import Tensor, nn

from gradient_clinic.probe.probe import StepRecord, attach
from models.plan import Plan, expand
from models.specs.dataset import DatasetSpec
from models.specs.experiment import ExperimentSpec
from worker.datasets import load
from worker.datasets.split import TrialData
from worker.engine import EpochResult, RunResult, Trainer, train

CPU = torch.device("cpu")
WIDE = {"kind": "gaussian", "weight_variance": 6.0, "bias_variance": 1.0}
"""Large enough that some entries saturate and some units die in a batch of a few cases."""


def spec_of(network: dict[str, Any] | None = None, **changes: Any) -> ExperimentSpec:
    """Digits, two hidden layers, Adam, 3 steps in batches of 6, unless changed."""
    asked: dict[str, Any] = {
        "name": "small",
        "dataset": {"kind": "digits"},
        "network": {"kind": "mlp", "hidden": [12, 9], "init": WIDE, **(network or {})},
        "optimizer": {"kind": "adam", "learning_rate": 0.01},
        "batch_size": 6,
        **changes,
    }
    if "epochs" not in asked:
        asked.setdefault("steps", 3)
    return ExperimentSpec.model_validate(asked)


def plan_of(network: dict[str, Any] | None = None, **changes: Any) -> Plan:
    """The plan of the last variant: the baseline, or the one with the remedy that is given."""
    return expand(spec_of(network, **changes))[-1].plan


EVERY_KIND: dict[str, dict[str, Any]] = {
    "mlp": {"network": {"kind": "mlp", "hidden": [12, 12, 12, 9], "skip": {"kind": "residual", "every": 2}}},
    "residual_mlp": {"network": {"kind": "residual_mlp", "blocks": 3, "width": 8, "skip": {"kind": "layer_scale"}}},
    "cnn": {
        "network": {
            "kind": "cnn",
            "channels": [4, 6],
            "layers_per_stage": 2,
            "activation": "tanh",
            "normalization": {"kind": "group_norm", "groups": 2},
            "skip": {"kind": "highway"},
        }
    },
    "residual_cnn": {
        "network": {
            "kind": "residual_cnn",
            "channels": [4, 6],
            "blocks_per_stage": 1,
            "normalization": {"kind": "batch_norm"},
            "skip": {"kind": "skip_init", "alpha": 0.3},
        }
    },
    "rnn": {
        "network": {"kind": "rnn", "cell": "lstm", "width": 7, "layers": 2},
        "dataset": {"kind": "japanese_vowels", "standardise": "feature"},
    },
    "transformer": {
        "network": {"kind": "transformer", "blocks": 2, "width": 8, "heads": 2, "norm_position": "post"},
        "dataset": {"kind": "names", "standardise": "none"},
    },
    "sequential": {
        "network": {
            "kind": "sequential",
            "layers": [
                {"kind": "conv", "channels": 4},
                {"kind": "batch_norm"},
                {"kind": "activation", "function": "relu"},
                {"kind": "residual", "layers": [{"kind": "conv", "channels": 4}, {"kind": "layer_norm"}]},
                {"kind": "max_pool"},
                {"kind": "flatten"},
                {"kind": "linear", "units": 6, "name": "wide"},
                {"kind": "activation", "function": "prelu"},
            ],
        }
    },
}
"""A small trial of every kind of network; the tests that hold for all of them run over it."""

MORE_KINDS: dict[str, dict[str, Any]] = {
    "rnn tanh": {"network": {"kind": "rnn", "cell": "tanh", "width": 7}},
    "rnn relu, cut": {"network": {"kind": "rnn", "cell": "relu", "width": 7, "truncate": 3}},
    "rnn gru, values": {
        "network": {"kind": "rnn", "cell": "gru", "width": 7},
        "dataset": {"kind": "adding", "length": 9, "cases": 100, "standardise": "none"},
    },
    "rnn tokens": {
        "network": {"kind": "rnn", "cell": "gru", "width": 7},
        "dataset": {"kind": "python_docs", "length": 8, "standardise": "none"},
    },
    "rnn tokens of varying length, cut": {
        "network": {"kind": "rnn", "cell": "lstm", "width": 7, "layers": 2, "truncate": 4},
        "dataset": {"kind": "names", "standardise": "none"},
    },
    "rnn normed weights": {
        "network": {"kind": "rnn", "cell": "gru", "width": 7, "weight_rule": "spectral_norm"},
        "dataset": {"kind": "japanese_vowels", "standardise": "feature"},
    },
    "transformer, pre, varying length": {
        "network": {"kind": "transformer", "blocks": 1, "width": 8, "heads": 2, "normalization": {"kind": "rms_norm"}},
        "dataset": {"kind": "japanese_vowels", "standardise": "feature"},
    },
    "sequential over steps": {
        "network": {
            "kind": "sequential",
            "layers": [
                {"kind": "linear", "units": 6},
                {"kind": "layer_norm"},
                {"kind": "activation", "function": "relu"},
                {"kind": "recurrent", "cell": "identity", "width": 5},
                {"kind": "readout", "how": "mean"},
            ],
        },
        "dataset": {"kind": "japanese_vowels", "standardise": "feature"},
    },
    "transformer, causal": {
        "network": {"kind": "transformer", "blocks": 1, "width": 8, "heads": 2},
        "dataset": {"kind": "python_docs", "length": 8, "standardise": "none"},
    },
    "weight norm": {"network": {"kind": "mlp", "hidden": [9, 9], "weight_rule": "weight_norm"}},
    "spectral norm": {"network": {"kind": "cnn", "channels": [4], "weight_rule": "spectral_norm"}},
    "lsuv": {"network": {"kind": "cnn", "channels": [4, 4], "init": {"kind": "lsuv"}}},
}


def spec_of_kind(asked: dict[str, Any], **changes: Any) -> ExperimentSpec:
    """Three Adam steps in batches of 6 of a trial of the tables above."""
    usual = {
        "name": "small",
        "dataset": {"kind": "digits"},
        "optimizer": {"kind": "adam", "learning_rate": 0.01},
        "batch_size": 6,
        "steps": 3,
    }
    return ExperimentSpec.model_validate({**usual, **asked, **changes})


TREATABLE: dict[str, dict[str, Any]] = {
    "mlp": {"kind": "mlp", "hidden": [16, 16, 16]},
    "residual_mlp": {"kind": "residual_mlp", "blocks": 2, "width": 16},
    "cnn": {"kind": "cnn", "channels": [8, 8], "layers_per_stage": 2},
    "residual_cnn": {"kind": "residual_cnn", "channels": [8, 8], "blocks_per_stage": 1},
    "rnn": {"kind": "rnn", "cell": "lstm", "width": 8},
    "transformer": {"kind": "transformer", "blocks": 1, "width": 8, "heads": 2, "norm_position": "post"},
    "sequential": {
        "kind": "sequential",
        "layers": [
            {"kind": "flatten"},
            {"kind": "linear", "units": 16},
            {"kind": "activation", "function": "tanh"},
            {"kind": "linear", "units": 16},
            {"kind": "activation", "function": "tanh"},
        ],
    },
}
"""A network of every kind that every remedy for its kind can treat, on digits."""

REQUIRED: dict[str, dict[str, Any]] = {
    "init": {"init": {"kind": "xavier_normal"}},
    "activation": {"function": "softsign"},
    "learning_rate": {"value": 0.5},
    "optimizer": {"optimizer": {"kind": "rmsprop"}},
}
"""What a remedy cannot be asked for without."""


TEACHER: dict[str, Any] = {"kind": "teacher_student", "cases": 60, "singular_values": [9.0]}
ONLY_ON: dict[str, dict[str, Any]] = {"standardise_targets": {"dataset": TEACHER, "network": TREATABLE["mlp"]}}
"""What a remedy that is not for every target is tried on."""


def treated(remedy: str, network: dict[str, Any], **changes: Any) -> ExperimentSpec:
    """A small trial of a remedy by its kind, under plain SGD."""
    remedies = [{"kind": remedy, **REQUIRED.get(remedy, {})}]
    sgd = {"kind": "sgd", "learning_rate": 0.1}
    return spec_of_kind(
        {"network": network, "remedies": remedies, "optimizer": sgd, **ONLY_ON.get(remedy, {})}, **changes
    )


@functools.lru_cache(maxsize=64)
def loaded(dataset: DatasetSpec, seed: int) -> TrialData:
    """Read once: no run changes its data."""
    return load(dataset, seed)


def data_of(plan: Plan, seed: int = 0) -> TrialData:
    return loaded(plan.dataset, seed)


def trainer_of(plan: Plan, *, seed: int = 0, dtype: torch.dtype = torch.float32, record: bool = True) -> Trainer:
    return Trainer(plan, data_of(plan, seed), seed=seed, device=CPU, dtype=dtype, record=record)


def run_of(plan: Plan, **changes: Any) -> tuple[list[StepRecord], list[EpochResult], RunResult]:
    """Everything that one run yields, by kind."""
    seed = changes.setdefault("seed", 0)
    seen = list(train(plan, data_of(plan, seed), **changes))
    result = seen[-1]
    assert isinstance(result, RunResult)
    records = [one for one in seen if isinstance(one, StepRecord)]
    return records, [one for one in seen if isinstance(one, EpochResult)], result


def state_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in trainer.model.state_dict().items()}


def record_of(model: nn.Module, x: Tensor) -> StepRecord:
    probe = attach(model)
    model(x).sum().backward()
    record = probe.record()
    probe.detach()
    return record
