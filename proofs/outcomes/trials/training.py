"""A trial where it helps and one where it fails, for every remedy that changes how a network is trained."""

from proofs.outcomes.trials.base import Trial
from proofs.outcomes.trials.bodies import (
    Json,
    deep_sigmoid,
    exploding,
    few_cases,
    few_of_one_class,
    mlp,
    shallow,
    transformer,
)

HOT = {"kind": "sgd", "learning_rate": 1.0, "momentum": 0.9}
COLD = {"kind": "sgd", "learning_rate": 0.002}


def too_hot(remedy: Json, learning_rate: float = 0.3, depth: int = 6) -> Json:
    """A network that would train at a tenth of the rate."""
    return mlp(remedy, depth, "relu", "kaiming_normal", optimizer=HOT | {"learning_rate": learning_rate})


def underflowing() -> Json:
    """Gradients that float16 cannot hold, with and without a scale of the loss."""
    half = {"kind": "mixed_precision", "dtype": "float16"}
    adam = {"kind": "adam", "learning_rate": 0.002}
    body = mlp({}, 17, "relu", "torch_default", batch_size=512, loss="mse", optimizer=adam, epochs=200)
    # A spec has remedies or variants, not both.
    del body["remedies"]
    unscaled = {"name": "without", "remedies": [half | {"initial_scale": 1.0}]}
    return body | {"variants": [unscaled, {"name": "with", "remedies": [half]}]}


