"""Small networks of every kind, and what remedies need to be asked for: plain specs, which load nothing."""

from typing import Any

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
