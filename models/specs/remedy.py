"""The remedies by name: a closed union. What each does is in ``models/plan/rewrites.py`` (structure) or
``worker/remedies/`` (at run time).
"""

from typing import Annotated

from pydantic import Field

from models.specs.base import Spec
from models.specs.structural_remedies import (
    ActivationRemedy,
    BatchNormRemedy,
    DropoutRemedy,
    ForgetBiasRemedy,
    GroupNormRemedy,
    GruRemedy,
    HighwayRemedy,
    InitRemedy,
    IrnnRemedy,
    LayerNormRemedy,
    LayerScaleRemedy,
    LstmRemedy,
    OrthogonalInitRemedy,
    PreNormRemedy,
    ResidualRemedy,
    ReZeroRemedy,
    RmsNormRemedy,
    ScaledRemedy,
    SeluRemedy,
    SkipInitRemedy,
    SpectralNormRemedy,
    StandardiseRemedy,
    StandardiseTargetsRemedy,
    TruncatedBpttRemedy,
    WeightNormRemedy,
)
from models.specs.training_remedies import (
    AgcRemedy,
    ClassWeightsRemedy,
    ClipNormRemedy,
    ClipValueRemedy,
    EmaClipRemedy,
    GradientCentralizationRemedy,
    L2Remedy,
    LabelSmoothingRemedy,
    LearningRateRemedy,
    MixedPrecisionRemedy,
    MomentumRemedy,
    OptimizerRemedy,
    OrthogonalPenaltyRemedy,
    ScheduleRemedy,
    WarmUpRemedy,
    WeightDecayRemedy,
)

RemedySpec = Annotated[
    OrthogonalInitRemedy
    | InitRemedy
    | BatchNormRemedy
    | LayerNormRemedy
    | RmsNormRemedy
    | GroupNormRemedy
    | WeightNormRemedy
    | SpectralNormRemedy
    | ActivationRemedy
    | SeluRemedy
    | ResidualRemedy
    | ScaledRemedy
    | ReZeroRemedy
    | SkipInitRemedy
    | LayerScaleRemedy
    | HighwayRemedy
    | PreNormRemedy
    | DropoutRemedy
    | LstmRemedy
    | GruRemedy
    | IrnnRemedy
    | ForgetBiasRemedy
    | TruncatedBpttRemedy
    | StandardiseRemedy
    | StandardiseTargetsRemedy
    | L2Remedy
    | ClipNormRemedy
    | LearningRateRemedy
    | WeightDecayRemedy
    | OrthogonalPenaltyRemedy
    | ClipValueRemedy
    | AgcRemedy
    | EmaClipRemedy
    | GradientCentralizationRemedy
    | WarmUpRemedy
    | ScheduleRemedy
    | OptimizerRemedy
    | MomentumRemedy
    | MixedPrecisionRemedy
    | ClassWeightsRemedy
    | LabelSmoothingRemedy,
    Field(discriminator="kind"),
]
REMEDIES: dict[str, type[Spec]] = {
    "orthogonal_init": OrthogonalInitRemedy,
    "init": InitRemedy,
    "batch_norm": BatchNormRemedy,
    "layer_norm": LayerNormRemedy,
    "rms_norm": RmsNormRemedy,
    "group_norm": GroupNormRemedy,
    "weight_norm": WeightNormRemedy,
    "spectral_norm": SpectralNormRemedy,
    "activation": ActivationRemedy,
    "selu": SeluRemedy,
    "residual": ResidualRemedy,
    "scaled": ScaledRemedy,
    "rezero": ReZeroRemedy,
    "skip_init": SkipInitRemedy,
    "layer_scale": LayerScaleRemedy,
    "highway": HighwayRemedy,
    "pre_norm": PreNormRemedy,
    "dropout": DropoutRemedy,
    "lstm": LstmRemedy,
    "gru": GruRemedy,
    "irnn": IrnnRemedy,
    "forget_bias": ForgetBiasRemedy,
    "truncated_bptt": TruncatedBpttRemedy,
    "standardise": StandardiseRemedy,
    "standardise_targets": StandardiseTargetsRemedy,
    "l2": L2Remedy,
    "clip_norm": ClipNormRemedy,
    "learning_rate": LearningRateRemedy,
    "weight_decay": WeightDecayRemedy,
    "orthogonal_penalty": OrthogonalPenaltyRemedy,
    "clip_value": ClipValueRemedy,
    "agc": AgcRemedy,
    "ema_clip": EmaClipRemedy,
    "gradient_centralization": GradientCentralizationRemedy,
    "warm_up": WarmUpRemedy,
    "schedule": ScheduleRemedy,
    "optimizer": OptimizerRemedy,
    "momentum": MomentumRemedy,
    "mixed_precision": MixedPrecisionRemedy,
    "class_weights": ClassWeightsRemedy,
    "label_smoothing": LabelSmoothingRemedy,
}
