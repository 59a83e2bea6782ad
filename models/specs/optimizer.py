"""Optimisers by name, with the parameters that torch gives them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from models.specs.base import About, Spec

LearningRate = Annotated[float, Field(gt=0, le=1e3)]
Beta = Annotated[float, Field(ge=0, lt=1)]


class SgdSpec(Spec):
    kind: Literal["sgd"]
    learning_rate: LearningRate = 0.01
    momentum: float = Field(default=0.0, ge=0, lt=1)
    about: ClassVar = About(
        "Stochastic gradient descent",
        "v ← μ·v + g; W ← W − lr·v",
        "Robbins & Monro 1951; Polyak 1964",
        "vanishing gradients: the update is as small as the gradient",
    )


class AdamSpec(Spec):
    kind: Literal["adam"]
    learning_rate: LearningRate = 0.001
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0, le=1)
    about: ClassVar = About(
        "Adam",
        "W ← W − lr·m̂/(√v̂ + ε)",
        "Kingma & Ba 2014, arXiv:1412.6980",
        "gradients far below ε; information lost on the way down stays lost",
        ("vanishing",),
    )


OptimizerSpec = Annotated[SgdSpec | AdamSpec, Field(discriminator="kind")]
OPTIMIZERS: dict[str, type[Spec]] = {"sgd": SgdSpec, "adam": AdamSpec}
