"""What theory says of a network before it is trained: the answer of ``POST /v1/predictions``.

``chi`` of a layer and ``depth_scale`` are asymptotic (q = q*); ``total_gain``, ``gain_per_layer`` and ``profile``
predict what a measurement of the untrained network on standardised inputs finds, the way to q* included.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from gradient_clinic.quadrature import HOMOGENEOUS, gaussian_moments
from models.analysis.theory.assumed_inputs import assumed_input
from models.analysis.theory.caveats import caveats_of
from models.analysis.theory.effort import AT_ONCE
from models.analysis.theory.meanfield import CRITICAL, LayerMap, critical_weight_variance
from models.analysis.theory.notes import notes_of
from models.analysis.theory.propagation import Asymptote, Propagation, passes_of, propagate, rate
from models.analysis.theory.structure import has_skips, norms_of
from models.plan import LayerPlan, NetworkPlan, Shape, plan_network
from models.specs.base import Problem, SpecError
from models.specs.networks import NETWORKS, NetworkSpec
from models.specs.plugin import PluginNetworkSpec

Regime = Literal["ordered", "critical", "chaotic", "normalised", "residual"]

TRAINABLE: Final = 6.0
"""Trainable up to 6 depth scales, that is to a total gain of ±3 (Schoenholz et al. 2017)."""

MOST_LAYERS: Final = 1_000
"""Of a network that is asked about by its spec alone; ``effort.py`` says where theory stops short of them."""

LARGEST_LOG: Final = 350.0
"""Of a ratio whose square is still a float."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LayerPrediction(_Answer):
    """χ of a hidden layer and √χ; null where theory has no finite number.

    In a stack it is asymptotic: the layer repeated at its own width. In streams with skips, and where layers are of
    different kinds, it is that of the step from the hidden layer before, at this network's own lengths.

    Of a layer in a stack, else null: σw² = ``weight_variance`` and σb² = ``bias_variance`` as it is initialised,
    ``q_star``, the mean square of h that it settles at (null where it grows for ever), and σw² on the critical line
    χ = 1 at this σb² (null under a norm or dropout, and where φ has none).
    """

    index: int
    name: str
    chi: float | None
    rms_ratio: float | None
    weight_variance: float | None = None
    bias_variance: float | None = None
    q_star: float | None = None
    critical_weight_variance: float | None = None


class TimePrediction(_Answer):
    """One recurrent layer's time axis: ln(rms ∂L/∂state before the first step / after the last), and per step back."""

    layer: str
    gain_per_step: float | None
    total_gain: float | None
    steps: int


class Prediction(_Answer):
    """Null stands for what is undefined or not finite. ``profile``: r of each hidden layer by name.

    ``caveats``: where the numbers may be off by more than 5 % per layer, or are missing; ``notes``: what is true of
    them where they hold.
    """

    layers: tuple[LayerPrediction, ...]
    gain_per_layer: float | None
    total_gain: float | None
    depth_scale: float | None
    trainable_depth: float | None
    inverse_width_sum: float
    regime: Regime
    caveats: tuple[str, ...]
    notes: tuple[str, ...]
    profile: dict[str, float | None]
    time: tuple[TimePrediction, ...] = ()


def predict(network: NetworkPlan, batch_size: int, theory: Propagation | None = None) -> Prediction:
    """Mean-field theory of ``network`` as initialised; ``batch_size`` counts under batch norm only."""
    theory = theory or propagate(network, batch_size)
    hidden = network.hidden
    chis = _chis(network, theory)
    time = _time(theory)
    depth_scale = _depth_scale(chis)
    return Prediction(
        layers=tuple(_layers(hidden, chis, theory.asymptotes)),
        gain_per_layer=_gain_per_layer(rate(network, theory)),
        total_gain=_finite(theory.total),
        depth_scale=depth_scale,
        trainable_depth=None if depth_scale is None else TRAINABLE * depth_scale,
        inverse_width_sum=sum(layer.gates / layer.units for layer in hidden),
        regime=_regime(network, chis, time),
        caveats=tuple(caveat.sentence for caveat in caveats_of(network, batch_size, theory)),
        notes=notes_of(network, batch_size, theory),
        profile=dict(zip((layer.name for layer in hidden), _profile(theory.increments), strict=True)),
        time=time,
    )


