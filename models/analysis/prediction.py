"""What theory says of a network before it is trained: the answer of ``POST /v1/predictions`` (contract, Prediction).

``chi`` of a layer and ``depth_scale`` are asymptotic (q = q*); ``total_gain``, ``gain_per_layer`` and ``profile``
predict what a measurement of the untrained network on standardised inputs finds, the way to q* included.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from models.analysis.caveats import caveats_of
from models.analysis.increments import kept_increments
from models.analysis.meanfield import CRITICAL
from models.analysis.propagation import propagate
from models.plan import NetworkPlan, plan_network
from models.specs.base import Problem, SpecError
from models.specs.network import NetworkSpec

Regime = Literal["ordered", "critical", "chaotic", "normalised"]

TRAINABLE: Final = 6.0
"""Trainable up to 6 depth scales, that is to a total gain of ±3 (Schoenholz et al. 2017)."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LayerPrediction(_Answer):
    """χ of a hidden layer repeated at its own width, and √χ; null where theory has no finite number."""

    index: int
    name: str
    chi: float | None
    rms_ratio: float | None


class Prediction(_Answer):
    """Null stands for what is undefined or not finite. ``profile``: r of each hidden layer by name (contract)."""

    layers: tuple[LayerPrediction, ...]
    gain_per_layer: float | None
    total_gain: float | None
    depth_scale: float | None
    trainable_depth: float | None
    inverse_width_sum: float
    regime: Regime
    caveats: tuple[str, ...]
    profile: dict[str, float | None]


def predict(network: NetworkPlan, batch_size: int) -> Prediction:
    """Mean-field theory of ``network`` as initialised; ``batch_size`` counts under batch norm only."""
    theory = propagate(network, batch_size)
    hidden = network.hidden
    chis = [_finite(asymptote.chi) for asymptote in theory.asymptotes]
    depth_scale = _depth_scale(chis)
    return Prediction(
        layers=tuple(
            LayerPrediction(index=layer.index, name=layer.name, chi=chi, rms_ratio=None if chi is None else chi**0.5)
            for layer, chi in zip(hidden, chis, strict=True)
        ),
        gain_per_layer=_gain_per_layer(theory.increments, _normalised_by_batch(network)),
        total_gain=_finite(theory.total),
        depth_scale=depth_scale,
        trainable_depth=None if depth_scale is None else TRAINABLE * depth_scale,
        inverse_width_sum=sum(1.0 / layer.fan_out for layer in hidden),
        regime=_regime(network, chis),
        caveats=caveats_of(network, batch_size, theory),
        profile=dict(zip((layer.name for layer in hidden), _profile(theory.increments), strict=True)),
    )


def predict_spec(
    network: NetworkSpec, batch_size: int, input_width: int | None = None, output_width: int | None = None
) -> Prediction:
    """As ``predict``, from the spec alone; data that is not named is as wide as the hidden layer beside it.

    SpecError for batch norm over one case, which has no variance.
    """
    if network.normalization is not None and network.normalization.kind == "batch_norm" and batch_size == 1:
        message = "batch normalisation needs more than one case in every batch"
        raise SpecError(Problem("batch_size", batch_size, message, "at least 2"))
    widths = network.hidden_widths()
    return predict(plan_network(network, input_width or widths[0], output_width or widths[-1]), batch_size)


def _normalised_by_batch(network: NetworkPlan) -> bool:
    return any(layer.normalization is not None and layer.normalization.kind == "batch_norm" for layer in network.hidden)


def _gain_per_layer(increments: Sequence[float], batch_norm: bool) -> float | None:  # noqa: FBT001 -- as in increments
    kept = increments[kept_increments(len(increments) + 1, batch_norm)]
    mean = _finite(sum(kept) / len(kept)) if kept else None
    return None if mean is None else math.exp(mean)


def _profile(increments: Sequence[float]) -> list[float | None]:
    """r = ln(rms δ of the layer / rms δ of the last hidden layer): sums of increments from the top down."""
    from_top = itertools.accumulate(reversed(increments), initial=0.0)
    return [_finite(r) for r in reversed(list(from_top))]


def _mean_log(chis: Sequence[float | None]) -> float | None:
    """ln χ of the network: the mean over its hidden layers. −∞ where a layer passes nothing."""
    logs = [None if chi is None else math.log(chi) if chi > 0.0 else -math.inf for chi in chis]
    known = [log for log in logs if log is not None]
    return sum(known) / len(known) if len(known) == len(logs) else None


def _depth_scale(chis: Sequence[float | None]) -> float | None:
    log = _mean_log(chis)
    return None if log is None or abs(log) < CRITICAL else 1.0 / abs(log)


def _regime(network: NetworkPlan, chis: Sequence[float | None]) -> Regime:
    log = _mean_log(chis)
    if log is None or any(layer.normalization is not None for layer in network.hidden):
        return "normalised"
    if abs(log) < CRITICAL:
        return "critical"
    return "ordered" if log < 0.0 else "chaotic"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
