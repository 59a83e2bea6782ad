"""The families of faults in steps from blatant to faint: each a network that is healthy, and how it is changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch

from gradient_clinic.verdict.shapes import Cause
from proofs.science.cases.case import DIGITS, HE, LECUN, Json, optim
from proofs.science.running import UNTOUCHED, Touch
from worker.begun import laid_out
from worker.datasets.split import Part, TrialData
from worker.networks.network import Network
from worker.trainer import Trainer

STEPS: Final = 8


@dataclass(frozen=True, slots=True)
class Family:
    """``causes``: those that are right to name. ``shown``: a strength in words. ``strengths``: from blatant to faint.
    ``change``: what the fault changes of the spec, part by part; ``touch``: what it does that no spec says.
    """

    name: str
    causes: tuple[Cause, ...]
    base: Json
    shown: str
    strengths: Sequence[float]
    change: Callable[[float], Json] = lambda _: {}
    touch: Callable[[float], Touch] = lambda _: UNTOUCHED
    score: Callable[[Network, Part], float] | None = None

    def body(self, strength: float | None) -> Json:
        """None: the base."""
        changes = {} if strength is None else self.change(strength)
        parts = {name: {**part, **changes.get(name, {})} for name, part in self.base.items()}
        return {"steps": 250, "batch_size": 64, "dataset": DIGITS, **parts, **_others(changes, parts)}

    def touched(self, strength: float | None) -> Touch:
        touch = UNTOUCHED if strength is None else self.touch(strength)
        if strength is not None and touch is not UNTOUCHED:
            touch = replace(touch, name=f"{self.name} {strength:g}")
        return touch if self.score is None else replace(touch, name=touch.name or self.name, score=self.score)

    def label(self, strength: float) -> str:
        return self.shown.format(f"{strength:g}")


def _others(changes: Json, parts: Mapping[str, Any]) -> Json:
    """Parts of a spec that the base does not set."""
    return {name: value for name, value in changes.items() if name not in parts}


def _mlp(depth: int, activation: str, init: Json, **more: Any) -> Json:
    return {"kind": "mlp", "depth": depth, "width": 64, "activation": activation, "init": init, **more}


def _gaussian(variance: float) -> Json:
    return {"network": {"init": {"kind": "gaussian", "weight_variance": variance, "bias_variance": 0.0}}}


def _depth(depth: float) -> Json:
    return {"network": {"depth": int(depth)}}


# --- what no spec says ----------------------------------------------------------------------------------------------


def _inputs_times(factor: float) -> Touch:
    def scaled(part: Part) -> Part:
        return replace(part, x=part.x * factor)

    def data(its: TrialData) -> TrialData:
        return replace(its, train=scaled(its.train), validation=scaled(its.validation), test=scaled(its.test))

    return Touch(data=data)


def _biases_below(shift: float) -> Touch:
    """Of a layer in the middle, by so much."""

    @torch.no_grad()
    def trainer(its: Trainer) -> None:
        points = laid_out(its.model).points()
        named = dict(its.model.named_parameters())
        weight = points[len(points) // 2].weight
        name = next(name for name, parameter in named.items() if parameter is weight)
        named[name.removesuffix("weight") + "bias"].sub_(shift)

    return Touch(trainer=trainer)


def _mostly_zeros(share: float) -> Touch:
    """So large a share of the cases of all other labels gives its place to cases of label 0."""

    def data(its: TrialData) -> TrialData:
        train, validation, test = (_replaced(part, share) for part in (its.train, its.validation, its.test))
        return replace(its, train=train, validation=validation, test=test)

    return Touch(data=data)


def _replaced(part: Part, share: float) -> Part:
    rng = np.random.default_rng(0)
    chosen, zeros = np.arange(len(part)), np.flatnonzero(part.y.numpy() == 0)
    if not len(zeros):
        return part
    others = rng.permutation(np.flatnonzero(part.y.numpy() != 0))
    given = others[: round(share * len(others))]
    chosen[given] = rng.choice(zeros, len(given))
    return part.take(torch.from_numpy(chosen))


@torch.no_grad()
def balanced_accuracy(model: Network, part: Part) -> float:
    """The mean over labels that occur of the share of theirs that is right."""
    model.eval()
    right = (model(part.x, part.lengths).argmax(dim=-1) == part.y).double()
    model.train()
    return float(np.mean([float(right[part.y == label].mean()) for label in set(part.y.tolist())]))


@torch.no_grad()
def explained(model: Network, part: Part) -> float:
    """R² of values."""
    model.eval()
    error = (model(part.x, part.lengths) - part.y).double().square().mean()
    model.train()
    return float(1.0 - error / (part.y.double() - part.y.double().mean(dim=0)).square().mean())


# --- the table ------------------------------------------------------------------------------------------------------

SLOW_SGD: Final = optim("sgd", 0.01, momentum=0.9)
CRITICAL_TANH: Final[Json] = {"kind": "gaussian", "weight_variance": 1.760955, "bias_variance": 0.05}
RELU: Final[Json] = {"network": _mlp(12, "relu", HE), "optimizer": SLOW_SGD}
TANH: Final[Json] = {"network": _mlp(12, "tanh", CRITICAL_TANH), "optimizer": SLOW_SGD}
SHALLOW: Final[Json] = {"network": _mlp(2, "relu", HE), "optimizer": SLOW_SGD}
SHALLOW_TANH: Final[Json] = {
    "network": _mlp(2, "tanh", {"kind": "uniform", "low": -0.2, "high": 0.2}),
    "optimizer": optim("sgd", 0.1),
}
SELU: Final[Json] = {"network": _mlp(16, "selu", LECUN), "optimizer": optim("adam", 0.001)}
BATCH_NORM: Final[Json] = {
    "network": _mlp(6, "relu", HE, normalization={"kind": "batch_norm"}),
    "optimizer": optim("sgd", 0.02, momentum=0.9),
}
TEACHER: Final[Json] = {
    "dataset": {"kind": "teacher_student", "inputs": 20, "outputs": 1, "cases": 1000, "singular_values": [2.0]},
    "network": {"kind": "mlp", "hidden": [25], "activation": "relu", "init": HE},
    "optimizer": SLOW_SGD,
}


def _rate(times: float) -> Json:
    return {"optimizer": {"learning_rate": SLOW_SGD["learning_rate"] * times}}


def _dropout(p: float) -> Json:
    return {"network": {"dropout": p}}


def _targets(deviation: float) -> Json:
    return {"dataset": {"singular_values": [deviation]}}


def _alike(spread: float) -> Json:
    """Weights between .1 less so much and .1; without a spread all of them .1."""
    drawn = {"kind": "uniform", "low": 0.1 - spread, "high": 0.1}
    return {"network": {"init": drawn if spread else {"kind": "constant", "value": 0.1}}}


def _half_precision(exponent: float) -> Json:
    """float16 with a loss scale of 2 to this power: smaller δ are lost."""
    scale = {"kind": "mixed_precision", "dtype": "float16", "initial_scale": 2.0**exponent}
    return {"variants": [{"name": "fault", "remedies": [{**scale, "growth_interval": 1_000_000}]}]}


FAMILIES: Final = (
    Family(
        "init scale", ("initialisation",), RELU, "σw² {}", (0.05, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.2), change=_gaussian
    ),
    Family("rate", ("learning_rate",), RELU, "rate × {}", (1000, 300, 100, 50, 20, 10, 5, 2.5), change=_rate),
    Family(
        "saturation",
        ("saturating_activation", "initialisation"),
        TANH,
        "σw² {}",
        (400, 100, 50, 30, 20, 15, 10, 5),
        change=_gaussian,
    ),
    Family("dead units", ("dead_units",), RELU, "biases − {}", (30, 20, 10, 7, 5, 4, 3, 1), touch=_biases_below),
    Family("depth", ("depth_without_skip",), RELU, "{} layers", (100, 80, 64, 48, 40, 32, 24, 16), change=_depth),
    Family(
        "input scale",
        ("input_scale", "numeric_range"),
        RELU,
        "inputs × {}",
        (10_000, 3000, 1000, 300, 100, 30, 10, 4),
        touch=_inputs_times,
    ),
    Family(
        "target scale",
        ("target_scale",),
        TEACHER,
        "targets of {}",
        (1000, 300, 150, 100, 70, 50, 35, 20),
        change=_targets,
        score=explained,
    ),
    Family("dropout", ("dropout_noise",), SELU, "p = {}", (0.9, 0.7, 0.5, 0.4, 0.3, 0.25, 0.2, 0.1), change=_dropout),
    Family(
        "symmetric",
        ("symmetric_weights", "initialisation"),
        SHALLOW_TANH,
        "spread {}",
        (0, 1e-6, 1e-4, 1e-3, 0.01, 0.03, 0.08, 0.15),
        change=_alike,
    ),
    Family(
        "BN transient",
        ("batch_norm_at_depth",),
        BATCH_NORM,
        "{} layers",
        (80, 60, 48, 40, 34, 28, 22, 14),
        change=_depth,
    ),
    Family(
        "precision",
        ("numeric_range",),
        SHALLOW,
        "loss × 2^{}",
        (-26, -24, -22, -20, -19, -18, -17, -14),
        change=_half_precision,
    ),
    Family(
        "imbalance",
        ("class_imbalance",),
        RELU,
        "{} of the rest replaced",
        (0.995, 0.99, 0.98, 0.96, 0.93, 0.9, 0.8, 0.7),
        touch=_mostly_zeros,
        score=balanced_accuracy,
    ),
)
