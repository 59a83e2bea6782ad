"""A trial where it helps and one where it fails, for every remedy that changes the network or its data."""

from proofs.outcomes.trials.base import Trial
from proofs.outcomes.trials.bodies import (
    Json,
    adding,
    deep_relu,
    deep_residual,
    deep_sigmoid,
    few_cases,
    mlp,
    shallow,
    shrinking_relu,
    teacher,
    transformer,
    vowels,
)

ADAM = {"kind": "adam", "learning_rate": 0.001}
SGD = {"kind": "sgd", "learning_rate": 0.02, "momentum": 0.9}


def clipped_irnn() -> Json:
    """Le et al. 2015 trained under a clipped gradient: the cell beside tanh, both clipped."""
    clip = {"kind": "clip_norm", "max_norm": 1.0}
    body = adding({}, 50, 1500, optimizer=ADAM)
    # A spec has remedies or variants, not both.
    del body["remedies"]
    with_irnn = {"name": "with", "remedies": [{"kind": "irnn"}, clip]}
    return body | {"variants": [{"name": "without", "remedies": [clip]}, with_irnn]}


STRUCTURE: dict[str, tuple[Trial, Trial]] = {
    "orthogonal_init": (
        Trial(
            "20 tanh layers",
            mlp({"kind": "orthogonal_init", "gain": 1.1}, 20, "tanh", "torch_default"),
            "helps",
            "δ is kept",
        ),
        Trial(
            "20 sigmoid layers", deep_sigmoid({"kind": "orthogonal_init"}), "fails", "φ' ≤ ¼ shrinks δ whatever W is"
        ),
    ),
    "init": (
        Trial(
            "He, 30 ReLU layers",
            deep_relu({"kind": "init", "init": {"kind": "kaiming_normal"}}),
            "helps",
            "χ = 1 instead of ½",
        ),
        Trial(
            "He, 20 sigmoid layers",
            deep_sigmoid({"kind": "init", "init": {"kind": "kaiming_normal"}}),
            "fails",
            "made for ReLU",
        ),
    ),
    "batch_norm": (
        Trial("20 sigmoid layers", deep_sigmoid({"kind": "batch_norm"}), "helps", "h stays where φ is steep"),
        Trial(
            "50 He-ReLU layers",
            deep_relu({"kind": "batch_norm"}, "kaiming_normal", 50),
            "fails",
            "χ = 1.467: δ explodes",
        ),
    ),
    "layer_norm": (
        Trial("10 ReLU layers", shrinking_relu({"kind": "layer_norm"}), "helps", "χ = 1 whatever the variance"),
        Trial("20 sigmoid layers", deep_sigmoid({"kind": "layer_norm"}), "fails", "E φ'² is far below E φ²"),
    ),
    "rms_norm": (
        Trial("10 ReLU layers", shrinking_relu({"kind": "rms_norm"}), "helps", "χ = 1 whatever the variance"),
        Trial("20 sigmoid layers", deep_sigmoid({"kind": "rms_norm"}), "fails", "E φ'² is far below E φ²"),
    ),
    "group_norm": (
        Trial("10 ReLU layers", shrinking_relu({"kind": "group_norm"}), "helps", "χ = 1 whatever the variance"),
        Trial("20 sigmoid layers", deep_sigmoid({"kind": "group_norm"}), "fails", "E φ'² is far below E φ²"),
    ),
    "weight_norm": (
        Trial(
            "learning rate too high",
            # Far too high, in a shallow network: 0 and 3 of 3 trained, whatever rounding does. At 0.1 and ten layers
            # 2 or 3 of 3 trained with it, and 1 without, as rounding went.
            mlp({"kind": "weight_norm"}, 6, "relu", "kaiming_normal", optimizer=SGD | {"learning_rate": 0.3}, epochs=8),
            "helps",
            "‖V‖ grows, and the rate in effect falls",
        ),
        Trial("20 sigmoid layers", deep_sigmoid({"kind": "weight_norm"}), "fails", "the same function, the same δ"),
    ),
    "spectral_norm": (
        Trial(
            "10 tanh layers, gain 4",
            mlp({"kind": "spectral_norm"}, 10, "tanh", {"kind": "orthogonal", "gain": 4.0}),
            "helps",
            "σ₁ = 1 ends the explosion",
        ),
        Trial(
            "30 He-ReLU layers",
            deep_relu({"kind": "spectral_norm"}, "kaiming_normal"),
            "fails",
            "every map shrinks: δ vanishes",
        ),
    ),
    "activation": (
        Trial(
            "ReLU for 20 sigmoids",
            deep_sigmoid({"kind": "activation", "function": "relu"}),
            "helps",
            "φ' is 1 where φ is active",
        ),
        Trial(
            "sigmoid for 20 ReLUs",
            deep_relu({"kind": "activation", "function": "sigmoid"}, "kaiming_normal", 20),
            "fails",
            "φ' ≤ ¼",
        ),
    ),
    "selu": (
        Trial("20 sigmoid layers", deep_sigmoid({"kind": "selu"}), "helps", "mean 0 and variance 1 are a fixed point"),
        Trial("two ReLU layers", shallow({"kind": "selu"}), "fails", "nothing was wrong"),
    ),
    "residual": (
        Trial("30 ReLU layers, Xavier", deep_relu({"kind": "residual"}), "helps", "δ has a way around the layers"),
        Trial("two ReLU layers", shallow({"kind": "residual"}), "fails", "nothing was wrong"),
    ),
    "scaled": (
        Trial("40 residual blocks", deep_residual({"kind": "scaled"}), "helps", "(1 + 1/L)^L instead of 2^L"),
        Trial("two ReLU layers", shallow({"kind": "scaled"}), "fails", "nothing was wrong"),
    ),
    "rezero": (
        Trial("40 residual blocks", deep_residual({"kind": "rezero"}), "helps", "the stream starts as the identity"),
        Trial("two ReLU layers", shallow({"kind": "rezero"}), "fails", "nothing was wrong"),
    ),
    "skip_init": (
        Trial("40 residual blocks", deep_residual({"kind": "skip_init"}), "helps", "the stream starts as the identity"),
        Trial(
            "40 blocks, α = 1",
            deep_residual({"kind": "skip_init", "alpha": 1.0}),
            "fails",
            "a plain residual connection",
        ),
    ),
    "layer_scale": (
        Trial(
            "40 residual blocks", deep_residual({"kind": "layer_scale", "value": 0.01}), "helps", "branches start small"
        ),
        Trial(
            "two ReLU layers",
            shallow({"kind": "layer_scale"}),
            "fails",
            "nothing was wrong, and a branch hardly learns",
        ),
    ),
    "highway": (
        Trial(
            "30 ReLU layers, Xavier",
            mlp({"kind": "highway"}, 30, "relu", "xavier_normal", batch_size=32),
            "helps",
            "closed gates carry δ",
        ),
        Trial("two ReLU layers", shallow({"kind": "highway"}), "fails", "nothing was wrong"),
    ),
    "pre_norm": (
        Trial(
            "12 post-norm blocks",
            transformer({"kind": "pre_norm"}, 12, epochs=8, optimizer=ADAM | {"learning_rate": 0.003}),
            "helps",
            "no norm on the stream",
        ),
        Trial(
            "pre-norm already",
            transformer({"kind": "pre_norm"}, 2, network={"norm_position": "pre"}, optimizer=ADAM),
            "fails",
            "nothing changes",
        ),
    ),
    "dropout": (
        # On 90 cases from larger weights it helps each seed by 0.029 and more, under weights moved by 1e-6 too; on 180
        # a seed was helped or harmed as rounding went.
        Trial("few cases", few_cases({"kind": "dropout", "p": 0.3}, 40.0, 0.95), "helps", "less by heart"),
        Trial(
            "30 He-ReLU layers",
            deep_relu({"kind": "dropout", "p": 0.3}, "kaiming_normal"),
            "fails",
            "χ grows to 1/(1 − p)",
        ),
    ),
    "lstm": (
        Trial("adding, 40 steps", adding({"kind": "lstm"}, 40), "helps", "the cell state carries δ"),
        Trial("adding, 100 steps", adding({"kind": "lstm"}, 100, 120), "fails", "σ(1)^100 is still nothing at first"),
    ),
    "gru": (
        Trial("adding, 40 steps", adding({"kind": "gru"}, 40), "helps", "z carries δ"),
        Trial("adding, 100 steps", adding({"kind": "gru"}, 100, 120), "fails", "½ per step is nothing over 100"),
    ),
    "irnn": (
        Trial("adding, 50 steps, both clipped", clipped_irnn(), "helps", "W_hh = I keeps δ"),
        Trial("adding, 4 steps", adding({"kind": "irnn"}, 4, 200), "fails", "short sequences need no memory"),
    ),
    "forget_bias": (
        Trial(
            "LSTM, adding, 30 steps",
            adding({"kind": "forget_bias", "value": 2.0}, 30, 500, network={"cell": "lstm"}),
            "helps",
            "σ(b_f)^T instead of ½^T",
        ),
        Trial(
            "LSTM, adding, 4 steps",
            adding({"kind": "forget_bias", "value": 2.0}, 4, 200, network={"cell": "lstm"}),
            "fails",
            "there is nothing to remember for long",
        ),
    ),
    "truncated_bptt": (
        Trial(
            "vowels, W_hh = 3·orthogonal",
            vowels({"kind": "truncated_bptt", "steps": 2}, {"recurrent_init": {"kind": "orthogonal", "gain": 3.0}}),
            "helps",
            "δ cannot grow beyond two steps",
        ),
        Trial(
            "LSTM, adding, 20 steps",
            adding({"kind": "truncated_bptt", "steps": 3}, 20, network={"cell": "lstm"}),
            "fails",
            "the marker lies outside the window",
        ),
    ),
    "standardise": (
        Trial(
            "raw digits",
            mlp(
                {"kind": "standardise"},
                6,
                "tanh",
                "xavier_normal",
                dataset={"kind": "digits", "standardise": "none"},
                epochs=2,
            ),
            "helps",
            "inputs around 0 with variance 1",
        ),
        Trial("standardised digits", shallow({"kind": "standardise", "how": "scalar"}), "fails", "they are so already"),
    ),
    "standardise_targets": (
        Trial(
            "targets of some hundred",
            teacher({"kind": "standardise_targets"}, 150.0),
            "helps",
            "∂L/∂y is no longer 150 times what the rate is for",
        ),
        Trial("targets of variance 1", teacher({"kind": "standardise_targets"}, 1.0), "fails", "they are so already"),
    ),
}
