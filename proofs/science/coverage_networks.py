"""Coverage of gains over depth and over time, on networks that are drawn and not trained.

The truth is the mean over all of them. So an interval from the increments of one network has to hold what another one
would show.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from gradient_clinic.gains.depth_axis import gradient_of_run
from gradient_clinic.gains.increments import SETTLING_FIRST, SETTLING_LAST
from gradient_clinic.intervals import Estimate, t_intervals
from gradient_clinic.values import Array
from proofs.science.populations import SEED, bounds_of, covered

WIDTH: Final = 64
DEPTH: Final = 30
STEPS: Final = 50
CASES: Final = 32
GROUP: Final = 5
CHUNK: Final = 250


def gains(nets: int) -> Iterator[dict[str, Any]]:
    """A row for each kind of gain: from one network's increments, and over groups of five networks."""
    for batch in (1, 64):
        levels = np.concatenate([_levels(batch, CHUNK, chunk) for chunk in range(nets // CHUNK)])
        gradients = [gradient_of_run(row, batch_norm=False) for row in levels.tolist()]
        network = f"{DEPTH} He-ReLU layers, batch {batch}"
        yield _row(f"G, {network}", [gradient.total_gain for gradient in gradients])
        yield _row(f"gain per layer, {network}", [gradient.gain_per_layer for gradient in gradients], logarithm=True)
    back = np.concatenate([_levels_over_time(CHUNK, chunk) for chunk in range(nets // CHUNK)])
    kept = back[:, SETTLING_FIRST : STEPS - SETTLING_LAST + 1]
    rates = [interval.exp().estimate("t over steps") for interval in t_intervals((kept[:, :-1] - kept[:, 1:]).T)]
    yield _row(f"gain per step, tanh, {STEPS} steps (not given for one run: this is why)", rates, logarithm=True)


def _row(name: str, estimates: Sequence[Estimate | None], *, logarithm: bool = False) -> dict[str, Any]:
    """``logarithm``: the estimates are e^mean of what is normal, so the truth is the mean of their logarithms."""
    known = [(each.mean, each.low, each.high) for each in estimates if each is not None]
    mean, low, high = np.array(known, dtype=np.float64).T
    if logarithm:
        mean, low, high = np.log(mean), np.log(low), np.log(high)
    truth = float(mean.mean())
    seeds = bounds_of(t_intervals(mean[: len(mean) // GROUP * GROUP].reshape(-1, GROUP).T))
    return {
        "gain": name,
        "nets": len(mean),
        "one run": covered(low, high, truth),
        "five seeds": covered(*seeds, truth),
        "mean": truth,
        "spread": float(mean.std(ddof=1)),
    }


def _levels(batch: int, nets: int, chunk: int) -> Array:
    """(nets, layers): ln rms δ of many networks at once; h ← W·φ(h), W ~ N(0, 2/width), cotangent N(0, 1)."""
    rng = np.random.default_rng([SEED, batch, chunk])
    h = rng.standard_normal((nets, WIDTH, batch), dtype=np.float32)
    weights, slopes = [], []
    for _ in range(DEPTH - 1):
        weights.append(rng.standard_normal((nets, WIDTH, WIDTH), dtype=np.float32) * np.float32(math.sqrt(2.0 / WIDTH)))
        slopes.append(h > 0)
        h = weights[-1] @ np.maximum(h, 0.0)
    delta = rng.standard_normal(h.shape, dtype=np.float32)
    levels = [delta]
    for weight, slope in zip(reversed(weights), reversed(slopes), strict=True):
        levels.append(slope * (weight.transpose(0, 2, 1) @ levels[-1]))
    return np.array([0.5 * np.log((level.astype(np.float64) ** 2).mean(axis=(1, 2))) for level in reversed(levels)]).T


def _levels_over_time(nets: int, chunk: int) -> Array:
    """(nets, steps + 1): ln rms ∂L/∂h_t of h_t = tanh(W·h_{t−1} + U·x_t), weights within ±1/√width as torch has them,
    cotangent N(0, 1) on the last state.
    """
    rng, bound = np.random.default_rng([SEED, 3, chunk]), np.float32(1.0 / math.sqrt(WIDTH))
    weight = rng.uniform(-bound, bound, (nets, WIDTH, WIDTH)).astype(np.float32)
    inputs = rng.uniform(-bound, bound, (nets, WIDTH, 2)).astype(np.float32)
    h, slopes = np.zeros((nets, WIDTH, CASES), np.float32), []
    for _ in range(STEPS):
        h = np.tanh(weight @ h + inputs @ rng.standard_normal((nets, 2, CASES), dtype=np.float32))
        slopes.append(1.0 - h * h)
    deltas = [rng.standard_normal(h.shape, dtype=np.float32)]
    for slope in reversed(slopes):
        deltas.append(weight.transpose(0, 2, 1) @ (slope * deltas[-1]))
    return np.array([0.5 * np.log((delta.astype(np.float64) ** 2).mean(axis=(1, 2))) for delta in reversed(deltas)]).T
