"""Small experiments that trials are made of: seconds a run, three seeds, and an illness of their own."""

from typing import Any

Json = dict[str, Any]
SEEDS = [0, 1, 2]


def mlp(remedy: Json, depth: int, activation: str, init: Json | str, **changes: Any) -> Json:
    """Digits and a multilayer perceptron of width 64 under SGD with momentum, five epochs."""
    network: Json = {
        "kind": "mlp",
        "depth": depth,
        "width": 64,
        "activation": activation,
        "init": {"kind": init} if isinstance(init, str) else init,
    }
    network |= changes.pop("network", {})
    return {
        "dataset": {"kind": "digits"},
        "network": network,
        "optimizer": {"kind": "sgd", "learning_rate": 0.02, "momentum": 0.9},
        "batch_size": 64,
        "epochs": 5,
        "seeds": SEEDS,
        "remedies": [remedy],
        **changes,
    }


def deep_sigmoid(remedy: Json, **changes: Any) -> Json:
    """The classic: 20 layers, every one of which shrinks the gradient to a quarter."""
    return mlp(remedy, 20, "sigmoid", "xavier_normal", optimizer={"kind": "adam"}, **changes)


def deep_relu(remedy: Json, init: str = "xavier_normal", depth: int = 30, **changes: Any) -> Json:
    """30 ReLU layers: half the variance is lost in each under Xavier, none under He."""
    return mlp(remedy, depth, "relu", init, optimizer={"kind": "sgd", "learning_rate": 0.02}, batch_size=32, **changes)


def shrinking_relu(remedy: Json) -> Json:
    """Ten ReLU layers of torch's default, each of which leaves a sixth of δ². At 30 layers norms over units train no
    better than nothing in five epochs.
    """
    return mlp(remedy, 10, "relu", "torch_default")


def shallow(remedy: Json, **changes: Any) -> Json:
    """Two hidden layers where nothing is wrong."""
    return mlp(remedy, 3, "relu", "kaiming_normal", **changes)


def exploding(remedy: Json, **changes: Any) -> Json:
    """Orthogonal weights twice too large."""
    return mlp(remedy, 20, "relu", {"kind": "orthogonal", "gain": 2.0}, **changes)


def deep_residual(remedy: Json, skip: Json | None = None, blocks: int = 40, **changes: Any) -> Json:
    """He-initialised branches without a norm: the stream doubles at every block."""
    network: Json = {
        "kind": "residual_mlp",
        "blocks": blocks,
        "width": 64,
        "activation": "relu",
        "init": {"kind": "kaiming_normal"},
        "skip": skip or {"kind": "residual"},
    }
    return mlp(remedy, 2, "relu", "kaiming_normal", **changes) | {"network": network}


def deep_cnn(remedy: Json, activation: str = "tanh") -> Json:
    """20 convolutions of 16 channels without a pool."""
    network: Json = {"kind": "cnn", "channels": [16], "layers_per_stage": 20, "activation": activation}
    rate: Json = {"optimizer": {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9}}
    return mlp(remedy, 2, "relu", "torch_default", **rate) | {"network": network}


def few_cases(remedy: Json, weight_variance: float = 20.0, test_fraction: float = 0.9, **changes: Any) -> Json:
    """A wide network with large weights on a tenth of the digits: it learns them by heart."""
    return mlp(
        remedy,
        3,
        "relu",
        {"kind": "gaussian", "weight_variance": weight_variance},
        network={"width": 256},
        dataset={"kind": "digits", "test_fraction": test_fraction},
        optimizer={"kind": "sgd", "learning_rate": 0.005, "momentum": 0.9},
        batch_size=16,
        epochs=40,
        **changes,
    )


def adding(remedy: Json, length: int, steps: int = 600, **changes: Any) -> Json:
    """The adding problem for a recurrent network."""
    network: Json = {"kind": "rnn", "cell": "tanh", "width": 64}
    network |= changes.pop("network", {})
    return {
        "dataset": {"kind": "adding", "length": length, "cases": 80 * steps},
        "network": network,
        "optimizer": {"kind": "adam", "learning_rate": 0.005},
        "batch_size": 64,
        "steps": steps,
        "seeds": SEEDS,
        "remedies": [remedy],
        **changes,
    }


def transformer(remedy: Json, blocks: int, **changes: Any) -> Json:
    """The rows of a digit as eight steps."""
    network: Json = {"kind": "transformer", "blocks": blocks, "width": 32, "heads": 4, "norm_position": "post"}
    network |= changes.pop("network", {})
    return mlp(remedy, 2, "relu", "kaiming_normal", **changes) | {"network": network}


def teacher(remedy: Json, scale: float, **changes: Any) -> Json:
    """A linear teacher whose targets have variance ``scale``², for a small ReLU network under a usual rate."""
    return {
        "dataset": {
            "kind": "teacher_student",
            "inputs": 20,
            "outputs": 1,
            "singular_values": [scale],
            "cases": 1000,
            "split_seed": 0,
        },
        "network": {"kind": "mlp", "hidden": [25], "activation": "relu", "init": {"kind": "kaiming_uniform"}},
        "optimizer": {"kind": "sgd", "learning_rate": 0.01, "momentum": 0.9},
        "batch_size": 32,
        "epochs": 10,
        "seeds": SEEDS,
        "remedies": [remedy],
        **changes,
    }


def few_of_one_class(remedy: Json, **changes: Any) -> Json:
    """First names, of which four in five are female, for as long as it takes to learn little else."""
    return {
        "dataset": {"kind": "names"},
        "network": {"kind": "rnn", "cell": "gru", "width": 32},
        "optimizer": {"kind": "adam", "learning_rate": 0.002},
        "batch_size": 64,
        "epochs": 1,
        "metric": "balanced_accuracy",
        "seeds": SEEDS,
        "remedies": [remedy],
        **changes,
    }


def vowels(remedy: Json, network: Json) -> Json:
    """Real speech, 7 to 29 steps long, under a rate that short gradients can bear."""
    return {
        "dataset": {"kind": "japanese_vowels", "standardise": "feature"},
        "network": {"kind": "rnn", "cell": "tanh", "width": 64, **network},
        "optimizer": {"kind": "sgd", "learning_rate": 1.0},
        "batch_size": 32,
        "epochs": 8,
        "seeds": SEEDS,
        "remedies": [remedy],
    }
