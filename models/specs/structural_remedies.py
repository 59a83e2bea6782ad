"""Remedies that change the network: initialisation, activation, normalisation, skips, dropout. Each is a rewrite of the
spec in ``models/plan/rewrites.py``.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from models.specs.activation import Alpha, Function, Slope, activation_of
from models.specs.base import About, Spec
from models.specs.init import InitSpec, Positive
from models.specs.normalization import (
    BatchNormSpec,
    GroupNormSpec,
    HighwaySkip,
    LayerNormSpec,
    LayerScaleSkip,
    ResidualSkip,
    ReZeroSkip,
    RmsNormSpec,
    ScaledSkip,
    SkipInitSkip,
)
from models.specs.slots import Slot

STACKS = ("mlp", "residual_mlp", "cnn", "residual_cnn", "sequential")
OVER_STEPS = ("rnn", "transformer")
ALL = (*STACKS, *OVER_STEPS)
SKIPPED = ("mlp", "residual_mlp", "cnn", "residual_cnn", "transformer")


class OrthogonalInitRemedy(Spec):
    kind: Literal["orthogonal_init"]
    gain: Positive = 1.0
    slots: ClassVar[tuple[Slot, ...]] = ("init",)
    about: ClassVar = About(
        title="Orthogonal initialisation",
        formula="the smaller Gram matrix of W is gain²·I (WᵀW = gain²·I), b = 0",
        paper="Saxe et al. 2013, arXiv:1312.6120",
        fails_when="the gain does not fit the activation: ReLU wants √2, a sigmoid vanishes at every usual gain",
        treats=("initialisation", "vanishing", "exploding"),
        applies_to=ALL,
    )


class InitRemedy(Spec):
    kind: Literal["init"]
    init: InitSpec
    slots: ClassVar[tuple[Slot, ...]] = ("init",)
    about: ClassVar = About(
        title="Another initialisation",
        formula="as the init of that name",
        paper="see /v1/catalogue/inits",
        fails_when="its variance is off the critical point of the activation",
        treats=("initialisation", "vanishing", "exploding"),
        applies_to=ALL,
    )


class BatchNormRemedy(BatchNormSpec):
    slots: ClassVar[tuple[Slot, ...]] = ("normalization",)
    about: ClassVar = About(
        title="Batch normalisation",
        formula="h = γ·(x − μ_B)/√(σ_B² + ε) + β, after the linear map, before φ",
        paper="Ioffe & Szegedy 2015, arXiv:1502.03167",
        fails_when="deep without skips: gradients explode at the start (χ = 1.467 per layer for ReLU); small batches",
        treats=("vanishing", "saturated", "initialisation"),
        applies_to=STACKS,
    )


class LayerNormRemedy(LayerNormSpec):
    slots: ClassVar[tuple[Slot, ...]] = ("normalization",)
    about: ClassVar = About(
        title="Layer normalisation",
        formula="h = γ·(x − mean)/√(var + ε) + β over the units of each case",
        paper="Ba et al. 2016, arXiv:1607.06450",
        fails_when="narrow layers; a φ whose mean square is far from its mean squared slope",
        treats=("vanishing", "exploding", "initialisation"),
        applies_to=(*STACKS, "transformer"),
    )


class RmsNormRemedy(RmsNormSpec):
    slots: ClassVar[tuple[Slot, ...]] = ("normalization",)
    about: ClassVar = About(
        title="Root mean square normalisation",
        formula="h = γ·x/√(mean x² + ε) over the units of each case",
        paper="Zhang & Sennrich 2019, arXiv:1910.07467",
        fails_when="as layer normalisation; a mean that drifts is not taken away",
        treats=("vanishing", "exploding", "initialisation"),
        applies_to=("mlp", "residual_mlp", "sequential", "transformer"),
    )


class GroupNormRemedy(GroupNormSpec):
    slots: ClassVar[tuple[Slot, ...]] = ("normalization",)
    about: ClassVar = About(
        title="Group normalisation",
        formula="as layer normalisation, within groups of units or channels",
        paper="Wu & He 2018, arXiv:1803.08494",
        fails_when="a number of groups that does not fit the units; as layer normalisation",
        treats=("vanishing", "exploding", "initialisation"),
        applies_to=STACKS,
    )


class WeightNormRemedy(Spec):
    kind: Literal["weight_norm"]
    slots: ClassVar[tuple[Slot, ...]] = ("weight_rule",)
    about: ClassVar = About(
        title="Weight normalisation",
        formula="W = g·V/‖V‖ per unit; g and V are trained, and V is what is recorded",
        paper="Salimans & Kingma 2016, arXiv:1602.07868",
        fails_when="as a cure of vanishing gradients: it starts as the same function, with the same δ",
        treats=(),
        applies_to=ALL,
    )


class SpectralNormRemedy(Spec):
    kind: Literal["spectral_norm"]
    slots: ClassVar[tuple[Slot, ...]] = ("weight_rule",)
    about: ClassVar = About(
        title="Spectral normalisation",
        formula="W/σ₁(W), σ₁ by power iteration",
        paper="Miyato et al. 2018, arXiv:1802.05957",
        fails_when="deep networks: every map shrinks, and gradients vanish",
        treats=("exploding",),
        applies_to=ALL,
    )


class ActivationRemedy(Spec):
    kind: Literal["activation"]
    function: Function
    negative_slope: Slope | None = None
    alpha: Alpha | None = None
    slots: ClassVar[tuple[Slot, ...]] = ("activation",)
    about: ClassVar = About(
        title="Another activation",
        formula="φ as the activation of that name",
        paper="Nair & Hinton 2010 (ReLU); see /v1/catalogue/activations",
        fails_when="the initialisation was made for another φ: ReLU after Xavier still loses half its "
        "variance per layer",
        treats=("saturating_activation", "saturated", "vanishing", "dead"),
        applies_to=(*STACKS, "transformer"),
    )

    @model_validator(mode="after")
    def _parameter_fits(self) -> Self:
        activation_of(self.function, self.negative_slope, self.alpha)
        return self


class SeluRemedy(Spec):
    """Self-normalising: SELU with the initialisation and the dropout that it is made for."""

    kind: Literal["selu"]
    slots: ClassVar[tuple[Slot, ...]] = ("activation", "init")
    about: ClassVar = About(
        title="Self-normalising network",
        formula="φ = λ·x for x > 0, λ·α·(eˣ − 1) below; Var W = 1/fan_in; alpha dropout",
        paper="Klambauer et al. 2017, arXiv:1706.02515",
        fails_when="with skips or batch normalisation, whose scales it was not made for",
        treats=("saturating_activation", "initialisation", "vanishing", "exploding"),
        applies_to=STACKS,
    )


class ResidualRemedy(ResidualSkip):
    slots: ClassVar[tuple[Slot, ...]] = ("skip",)
    about: ClassVar = About(
        title="Residual connections",
        formula="x + F(x) around every few layers",
        paper="He et al. 2016, arXiv:1603.05027",
        fails_when="deep, with branches that keep variance and no norm: gradients double per branch",
        treats=("vanishing", "depth_without_skip"),
        applies_to=SKIPPED,
    )


class ScaledRemedy(ScaledSkip):
    slots: ClassVar[tuple[Slot, ...]] = ("skip",)
    about: ClassVar = About(
        title="Scaled residual connections",
        formula="x + F(x)/√L, L branches: the gain of all of them is at most e",
        paper="Hayou et al. 2021, arXiv:2010.12859",
        fails_when="trained for a few steps only: every branch starts slowly",
        treats=("vanishing", "exploding", "depth_without_skip"),
        applies_to=SKIPPED,
    )


class ReZeroRemedy(ReZeroSkip):
    slots: ClassVar[tuple[Slot, ...]] = ("skip",)
    about: ClassVar = About(
        title="ReZero",
        formula="x + α·F(x), α learned from 0",
        paper="Bachlechner et al. 2020, arXiv:2003.04887",
        fails_when="in the first steps: the branches' weights get no gradient until α has moved",
        treats=("vanishing", "exploding", "depth_without_skip"),
        applies_to=SKIPPED,
    )


class SkipInitRemedy(SkipInitSkip):
    slots: ClassVar[tuple[Slot, ...]] = ("skip",)
    about: ClassVar = About(
        title="SkipInit",
        formula="x + α·F(x), α learned from a small first value",
        paper="De & Smith 2020, arXiv:2002.10444",
        fails_when="as ReZero; with a large α it is a plain residual connection",
        treats=("vanishing", "exploding", "depth_without_skip"),
        applies_to=SKIPPED,
    )


class LayerScaleRemedy(LayerScaleSkip):
    slots: ClassVar[tuple[Slot, ...]] = ("skip",)
    about: ClassVar = About(
        title="LayerScale",
        formula="x + λ ⊙ F(x), a learned λ per unit from a small value",
        paper="Touvron et al. 2021, arXiv:2103.17239",
        fails_when="a λ too small for the number of steps: the branches hardly learn",
        treats=("exploding", "depth_without_skip"),
        applies_to=SKIPPED,
    )


class HighwayRemedy(HighwaySkip):
    slots: ClassVar[tuple[Slot, ...]] = ("skip",)
    about: ClassVar = About(
        title="Highway connections",
        formula="T·F(x) + (1 − T)·x, T = σ(W_T·x + b_T)",
        paper="Srivastava et al. 2015, arXiv:1505.00387",
        fails_when="a gate bias near 0 in a deep network: half of x is lost at every layer",
        treats=("vanishing", "depth_without_skip"),
        applies_to=("mlp", "residual_mlp", "cnn", "residual_cnn"),
    )


class PreNormRemedy(Spec):
    """The norm before each branch instead of behind each sum."""

    kind: Literal["pre_norm"]
    slots: ClassVar[tuple[Slot, ...]] = ("norm_position",)
    about: ClassVar = About(
        title="Pre-norm",
        formula="x + F(norm x) in the place of norm(x + F(x))",
        paper="Xiong et al. 2020, arXiv:2002.04745",
        fails_when="very deep: later branches add little to a stream that has grown",
        treats=("exploding", "learning_rate"),
        applies_to=("transformer",),
    )


class DropoutRemedy(Spec):
    kind: Literal["dropout"]
    p: float = Field(default=0.1, gt=0, lt=1)
    slots: ClassVar[tuple[Slot, ...]] = ("dropout",)
    about: ClassVar = About(
        title="Dropout",
        formula="x·m/(1 − p), m ~ Bernoulli(1 − p)",
        paper="Srivastava et al. 2014",
        fails_when="as a cure: χ grows by 1/(1 − p) per layer and no depth is critical any more",
        treats=(),
        applies_to=ALL,
    )
