"""Optimisers by name, with the parameters and defaults that torch gives them; sgd's rate alone is ten times torch's."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from models.specs.base import About, Spec, by_kind
from models.specs.schedule import ScheduleSpec

LARGEST_RATE = 1e3
LearningRate = Annotated[float, Field(gt=0, le=LARGEST_RATE)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Eps = Annotated[float, Field(gt=0, le=1)]
Decay = Annotated[float, Field(ge=0, le=1e3)]


class Scheduled(Spec):
    """What all of them have beside their own parameters."""

    schedule: ScheduleSpec | None = None
    """null: one rate all along."""


class SgdSpec(Scheduled):
    kind: Literal["sgd"]
    learning_rate: LearningRate = 0.01
    momentum: float = Field(default=0.0, ge=0, lt=1)
    nesterov: bool = False
    about: ClassVar = About(
        title="Stochastic gradient descent",
        formula="v ← μ·v + g; W ← W − lr·v",
        paper="Robbins & Monro 1951; Polyak 1964; Nesterov 1983",
        fails_when="vanishing gradients: the update is as small as the gradient",
    )

    @model_validator(mode="after")
    def _nesterov_looks_ahead_by_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0.0:
            message = "nesterov needs a momentum above 0"
            raise ValueError(message)
        return self


class RmspropSpec(Scheduled):
    kind: Literal["rmsprop"]
    learning_rate: LearningRate = 0.01
    alpha: Beta = 0.99
    eps: Eps = 1e-8
    momentum: float = Field(default=0.0, ge=0, lt=1)
    about: ClassVar = About(
        title="RMSprop",
        formula="v ← α·v + (1 − α)·g²; W ← W − lr·g/(√v + ε)",
        paper="Tieleman & Hinton 2012",
        fails_when="gradients far below ε; the first steps are too long",
        treats=("vanishing",),
    )


class AdamSpec(Scheduled):
    kind: Literal["adam"]
    learning_rate: LearningRate = 0.001
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    eps: Eps = 1e-8
    about: ClassVar = About(
        title="Adam",
        formula="W ← W − lr·m̂/(√v̂ + ε)",
        paper="Kingma & Ba 2014, arXiv:1412.6980",
        fails_when="gradients far below ε; information lost on the way down stays lost",
        treats=("vanishing",),
    )


class AdamWSpec(Scheduled):
    kind: Literal["adamw"]
    learning_rate: LearningRate = 0.001
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    eps: Eps = 1e-8
    weight_decay: Decay = 0.01
    about: ClassVar = About(
        title="AdamW",
        formula="W ← W − lr·(m̂/(√v̂ + ε) + λ·W), over all parameters",
        paper="Loshchilov & Hutter 2017, arXiv:1711.05101",
        fails_when="as Adam; a λ that pulls a deep network's weights below their critical variance",
        treats=("vanishing",),
    )


class NadamSpec(Scheduled):
    kind: Literal["nadam"]
    learning_rate: LearningRate = 0.002
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    eps: Eps = 1e-8
    momentum_decay: float = Field(default=0.004, ge=0, le=1)
    about: ClassVar = About(
        title="NAdam",
        formula="Adam with Nesterov's look ahead",
        paper="Dozat 2016",
        fails_when="as Adam",
        treats=("vanishing",),
    )


class RadamSpec(Scheduled):
    kind: Literal["radam"]
    learning_rate: LearningRate = 0.001
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    eps: Eps = 1e-8
    about: ClassVar = About(
        title="RAdam",
        formula="Adam whose rate is rectified while the variance of v̂ is unknown: plain momentum in the first steps",
        paper="Liu et al. 2019, arXiv:1908.03265",
        fails_when="vanishing gradients in the first steps, which are plain momentum",
        treats=("learning_rate",),
    )


class MuonSpec(Scheduled):
    """Hidden weight matrices take orthogonalised steps; biases, norms, embeddings, kernels, output take AdamW's."""

    kind: Literal["muon"]
    learning_rate: LearningRate = 0.001
    momentum: float = Field(default=0.95, ge=0, lt=1)
    nesterov: bool = True
    ns_steps: int = Field(default=5, ge=1, le=99)
    weight_decay: Decay = 0.1
    adamw_learning_rate: LearningRate = 0.001
    about: ClassVar = About(
        title="Muon",
        formula="W ← W − lr·√max(1, rows/columns)·U·Vᵀ of the momentum's U·S·Vᵀ (Newton–Schulz)",
        paper="Jordan et al. 2024",
        fails_when="noise in layers that get no gradient is amplified like any other",
        treats=("vanishing", "exploding"),
    )


OptimizerSpec = Annotated[
    SgdSpec | RmspropSpec | AdamSpec | AdamWSpec | NadamSpec | RadamSpec | MuonSpec, Field(discriminator="kind")
]
OPTIMIZERS: dict[str, type[Spec]] = by_kind(OptimizerSpec)
