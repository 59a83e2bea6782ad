"""Golden cases of theory on ``measure`` (Schoenholz et al. 2017; Yang 2019), on any device."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from gradient_clinic.probe.meters.meter import Array
from gradient_clinic.probe.probe import StepRecord
from gradient_clinic.signals import SIGNALS
from models.plan import NetworkPlan, plan_network
from models.specs.network import MlpSpec
from proofs.gpu.check import Check, WrongError
from worker.engine import measure

WIDTH, LAYERS, BATCH = 400, 30, 64
THEORY = 0.02
"""How far a network of this size may lie from the limit of infinite width, relatively."""
ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-3}
"""How far two devices may lie apart: each rounds every operation in an order of its own, over thirty layers."""

Json = dict[str, Any]


def gaussian(weight_variance: float, bias_variance: float = 0.0, distribution: str = "normal") -> Json:
    return {
        "kind": "gaussian",
        "weight_variance": weight_variance,
        "bias_variance": bias_variance,
        "distribution": distribution,
    }


@dataclass(frozen=True, slots=True)
class Golden:
    """``gain``: √χ, by which rms δ grows per layer toward the input. ``variance``: of h in front of the first φ."""

    name: str
    activation: str
    init: Json
    gain: float
    variance: float = 1.0
    changes: Json = field(default_factory=dict)

    @property
    def plan(self) -> NetworkPlan:
        return network(LAYERS, WIDTH, activation=self.activation, init=self.init, **self.changes)


CASES = (
    Golden("G1", "identity", gaussian(1 / 3), math.sqrt(1 / 3)),
    Golden("G3", "relu", gaussian(2.0), 1.0),
    Golden("G4", "relu", gaussian(1.0), math.sqrt(0.5)),
    # G5 and G6: a third, uniform, is what torch draws for a linear layer by itself (±1/√fan_in).
    Golden("G5", "relu", gaussian(1 / 3, 0.0, "uniform"), 0.408248),
    # With so small an h tanh is the identity, and theory is exact without a fixed point.
    Golden("G6", "tanh", gaussian(1 / 3, 0.0, "uniform"), 0.57735, 1e-6),
    Golden("G7", "tanh", gaussian(1.3, 0.05), 0.93817, 0.315316),
    # On the critical line of tanh for this bias variance: the one between G7, which is ordered, and G9, chaotic.
    Golden("G8", "tanh", gaussian(1.7609546396069404, 0.05), 1.0, 0.570048),
    Golden("G9", "tanh", gaussian(4.0, 0.05), 1.158621, 2.195494),
    Golden("G10", "sigmoid", gaussian(1.0), 0.236052, 0.264687),
    # Layer norm after the linear map: χ = E[φ'²]/E[φ²] = 1 for ReLU, up to its mean.
    Golden("layer norm", "relu", gaussian(1.0), 1.0, changes={"normalization": {"kind": "layer_norm"}}),
)


def network(layers: int, width: int, **changes: object) -> NetworkPlan:
    """``layers`` hidden layers of ``width`` units, and an output of the same width."""
    spec = MlpSpec.model_validate({"kind": "mlp", "hidden": [width] * layers, **changes})
    return plan_network(spec, width, width)


def record(  # noqa: PLR0913 -- all that a closed form is of, by name
    plan: NetworkPlan,
    seed: int,
    variance: float,
    batch: int = BATCH,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float64,
) -> StepRecord:
    """Gaussian h of that variance in front of the first activation, N(0, 1) cotangent on the output: the same
    numbers on every device.
    """
    width = plan.layers[0].fan_out
    # Not the seed of the weights, or the input would begin with the numbers that the first layer has.
    random = torch.Generator().manual_seed(seed + 1000)
    # Drawn in float64 on the CPU and then moved: devices have generators of their own.
    given = torch.randn(batch, width, generator=random, dtype=torch.float64) * math.sqrt(variance)
    cotangent = torch.randn(batch, width, generator=random, dtype=torch.float64)
    return measure(plan, input=given.to(device, dtype), cotangent=cotangent.to(device), dtype=dtype, seed=seed)


def gain_per_layer(records: list[StepRecord], *, drop: int = 2) -> float:
    """√χ: the geometric mean of rms δ's growth per layer toward the input, the first ``drop`` increments left out."""
    levels = [np.log(record.activation_gradient_rms[:-1]) for record in records]
    return math.exp(float(np.mean([(level[:-1] - level[1:])[drop:].mean() for level in levels])))


def checks(device: torch.device, *, seeds: int = 6) -> Iterator[Check]:
    for case in CASES:
        yield Check(f"golden {case.name}", partial(_against_theory, case, device, seeds))
    for dtype, most in ROUNDING.items():
        name = f"golden cases beside the CPU, {str(dtype).removeprefix('torch.')}"
        yield Check(name, partial(_beside_the_cpu, device, dtype, most))


def _against_theory(case: Golden, device: torch.device, seeds: int) -> str:
    gain = gain_per_layer([record(case.plan, seed, case.variance, device=device) for seed in range(seeds)])
    seen = f"gain per layer {gain:.4f}, theory {case.gain:.4f} ± {THEORY:.0%}"
    if not math.isclose(gain, case.gain, rel_tol=THEORY):
        raise WrongError(seen)
    return seen


def _beside_the_cpu(device: torch.device, dtype: torch.dtype, most: float) -> str:
    distances = []
    for case in CASES:
        one, other = (record(case.plan, 0, case.variance, device=each, dtype=dtype) for each in ("cpu", device))
        distances.append(farthest(one, other))
    apart = float(np.max(distances))
    seen = f"the signals of {len(CASES)} networks lie {apart:.1e} apart at most, allowed {most:g}"
    # Written so that NaN fails too.
    if not apart <= most:
        raise WrongError(seen)
    return seen


def farthest(one: StepRecord, other: StepRecord) -> float:
    """The largest distance between two values of a signal, relative to the value; for a share of units or entries it is
    absolute. NaN equals NaN; the distance of NaN to a number is NaN.
    """
    distances = [_distance(name, getattr(one, name), getattr(other, name)) for name in SIGNALS]
    return float(np.max(distances))


def _distance(name: str, here: Array, there: Array) -> float:
    # A share may be 0 on one device and one unit's on the other: relative to 0 that would be without bound.
    size = 1.0 if name.endswith("_fraction") else np.maximum(np.abs(here), np.finfo(np.float64).tiny)
    return float(np.max(np.where(np.isnan(here) & np.isnan(there), 0.0, np.abs(here - there) / size)))
