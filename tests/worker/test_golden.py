"""Golden cases of theory on the engine's records in float64, before any storage (Schoenholz et al. 2017; Yang 2019)."""

import math

import numpy as np
import pytest
import torch

from models.plan import NetworkPlan
from proofs.gpu.golden import BATCH, CASES, LAYERS, WIDTH, Golden, gain_per_layer, gaussian, network, record

SEEDS = 3
"""With 28 increments of 400 units in each network, all lie within 0.6% of theory."""


def rms_ratio(
    plan: NetworkPlan,
    variance: float,
    device: torch.device,
    *,
    batch: int = BATCH,
    seeds: int = SEEDS,
    drop: int = 2,
) -> float:
    records = [record(plan, seed, variance, batch, device=device) for seed in range(seeds)]
    return gain_per_layer(records, drop=drop)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gain_per_layer_is_the_theory(case: Golden, device: torch.device) -> None:
    assert rms_ratio(case.plan, case.variance, device) == pytest.approx(case.gain, rel=0.02)


def test_orthogonal_linear_layers_preserve_the_gradient_exactly(device: torch.device) -> None:
    plan = network(LAYERS, 64, activation="identity", init={"kind": "orthogonal"})
    rms = record(plan, 0, 1.0, device=device).activation_gradient_rms
    np.testing.assert_allclose(rms / rms[-1], 1.0, rtol=1e-12)


@pytest.mark.parametrize(("activation", "chi"), [("relu", math.pi / (math.pi - 1)), ("identity", 1.0)])
def test_batch_norm_explodes_by_its_own_theory(activation: str, chi: float, device: torch.device) -> None:
    norm = {"kind": "batch_norm", "affine": False}
    plan = network(24, 768, activation=activation, init=gaussian(1.0), normalization=norm)
    assert rms_ratio(plan, 1.0, device, batch=256, seeds=1, drop=5) == pytest.approx(math.sqrt(chi), rel=0.03)


def test_dropout_adds_its_factor(device: torch.device) -> None:
    plan = network(LAYERS, WIDTH, activation="relu", init=gaussian(2.0), dropout=0.2)
    assert rms_ratio(plan, 1.0, device) == pytest.approx(math.sqrt(1 / 0.8), rel=0.02)
