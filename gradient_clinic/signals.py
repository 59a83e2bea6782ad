"""The names of what is recorded: per layer and step, and per step (docs/api.md)."""

from typing import Literal, get_args

SignalName = Literal[
    "activation_rms",
    "activation_gradient_rms",
    "weight_gradient_norm",
    "weight_gradient_max",
    "weight_norm",
    "update_ratio",
    "dead_fraction",
    "saturated_fraction",
    "nonfinite_count",
]
CurveName = Literal[
    "loss",
    "penalty",
    "learning_rate",
    "gradient_norm",
    "total_gradient_norm",
    "clipped_gradient_norm",
    "clipped",
    "step_seconds",
    "loss_scale",
]
SIGNALS: tuple[SignalName, ...] = get_args(SignalName)
CURVES: tuple[CurveName, ...] = get_args(CurveName)
