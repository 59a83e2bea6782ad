"""The experiments that are trained again and again: together they draw on every generator and every state that a
network, an optimiser or a remedy keeps from step to step.

They are long enough for a fault to land inside, and for chunks to be sealed, grown and replaced. Four have rollups. One
is trained through several attempts, each from the checkpoint of the one before. The runs of another are trained as one.
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
        # Runs of one structure: a worker trains them as one, and each has to be what it is alone (decision 40).
        "name": "together",
        "dataset": {"kind": "digits", "split_seed": 0},
        "network": {"kind": "mlp", "depth": 6, "width": 32, "init": {"kind": "kaiming_normal"}, "dropout": 0.1},
        "optimizer": {"kind": "adam", "learning_rate": 0.002},
        "batch_size": 64,
        "steps": 610,
        "remedies": [{"kind": "ema_clip", "z": 1.5, "warm_up": 10}],
        "seeds": [0, 8, 9],
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
        # Fifteen borders of chunks, each with a checkpoint: several attempts go on one after the other.
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
        "steps": 3000,
        "seeds": [2],
    },
    {
        # What the clip remembers of gradients goes into a checkpoint; a small z makes it clip often.
        "name": "lstm",
        "dataset": {"kind": "adding", "length": 5, "cases": 2000, "split_seed": 0},
        "network": {"kind": "rnn", "cell": "lstm", "width": 24},
        "optimizer": {"kind": "adamw", "learning_rate": 0.003},
        "batch_size": 64,
        "steps": 420,
        "remedies": [{"kind": "ema_clip", "z": 1.5, "warm_up": 10}],
        "seeds": [4],
    },
    {
        "name": "cnn",
        "dataset": {"kind": "digits", "split_seed": 0},
        "network": {
            "kind": "cnn",
            "channels": [4, 8],
            "init": {"kind": "kaiming_normal"},
            "normalization": {"kind": "batch_norm"},
        },
        "optimizer": {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
        "batch_size": 32,
        "steps": 610,
        "remedies": [{"kind": "agc", "clipping": 0.02}, {"kind": "warm_up", "steps": 500}],
        "design": "add_all",
        "seeds": [5],
    },
    {
        # Dropout draws per block, and a fault lands before and behind the end of the warm-up.
        "name": "transformer",
        "dataset": {"kind": "names", "split_seed": 0},
        "network": {"kind": "transformer", "blocks": 1, "width": 16, "heads": 2, "dropout": 0.1},
        "optimizer": {"kind": "adamw", "learning_rate": 0.003},
        "batch_size": 32,
        "steps": 410,
        "remedies": [{"kind": "warm_up", "steps": 300}],
        "seeds": [6],
    },
    {
        # The vectors of the power iteration, muon's momentum, and the scale of float16, which changes every 50 steps.
        "name": "spectral",
        "dataset": {"kind": "digits", "split_seed": 0},
        "network": {"kind": "residual_mlp", "blocks": 3, "width": 32, "weight_rule": "spectral_norm"},
        "optimizer": {"kind": "muon"},
        "batch_size": 64,
        "steps": 410,
        "remedies": [{"kind": "mixed_precision", "dtype": "float16", "growth_interval": 50}],
        "seeds": [7],
    },
)

ENDLESS: Spec = {
    "name": "endless",
    "dataset": {"kind": "digits", "split_seed": 0},
    "network": {"kind": "mlp", "depth": 2, "width": 16},
    "optimizer": {"kind": "sgd", "learning_rate": 0.01},
    "steps": 10_000_000,
    "trace": {"every": 1_000},
    "seeds": [0],
}
"""One run that does not end while anybody waits for it."""
