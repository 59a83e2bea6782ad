"""Published rules at their thresholds: they fire just beyond, and not before."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from proofs.science.published import BY_NUMBER, RULES, SETS, Step, fires
from proofs.science.tensor_statistics import NAMES, TensorStatistics, packed, unpacked

LAYERS = 6
QUIET = TensorStatistics(
    gradient_mean=np.full(LAYERS, 1e-2),
    gradient_norm=np.full(LAYERS, 1.0),
    gradient_zeros=np.zeros(LAYERS),
    gradient_signed_mean=np.full(LAYERS, 1e-4),
    gradient_p5=np.full(LAYERS, -0.02),
    gradient_p95=np.full(LAYERS, 0.02),
    gradient_finite=np.ones(LAYERS),
    weight_mean=np.full(LAYERS, 0.1),
    weight_norm=np.full(LAYERS, 10.0),
    weight_variance=np.full(LAYERS, 0.01),
    weight_max=np.full(LAYERS, 0.5),
    weight_tiny=np.zeros(LAYERS),
    weight_negative=np.full(LAYERS, 0.5),
    update_mean=np.full(LAYERS, 1e-4),
    unchanged=np.zeros(LAYERS),
    inactive_units=np.zeros(LAYERS),
    flat_units=np.zeros(LAYERS),
    weak_units=np.zeros(LAYERS),
    not_positive=np.full(LAYERS, 0.5),
    beyond_five=np.zeros(LAYERS),
    tanh_inside=np.ones(LAYERS),
)
FALLING = np.linspace(2.3, 0.1, 51)


def step(*, losses: Any = FALLING, norms: Any = None, rate: float = 0.01, **changes: Any) -> Step:
    """A healthy step 50, but for what is changed: a number stands for one layer, a list for all."""
    tensors = QUIET
    for name, value in changes.items():
        values = getattr(tensors, name).copy()
        values[slice(None) if isinstance(value, list) else 2] = value
        tensors = dataclasses.replace(tensors, **{name: values})
    losses = np.asarray(losses, dtype=float)
    return Step(len(losses) - 1, tensors, losses, np.ones(len(losses)) if norms is None else norms, rate)


def test_a_healthy_step_fires_none() -> None:
    assert [rule.number for rule in RULES if fires((rule.number,), step())] == []


STEEP = [0.4**k for k in range(LAYERS, 0, -1)]


@pytest.mark.parametrize(
    ("number", "beyond", "within"),
    [
        (1, {"gradient_mean": 0.9e-7}, {"gradient_mean": 1.1e-7}),
        (2, {"gradient_finite": 0.0}, {}),
        (3, {"inactive_units": 0.51}, {"inactive_units": 0.5}),
        (4, {"flat_units": 0.51}, {"flat_units": 0.5}),
        (6, {"update_mean": 1.1}, {"update_mean": 0.9}),
        (7, {"gradient_zeros": 1.0}, {"gradient_zeros": 0.99}),
        (8, {"losses": np.full(51, 2.3)}, {}),
        (10, {"gradient_norm": [9e-5, 1, 1, 1, 1, 1]}, {"gradient_norm": [9e-4, 1, 1, 1, 1, 1]}),
        (11, {"gradient_norm": [71, 1, 1, 1, 1, 1]}, {"gradient_norm": [69, 1, 1, 1, 1, 1]}),
        (11, {"losses": np.full(51, 1000.0)}, {"losses": np.full(51, 999.0)}),
        (12, {"gradient_zeros": [0.7] * 6}, {"gradient_zeros": [0.69] * 6}),
        (16, {"weight_max": 5.1}, {"weight_max": 5.0}),
        (17, {"gradient_mean": STEEP}, {"gradient_mean": [0.6**k for k in range(6, 0, -1)]}),
        (17, {"gradient_mean": 0.9e-6}, {}),
        (18, {"gradient_mean": STEEP[::-1]}, {"gradient_mean": [0.6**k for k in range(1, 7)]}),
        (19, {"update_mean": 0.011}, {"update_mean": 0.009}),
        (20, {"weak_units": 0.51}, {"weak_units": 0.5}),
        (23, {"weight_tiny": 0.96}, {"weight_tiny": 0.95}),
        (26, {"update_mean": 0.9e-7}, {"update_mean": 1.1e-7}),
        (27, {"not_positive": 0.7}, {"not_positive": 0.69}),
        (28, {"beyond_five": 0.51}, {"beyond_five": 0.5}),
        (29, {"gradient_signed_mean": 0.0}, {}),
        (30, {"weight_variance": 0.9e-5}, {"weight_variance": 1.1e-5}),
        (30, {"rate": 1.1}, {"rate": 0.9}),
        (31, {"gradient_mean": [1.1e4] * 6}, {"gradient_mean": [0.9e4] * 6}),
        (32, {"gradient_mean": [0.9e-5] * 6}, {"gradient_mean": [1.1e-5] * 6}),
        (33, {"gradient_zeros": [0.51] * 6}, {"gradient_zeros": [0.5] * 6}),
        (35, {"gradient_mean": 0.9e-9}, {"gradient_mean": 1.1e-9}),
        (37, {"update_mean": 0.9e-5}, {"update_mean": 1.1e-5}),
        (38, {"tanh_inside": 0.0009}, {"tanh_inside": 0.001}),
        (43, {"rate": 0.011}, {"rate": 0.01}),
        (0, {"gradient_mean": [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1.0]}, {"gradient_mean": [1e-3] * 6}),
    ],
)
def test_a_rule_fires_beyond_its_threshold_only(number: int, beyond: dict[str, Any], within: dict[str, Any]) -> None:
    assert fires((number,), step(**beyond))
    assert not fires((number,), step(**within))


def test_spikes_need_their_history() -> None:
    rng = np.random.default_rng(0)
    calm = 1.0 + 0.01 * rng.standard_normal(200)
    spike = calm.copy()
    spike[150] = 2.0
    for number in (39, 40, 41):
        seen = {"losses": spike, "norms": spike} if number != 41 else {"norms": np.append(np.ones(30), 9.0)}
        assert fires((number,), step(**seen))
    assert not fires((39,), step(losses=calm))
    assert not fires((39,), step(losses=spike[:151][-100:]))


def test_a_set_fires_when_any_of_its_rules_does() -> None:
    vanished = step(gradient_mean=1e-8)
    assert fires(SETS["SageMaker 1+2"], vanished)
    assert not fires(SETS["MindInsight 35"], vanished)
    assert all(number in BY_NUMBER for numbers in SETS.values() for number in numbers)


def test_statistics_return_from_an_array_as_they_were() -> None:
    (again,) = unpacked(packed([QUIET]))
    for name in NAMES:
        assert np.array_equal(getattr(again, name), getattr(QUIET, name))