def predict_spec(
    network: NetworkSpec,
    batch_size: int,
    input_width: int | None = None,
    output_width: int | None = None,
    given: Shape | None = None,
) -> Prediction:
    """As ``predict``, from the spec alone; data that is not named is as wide as the hidden layer beside it, or of the
    shape that a caveat states.

    SpecError for batch norm over one case, which has no variance, for cases that the network cannot take, for a
    network that is too much work, and for a plug-in, whose layers nobody knows before it is built.
    """
    if isinstance(network, PluginNetworkSpec):
        message = "theory has nothing to say of a plug-in before it is built; an experiment with steps: 0 measures it"
        raise SpecError(Problem("network.kind", network.kind, message, list(NETWORKS)))
    # Before anything is planned: a few bytes of a spec may ask for more layers than memory holds.
    if network.layer_count > MOST_LAYERS:
        message = f"a prediction follows at most {MOST_LAYERS:,} layers"
        raise SpecError(Problem("network", network.layer_count, message, f"at most {MOST_LAYERS:,} layers"))
    assumed = assumed_input(network, input_width, given)
    planned = plan_network(network, assumed.shape, output_width or assumed.outputs)
    if "batch_norm" in norms_of(planned) and batch_size == 1:
        message = "batch normalisation needs more than one case in every batch"
        raise SpecError(Problem("batch_size", batch_size, message, "at least 2"))
    # A stack is followed several times for one answer (louder inputs, scatter), and all of them share the time.
    theory = propagate(planned, batch_size, most=AT_ONCE / passes_of(planned))
    if not theory.followed:
        message = "the network has more different layers, heads, pixels or steps than a prediction follows"
        allowed = "fewer layers, or more that are equal; narrower heads, shorter or smaller cases"
        raise SpecError(Problem("network", network.layer_count, message, allowed))
    answer = predict(planned, batch_size, theory)
    return answer.model_copy(update={"caveats": (*answer.caveats, *assumed.caveats)})


def _layers(
    hidden: Sequence[LayerPlan], chis: Sequence[float | None], asymptotes: Sequence[Asymptote]
) -> Iterator[LayerPrediction]:
    lengths = {its: _lengths(its) for its in set(asymptotes)}  # alike layers share one
    shared = [lengths[its] for its in asymptotes] or [{}] * len(hidden)
    for layer, chi, its in zip(hidden, chis, shared, strict=True):
        ratio = None if chi is None else chi**0.5
        yield LayerPrediction(index=layer.index, name=layer.name, chi=chi, rms_ratio=ratio, **its)


def _lengths(asymptote: Asymptote) -> dict[str, float | None]:
    its = asymptote.layer_map
    return {
        "weight_variance": _finite(its.weight_variance),
        "bias_variance": _finite(its.bias_variance),
        "q_star": _finite(asymptote.q_star),
        "critical_weight_variance": _critical(its),
    }


def _critical(its: LayerMap) -> float | None:
    """On the critical line at this σb². Of φ(az) = a·φ(z) it is the same at every length, so that it needs no q*."""
    if its.norm != "none" or its.dropout > 0.0:
        return None
    if its.activation.function in HOMOGENEOUS:
        return 1.0 / gaussian_moments(its.activation, 1.0).slope_square
    return critical_weight_variance(its.activation, its.bias_variance)


def _chis(network: NetworkPlan, theory: Propagation) -> list[float | None]:
    if theory.asymptotes:
        return [_finite(asymptote.chi) for asymptote in theory.asymptotes]
    steps = zip(network.hidden[1:], theory.increments, strict=True)
    return [None, *(None if layer.resized else _squared_ratio(increment) for layer, increment in steps)]


def _squared_ratio(increment: float) -> float | None:
    return None if math.isnan(increment) or increment > LARGEST_LOG else math.exp(2.0 * increment)


def _time(theory: Propagation) -> tuple[TimePrediction, ...]:
    return tuple(
        TimePrediction(layer=its.node.layer.name, gain_per_step=rate, total_gain=total, steps=its.node.steps)
        for its in theory.states
        for rate, total in [its.gains()]
    )


def _gain_per_layer(mean: float) -> float | None:
    return None if not math.isfinite(mean) or mean > LARGEST_LOG else math.exp(mean)


def _profile(increments: Sequence[float]) -> list[float | None]:
    """r = ln(rms δ of the layer / rms δ of the last hidden layer): sums of increments from the top down."""
    from_top = itertools.accumulate(reversed(increments), initial=0.0)
    return [_finite(r) for r in reversed(list(from_top))]


def _mean_log(chis: Sequence[float | None]) -> float | None:
    """ln χ of the network: the mean over the hidden layers that have one. −∞ where a layer passes nothing."""
    logs = [math.log(chi) if chi > 0.0 else -math.inf for chi in chis if chi is not None]
    return sum(logs) / len(logs) if logs else None


def _depth_scale(chis: Sequence[float | None]) -> float | None:
    log = _mean_log(chis)
    # 1/|ln χ| (Schoenholz et al. 2017): without bound at the critical point, which null stands for.
    return None if log is None or abs(log) < CRITICAL else 1.0 / abs(log)


def _regime(network: NetworkPlan, chis: Sequence[float | None], time: Sequence[TimePrediction]) -> Regime:
    """What holds for the whole network; a recurrent one is called by its steps."""
    if has_skips(network):
        # Whatever χ is: in a stream that grows it changes from block to block, and no one number calls it ordered or
        # chaotic.
        return "residual"
    if norms_of(network):
        return "normalised"
    rates = [axis.gain_per_step**2 for axis in time if axis.gain_per_step is not None]
    log = _mean_log(rates or chis) or 0.0
    if abs(log) < CRITICAL:
        return "critical"
    return "ordered" if log < 0.0 else "chaotic"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
