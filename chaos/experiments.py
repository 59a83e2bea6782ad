"""The experiments that are trained again and again: together they draw on every generator and every remedy's state.

Long enough that a fault lands inside and that chunks are sealed, grow and are replaced; two have rollups, and one is
trained through several attempts, each from the checkpoint of the one before.
"""

from typing import Any

Spec = dict[str, Any]

EXPERIMENTS: tuple[Spec, ...] = (
    {
        "name": "dropout",
        "dataset": {"kind": "digits", "split_seed": 0},
        "network": {
            "kind": "mlp",
            "depth": 10,
            "width": 64,
            "init": {"kind": "kaiming_normal"},
            "dropout": 0.2,
        },
        "optimizer": {"kind": "adam", "learning_rate": 0.001},
        "batch_size": 64,
        "steps": 400,
        "remedies": [{"kind": "batch_norm"}],
        "seeds": [0],
    },
    {
        "name": "momentum",
        "dataset": {"kind": "digits", "split_seed": 0},
        "network": {
            "kind": "mlp",
            "depth": 12,
            "width": 64,
            "activation": "tanh",
            "init": {"kind": "xavier_normal"},
        },
        "optimizer": {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9},
        "batch_size": 128,
        "steps": 330,
        "remedies": [{"kind": "clip_norm", "max_norm": 0.5}, {"kind": "l2", "strength": 0.0001}],
        "seeds": [1],
    },
    {
        "name": "rollups",
        "dataset": {"kind": "digits", "split_seed": 0},
        "network": {"kind": "mlp", "depth": 6, "width": 48, "init": {"kind": "kaiming_normal"}},
        "optimizer": {"kind": "adam", "learning_rate": 0.002},
        "batch_size": 128,
        "steps": 520,
        "variants": [
            {
                "name": "all at once",
                "remedies": [
                    {"kind": "batch_norm"},
                    {"kind": "clip_norm", "max_norm": 1.0},
                    {"kind": "l2", "strength": 0.001, "layers": "all"},
                ],
            }
        ],
        "seeds": [0, 3],
    },
    {
        "name": "long",
        "dataset": {"kind": "digits", "split_seed": 0, "validation_fraction": 0.1},
        "network": {
            "kind": "mlp",
            "depth": 2,
            "width": 16,
            "init": {"kind": "kaiming_normal"},
            "normalization": {"kind": "batch_norm"},
            "dropout": 0.1,
        },
        "optimizer": {"kind": "sgd", "learning_rate": 0.02, "momentum": 0.9},
        "batch_size": 64,
        "steps": 4200,
        "seeds": [2],
    },
)
