"""Specs that the API's documentation shows; a test submits each of them."""

from typing import Any

from fastapi.openapi.models import Example

SPEC_EXAMPLES: dict[str, Any] = {
    "deep sigmoid": Example(
        summary="20 sigmoid layers and four remedies",
        value={
            "name": "deep sigmoid",
            "dataset": {"kind": "digits"},
            "network": {
                "kind": "mlp",
                "depth": 20,
                "width": 64,
                "activation": "sigmoid",
                "init": {"kind": "xavier_normal"},
            },
            "optimizer": {"kind": "adam", "learning_rate": 0.001},
            "epochs": 10,
            "remedies": [
                {"kind": "orthogonal_init"},
                {"kind": "l2", "strength": 0.0001},
                {"kind": "batch_norm"},
                {"kind": "activation", "function": "relu"},
            ],
            "seeds": [0, 1, 2, 3, 4],
        },
    ),
    "suggested": Example(
        summary="The clinic chooses the remedies",
        value={
            "name": "what is wrong?",
            "dataset": {"kind": "digits"},
            "network": {"kind": "mlp", "depth": 16, "width": 64, "activation": "selu", "dropout": 0.5},
            "optimizer": {"kind": "adam"},
            "epochs": 5,
            "remedies": "suggest",
        },
    ),
    "untrained": Example(
        summary="Gradients of an untrained network, in a second",
        value={
            "name": "before the GPU week",
            "dataset": {"kind": "digits"},
            "network": {"kind": "mlp", "depth": 50, "width": 128, "activation": "tanh"},
            "optimizer": {"kind": "sgd"},
            "steps": 0,
            "remedies": [{"kind": "init", "init": {"kind": "xavier_normal"}}],
        },
    ),
}
