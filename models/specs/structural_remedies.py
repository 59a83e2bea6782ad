"""Remedies that change the network: initialisation, activation, normalisation, skips, cells. Each is a rewrite of the
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
        "Orthogonal initialisation",
        "the smaller Gram matrix of W is gain²·I (WᵀW = gain²·I), b = 0",
        "Saxe et al. 2013, arXiv:1312.6120",
        "the gain does not fit the activation: ReLU wants √2, a sigmoid vanishes at every usual gain",
        ("initialisation", "vanishing", "exploding"),
        ALL,
    )


class InitRemedy(Spec):
    kind: Literal["init"]
    init: InitSpec
    slots: ClassVar[tuple[Slot, ...]] = ("init",)
    about: ClassVar = About(
        "Another initialisation",
        "as the init of that name",
        "see /v1/catalogue/inits",
        "its variance is off the critical point of the activation",
        ("initialisation", "vanishing", "exploding"),
        ALL,
    )


class BatchNormRemedy(BatchNormSpec):
    slots: ClassVar[tuple[Slot, ...]] = ("normalization",)
    about: ClassVar = About(
        "Batch normalisation",
        "h = γ·(x − μ_B)/√(σ_B² + ε) + β, after the linear map, before φ",
        "Ioffe & Szegedy 2015, arXiv:1502.03167",
        "deep without skips: gradients explode at the start (χ = 1.467 per layer for ReLU); small batches",
        ("vanishing", "saturated", "initialisation"),
        STACKS,
    )


class LayerNormRemedy(LayerNormSpec):
    slots: ClassVar[tuple[Slot, ...]] = ("normalization",)
    about: ClassVar = About(
        "Layer normalisation",
        "h = γ·(x − mean)/√(var + ε) + β over the units of each case",
        "Ba et al. 2016, arXiv:1607.06450",
        "narrow layers; a φ whose mean square is far from its mean squared slope",
        ("vanishing", "exploding", "initialisation"),
        (*STACKS, "transformer"),
    )


class RmsNormRemedy(RmsNormSpec):
    slots: ClassVar[tuple[Slot, ...]] = ("normalization",)
    about: ClassVar = About(
        "Root mean square normalisation",
        "h = γ·x/√(mean x² + ε) over the units of each case",
        "Zhang & Sennrich 2019, arXiv:1910.07467",
        "as layer normalisation; a mean that drifts is not taken away",
        ("vanishing", "exploding", "initialisation"),
        ("mlp", "residual_mlp", "sequential", "transformer"),
    )


class GroupNormRemedy(GroupNormSpec):
    slots: ClassVar[tuple[Slot, ...]] = ("normalization",)
    about: ClassVar = About(
        "Group normalisation",
        "as layer normalisation, within groups of units or channels",
        "Wu & He 2018, arXiv:1803.08494",
        "a number of groups that does not fit the units; as layer normalisation",
        ("vanishing", "exploding", "initialisation"),
        STACKS,
    )


class WeightNormRemedy(Spec):
    kind: Literal["weight_norm"]
    slots: ClassVar[tuple[Slot, ...]] = ("weight_rule",)
    about: ClassVar = About(
        "Weight normalisation",
        "W = g·V/‖V‖ per unit; g and V are trained, and V is what is recorded",
        "Salimans & Kingma 2016, arXiv:1602.07868",
        "as a cure of vanishing gradients: it starts as the same function, with the same δ",
        (),
        ALL,
    )


class SpectralNormRemedy(Spec):
    kind: Literal["spectral_norm"]
    slots: ClassVar[tuple[Slot, ...]] = ("weight_rule",)
    about: ClassVar = About(
        "Spectral normalisation",
        "W/σ₁(W), σ₁ by power iteration",
        "Miyato et al. 2018, arXiv:1802.05957",
        "deep networks: every map shrinks, and gradients vanish",
        ("exploding",),
        ALL,
    )


class ActivationRemedy(Spec):
    kind: Literal["activation"]
    function: Function
    negative_slope: Slope | None = None
    alpha: Alpha | None = None
    slots: ClassVar[tuple[Slot, ...]] = ("activation",)
    about: ClassVar = About(
        "Another activation",
        "φ as the activation of that name",
        "Nair & Hinton 2010 (ReLU); see /v1/catalogue/activations",
        "the initialisation was made for another φ: ReLU after Xavier still loses half its variance per layer",
        ("saturating_activation", "saturated", "vanishing", "dead"),
        (*STACKS, "transformer"),
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
        "Self-normalising network",
        "φ = λ·x for x > 0, λ·α·(eˣ − 1) below; Var W = 1/fan_in; alpha dropout",
        "Klambauer et al. 2017, arXiv:1706.02515",
        "with skips or batch normalisation, whose scales it was not made for",
        ("saturating_activation", "initialisation", "vanishing", "exploding"),
        STACKS,
    )


class ResidualRemedy(ResidualSkip):
    slots: ClassVar[tuple[Slot, ...]] = ("skip",)
    about: ClassVar = About(
        "Residual connections",
        "x + F(x) around every few layers",
        "He et al. 2016, arXiv:1603.05027",
        "deep, with branches that keep variance and no norm: gradients double per branch",
        ("vanishing", "depth_without_skip"),
        SKIPPED,
    )


class ScaledRemedy(ScaledSkip):
    slots: ClassVar[tuple[Slot, ...]] = ("skip",)
    about: ClassVar = About(
        "Scaled residual connections",
        "x + F(x)/√L, L branches: the gain of all of them is at most e",
        "Hayou et al. 2021, arXiv:2010.12859",
        "trained for a few steps only: every branch starts slowly",
        ("vanishing", "exploding", "depth_without_skip"),
        SKIPPED,
    )


class ReZeroRemedy(ReZeroSkip):
    slots: ClassVar[tuple[Slot, ...]] = ("skip",)
    about: ClassVar = About(
        "ReZero",
        "x + α·F(x), α learned from 0",
        "Bachlechner et al. 2020, arXiv:2003.04887",
        "in the first steps: the branches' weights get no gradient until α has moved",
        ("vanishing", "exploding", "depth_without_skip"),
        SKIPPED,
    )


class SkipInitRemedy(SkipInitSkip):
    slots: ClassVar[tuple[Slot, ...]] = ("skip",)
    about: ClassVar = About(
        "SkipInit",
        "x + α·F(x), α learned from a small first value",
        "De & Smith 2020, arXiv:2002.10444",
        "as ReZero; with a large α it is a plain residual connection",
        ("vanishing", "exploding", "depth_without_skip"),
        SKIPPED,
    )


class LayerScaleRemedy(LayerScaleSkip):
    slots: ClassVar[tuple[Slot, ...]] = ("skip",)
    about: ClassVar = About(
        "LayerScale",
        "x + λ ⊙ F(x), a learned λ per unit from a small value",
        "Touvron et al. 2021, arXiv:2103.17239",
        "a λ too small for the number of steps: the branches hardly learn",
        ("exploding", "depth_without_skip"),
        SKIPPED,
    )


class HighwayRemedy(HighwaySkip):
    slots: ClassVar[tuple[Slot, ...]] = ("skip",)
    about: ClassVar = About(
        "Highway connections",
        "T·F(x) + (1 − T)·x, T = σ(W_T·x + b_T)",
        "Srivastava et al. 2015, arXiv:1505.00387",
        "a gate bias near 0 in a deep network: half of x is lost at every layer",
        ("vanishing", "depth_without_skip"),
        ("mlp", "residual_mlp", "cnn", "residual_cnn"),
    )


class PreNormRemedy(Spec):
    """The norm before each branch instead of behind each sum."""

    kind: Literal["pre_norm"]
    slots: ClassVar[tuple[Slot, ...]] = ("norm_position",)
    about: ClassVar = About(
        "Pre-norm",
        "x + F(norm x) in the place of norm(x + F(x))",
        "Xiong et al. 2020, arXiv:2002.04745",
        "very deep: later branches add little to a stream that has grown",
        ("exploding", "learning_rate"),
        ("transformer",),
    )


class DropoutRemedy(Spec):
    kind: Literal["dropout"]
    p: float = Field(default=0.1, gt=0, lt=1)
    slots: ClassVar[tuple[Slot, ...]] = ("dropout",)
    about: ClassVar = About(
        "Dropout",
        "x·m/(1 − p), m ~ Bernoulli(1 − p)",
        "Srivastava et al. 2014",
        "as a cure: χ grows by 1/(1 − p) per layer and no depth is critical any more",
        (),
        ALL,
    )


class LstmRemedy(Spec):
    kind: Literal["lstm"]
    forget_bias: float = Field(default=1.0, ge=-100, le=100)
    slots: ClassVar[tuple[Slot, ...]] = ("cell", "forget_bias")
    about: ClassVar = About(
        "LSTM cell",
        "c_t = f ⊙ c_(t−1) + i ⊙ g: gradients reach back through f alone",
        "Hochreiter & Schmidhuber 1997",
        "a forget bias of 0 on long sequences: ½ per step; it may still explode",
        ("vanishing",),
        ("rnn",),
    )


class GruRemedy(Spec):
    kind: Literal["gru"]
    slots: ClassVar[tuple[Slot, ...]] = ("cell",)
    about: ClassVar = About(
        "GRU cell",
        "h_t = (1 − z) ⊙ n + z ⊙ h_(t−1)",
        "Cho et al. 2014, arXiv:1406.1078",
        "long sequences from the start: z ≈ ½ halves the gradient per step",
        ("vanishing",),
        ("rnn",),
    )


class IrnnRemedy(Spec):
    """The identity for W_hh with ReLU, small W_ih, no bias."""

    kind: Literal["irnn"]
    slots: ClassVar[tuple[Slot, ...]] = ("cell", "init")
    about: ClassVar = About(
        "Identity recurrent network",
        "W_hh = I, W_ih ~ N(0, 0.001²), b = 0, φ = ReLU",
        "Le et al. 2015, arXiv:1504.00941",
        "a learning rate that pushes an eigenvalue beyond 1: states explode over long sequences",
        ("vanishing",),
        ("rnn",),
    )


class ForgetBiasRemedy(Spec):
    kind: Literal["forget_bias"]
    value: float = Field(default=1.0, ge=-100, le=100)
    slots: ClassVar[tuple[Slot, ...]] = ("forget_bias",)
    about: ClassVar = About(
        "Forget-gate bias",
        "b_f + value in one of the two biases: ∂c_T/∂c_0 ≈ σ(b_f)^T",
        "Gers et al. 2000; Jozefowicz et al. 2015",
        "sequences much longer than 1/(1 − σ(b_f)); tasks that need to forget",
        ("vanishing",),
        ("rnn",),
    )


class TruncatedBpttRemedy(Spec):
    kind: Literal["truncated_bptt"]
    steps: int = Field(default=20, ge=1, le=100_000)
    slots: ClassVar[tuple[Slot, ...]] = ("truncation",)
    about: ClassVar = About(
        "Truncated backpropagation through time",
        "the state is detached after every so many steps",
        "Williams & Peng 1990",
        "dependencies longer than the window: their gradient is cut to zero",
        ("exploding",),
        ("rnn",),
    )


class StandardiseRemedy(Spec):
    """Inputs with mean 0 and variance 1, by the training cases alone."""

    kind: Literal["standardise"]
    how: Literal["scalar", "feature"] = "feature"
    slots: ClassVar[tuple[Slot, ...]] = ("data",)
    about: ClassVar = About(
        "Input standardisation",
        "x ← (x − mean)/sd of the training cases",
        "LeCun et al. 1998, Efficient BackProp",
        "data that are standardised already",
        ("saturated", "exploding", "learning_rate", "numeric_range"),
        ALL,
    )


class StandardiseTargetsRemedy(Spec):
    """Values to be learned with mean 0 and variance 1, each output for itself, by the training cases alone."""

    kind: Literal["standardise_targets"]
    slots: ClassVar[tuple[Slot, ...]] = ("targets",)
    about: ClassVar = About(
        "Target standardisation",
        "y ← (y − mean)/sd of the training cases, output by output; loss and chance in this unit, R² in that of y",
        "LeCun et al. 1998, Efficient BackProp; Bishop 1995, Neural Networks for Pattern Recognition, 8.2",
        "targets that have mean 0 and variance 1 already",
        ("exploding", "learning_rate", "diverged"),
        ALL,
    )
