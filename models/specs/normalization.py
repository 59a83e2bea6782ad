"""Normalisations and skips: what stands between a linear map and its activation, and around a few of them."""

from typing import Annotated, Literal

from pydantic import Field

from gradient_clinic.spec_limits import MAX_SKIP_FACTOR
from models.specs.base import Spec

Eps = Annotated[float, Field(gt=0, le=1)]
Every = Annotated[int, Field(ge=1, le=64)]


class BatchNormSpec(Spec):
    kind: Literal["batch_norm"]
    eps: Eps = 1e-5
    momentum: float = Field(default=0.1, gt=0, le=1)
    affine: bool = True
    position: Literal["before", "after"] = "before"
    """Of the activation; after it, before dropout."""


class LayerNormSpec(Spec):
    kind: Literal["layer_norm"]
    eps: Eps = 1e-5
    affine: bool = True


class RmsNormSpec(Spec):
    kind: Literal["rms_norm"]
    eps: Eps = 1e-5
    affine: bool = True


class GroupNormSpec(Spec):
    """``groups`` of neighbouring units (channels), each normalised within a case; it has to divide their number."""

    kind: Literal["group_norm"]
    groups: int = Field(default=8, ge=1, le=4096)
    eps: Eps = 1e-5
    affine: bool = True


NormalizationSpec = Annotated[BatchNormSpec | LayerNormSpec | RmsNormSpec | GroupNormSpec, Field(discriminator="kind")]


class ResidualSkip(Spec):
    """x + F(x) around every ``every`` weight layers."""

    kind: Literal["residual"]
    every: Every = 2


class ScaledSkip(Spec):
    """x + factor·F(x); by default 1/√L of the L branches (Hayou 2021)."""

    kind: Literal["scaled"]
    every: Every = 2
    factor: float | None = Field(default=None, ge=0, le=MAX_SKIP_FACTOR)


class ReZeroSkip(Spec):
    """x + α·F(x), α learned from 0 (Bachlechner 2020)."""

    kind: Literal["rezero"]
    every: Every = 2


class SkipInitSkip(Spec):
    """x + α·F(x), α learned from ``alpha`` (De & Smith 2020)."""

    kind: Literal["skip_init"]
    every: Every = 2
    alpha: float = Field(default=0.0, ge=-10, le=10)


class LayerScaleSkip(Spec):
    """x + λ ⊙ F(x), λ a learned number per unit (Touvron 2021)."""

    kind: Literal["layer_scale"]
    every: Every = 2
    value: float = Field(default=1e-4, ge=0, le=10)


class HighwaySkip(Spec):
    """T·F(x) + (1 − T)·x with T = σ(W_T·x + b_T), b_T from ``bias`` (Srivastava 2015)."""

    kind: Literal["highway"]
    every: Every = 1
    bias: float = Field(default=-2.0, ge=-20, le=20)


SkipSpec = Annotated[
    ResidualSkip | ScaledSkip | ReZeroSkip | SkipInitSkip | LayerScaleSkip | HighwaySkip,
    Field(discriminator="kind"),
]
