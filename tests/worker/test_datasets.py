"""Data are split, standardised and judged by chance exactly as the contract says."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from models.specs.dataset import DATASETS, DatasetSpec, split_sizes
from worker.datasets import LOADERS, load
from worker.datasets.split import Part, TrialData, split


def spec_of(kind: str = "digits", **changes: Any) -> DatasetSpec:
    return DATASETS[kind].model_validate({"kind": kind, **changes})


def test_every_data_set_has_a_loader() -> None:
    assert LOADERS.keys() == DATASETS.keys()


@pytest.mark.parametrize("kind", DATASETS)
def test_raw_data_are_what_the_facts_say(kind: str) -> None:
    x, y = LOADERS[kind]()
    facts = DATASETS[kind].facts
    assert x.shape == (facts.cases, facts.features)
    assert (x.min(), x.max()) == (0.0, 1.0)
    assert sorted(set(y.tolist())) == list(range(facts.classes))


@pytest.mark.parametrize("kind", DATASETS)
@pytest.mark.parametrize(("validation", "test"), [(0.0, 0.2), (0.1, 0.2), (0.25, 0.0), (0.0, 0.0)])
def test_parts_have_the_sizes_that_validate_promised(kind: str, validation: float, test: float) -> None:
    spec = spec_of(kind, validation_fraction=validation, test_fraction=test)
    data = load(spec, 3)
    promised = split_sizes(spec.facts.cases, validation, test)
    assert (len(data.train), len(data.validation), len(data.test)) == (
        promised.train,
        promised.validation,
        promised.test,
    )
    assert promised.train + promised.validation + promised.test == spec.facts.cases
    assert data.train.x.shape == (promised.train, spec.facts.features)


def test_the_training_cases_are_the_rounded_share() -> None:
    """round(1797·0.8) = round(1437.6)."""
    data = load(spec_of(), 0)
    assert (len(data.train), len(data.test)) == (1438, 359)


@pytest.mark.parametrize("split_seed", [None, 5])
def test_cases_are_permuted_by_numpys_default_rng(split_seed: int | None) -> None:
    """The seed of the run, or the one that is fixed; training first, then validation, then test."""
    x, y = LOADERS["digits"]()
    data = load(spec_of(split_seed=split_seed, validation_fraction=0.1, standardise="none"), 3)
    order = np.random.default_rng(3 if split_seed is None else split_seed).permutation(1797)
    front = round(1797 * 0.8)
    cut = front - round(1797 * 0.1)
    for part, its in ((data.train, order[:cut]), (data.validation, order[cut:front]), (data.test, order[front:])):
        np.testing.assert_array_equal(part.y.numpy(), y[its])
        np.testing.assert_array_equal(part.x.numpy(), x[its].astype(np.float32))


def test_scalar_standardisation_uses_one_mean_and_sd_of_the_training_cases() -> None:
    raw, data = load(spec_of(standardise="none"), 0), load(spec_of(standardise="scalar"), 0)
    train = raw.train.x.double()
    mean, sd = train.mean(), train.std(correction=0)
    for ours, given in ((data.train, raw.train), (data.test, raw.test)):
        torch.testing.assert_close(ours.x.double(), (given.x.double() - mean) / sd, rtol=1e-6, atol=1e-6)
    assert abs(float(data.test.x.double().mean())) > 1e-6


def test_feature_standardisation_leaves_constant_features_at_zero() -> None:
    raw, data = load(spec_of(standardise="none"), 0), load(spec_of(standardise="feature"), 0)
    varies = raw.train.x.double().std(dim=0, correction=0) > 0
    assert 0 < int(varies.sum()) < 64
    x = data.train.x.double()
    torch.testing.assert_close(x.mean(dim=0), torch.zeros(64, dtype=torch.float64), rtol=0.0, atol=1e-6)
    torch.testing.assert_close(x.std(dim=0, correction=0), varies.double(), rtol=0.0, atol=1e-5)
    assert data.test.x.isfinite().all()


def test_nothing_of_the_test_part_enters_the_scale() -> None:
    x, y = LOADERS["digits"]()
    spec = spec_of(split_seed=0)
    spoiled = x.copy()
    spoiled[np.random.default_rng(0).permutation(1797)[1438:]] = 1e6
    honest, other = split(x, y, spec, 0), split(spoiled, y, spec, 0)
    assert torch.equal(honest.train.x, other.train.x)


def labelled(*labels: int) -> TrialData:
    part = Part(torch.zeros(len(labels), 1), torch.tensor(labels))
    return TrialData(part, part, part, classes=3)


def test_chance_is_the_entropy_of_the_training_labels() -> None:
    assert labelled(0, 1, 2).chance_level("cross_entropy") == pytest.approx(math.log(3))
    expected = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert labelled(0, 0, 0, 1).chance_level("cross_entropy") == pytest.approx(expected)


def test_chance_under_mse_is_the_error_of_the_mean_label() -> None:
    one_hot = np.eye(3)[[0, 0, 0, 1]]
    expected = ((one_hot - one_hot.mean(axis=0)) ** 2).mean()
    assert labelled(0, 0, 0, 1).chance_level("mse") == pytest.approx(expected)


def test_a_part_moves_its_features_to_another_dtype_and_keeps_its_labels() -> None:
    part = load(spec_of(), 0).test.to(torch.device("cpu"), torch.float64)
    assert (part.x.dtype, part.y.dtype) == (torch.float64, torch.int64)