TRAINING: dict[str, tuple[Trial, Trial]] = {
    "learning_rate": (
        Trial(
            "a rate too high",
            too_hot({"kind": "learning_rate", "value": 0.05}, 1.0),
            "helps",
            "the rate was the illness",
        ),
        Trial(
            "20 sigmoid layers",
            deep_sigmoid({"kind": "learning_rate", "value": 0.01}),
            "fails",
            "ratios between layers stay",
        ),
    ),
    "l2": (
        Trial("few cases", few_cases({"kind": "l2", "strength": 0.05}), "helps", "less by heart"),
        Trial("20 sigmoid layers", deep_sigmoid({"kind": "l2"}), "fails", "fills ∂L/∂W, leaves δ"),
    ),
    "weight_decay": (
        Trial("few cases", few_cases({"kind": "weight_decay", "strength": 1.0}), "helps", "less by heart"),
        Trial("20 sigmoid layers", deep_sigmoid({"kind": "weight_decay"}), "fails", "smaller weights, smaller δ"),
    ),
    "orthogonal_penalty": (
        Trial(
            "20 tanh layers",
            mlp({"kind": "orthogonal_penalty", "strength": 0.1}, 20, "tanh", "torch_default"),
            "helps",
            "W is pulled to where δ is kept",
        ),
        Trial(
            "20 sigmoid layers", deep_sigmoid({"kind": "orthogonal_penalty"}), "fails", "φ' ≤ ¼ shrinks δ whatever W is"
        ),
    ),
    "clip_norm": (
        Trial("a rate too high", too_hot({"kind": "clip_norm", "max_norm": 0.1}), "helps", "steps stay short"),
        Trial("20 sigmoid layers", deep_sigmoid({"kind": "clip_norm"}), "fails", "there is nothing to clip"),
    ),
    "clip_value": (
        Trial("a rate too high", too_hot({"kind": "clip_value", "max_value": 0.001}), "helps", "steps stay short"),
        Trial("20 sigmoid layers", deep_sigmoid({"kind": "clip_value"}), "fails", "there is nothing to clip"),
    ),
    "agc": (
        Trial("a rate too high", too_hot({"kind": "agc"}), "helps", "steps stay short beside the weights"),
        Trial("20 sigmoid layers", deep_sigmoid({"kind": "agc"}), "fails", "there is nothing to clip"),
    ),
    "ema_clip": (
        Trial(
            "a rate at its limit",
            too_hot({"kind": "ema_clip", "warm_up": 10, "z": 1.0}, 0.1, 10),
            "helps",
            "spikes are cut",
        ),
        Trial("20 layers, gain 2", exploding({"kind": "ema_clip"}), "fails", "it explodes before anything is known"),
    ),
    "gradient_centralization": (
        Trial(
            "raw digits",
            mlp(
                {"kind": "gradient_centralization"},
                6,
                "tanh",
                "xavier_normal",
                dataset={"kind": "digits", "standardise": "none"},
                optimizer=HOT | {"learning_rate": 0.1},
                epochs=2,
            ),
            "helps",
            "inputs above 0 give every unit one direction in common",
        ),
        Trial(
            "20 sigmoid layers",
            deep_sigmoid({"kind": "gradient_centralization"}),
            "fails",
            "what is small stays small",
        ),
    ),
    "warm_up": (
        Trial(
            # With margin: losses of .91 and more of chance without, .31 at most with it, also from moved weights.
            "16 post-norm blocks",
            transformer(
                {"kind": "warm_up", "steps": 150}, 16, epochs=10, optimizer={"kind": "adam", "learning_rate": 0.006}
            ),
            "helps",
            "the first steps break nothing",
        ),
        Trial("20 sigmoid layers", deep_sigmoid({"kind": "warm_up"}), "fails", "smaller steps on a vanished gradient"),
    ),
    "optimizer": (
        Trial(
            "Adam, 12 ReLU layers, Xavier",
            mlp({"kind": "optimizer", "optimizer": {"kind": "adam"}}, 12, "relu", "xavier_normal", optimizer=COLD),
            "helps",
            "steps no longer shrink with the gradient",
        ),
        Trial(
            "NAdam, 20 sigmoid layers",
            deep_sigmoid({"kind": "optimizer", "optimizer": {"kind": "nadam"}}),
            "fails",
            "lost information stays lost",
        ),
    ),
    "momentum": (
        Trial(
            "a slow rate",
            mlp({"kind": "momentum"}, 4, "relu", "kaiming_normal", optimizer=COLD),
            "helps",
            "ten steps in one",
        ),
        Trial(
            "a rate at its limit",
            mlp({"kind": "momentum"}, 6, "relu", "kaiming_normal", optimizer={"kind": "sgd", "learning_rate": 0.3}),
            "fails",
            "ten steps in one",
        ),
    ),
    "schedule": (
        Trial(
            "Adam at 0.05",
            mlp(
                {"kind": "schedule"},
                4,
                "relu",
                "kaiming_normal",
                optimizer={"kind": "adam", "learning_rate": 0.05},
                batch_size=16,
            ),
            "helps",
            "the last steps are short enough to settle",
        ),
        Trial("20 sigmoid layers", deep_sigmoid({"kind": "schedule"}), "fails", "smaller steps on a vanished gradient"),
    ),
    "label_smoothing": (
        Trial(
            "few cases at a high rate",
            mlp(
                {"kind": "label_smoothing"},
                4,
                "relu",
                "kaiming_normal",
                network={"width": 128},
                dataset={"kind": "digits", "test_fraction": 0.95},
                optimizer=HOT | {"learning_rate": 0.1},
                batch_size=16,
                epochs=40,
            ),
            "helps",
            "logits stay bounded, and no step throws them away",
        ),
        Trial(
            "few cases, large weights",
            few_cases({"kind": "label_smoothing", "value": 0.3}),
            "fails",
            "to have logits of one size the large weights must all be learned anew",
        ),
    ),
    "class_weights": (
        Trial(
            "one class in five, each class counts",
            few_of_one_class({"kind": "class_weights"}),
            "helps",
            "the rare label weighs as much as the common one",
        ),
        Trial(
            "one class in five, each case counts",
            few_of_one_class({"kind": "class_weights"}, metric="accuracy"),
            "fails",
            "the common label is said less often",
        ),
    ),
    "mixed_precision": (
        Trial("16 ReLU layers in float16, MSE", underflowing(), "helps", "unscaled δ is below 6e-8, and lost"),
        Trial("two ReLU layers, bfloat16", shallow({"kind": "mixed_precision"}), "fails", "nothing was out of range"),
    ),
}
