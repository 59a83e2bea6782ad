"""Cells with gates beside wide ones, drawn and unrolled in plain numpy, forward and back through time."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from gradient_clinic.values import Array
from models.analysis.theory.gated_cells import RANGE, backward, forward, stretched

WIDTH, CASES, STEPS, INPUTS = 500, 6, 24, 200


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def ladder(correlation: float, steps: int = STEPS) -> Array:
    apart = np.abs(np.subtract.outer(np.arange(steps), np.arange(steps)))
    return np.asarray(np.where(apart == 0, 1.0, correlation**apart))


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


class Unrolled:
    """One drawn layer of ``WIDTH`` units: (steps, cases, units) of each gate on the way, then ∂L/∂state back."""

    def __init__(self, cell: str, variance: float, bias: float, correlation: float, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.cell, self.gates = cell, {"lstm": 4, "gru": 3}[cell]
        root = np.linalg.cholesky(ladder(correlation) + 1e-12 * np.eye(STEPS))
        self.x = np.einsum("ts,scf->tcf", root, random.normal(size=(STEPS, CASES, INPUTS)))
        self.read = random.normal(scale=math.sqrt(variance / INPUTS), size=(self.gates, WIDTH, INPUTS))
        self.loop = random.normal(scale=math.sqrt(variance / WIDTH), size=(self.gates, WIDTH, WIDTH))
        self.bias = random.normal(scale=math.sqrt(bias), size=(2, self.gates, 1, WIDTH))
        self.top = random.normal(size=(CASES, WIDTH))

    def entering(self, t: int, h: Array) -> tuple[Array, Array]:
        return self.x[t] @ self.read.transpose(0, 2, 1) + self.bias[0], h @ self.loop.transpose(0, 2, 1) + self.bias[1]

    def levels(self) -> tuple[Array, Array]:
        """ln mean square of ∂L/∂state, from before the first step on, and of δ over all gates, step by step."""
        return self._lstm() if self.cell == "lstm" else self._gru()

    def _lstm(self) -> tuple[Array, Array]:
        h = c = np.zeros((CASES, WIDTH))
        tape = []
        for t in range(STEPS):
            given, back = self.entering(t, h)
            i, f, g, o = sigmoid(given + back)
            g = np.tanh((given + back)[2])
            tape.append((i, f, g, o, c))
            c = f * c + i * g
            h = o * np.tanh(c)
        of_h, of_c, states, gates = self.top, np.zeros_like(h), [], []
        for i, f, g, o, before in reversed(tape):
            shown = np.tanh(f * before + i * g)
            of_c = of_c + of_h * o * (1 - shown**2)
            states.append(np.log(np.mean(of_c**2)))
            delta = np.stack(
                (of_c * g * i * (1 - i), of_c * before * f * (1 - f), of_c * i * (1 - g**2), of_h * shown * o * (1 - o))
            )
            gates.append(np.log(np.mean(delta**2)))
            of_h = np.einsum("gcu,guv->cv", delta, self.loop)
            of_c = of_c * f
        return np.array([*states, np.log(np.mean(of_c**2))])[::-1], np.array(gates[::-1])

    def _gru(self) -> tuple[Array, Array]:
        h = np.zeros((CASES, WIDTH))
        tape = []
        for t in range(STEPS):
            given, back = self.entering(t, h)
            r, z = sigmoid(given[:2] + back[:2])
            n = np.tanh(given[2] + r * back[2])
            tape.append((r, z, n, back[2], h))
            h = (1 - z) * n + z * h
        of_h, states, gates = self.top, [], []
        for r, z, n, back, before in reversed(tape):
            states.append(np.log(np.mean(of_h**2)))
            of_n = of_h * (1 - z) * (1 - n**2)
            delta = np.stack((of_n * back * r * (1 - r), of_h * (before - n) * z * (1 - z), of_n))
            gates.append(np.log(np.mean(delta**2)))
            through = delta * np.stack((np.ones_like(r), np.ones_like(r), r))
            of_h = of_h * z + np.einsum("gcu,guv->cv", through, self.loop)
        return np.array([*states, np.log(np.mean(of_h**2))])[::-1], np.array(gates[::-1])


def theory(cell: str, variance: float, bias: float, correlation: float) -> tuple[Array, Array]:
    way = forward(cell, variance * ladder(correlation) + bias, variance, bias, 0.0)
    only_last = np.zeros((STEPS, STEPS))
    only_last[-1, -1] = 1.0
    found = backward(cell, way.opened, variance, only_last, None)
    gates = {"lstm": 4, "gru": 3}[cell]
    return np.array(found.states), np.log(np.diag(found.entering) / gates) + found.log


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(("variance", "bias"), [(1.0, 0.0), (3.0, 0.1)])
@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_the_gain_per_step_is_that_of_wide_cells(cell: str, variance: float, bias: float, correlation: float) -> None:
    """Closed forms of fresh gates give 0.64 where frames that last give 0.83: a tolerance of 4 % tells them apart."""
    measured = [Unrolled(cell, variance, bias, correlation, seed).levels() for seed in range(3)]
    states = np.mean([its for its, _ in measured], axis=0)
    gates = np.mean([its for _, its in measured], axis=0)
    expected, entering = theory(cell, variance, bias, correlation)
    rate = (states[5] - states[-4]) / (STEPS - 8) / 2
    assert (expected[5] - expected[-4]) / (STEPS - 8) / 2 == pytest.approx(rate, abs=0.04)
    assert np.mean(entering[5:] - expected[6:]) == pytest.approx(np.mean(gates[5:] - states[6:]), abs=0.2)


def test_gates_of_weights_that_are_zero_forget_by_their_bias() -> None:
    way = forward("lstm", np.zeros((STEPS, STEPS)), 0.0, 0.0, 1.0)
    found = backward("lstm", way.opened, 0.0, np.eye(STEPS), None)
    assert found.states[0] - found.states[1] == pytest.approx(2.0 * math.log(1.0 / (1.0 + math.exp(-1.0))), rel=1e-12)


def test_gradients_beyond_every_float_keep_their_rate() -> None:
    """σw² = 1e6 over 192 steps: beyond what is kept without a scale of its own, however rounding steers the cells."""
    way = forward("lstm", 1e6 * ladder(0.5, 192), 1e6, 0.0, 0.0)
    only_last = np.zeros((192, 192))
    only_last[-1, -1] = 1.0
    states = np.array(backward("lstm", way.opened, 1e6, only_last, None).states)
    assert np.isfinite(states).all()
    assert states[0] > 2.0 * math.log(RANGE)


def test_truncation_leaves_an_exact_zero() -> None:
    way = forward("gru", ladder(0.5), 1.0, 0.0, 0.0)
    only_last = np.zeros((STEPS, STEPS))
    only_last[-1, -1] = 1.0
    states = backward("gru", way.opened, 1.0, only_last, 6).states
    assert states[: STEPS - 5] == [-math.inf] * (STEPS - 5)
    assert math.isfinite(states[STEPS - 5])


def test_steps_between_the_first_and_the_last_go_on_at_the_rate_beside_them() -> None:
    states = [0.5 * (128 - state) for state in range(129)]
    assert stretched(states, 300) == pytest.approx([0.5 * (300 - state) for state in range(301)])
    assert stretched(states, 128) is states
