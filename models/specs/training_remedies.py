"""Remedies that change how a network is trained: penalties, clipping, rates, optimisers, precision."""

from typing import ClassVar, Literal

from pydantic import Field

from models.specs.base import About, Spec
from models.specs.init import Positive
from models.specs.loss import ClassWeights
from models.specs.optimizer import LearningRate, OptimizerSpec
from models.specs.schedule import CosineSchedule, ScheduleSpec
from models.specs.slots import Slot


class L2Remedy(Spec):
    kind: Literal["l2"]
    strength: float = Field(default=1e-4, ge=0, le=1e3)
    layers: Literal["hidden", "all"] = "hidden"
    slots: ClassVar[tuple[Slot, ...]] = ("penalty",)
    about: ClassVar = About(
        title="L2 term in the loss",
        formula="L + λ·Σ‖W‖²; adds 2·λ·W to the gradient",
        paper="Krogh & Hertz 1991",
        fails_when="as a cure of vanishing gradients: it fills ∂L/∂W with 2·λ·W and leaves δ as small as it was",
        treats=(),
    )


class ClipNormRemedy(Spec):
    kind: Literal["clip_norm"]
    max_norm: Positive = 1.0
    slots: ClassVar[tuple[Slot, ...]] = ("clipping",)
    about: ClassVar = About(
        title="Gradient clipping by norm",
        formula="g ← g·min(1, max_norm/(‖g‖ + 1e-6)), ‖g‖ over all parameters",
        paper="Pascanu et al. 2013, arXiv:1211.5063",
        fails_when="as a cure: it scales all layers by one factor and leaves their ratios; it passes NaN and Inf on",
        treats=("exploding", "learning_rate"),
    )


class LearningRateRemedy(Spec):
    kind: Literal["learning_rate"]
    value: LearningRate
    slots: ClassVar[tuple[Slot, ...]] = ("learning_rate",)
    about: ClassVar = About(
        title="Another learning rate",
        formula="lr ← value",
        paper="Bengio 2012, arXiv:1206.5533",
        fails_when="gradients vanish or explode at the start: the rate does not change their ratios",
        treats=("learning_rate", "diverged"),
    )


class WeightDecayRemedy(Spec):
    kind: Literal["weight_decay"]
    strength: float = Field(default=1e-2, ge=0, le=1e3)
    layers: Literal["hidden", "all"] = "hidden"
    slots: ClassVar[tuple[Slot, ...]] = ("weight_decay",)
    about: ClassVar = About(
        title="Decoupled weight decay",
        formula="W ← W − lr·λ·W beside the update; not a term of the loss",
        paper="Loshchilov & Hutter 2017, arXiv:1711.05101",
        fails_when="as a cure of vanishing gradients: smaller weights shrink δ further; under a norm it only "
        "changes the rate",
        treats=(),
    )


class OrthogonalPenaltyRemedy(Spec):
    kind: Literal["orthogonal_penalty"]
    strength: float = Field(default=1e-3, ge=0, le=1e3)
    slots: ClassVar[tuple[Slot, ...]] = ("penalty",)
    about: ClassVar = About(
        title="Orthogonality penalty",
        formula="L + λ·Σ‖WᵀW − I‖²_F over hidden weights (the smaller Gram matrix)",
        paper="Brock et al. 2016, arXiv:1609.07093",
        fails_when="ReLU, which wants a gain of √2; a rate at which the penalty's own gradient diverges",
        treats=("vanishing", "exploding", "initialisation"),
    )


class ClipValueRemedy(Spec):
    kind: Literal["clip_value"]
    max_value: Positive = 0.1
    slots: ClassVar[tuple[Slot, ...]] = ("clipping",)
    about: ClassVar = About(
        title="Gradient clipping by value",
        formula="every entry of g into [−max_value, max_value]",
        paper="Mikolov 2012",
        fails_when="as a cure: it turns the direction and leaves δ as it is; vanishing gradients",
        treats=("exploding", "learning_rate"),
    )


class AgcRemedy(Spec):
    kind: Literal["agc"]
    clipping: Positive = 0.01
    eps: float = Field(default=1e-3, gt=0, le=1)
    slots: ClassVar[tuple[Slot, ...]] = ("clipping",)
    about: ClassVar = About(
        title="Adaptive gradient clipping",
        formula="‖g_i‖ ≤ λ·max(‖w_i‖, ε) per unit, the output layer left out",
        paper="Brock et al. 2021, arXiv:2102.06171",
        fails_when="vanishing gradients; a λ that does not fit the batch size",
        treats=("exploding", "learning_rate"),
    )


class EmaClipRemedy(Spec):
    kind: Literal["ema_clip"]
    z: float = Field(default=2.5, gt=0, le=100)
    decay: float = Field(default=0.97, gt=0, lt=1)
    warm_up: int = Field(default=25, ge=2, le=100_000)
    slots: ClassVar[tuple[Slot, ...]] = ("clipping",)
    about: ClassVar = About(
        title="Clipping against the norm's running mean (ZClip)",
        formula="z = (‖g‖ − μ)/σ above z*: ‖g‖ ← μ + z*²·σ/z",
        paper="Kumar et al. 2025, arXiv:2504.02507",
        fails_when="in its first steps, which only measure: a network that explodes at once",
        treats=("exploding", "learning_rate"),
    )


