"""Random experiments over all kinds of networks, data sets, optimisers and remedies that cost: each a short run."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from models.plan import expand
from models.plan.work import forward_macs
from models.specs.base import SpecError
from models.specs.experiment import ExperimentSpec

Json = dict[str, Any]
KINDS: Final = ("mlp", "residual_mlp", "cnn", "residual_cnn", "rnn", "transformer", "sequential")
VECTORS: Final = ("digits", "mnist_5k", "mnist_1d")
IMAGES: Final = ("digits", "mnist_5k")
STEPS: Final = ("japanese_vowels", "names", "python_docs", "digits", "adding", "mnist_5k")
FUNCTIONS: Final = ("relu", "leaky_relu", "tanh", "gelu", "silu", "sigmoid", "elu", "mish")
OPTIMIZERS: Final = ("sgd", "adam", "adamw", "rmsprop", "nadam", "radam", "muon")
# Four times none: a third of the runs tell what a plain step costs, which is in all the others too.
REMEDIES: Final[tuple[Json | None, ...]] = (
    None,
    None,
    None,
    None,
    {"kind": "clip_norm", "max_norm": 1.0},
    {"kind": "clip_value", "value": 0.1},
    {"kind": "agc"},
    {"kind": "l2", "strength": 1e-4},
    {"kind": "gradient_centralization"},
    {"kind": "orthogonal_penalty", "strength": 1e-4},
    {"kind": "mixed_precision"},
)
MOST_MACS: Final = 5e8
"""Of the steps of one run forward: some tenths of a second."""


def drawn(count: int, seed: int) -> Iterator[ExperimentSpec]:
    """``count`` specs that can be, the kinds in turn."""
    random = np.random.default_rng(seed)
    for at in range(count):
        # Parts that do not fit are drawn again, so that every kind has as many specs.
        while (spec := _short(_spec(KINDS[at % len(KINDS)], random), random)) is None:
            pass
        yield spec


def _short(asked: Json, random: np.random.Generator) -> ExperimentSpec | None:
    """With as many steps as make a short run; None where the parts do not fit, or one step is too long."""
    try:
        spec = ExperimentSpec.model_validate(asked)
        plan = expand(spec)[-1].plan
    except (ValueError, SpecError):
        return None
    step = plan.experiment.batch_size * max(1, forward_macs(plan.network))
    # Of fewer than three steps the setting up would be most of what is measured.
    most = MOST_MACS / step
    return spec.model_copy(update={"steps": min(int(most), int(random.integers(3, 15)))}) if most > 3.0 else None


def _spec(kind: str, random: np.random.Generator) -> Json:
    dataset: Json = {"kind": _one(random, IMAGES if kind.endswith("cnn") else VECTORS)}
    if kind in {"rnn", "transformer"}:
        dataset = {"kind": _one(random, STEPS)}
    if random.random() < 0.3:
        dataset["validation_fraction"] = 0.1
    remedy = _one(random, REMEDIES)
    return {
        "name": "cost",
        "dataset": dataset,
        "network": _network(kind, random),
        # So small that none diverges: in mixed precision a step that is not finite is left out, and costs less.
        "optimizer": {"kind": _one(random, OPTIMIZERS), "learning_rate": 1e-4},
        "batch_size": _even(random, 8, 512),
        "steps": 3,
        "seeds": [0],
        # Never ended early: the plan alone has to say how many steps there are.
        "stop_when": {"nonfinite_steps": None},
        "trace": {"every": _one(random, (1, 1, 2, 10))},
        "remedies": [] if remedy is None else [remedy],
    }


def _network(kind: str, random: np.random.Generator) -> Json:  # noqa: PLR0911 -- one per kind
    network: Json = {"kind": kind}
    width = _even(random, 16, 384)
    if kind == "rnn":
        cell = _one(random, ("tanh", "relu", "lstm", "gru"))
        return {**network, "cell": cell, "width": _even(random, 8, 192), "layers": _even(random, 1, 3)}
    if kind == "sequential":
        return {**network, "layers": list(_items(width, random))}
    network["activation"] = _one(random, FUNCTIONS)
    if random.random() < 0.2:
        network["dropout"] = 0.1
    if kind == "transformer":
        heads = _one(random, (1, 2, 4))
        return {**network, "blocks": _even(random, 1, 8), "width": 8 * heads * _even(random, 1, 6), "heads": heads}
    norms = (None, None, "batch_norm", "layer_norm", *(() if kind.endswith("cnn") else ("rms_norm",)))
    norm = _one(random, norms)
    network["normalization"] = None if norm is None else {"kind": norm}
    match kind:
        case "mlp":
            return {**network, "depth": _even(random, 2, 60), "width": width}
        case "residual_mlp":
            return {**network, "blocks": _even(random, 1, 30), "width": width, "skip": {"kind": _skip(random)}}
    channels = [_even(random, 4, 32) for _ in range(int(random.integers(1, 4)))]
    network |= {"channels": channels, "kernel_size": _one(random, (1, 3, 3, 5))}
    if kind == "cnn":
        return {**network, "layers_per_stage": _even(random, 1, 6), "pool": _one(random, ("max", "average", "stride"))}
    return {**network, "blocks_per_stage": _even(random, 1, 3), "skip": {"kind": _skip(random)}}


def _items(width: int, random: np.random.Generator) -> Iterator[Json]:
    for _ in range(_even(random, 1, 20)):
        yield {"kind": "linear", "units": width}
        if random.random() < 0.3:
            yield {"kind": _one(random, ("layer_norm", "batch_norm"))}
        yield {"kind": "activation", "function": _one(random, FUNCTIONS)}
        if random.random() < 0.2:
            yield {"kind": "dropout", "p": 0.1}


def _skip(random: np.random.Generator) -> str:
    return str(_one(random, ("residual", "scaled", "rezero", "layer_scale", "highway")))


def _even(random: np.random.Generator, least: int, most: int) -> int:
    """Even in its logarithm."""
    return round(math.exp(random.uniform(math.log(least), math.log(most))))


def _one(random: np.random.Generator, among: Sequence[Any]) -> Any:
    return among[int(random.integers(len(among)))]
