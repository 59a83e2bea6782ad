"""Remedies that act while training: a closed table from spec kind to hook. All others are rewrites of the plan."""

from collections.abc import Callable
from typing import Any

from models.specs.remedy import RemedySpec
from worker.remedies.agc import Agc
from worker.remedies.base import RunTimeRemedy
from worker.remedies.clip_norm import ClipNorm
from worker.remedies.clip_value import ClipValue
from worker.remedies.ema_clip import EmaClip
from worker.remedies.gradient_centralization import GradientCentralization
from worker.remedies.l2 import L2
from worker.remedies.mixed_precision import MixedPrecision
from worker.remedies.orthogonal_penalty import OrthogonalPenalty
from worker.remedies.warm_up import WarmUp
from worker.remedies.weight_decay import WeightDecay

RUN_TIME: dict[str, Callable[[Any], RunTimeRemedy]] = {
    "l2": L2,
    "weight_decay": WeightDecay,
    "orthogonal_penalty": OrthogonalPenalty,
    "clip_norm": ClipNorm,
    "clip_value": ClipValue,
    "agc": Agc,
    "ema_clip": EmaClip,
    "gradient_centralization": GradientCentralization,
    "warm_up": WarmUp,
    "mixed_precision": MixedPrecision,
}


def at_run_time(specs: tuple[RemedySpec, ...]) -> list[RunTimeRemedy]:
    return [RUN_TIME[spec.kind](spec) for spec in specs]
