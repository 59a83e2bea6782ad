"""Recurrent cells with gates at infinite width: the path of one unit through the steps, drawn many times.

At infinite width units are independent, and what enters a gate over the steps is a Gaussian process; its covariance is
that of what is read, plus σ² times that of h one step before. The way back is one too: W_hhᵀ sends ∂L/∂h down as a
Gaussian process, independent of the way forward, whose covariance is that of δ in the gates. So gates that stay open,
because inputs or biases stay alike, carry the gradient further than fresh ones would (E Πf² > Π E f²). One W_hh at
every step adds amplitudes. Both are exact here, up to the scatter of some thousand paths from a fixed seed.

    LSTM  c_t = f·c + i·g,  h_t = o·tanh c             S_t = f_(t+1)·S_(t+1) + o·tanh'(c_t)·η_t
    GRU   h_t = (1 − z)·n + z·h,  n = tanh(x + r·y)    S_t = z_(t+1)·S_(t+1) + η_t

η_t = ∂L/∂h_t from above and through W_hh, S = ∂L/∂state.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.linalg.blas import dtrsv

from gradient_clinic.values import Array

DRAWN: Final = 60_000
"""Units times steps: with other draws the gain per step scatters by 0.5 to 1.5 %."""
FEWEST_UNITS: Final = 512
MOST_UNITS: Final = 2048
SEED: Final = 1
ALMOST: Final = 1e-8
"""Of a variance: what keeps a process that repeats itself from a division by 0."""
RANGE: Final = 1e60
"""Beyond it, or its inverse, everything on the way back is scaled: it is linear."""


@dataclass(frozen=True, slots=True)
class Opened:
    """One step of all units, (units,) each. ``kept`` is ∂state/∂state before, ``shown`` ∂h/∂state less what is direct.

    ``of_state`` and ``of_shown`` (gates, units): ∂state/∂argument of each gate, and ∂h/∂argument where h is read
    through it; ``back`` (gates, units) what lies between a gate's argument and W_hh·h.
    """

    state: Array
    h: Array
    kept: Array
    shown: Array
    of_state: Array
    of_shown: Array
    back: Array


CellRule = Callable[[Array, Array, Array, float], Opened]
"""(given, back: (gates, units), state before, forget bias)."""


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def lstm(given: Array, back: Array, state: Array, forget_bias: float) -> Opened:
    entering = given + back
    # In torch's order of gates: i, f, g, o.
    i, f, o = _sigmoid(entering[0]), _sigmoid(entering[1] + forget_bias), _sigmoid(entering[3])
    g = np.tanh(entering[2])
    after = f * state + i * g
    seen, none = np.tanh(after), np.zeros_like(after)
    of_state = np.stack((g * i * (1.0 - i), state * f * (1.0 - f), i * (1.0 - g**2), none))
    of_shown = np.stack((none, none, none, seen * o * (1.0 - o)))
    return Opened(after, o * seen, f, o * (1.0 - seen**2), of_state, of_shown, np.ones_like(of_state))


def gru(given: Array, back: Array, state: Array, _: float) -> Opened:
    # In torch's order: r, z, n; r is on W_hh·h + b_hh alone.
    r, z = _sigmoid(given[0] + back[0]), _sigmoid(given[1] + back[1])
    n = np.tanh(given[2] + r * back[2])
    after = (1.0 - z) * n + z * state
    of_n = (1.0 - z) * (1.0 - n**2)
    of_state = np.stack((of_n * back[2] * r * (1.0 - r), (state - n) * z * (1.0 - z), of_n))
    one = np.ones_like(r)
    return Opened(after, after, z, one, of_state, np.zeros_like(of_state), np.stack((one, one, r)))


def stretched(states: list[float], steps: int) -> list[float]:
    """ln E S² of all states, where only the first and the last steps were followed: the states left out between them
    have the rate per step of those right behind the gap.
    """
    followed = len(states) - 1
    left_out, half, span = steps - followed, followed // 2, followed // 4
    if not left_out:
        return states
    rate = (states[half] - states[half + span]) / span
    middle = [states[half] + rate * back for back in range(left_out, 0, -1)]
    return [*(level + rate * left_out for level in states[:half]), *middle, *states[half:]]


RULES: Final[dict[str, tuple[int, CellRule]]] = {"lstm": (4, lstm), "gru": (3, gru)}


class Process:
    """A Gaussian process of mean 0 over steps, drawn one step after another as its covariance becomes known."""

    def __init__(self, draws: Array) -> None:
        self.draws = draws
        """(steps, units) standard normal."""
        self.factor = np.zeros((len(draws), len(draws)), order="F")
        """Cholesky's, row by row."""
        self.count = 0

    def next(self, covariance: Array) -> Array:
        """``covariance`` (steps so far + 1,) of the new value with the earlier ones and itself, last."""
        row = self.weights(covariance)
        return np.asarray(row @ self.draws[: self.count])

    def weights(self, covariance: Array) -> Array:
        """Of the draws so far and the new one, (steps so far + 1,), that make the new value."""
        t, own = self.count, float(covariance[-1])
        self.count += 1
        row = self.factor[t, : t + 1]
        if own <= 0.0:
            row[t] = 1.0  # of an exact 0, which nothing varies with
            return np.zeros(t + 1)
        if t:
            # Cholesky's next row, as the covariance becomes known a step at a time.
            row[:t] = dtrsv(self.factor[:t, :t], covariance[:-1], lower=1)
            row[:t] *= math.sqrt(min(1.0, own / max(float(row[:t] @ row[:t]), own)))  # where rounding made it longer
        row[t] = math.sqrt(max(own - float(row[:t] @ row[:t]), ALMOST * own))
        return row

    def all(self, covariance: Array) -> Array:
        """The values of all steps, of a covariance (steps, steps) that is known."""
        weights = np.zeros_like(self.factor)
        for t in range(len(weights)):
            weights[t, : t + 1] = self.weights(covariance[t, : t + 1])
        return np.asarray(weights @ self.draws)


