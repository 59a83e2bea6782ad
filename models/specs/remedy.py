"""The remedies by name. Each says what it treats and when it fails; what it does is in ``models/plan.py``
(structure) or ``worker/remedies/`` (at run time).
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from models.specs.base import About, Spec
from models.specs.init import InitSpec, Positive
from models.specs.network import Alpha, Function, Slope, activation_of
from models.specs.optimizer import LearningRate

Slot = Literal["init", "normalization", "activation", "learning_rate", "clipping", "penalty"]
"""What a remedy sets. Two remedies of one slot in one variant contradict each other."""


class OrthogonalInitRemedy(Spec):
    kind: Literal["orthogonal_init"]
    gain: Positive = 1.0
    slot: ClassVar[Slot] = "init"
    about: ClassVar = About(
        "Orthogonal initialisation",
        "the smaller Gram matrix of W is gain²·I (WᵀW = gain²·I), b = 0",
        "Saxe et al. 2013, arXiv:1312.6120",
        "the gain does not fit the activation: ReLU wants √2, a sigmoid vanishes at every usual gain",
        ("initialisation", "vanishing", "exploding"),
    )


class InitRemedy(Spec):
    kind: Literal["init"]
    init: InitSpec
    slot: ClassVar[Slot] = "init"
    about: ClassVar = About(
        "Another initialisation",
        "as the init of that name",
        "see /v1/catalogue/inits",
        "its variance is off the critical point of the activation",
        ("initialisation", "vanishing", "exploding"),
    )


class L2Remedy(Spec):
    kind: Literal["l2"]
    strength: float = Field(default=1e-4, ge=0, le=1e3)
    layers: Literal["hidden", "all"] = "hidden"
    slot: ClassVar[Slot] = "penalty"
    about: ClassVar = About(
        "L2 term in the loss",
        "L + λ·Σ‖W‖²; adds 2·λ·W to the gradient",
        "Krogh & Hertz 1991",
        "as a cure of vanishing gradients: it fills ∂L/∂W with 2·λ·W and leaves δ as small as it was",
        (),
    )


class BatchNormRemedy(Spec):
    kind: Literal["batch_norm"]
    eps: float = Field(default=1e-5, gt=0, le=1)
    momentum: float = Field(default=0.1, gt=0, le=1)
    affine: bool = True
    slot: ClassVar[Slot] = "normalization"
    about: ClassVar = About(
        "Batch normalisation",
        "h = γ·(x − μ_B)/√(σ_B² + ε) + β, after the linear map, before φ",
        "Ioffe & Szegedy 2015, arXiv:1502.03167",
        "deep without skips: gradients explode at the start (χ = 1.467 per layer for ReLU); small batches",
        ("vanishing", "saturated", "initialisation"),
    )


class LayerNormRemedy(Spec):
    kind: Literal["layer_norm"]
    eps: float = Field(default=1e-5, gt=0, le=1)
    affine: bool = True
    slot: ClassVar[Slot] = "normalization"
    about: ClassVar = About(
        "Layer normalisation",
        "h = γ·(x − mean)/√(var + ε) + β over the units of each case",
        "Ba et al. 2016, arXiv:1607.06450",
        "narrow layers; a φ whose mean square is far from its mean squared slope",
        ("vanishing", "exploding", "initialisation"),
    )


class ActivationRemedy(Spec):
    kind: Literal["activation"]
    function: Function
    negative_slope: Slope | None = None
    alpha: Alpha | None = None
    slot: ClassVar[Slot] = "activation"
    about: ClassVar = About(
        "Another activation",
        "φ as the activation of that name",
        "Nair & Hinton 2010 (ReLU); see /v1/catalogue/activations",
        "the initialisation was made for another φ: ReLU after Xavier still loses half its variance per layer",
        ("saturating_activation", "saturated", "vanishing", "dead"),
    )

    @model_validator(mode="after")
    def _parameter_fits(self) -> Self:
        activation_of(self.function, self.negative_slope, self.alpha)
        return self


class ClipNormRemedy(Spec):
    kind: Literal["clip_norm"]
    max_norm: Positive = 1.0
    slot: ClassVar[Slot] = "clipping"
    about: ClassVar = About(
        "Gradient clipping by norm",
        "g ← g·min(1, max_norm/(‖g‖ + 1e-6)), ‖g‖ over all parameters",
        "Pascanu et al. 2013, arXiv:1211.5063",
        "as a cure: it scales all layers by one factor and leaves their ratios; it passes NaN and Inf on",
        ("exploding", "learning_rate"),
    )


class LearningRateRemedy(Spec):
    kind: Literal["learning_rate"]
    value: LearningRate
    slot: ClassVar[Slot] = "learning_rate"
    about: ClassVar = About(
        "Another learning rate",
        "lr ← value",
        "Bengio 2012, arXiv:1206.5533",
        "gradients vanish or explode at the start: the rate does not change their ratios",
        ("learning_rate", "diverged"),
    )


RemedySpec = Annotated[
    OrthogonalInitRemedy
    | InitRemedy
    | L2Remedy
    | BatchNormRemedy
    | LayerNormRemedy
    | ActivationRemedy
    | ClipNormRemedy
    | LearningRateRemedy,
    Field(discriminator="kind"),
]
REMEDIES: dict[str, type[Spec]] = {
    "orthogonal_init": OrthogonalInitRemedy,
    "init": InitRemedy,
    "l2": L2Remedy,
    "batch_norm": BatchNormRemedy,
    "layer_norm": LayerNormRemedy,
    "activation": ActivationRemedy,
    "clip_norm": ClipNormRemedy,
    "learning_rate": LearningRateRemedy,
}
