"""One step of each recurrent cell: its multipliers on the way back, and the mean squares of h and c after it.

The formulas are those of ``cells.py``; all expectations are over gates as independent Gaussians.
"""

import functools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.activations import Activation, Array
from models.analysis.quadrature import gaussian_moments
from models.plan.layers import Recur

TANH: Final = Activation("tanh")
_NODE, _WEIGHT = np.polynomial.hermite_e.hermegauss(48)
_WEIGHT = _WEIGHT / _WEIGHT.sum()


@dataclass(frozen=True, slots=True)
class CellStep:
    """What one step multiplies mean squares by on the way back.

    The state's gradient S reaches the earlier state by ``direct``; h's gradient reaches S by ``read`` (1 but in an
    LSTM). Gates receive ``gates``·S, and ``output``·(gradient of h); ``recurrent`` of that sum enters W_hh.
    """

    direct: float
    gates: float
    recurrent: float
    read: float = 1.0
    output: float = 0.0
    mean_direct: float = 0.0
    mean_recurrent: float = 0.0
    """Means of the same two ways, to add as amplitudes; the second lacks √σ²."""


@dataclass(frozen=True, slots=True)
class Entering:
    """What a step meets: mean squares of its input's part, of h and of an LSTM's c before it; W_hh's σ² and Var b."""

    given: float
    memory: float
    cell: float
    weight: float
    bias: float

    @property
    def back(self) -> float:
        """Of W_hh·h + b_hh."""
        return self.bias + self.weight * self.memory

    @property
    def length(self) -> float:
        """q of what enters a gate, to 12 digits: a settled loop then asks for moments that it has."""
        return _rounded(self.given + self.back)


def _simple(node: Recur, entering: Entering) -> tuple[CellStep, float, float]:
    activation = node.layer.activation
    assert activation is not None  # noqa: S101 -- cells of one gate have an activation
    its = gaussian_moments(activation, entering.length)
    slope = its.slope_square
    if node.layer.init.kind == "identity" and node.cell == "relu":
        slope = 1.0  # an active unit is carried on as it is
    return CellStep(0.0, slope, slope), its.square, 0.0


def _lstm(node: Recur, entering: Entering) -> tuple[CellStep, float, float]:
    q, cell = entering.length, entering.cell
    gate, forget, new = gate_moments(q), gate_moments(q, node.forget_bias), gaussian_moments(TANH, q)
    after = forget.square * cell + gate.square * new.square
    shown = gaussian_moments(TANH, _rounded(after))
    of_state = gate.slope * new.square + forget.slope * cell + gate.square * new.slope_square
    step = CellStep(
        forget.square,
        of_state,
        of_state,
        gate.square * shown.slope_square,
        gate.slope * shown.square,
        mean_direct=forget.mean,
        mean_recurrent=0.25 * (1.0 - shown.square) * (1.0 - new.square),  # E tanh' = 1 − E tanh²
    )
    return step, gate.square * shown.square, after


def _gru(_: Recur, entering: Entering) -> tuple[CellStep, float, float]:
    gate = gate_moments(entering.length)
    new = gaussian_moments(TANH, _rounded(entering.given + gate.square * entering.back))
    of_new = gate.square * new.slope_square  # E (1 − z)² = E z²
    of_gates = gate.slope * (entering.memory + new.square) + gate.slope * entering.back * of_new
    step = CellStep(
        gate.square,
        of_new + of_gates,
        gate.square * of_new + of_gates,
        mean_direct=0.5,
        mean_recurrent=0.25 * (1.0 - new.square),
    )
    return step, gate.square * (new.square + entering.memory), 0.0


CELLS: Final = {"tanh": _simple, "relu": _simple, "identity": _simple, "lstm": _lstm, "gru": _gru}


@dataclass(frozen=True, slots=True)
class Gate:
    """E σ, E σ² and E σ'²."""

    mean: float
    square: float
    slope: float


@functools.lru_cache(maxsize=4096)
def gate_moments(q: float, mean: float = 0.0) -> Gate:
    """Of a gate whose argument is N(mean, q)."""
    opened: Array = 1.0 / (1.0 + np.exp(-np.clip(mean + math.sqrt(q) * _NODE, -700.0, 700.0)))
    return Gate(float(_WEIGHT @ opened), float(_WEIGHT @ opened**2), float(_WEIGHT @ (opened * (1.0 - opened)) ** 2))


def _rounded(q: float) -> float:
    return float(f"{q:.12g}")
