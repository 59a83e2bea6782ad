"""Causes of verdicts on trained networks: each fault beside a network that nearly has it."""

from collections.abc import Iterator
from typing import Any, Final

from gradient_clinic.verdict.shapes import Cause
from proofs.outcomes.line import Line
from proofs.outcomes.running import run_all

Json = dict[str, Any]
SGD: Final[Json] = {"kind": "sgd", "learning_rate": 0.1}
ADAM: Final[Json] = {"kind": "adam", "learning_rate": 0.001}
ADAMW: Final[Json] = {"kind": "adamw", "learning_rate": 0.001}
LSTM: Final[Json] = {"kind": "rnn", "cell": "lstm", "width": 32}
TANH: Final[Json] = {"kind": "mlp", "hidden": [64, 64], "activation": "tanh"}
SMALL: Final[Json] = {**TANH, "init": {"kind": "gaussian", "weight_variance": 0.003}}
RELU: Final[Json] = {"kind": "mlp", "hidden": [64, 64], "activation": "relu", "init": {"kind": "kaiming_normal"}}
FIVE: Final[Json] = {**RELU, "hidden": [64] * 5}
PAIRS: Final[Json] = {"batch_size": 2, "steps": 400}
SELU: Final[Json] = {"kind": "mlp", "width": 64, "activation": "selu", "init": {"kind": "lecun_normal"}, "dropout": 0.5}
STREAM: Final[Json] = {
    "kind": "residual_cnn",
    "channels": [16],
    "blocks_per_stage": 6,
    "init": {"kind": "kaiming_normal"},
}
TEACHER: Final[Json] = {"kind": "teacher_student", "inputs": 20, "outputs": 1, "cases": 1000}
MOMENTUM: Final[Json] = {**SGD, "momentum": 0.9}
BLOCKS: Final[Json] = {
    "kind": "transformer",
    "blocks": 4,
    "width": 32,
    "heads": 4,
    "norm_position": "post",
    "init": {"kind": "gaussian", "weight_variance": 0.0025},
}
VOWELS: Final[Json] = {
    "dataset": {"kind": "japanese_vowels", "standardise": "feature"},
    "network": BLOCKS,
    "batch_size": 32,
    "steps": 40,
}

FAULTS: Final[tuple[tuple[Cause, Json, Json], ...]] = (
    (
        "symmetric_weights",
        {"network": {**TANH, "init": {"kind": "constant", "value": 0.0}}, "optimizer": SGD},
        {"network": {**TANH, "init": {"kind": "normal", "std": 0.05}}, "optimizer": SGD},
    ),
    (
        "symmetric_weights",
        {"network": {**TANH, "init": {"kind": "uniform", "low": 0.0999, "high": 0.1}}, "optimizer": SGD},
        {"network": {**TANH, "init": {"kind": "uniform", "low": 0.05, "high": 0.1}}, "optimizer": SGD},
    ),
    (
        "target_scale",
        {
            "dataset": {**TEACHER, "singular_values": [150.0]},
            "network": {**RELU, "hidden": [25]},
            "optimizer": {**MOMENTUM, "learning_rate": 0.01},
        },
        {
            "dataset": {**TEACHER, "singular_values": [2.0]},
            "network": {**RELU, "hidden": [25]},
            "optimizer": {**MOMENTUM, "learning_rate": 0.01},
        },
    ),
    (
        "initialisation",
        {"network": {**TANH, "init": {"kind": "normal", "std": 1.0}}, "optimizer": SGD, "loss": "mse"},
        {"network": {**TANH, "init": {"kind": "normal", "std": 0.15}}, "optimizer": SGD, "loss": "mse"},
    ),
    (
        "dropout_noise",
        {"network": {**SELU, "depth": 16}, "optimizer": ADAM},
        {"network": {**SELU, "depth": 4}, "optimizer": ADAM},
    ),
    (
        "initialisation",
        {"network": {**RELU, "init": {"kind": "uniform", "low": 0.0, "high": 1.0}}, "optimizer": ADAM},
        {"network": {**RELU, "init": {"kind": "uniform", "low": -0.3, "high": 0.3}}, "optimizer": ADAM},
    ),
    (
        "initialisation",
        {"network": {**RELU, "init": {"kind": "gaussian", "weight_variance": 200.0}}, "optimizer": ADAM},
        {"network": {**RELU, "init": {"kind": "gaussian", "weight_variance": 5.0}}, "optimizer": ADAM},
    ),
    (
        "initialisation",
        {"network": SMALL, "optimizer": ADAM, "steps": 60},
        {"network": SMALL, "optimizer": {**ADAM, "learning_rate": 0.3}, "steps": 60},
    ),
    (
        "learning_rate",
        {"network": SMALL, "optimizer": {**ADAM, "learning_rate": 0.3}, "steps": 60},
        {"network": SMALL, "optimizer": ADAM, "steps": 60},
    ),
    (
        "too_few_steps",
        {**VOWELS, "optimizer": ADAM},
        {**VOWELS, "optimizer": {**ADAM, "learning_rate": 0.1}},
    ),
    (
        "learning_rate",
        {**VOWELS, "optimizer": {**ADAM, "learning_rate": 0.1}},
        {**VOWELS, "optimizer": ADAM},
    ),
    (
        "weight_decay",
        {"network": RELU, "optimizer": {**ADAMW, "weight_decay": 100.0}},
        {"network": RELU, "optimizer": {**ADAMW, "weight_decay": 10.0}},
    ),
    (
        "batch_norm_of_few_cases",
        {"network": {**FIVE, "normalization": {"kind": "batch_norm"}}, "optimizer": ADAM, **PAIRS},
        {"network": {**FIVE, "normalization": {"kind": "layer_norm"}}, "optimizer": ADAM, **PAIRS},
    ),
    (
        "truncation",
        {"dataset": {"kind": "sequential_digits"}, "network": {**LSTM, "truncate": 4}, "optimizer": ADAM},
        {"dataset": {"kind": "sequential_digits"}, "network": LSTM, "optimizer": ADAM},
    ),
    (
        "learning_rate",
        {"network": RELU, "optimizer": {**SGD, "schedule": {"kind": "step", "every": 5, "factor": 0.01}}},
        {"network": RELU, "optimizer": {**SGD, "schedule": {"kind": "cosine"}}},
    ),
    (
        "missing_norm",
        {"network": STREAM, "optimizer": MOMENTUM},
        {"network": {**STREAM, "normalization": {"kind": "batch_norm"}}, "optimizer": MOMENTUM},
    ),
    (
        "learning_rate",
        {"network": RELU, "optimizer": {**SGD, "learning_rate": 1e-6}},
        {"network": RELU, "optimizer": SGD},
    ),
)
"""A cause, a training that has the fault, and one that nearly has it."""


def causes() -> Iterator[Line]:
    usual: Json = {"dataset": {"kind": "digits"}, "batch_size": 64, "steps": 150, "seeds": [0, 1]}
    for cause, faulty, sound in FAULTS:
        for body, named in ((faulty, True), (sound, False)):
            seen = [run.summary.verdict for run in run_all({**usual, **body}, every=5)]
            required = f"{cause} is {'named' if named else 'not named'}"
            shown = "; ".join(f"{verdict.kind}: {', '.join(verdict.causes) or 'no cause'}" for verdict in seen)
            yield Line("causes", required, shown, all((cause in verdict.causes) == named for verdict in seen))
