"""Mean-field theory of recurrent cells: lengths from step to step, and back the mean square of ∂L/∂state.

With σ² = H·Var W_hh, v_t = Var(W_ih·x_t + b_ih) + Var b_hh, m the mean square of h, S of ∂L/∂state, U what comes from
above. Cells of one gate have closed forms, whatever their steps have in common: a path that passes the same W_hh, and
φ' that stay as they are, leave the mean square as fresh ones would. Of gates that is not so (``gated_cells.py``).

    φ     q_t = v_t + σ²·m_(t−1),  m_t = E φ²,          S_t = U_t + σ²·δ²_(t+1),  δ²_t = E φ'²·S_t

Logarithms throughout: σ^2T leaves every float.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gradient_clinic.quadrature import UNBOUNDED, gaussian_moments
from gradient_clinic.values import Array
from models.analysis.theory import gated_cells
from models.analysis.theory.initial_variance import InitialVariance, layer_variance
from models.analysis.theory.state_levels import StateLevels, from_logs
from models.analysis.theory.variances import Delta, Signal, at_all_steps, cosines
from models.plan.tree import Recur

WayBack = Callable[[Delta], tuple[StateLevels, Delta]]


def recur(node: Recur, given: Signal) -> tuple[Signal, WayBack]:
    """The loop of ``node`` over what its input's layer ``given``, and the way back from its states."""
    drawn = layer_variance(node.layer)
    return _with_gates(node, given, drawn) if node.cell in gated_cells.RULES else _simple(node, given, drawn)


def _unknown(node: Recur) -> bool:
    """Cells whose weights are neither random nor keep φ's active units active."""
    init = node.layer.init.kind
    return init == "lsuv" or (init == "identity" and node.cell not in {"identity", "relu"})


def _shown(given: Signal, square: Array, alike: Array | None = None) -> Signal:
    """h of all steps."""
    nothing = np.zeros_like(square)
    return replace(given, spread=square, common=nothing, offset=nothing, gaussian=False, below=None, alike=alike)


# --- one gate ---------------------------------------------------------------------------------------------------


def _simple(node: Recur, given: Signal, drawn: InitialVariance) -> tuple[Signal, WayBack]:
    activation = node.layer.activation
    assert activation is not None  # cells of one gate have an activation
    memory, slopes, squares = 0.0, list[float](), list[float]()
    for length in np.minimum(given.square, UNBOUNDED).tolist():
        # To 12 digits: a settled loop then asks for moments that it has.
        moments = gaussian_moments(activation, float(f"{length + drawn.bias + drawn.weight * memory:.12g}"))
        memory = min(moments.square, UNBOUNDED)
        slopes.append(moments.slope_square)
        squares.append(memory)
    if node.layer.init.kind == "identity" and node.cell == "relu":
        slopes = [1.0] * len(slopes)  # an active unit is carried on as it is
    lost = int(not given.known or _unknown(node))
    return _shown(given, np.array(squares)), lambda delta: _back(node, slopes, drawn.weight, delta, lost)


def _back(node: Recur, slopes: list[float], weight: float, delta: Delta, lost: int) -> tuple[StateLevels, Delta]:
    carried, states, entering = -math.inf, list[float](), list[float]()  # ln of ∂L/∂h through W_hh
    from_above = [_log(value) for value in delta.square.tolist()]
    for index in range(len(slopes) - 1, -1, -1):
        states.append(float(np.logaddexp(from_above[index], carried)))
        entering.append(states[-1] + _log(slopes[index]))
        carried = entering[-1] + _log(weight)
        if node.truncate is not None and index > 0 and index % node.truncate == 0:
            carried = -math.inf
    states.append(carried)
    values = np.array(entering[::-1])
    # Counted in the largest: over long loops σ^2T leaves every float.
    top = float(values.max())
    square = np.exp(values - top) if math.isfinite(top) else np.zeros(len(values))
    to_input = Delta(square, delta.log + (top if math.isfinite(top) else 0.0), delta.breaks + lost)
    return from_logs(node, states[::-1], delta.log, lost), to_input


def _log(value: float) -> float:
    return math.log(value) if value > 0.0 else -math.inf


# --- several gates ----------------------------------------------------------------------------------------------


def _with_gates(node: Recur, given: Signal, drawn: InitialVariance) -> tuple[Signal, WayBack]:
    steps = given.spread.size
    read = np.clip(given.covariance, -UNBOUNDED, UNBOUNDED)
    way = gated_cells.forward(node.cell, read, drawn.weight, drawn.bias, node.forget_bias)
    lost = int(not given.known or _unknown(node))
    out = _shown(given, at_all_steps(np.diag(way.covariance), steps), cosines(way.covariance))

    def back(delta: Delta) -> tuple[StateLevels, Delta]:
        found = gated_cells.backward(node.cell, way.opened, drawn.weight, delta.covariance, node.truncate)
        entering = replace(delta, log=delta.log + found.log, breaks=delta.breaks + lost)
        # Summed over gates so far; a level is a mean square per unit of the gates side by side.
        to_input = entering.with_covariance(found.entering / node.layer.gates)
        return from_logs(node, gated_cells.stretched(found.states, steps), delta.log, lost), to_input

    return out, back
