"""Mean-field theory of recurrent cells: lengths from step to step, and back the mean square of ∂L/∂state.

With σ² = H·Var W_hh, v_t = Var(W_ih·x_t + b_ih) + Var b_hh, m the mean square of h, S of ∂L/∂state, U what comes from
above. All expectations are over gates as independent Gaussians (Gilboa et al. 2019, arXiv:1901.08987).

    φ     q_t = v_t + σ²·m_(t−1),  m_t = E φ²,          S_t = U_t + σ²·δ²_(t+1),  δ²_t = E φ'²·S_t
    LSTM  c_t = f·c + i·g,  h_t = o·tanh c,             S_t = E f²·S_(t+1) + E o²·E tanh'(c)²·(U_t + σ²·Σ δ² of gates)
    GRU   h_t = (1 − z)·n + z·h,                        S_t = U_t + (E z² + σ²·(δ²_z + δ²_r + E r²·δ²_n per S))·S_(t+1)

One W_hh serves every step, so paths that pass it k times add up as amplitudes where the rest of the way is d·I: the
mean of (d·I + R)^n is Σ_k [C(n,k)·d^(n−k)·ρ^k]², d = E f or E z, ρ = √(σ²)·(mean slope through the gates). What varies
about these means is a new source at every step. Logarithms throughout: ρ^T leaves every float.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from models.activations import Array
from models.analysis.cell_steps import CELLS, CellStep, Entering
from models.analysis.initial_variance import layer_variance
from models.analysis.meanfield import UNBOUNDED
from models.analysis.states import StateLevels, from_logs
from models.analysis.variances import Delta, Signal
from models.plan.layers import Recur

WayBack = Callable[[Delta], tuple[StateLevels, Delta]]


def recur(node: Recur, given: Signal) -> tuple[Signal, WayBack]:
    """The loop of ``node`` over what its input's layer ``given``, and the way back from its states."""
    drawn = layer_variance(node.layer)
    memory = cell = 0.0
    steps, squares = list[CellStep](), list[float]()
    for length in np.minimum(given.square, UNBOUNDED).tolist():
        step, memory, cell = CELLS[node.cell](node, Entering(length, memory, cell, drawn.weight, drawn.bias))
        memory, cell = min(memory, UNBOUNDED), min(cell, UNBOUNDED)
        steps.append(step)
        squares.append(memory)
    lost = int(not given.known or _unknown(node))
    nothing = np.zeros(len(squares))
    out = replace(given, spread=np.array(squares), common=nothing, offset=nothing, gaussian=False, below=None)
    return out, lambda delta: _back(node, steps, drawn.weight, delta, lost)


def _unknown(node: Recur) -> bool:
    """Cells whose weights are neither random nor keep φ's active units active."""
    init = node.layer.init.kind
    return init == "lsuv" or (init == "identity" and node.cell not in {"identity", "relu"})


def _back(node: Recur, steps: list[CellStep], weight: float, delta: Delta, lost: int) -> tuple[StateLevels, Delta]:
    hidden = carried = -math.inf  # ln of ∂L/∂h through W_hh, and of what varies in the way through the state itself
    logs, entering, sources = list[float](), list[float](), list[float]()
    from_above = [_log(value) for value in delta.square.tolist()]
    alike = _paths(steps[-1], weight, len(steps))
    for index in range(len(steps) - 1, -1, -1):
        step = steps[index]
        of_h = _add(from_above[index], hidden)
        new = _log(step.read) + hidden
        if step.mean_direct and logs:  # what adds up as amplitudes is in ``alike``, and only the rest is new
            new = logs[-1] + _log(max(step.read * weight * step.recurrent - weight * step.mean_recurrent**2, 0.0))
        sources.append(_add(_add(_log(step.read) + from_above[index], new), carried))
        logs.append(float(np.logaddexp.reduce(np.array(sources) + alike[len(sources) - 1 :: -1])))
        gates = _add(logs[-1] + _log(step.gates), of_h + _log(step.output))
        entering.append(gates - math.log(node.layer.gates))
        hidden = _add(logs[-1] + _log(step.recurrent), of_h + _log(step.output)) + _log(weight)
        carried = logs[-1] + _log(max(step.direct - step.mean_direct**2, 0.0))
        if node.truncate is not None and index > 0 and index % node.truncate == 0:
            hidden, carried, sources = -math.inf, -math.inf, []
    before = logs[-1] + _log(steps[0].direct)
    logs.append(before if node.cell == "lstm" else _add(hidden, before))
    values = np.array(entering[::-1])
    top = float(values.max())
    square = np.exp(values - top) if math.isfinite(top) else np.zeros(len(values))
    # Gates pass one gradient on almost unturned: what neighbouring steps send down is alike, by how much is not known.
    breaks = delta.breaks + int(lost or node.layer.gates > 1)
    to_input = Delta(square, delta.log + (top if math.isfinite(top) else 0.0), breaks)
    return from_logs(node, logs[::-1], delta, lost), to_input


def _paths(step: CellStep, weight: float, steps: int) -> Array:
    """ln Σ_k [C(n,k)·d^(n−k)·ρ^k]² for n = 0 … steps: 2n·ln(d + ρ) plus ln Σ of squared binomial shares."""
    direct, recurrent = step.mean_direct, math.sqrt(weight) * step.mean_recurrent
    if direct == 0.0:
        return np.append(0.0, np.full(steps, -math.inf))
    share, row = recurrent / (direct + recurrent), np.ones(1)
    logs = []
    for count in range(steps + 1):
        logs.append(2.0 * count * math.log(direct + recurrent) + math.log(float(row @ row)))
        row = np.convolve(row, (1.0 - share, share))
    return np.array(logs)


def _log(value: float) -> float:
    return math.log(value) if value > 0.0 else -math.inf


def _add(a: float, b: float) -> float:
    return float(np.logaddexp(a, b))
