"""What a remedy sets, so that two of one kind in a variant are seen to contradict each other."""

from typing import Final, Literal, get_args

OfNetwork = Literal[
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
]
"""Parts of a network's plan."""
Slot = Literal[
    OfNetwork,
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
OF_NETWORK: Final = frozenset(get_args(OfNetwork))
