"""Trials of the initialisations that the remedy ``init`` sets: one where each helps and one where it fails."""

from proofs.outcomes.trials.base import Trial
from proofs.outcomes.trials.bodies import Json, deep_cnn, deep_relu, deep_residual, deep_sigmoid, mlp


def init(kind: str, **parameters: float) -> Json:
    return {"kind": "init", "init": {"kind": kind, **parameters}}


def in_sigmoids(kind: str) -> Trial:
    return Trial(f"{kind}, 20 sigmoid layers", deep_sigmoid(init(kind)), "fails", "φ' ≤ ¼ shrinks δ whatever W is")


INITS: dict[str, tuple[Trial, Trial]] = {
    "init:lecun_normal": (
        Trial(
            "20 SELU layers",
            mlp(init("lecun_normal"), 20, "selu", "torch_default"),
            "helps",
            "variance 1 is SELU's fixed point",
        ),
        Trial("30 ReLU layers", deep_relu(init("lecun_normal")), "fails", "χ = ½, as with Xavier"),
    ),
    "init:identity": (
        Trial("20 tanh layers", mlp(init("identity"), 20, "tanh", "torch_default"), "helps", "every layer passes δ on"),
        in_sigmoids("identity"),
    ),
    "init:uniform": (
        Trial(
            "20 tanh layers",
            mlp(init("uniform", low=-0.23, high=0.23), 20, "tanh", "torch_default"),
            "helps",
            "σw² = 1.13 at width 64 instead of ⅓",
        ),
        Trial(
            "20 tanh layers, a tenth of it",
            mlp(init("uniform", low=-0.023, high=0.023), 20, "tanh", "torch_default"),
            "fails",
            "a fixed span knows no width: σw² = 0.01",
        ),
    ),
    "init:delta_orthogonal": (
        Trial(
            "20 tanh convolutions",
            deep_cnn(init("delta_orthogonal", gain=1.05)),
            "helps",
            "norms are kept at every pixel",
        ),
        Trial(
            "20 ReLU convolutions",
            deep_cnn(init("delta_orthogonal"), activation="relu"),
            "fails",
            "half of it is lost at every ReLU",
        ),
    ),
    "init:lsuv": (
        Trial("30 ReLU layers, Xavier", deep_relu(init("lsuv")), "helps", "h has variance 1 in every layer"),
        in_sigmoids("lsuv"),
    ),
    "init:fixup": (
        Trial("40 residual blocks", deep_residual(init("fixup")), "helps", "branches start at zero"),
        Trial("one block", deep_residual(init("fixup"), blocks=1), "fails", "one block does not explode"),
    ),
    "init:gpt2": (
        Trial(
            "40 residual blocks", deep_residual(init("gpt2", std=0.1)), "helps", "the sum of branches stays of one size"
        ),
        Trial("30 ReLU layers", deep_relu(init("gpt2")), "fails", "a fixed deviation knows no width"),
    ),
}
