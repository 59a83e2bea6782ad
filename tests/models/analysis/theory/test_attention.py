"""Attention and the likeness of steps beside drawn ones: plain numpy, many heads, torch's softmax written out."""

import math

import numpy as np
import pytest

from gradient_clinic.activations import Activation
from gradient_clinic.values import Array
from models.analysis.theory.attention import attend
from models.analysis.theory.likeness import likeness
from models.analysis.theory.variances import Delta, Signal, cosines, toeplitz
from models.plan.tree import Attend

STEPS, HEADS, WIDTH = 12, 400, 16


def signal(variance: float, alike: Array) -> Signal:
    nothing = np.zeros(STEPS)
    return Signal(np.full(STEPS, variance), nothing, nothing, alike=alike)


def drawn(covariance: Array, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    return np.linalg.cholesky(covariance + 1e-9 * np.eye(STEPS)) @ random.normal(size=(*shape, STEPS, WIDTH))


def slow(variance: float, alike: Array, delta: Array, *, causal: bool) -> tuple[Array, Array]:
    """(covariance behind the heads, covariance of what enters queries, keys and values), over ``HEADS`` heads; the
    gradient of the softmax step by step.
    """
    random = np.random.default_rng(5)
    q, k, v = drawn(variance * alike, (3, HEADS), random)
    above = drawn(delta, (HEADS,), random)
    out, back = np.zeros((STEPS, STEPS)), np.zeros((STEPS, STEPS))
    for head in range(HEADS):
        mixed, dq, dk, dv = np.zeros((STEPS, WIDTH)), *np.zeros((3, STEPS, WIDTH))
        for s in range(STEPS):
            seen = s + 1 if causal else STEPS
            scores = k[head, :seen] @ q[head, s] / math.sqrt(WIDTH)
            share = np.exp(scores - scores.max())
            share /= share.sum()
            mixed[s] = share @ v[head, :seen]
            jacobian = np.diag(share) - np.outer(share, share)
            of_scores = jacobian @ (v[head, :seen] @ above[head, s]) / math.sqrt(WIDTH)
            dq[s] = of_scores @ k[head, :seen]
            dk[:seen] += np.outer(of_scores, q[head, s])
            dv[:seen] += np.outer(share, above[head, s])
        out += mixed @ mixed.T / WIDTH / HEADS
        back += (dq @ dq.T + dk @ dk.T + dv @ dv.T) / WIDTH / HEADS / 3.0
    return out, back


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("variance", [0.1, 3.0])
@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_lengths_likeness_and_the_way_back_are_those_of_drawn_heads(
    variance: float,
    correlation: float,
    causal: bool,  # noqa: FBT001
) -> None:
    alike = toeplitz((correlation, correlation**2, correlation**3), STEPS)
    sent = 0.5 * np.ones((STEPS, STEPS)) + 0.5 * np.eye(STEPS)
    out, way_back = attend(Attend(2, causal, 2 * WIDTH), signal(variance, alike))
    entering = way_back(Delta(np.ones(STEPS), alike=sent))
    expected, back = slow(variance, alike, sent, causal=causal)
    assert out.square.mean() == pytest.approx(np.diag(expected).mean(), rel=0.05)
    assert out.alike is not None
    assert np.abs(out.alike - cosines(expected)).mean() < 0.05
    assert entering.square.mean() * math.exp(entering.log) == pytest.approx(np.diag(back).mean(), rel=0.12)
    assert entering.alike is not None
    assert np.abs(entering.alike - cosines(back)).mean() < 0.1


def test_scores_of_zero_weights_average_the_steps_that_are_seen() -> None:
    out, _ = attend(Attend(1, True, WIDTH), signal(1e-12, np.eye(STEPS)))  # noqa: FBT003
    assert out.square == pytest.approx(1e-12 / np.arange(1, STEPS + 1), rel=1e-3)


@pytest.mark.parametrize("cosine", [-0.6, 0.0, 0.3, 0.9, 1.0])
def test_relu_has_the_arc_cosine_kernels(cosine: float) -> None:
    """Cho & Saul 2009: E φφ' = (sin θ + (π − θ)·cos θ)/2π over 1/2, and of slopes (π − θ)/2π over 1/2."""
    theta = math.acos(cosine)
    found = likeness(Activation("relu"), 2.3)
    of_values = (math.sin(theta) + (math.pi - theta) * cosine) / math.pi
    assert float(found.of_values(np.array(cosine))) == pytest.approx(of_values, abs=0.01)
    assert float(found.of_slopes(np.array(cosine))) == pytest.approx((math.pi - theta) / math.pi, abs=0.05)


def test_smooth_activations_are_as_alike_as_drawn_ones() -> None:
    random = np.random.default_rng(0)
    u, w = random.normal(size=(2, 400_000))
    v = 0.7 * u + math.sqrt(1 - 0.49) * w
    for function in ("tanh", "gelu"):
        phi = Activation(function)
        a, b = phi.phi(1.5 * u), phi.phi(1.5 * v)
        expected = float(np.mean(a * b) / np.mean(a * a))
        assert float(likeness(phi, 2.25).of_values(np.array(0.7))) == pytest.approx(expected, abs=0.01)


def test_correlations_that_are_none_are_brought_to_the_nearest() -> None:
    alike = toeplitz((0.9, 0.0), 40)  # no process has these
    assert np.linalg.eigvalsh(alike).min() > 0.0
    assert np.diag(alike) == pytest.approx(np.ones(40))
    assert toeplitz((), 3).tolist() == np.eye(3).tolist()
    assert toeplitz((0.5,), 3)[0].tolist() == pytest.approx([1.0, 0.5, 0.5])