@dataclass(frozen=True, slots=True)
class Forward:
    """``opened`` step by step; ``covariance`` (steps, steps) of h over units."""

    opened: list[Opened]
    covariance: Array


def units_drawn(steps: int) -> int:
    return min(max(DRAWN // steps, FEWEST_UNITS), MOST_UNITS)


@functools.lru_cache(maxsize=2)  # the layers of a stack ask for the same: 4 MB each
def _draws(steps: int, gates: int) -> tuple[Array, Array, Array]:
    """Standard normal: (steps, gates·units) for what is read and for what comes back, (steps + 1, units) for the way
    back.
    """
    units = units_drawn(steps)
    random = np.random.default_rng(SEED)
    reads, back = (random.standard_normal((steps, gates * units)) for _ in range(2))
    return reads, back, np.random.default_rng(SEED + 1).standard_normal((steps + 1, units))


def forward(cell: str, given: Array, weight: float, bias: float, forget_bias: float) -> Forward:
    """``given`` (steps, steps): the covariance of W_ih·x + b_ih over steps; σ² and Var b of W_hh."""
    gates, rule = RULES[cell]
    steps = len(given)
    units = units_drawn(steps)
    of_reads, of_back, _ = _draws(steps, gates)
    reads, back = Process(of_reads).all(given), Process(of_back)
    state, shown = np.zeros(units), np.zeros((steps + 1, units))
    opened = list[Opened]()
    for t in range(steps):
        # The covariance of W_hh·h + b_hh with all earlier steps, from the units drawn so far.
        of_h = weight * (shown[: t + 1] @ shown[t]) / units + bias
        step = rule(reads[t].reshape(gates, units), back.next(of_h).reshape(gates, units), state, forget_bias)
        opened.append(step)
        state, shown[t + 1] = step.state, step.h
    return Forward(opened, shown[1:] @ shown[1:].T / units)


@dataclass(frozen=True, slots=True)
class Backward:
    """``states``: ln E S² from the state before the first step on; ``entering`` (steps, steps): the covariance of δ,
    summed over gates. Both times e^``log``.
    """

    states: list[float]
    entering: Array
    log: float


def backward(cell: str, way: list[Opened], weight: float, above: Array, truncate: int | None) -> Backward:
    """``above`` (steps, steps): the covariance of ∂L/∂h over steps, of what does not come through W_hh."""
    steps, units = len(way), len(way[0].state)
    process = Process(_draws(steps, len(way[0].of_state))[-1])
    deltas = np.zeros((2, steps + 1, way[0].of_state.size))
    """As they enter W_ih, and W_hh."""
    carried, levels, scaled, log = np.zeros(units), list[float](), 1.0, 0.0
    for t in range(steps - 1, -1, -1):
        step = way[t]
        # Reversed: the process was begun at the last step, so its newest value is the earliest step's.
        through = (deltas[1, t + 1 :] @ deltas[1, t + 1])[::-1] / units
        of_h = process.next(scaled**2 * above[t, t:][::-1] + weight * through)
        state = carried + step.shown * of_h
        levels.append(_log_square(state) + log)
        delta = step.of_state * state + step.of_shown * of_h
        deltas[0, t], deltas[1, t] = delta.ravel(), (delta * step.back).ravel()
        carried = step.kept * state
        if truncate is not None and t > 0 and t % truncate == 0:
            # Truncated: nothing passes to earlier steps, neither through W_hh nor by the state.
            deltas[1], carried = 0.0, np.zeros(units)
        factor = _back_in_range(state)
        if factor != 1.0:
            # The way back is linear: all of it is scaled at once, and the logarithm takes the factor.
            deltas, carried, process.factor = deltas * factor, carried * factor, process.factor * factor
            scaled, log = scaled * factor, log - 2.0 * math.log(factor)
    if cell == "gru":  # whose state is h, which W_hh reads
        carried = carried + process.next(weight * (deltas[1] @ deltas[1, 0])[::-1] / units)
    levels.append(_log_square(carried) + log)
    covariance = deltas[0, :steps] @ deltas[0, :steps].T / units
    return Backward(levels[::-1], covariance, log)


def _log_square(values: Array) -> float:
    mean = float(np.mean(values**2))
    return math.log(mean) if mean > 0.0 else -math.inf


def _back_in_range(values: Array) -> float:
    rms = math.sqrt(float(np.mean(values**2)))
    return 1.0 if rms == 0.0 or 1.0 / RANGE < rms < RANGE else 1.0 / rms