class GradientCentralizationRemedy(Spec):
    kind: Literal["gradient_centralization"]
    slots: ClassVar[tuple[Slot, ...]] = ("gradient",)
    about: ClassVar = About(
        title="Gradient centralisation",
        formula="g ← g − mean(g) over the inputs of each unit",
        paper="Yong et al. 2020, arXiv:2004.01461",
        fails_when="vanishing gradients: what is too small stays too small",
        treats=(),
    )


class WarmUpRemedy(Spec):
    kind: Literal["warm_up"]
    steps: int = Field(default=100, ge=1, le=1_000_000)
    start_factor: float = Field(default=0.0, ge=0, le=1)
    slots: ClassVar[tuple[Slot, ...]] = ("schedule",)
    about: ClassVar = About(
        title="Learning-rate warm-up",
        formula="lr·(s + (1 − s)·(t + 1)/steps) in the first steps, then lr",
        paper="Goyal et al. 2017, arXiv:1706.02677",
        fails_when="vanishing gradients: it hides a bad start and makes the first steps smaller still",
        treats=("learning_rate", "exploding"),
    )


class ScheduleRemedy(Spec):
    """In the place of the optimiser's own schedule."""

    kind: Literal["schedule"]
    schedule: ScheduleSpec = CosineSchedule(kind="cosine")
    slots: ClassVar[tuple[Slot, ...]] = ("schedule",)
    about: ClassVar = About(
        title="Learning-rate schedule",
        formula="lr·(f + (1 − f)·(1 + cos(π·t/T))/2) in step t of T, or lr·factor^⌊t/every⌋, after a warm-up if one "
        "is set",
        paper="Loshchilov & Hutter 2017, arXiv:1608.03983; He et al. 2016, arXiv:1512.03385",
        fails_when="vanishing gradients: smaller steps on what is too small; a run that ends before it has settled",
        treats=("learning_rate",),
    )


class OptimizerRemedy(Spec):
    kind: Literal["optimizer"]
    optimizer: OptimizerSpec
    slots: ClassVar[tuple[Slot, ...]] = ("optimizer", "learning_rate")
    about: ClassVar = About(
        title="Another optimiser",
        formula="as the optimiser of that name",
        paper="see /v1/catalogue/optimizers",
        fails_when="gradients that are lost on the way down: no rule of update brings them back",
        treats=("vanishing", "learning_rate"),
    )


class MomentumRemedy(Spec):
    kind: Literal["momentum"]
    value: float = Field(default=0.9, gt=0, lt=1)
    slots: ClassVar[tuple[Slot, ...]] = ("optimizer",)
    about: ClassVar = About(
        title="Momentum",
        formula="of sgd: v ← μ·v + g; W ← W − lr·v",
        paper="Polyak 1964; Sutskever et al. 2013",
        fails_when="vanishing gradients; a rate that is at its limit without it",
        treats=("learning_rate",),
    )


class MixedPrecisionRemedy(Spec):
    kind: Literal["mixed_precision"]
    dtype: Literal["bfloat16", "float16"] = "bfloat16"
    initial_scale: float = Field(default=65536.0, gt=0, le=2.0**40)
    growth_interval: int = Field(default=2000, ge=1, le=1_000_000)
    slots: ClassVar[tuple[Slot, ...]] = ("precision",)
    about: ClassVar = About(
        title="Mixed precision",
        formula="forward in bfloat16, or in float16 with the loss scaled: δ·scale/scale, overflowing steps skipped",
        paper="Micikevicius et al. 2017, arXiv:1710.03740",
        fails_when="small networks on a CPU: nothing is gained; float16 loses δ below 6e-8 where the scale is too "
        "small",
        treats=("numeric_range",),
    )


class ClassWeightsRemedy(Spec):
    kind: Literal["class_weights"]
    weights: ClassWeights = "balanced"
    slots: ClassVar[tuple[Slot, ...]] = ("class_weights",)
    about: ClassVar = About(
        title="Class weights",
        formula="L = Σ w_y·(−ln p_y)/Σ w_y; balanced: w_c = n/(classes·n_c) of the training cases",
        paper="King & Zeng 2001, Logistic regression in rare events data",
        fails_when="accuracy is what counts: the commonest label is said less often; classes of few cases are learned "
        "by heart",
    )


class LabelSmoothingRemedy(Spec):
    kind: Literal["label_smoothing"]
    value: float = Field(default=0.1, gt=0, lt=1)
    slots: ClassVar[tuple[Slot, ...]] = ("label_smoothing",)
    about: ClassVar = About(
        title="Label smoothing",
        formula="y ← (1 − ε)·y + ε/classes; recorded is the loss above the least that such labels allow",
        paper="Szegedy et al. 2016, arXiv:1512.00567",
        fails_when="as a cure of gradients: they vanish or explode as before; where probabilities are to be believed",
    )
