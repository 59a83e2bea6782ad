"""What a remedy sets, so that two of one kind in a variant are seen to contradict each other."""

from typing import Literal

Slot = Literal[
    "init",
    "normalization",
    "norm_position",
    "weight_rule",
    "activation",
    "skip",
    "cell",
    "forget_bias",
    "truncation",
    "dropout",
    "data",
    "targets",
    "class_weights",
    "label_smoothing",
    "optimizer",
    "learning_rate",
    "schedule",
    "clipping",
    "gradient",
    "penalty",
    "weight_decay",
    "precision",
]
"""Two remedies that share a slot in one variant contradict each other."""
