"""The remedies by name: a closed union. What each does is in ``models/plan/rewrites.py`` (structure) or
``worker/remedies/`` (at run time).
"""

from typing import Annotated

from pydantic import Field

from models.specs import data_remedies as data
from models.specs import recurrent_remedies as recurrent
from models.specs import structural_remedies as structural
from models.specs import training_remedies as training
from models.specs.base import Spec, by_kind

RemedySpec = Annotated[
    structural.OrthogonalInitRemedy
    | structural.InitRemedy
    | structural.BatchNormRemedy
    | structural.LayerNormRemedy
    | structural.RmsNormRemedy
    | structural.GroupNormRemedy
    | structural.WeightNormRemedy
    | structural.SpectralNormRemedy
    | structural.ActivationRemedy
    | structural.SeluRemedy
    | structural.ResidualRemedy
    | structural.ScaledRemedy
    | structural.ReZeroRemedy
    | structural.SkipInitRemedy
    | structural.LayerScaleRemedy
    | structural.HighwayRemedy
    | structural.PreNormRemedy
    | structural.DropoutRemedy
    | recurrent.LstmRemedy
    | recurrent.GruRemedy
    | recurrent.IrnnRemedy
    | recurrent.ForgetBiasRemedy
    | recurrent.TruncatedBpttRemedy
    | data.StandardiseRemedy
    | data.StandardiseTargetsRemedy
    | training.L2Remedy
    | training.ClipNormRemedy
    | training.LearningRateRemedy
    | training.WeightDecayRemedy
    | training.OrthogonalPenaltyRemedy
    | training.ClipValueRemedy
    | training.AgcRemedy
    | training.EmaClipRemedy
    | training.GradientCentralizationRemedy
    | training.WarmUpRemedy
    | training.OptimizerRemedy
    | training.MomentumRemedy
    | training.ClassWeightsRemedy
    | training.LabelSmoothingRemedy
    | training.ScheduleRemedy
    | training.MixedPrecisionRemedy,
    Field(discriminator="kind"),
]
REMEDIES: dict[str, type[Spec]] = by_kind(RemedySpec)
