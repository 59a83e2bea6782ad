"""Trials of the functions that the remedy ``activation`` sets: each in the place of 20 sigmoids, and where nothing is
wrong.
"""

from proofs.outcomes.trials.base import Trial
from proofs.outcomes.trials.bodies import Json, deep_sigmoid, shallow


def activation(function: str) -> Json:
    return {"kind": "activation", "function": function}


def trials(function: str) -> tuple[Trial, Trial]:
    return (
        Trial("20 sigmoid layers", deep_sigmoid(activation(function)), "helps", "φ' is near 1 where φ is active"),
        Trial("two ReLU layers", shallow(activation(function)), "fails", "nothing was wrong"),
    )


FUNCTIONS = ("leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "softsign", "tanh")
ACTIVATIONS: dict[str, tuple[Trial, Trial]] = {f"activation:{function}": trials(function) for function in FUNCTIONS}
