"""Data are split, standardised and judged by chance exactly as the contract says."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from models.specs.dataset import DATASETS, DatasetSpec, TeacherStudentSpec, split_sizes
from models.specs.loss import Objective
from worker.datasets import LOADERS, fashion_mnist, load
from worker.datasets.split import IGNORED, Arrays, Part, TrialData, split

GENERATED = ["adding", "copy_memory", "temporal_order", "teacher_student", "mnist_1d"]
NEEDS_APT = pytest.mark.skipif(
    not fashion_mnist.FOLDER.exists(), reason="Debian's package dataset-fashion-mnist is not installed"
)
# Uploaded data are not there before someone brings them.
KINDS = [
    pytest.param(kind, marks=NEEDS_APT if kind == "fashion_mnist" else ()) for kind in DATASETS if kind != "uploaded"
]
SPEC: TypeAdapter[DatasetSpec] = TypeAdapter(DatasetSpec)


def spec_of(kind: str = "digits", **changes: Any) -> DatasetSpec:
    return SPEC.validate_python({"kind": kind, **changes})


def arrays_of(kind: str, seed: int = 0, **changes: Any) -> Arrays:
    return LOADERS[kind](spec_of(kind, **changes), seed)


def test_every_data_set_has_a_loader() -> None:
    assert LOADERS.keys() == DATASETS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_raw_inputs_are_what_the_facts_say(kind: str) -> None:
    x, facts = arrays_of(kind).x, spec_of(kind).facts
    assert x.shape == (facts.cases, *facts.shape)
    assert x.dtype.kind == ("i" if facts.form == "tokens" else "f")
    assert np.isfinite(x).all()
    if facts.form == "image":
        assert (x.min(), x.max()) == (0.0, 1.0)
    if facts.form == "tokens":
        assert np.unique(x).tolist() == list(range(facts.vocabulary))


@pytest.mark.parametrize("kind", KINDS)
def test_raw_labels_are_what_the_facts_say(kind: str) -> None:
    y, facts = arrays_of(kind).y, spec_of(kind).facts
    last = {"class": (), "value": (facts.classes,), "class_per_step": facts.shape}[facts.target]
    assert y.shape == (facts.cases, *last)
    if facts.target == "value":
        assert y.dtype.kind == "f"
        assert np.isfinite(y).all()
    else:
        assert y.dtype == np.int64
        assert np.unique(y[y != IGNORED]).tolist() == list(range(facts.classes))


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_given_where_they_vary_and_padding_is_zero(kind: str) -> None:
    arrays, facts = arrays_of(kind), spec_of(kind).facts
    assert (arrays.lengths is not None) == facts.varying_length
    if arrays.lengths is not None:
        assert arrays.lengths.shape == (facts.cases,)
        assert 1 <= arrays.lengths.min() < arrays.lengths.max() == facts.shape[0]
        assert (arrays.x[np.arange(facts.shape[0]) >= arrays.lengths[:, None]] == 0).all()


@pytest.mark.parametrize("kind", GENERATED)
def test_a_generated_set_is_the_seeds_alone(kind: str) -> None:
    """The split seed's where there is one, else the run's; never half of each."""
    first, again, other = (arrays_of(kind, seed, cases=1100) for seed in (3, 3, 4))
    fixed, moved = (arrays_of(kind, seed, cases=1100, split_seed=3) for seed in (5, 6))
    for same in (again, fixed, moved):
        np.testing.assert_array_equal(first.x, same.x)
        np.testing.assert_array_equal(first.y, same.y)
    assert not np.array_equal(first.x, other.x)


@pytest.mark.parametrize("kind", KINDS)
def test_only_generated_sets_say_that_they_are(kind: str) -> None:
    facts = spec_of(kind).facts
    assert (not facts.real, facts.licence == "generated") == ((kind in GENERATED),) * 2


@pytest.mark.parametrize("kind", ["digits", "adding", "copy_memory", "japanese_vowels", "names"])
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
    assert data.train.x.shape == (promised.train, *spec.facts.shape)


def test_the_training_cases_are_the_rounded_share() -> None:
    """round(1797·0.8) = round(1437.6)."""
    data = load(spec_of(), 0)
    assert (len(data.train), len(data.test)) == (1438, 359)


@pytest.mark.parametrize("split_seed", [None, 5])
def test_cases_are_permuted_by_numpys_default_rng(split_seed: int | None) -> None:
    """The seed of the run, or the one that is fixed; training first, then validation, then test."""
    raw = arrays_of("digits")
    data = load(spec_of(split_seed=split_seed, validation_fraction=0.1, standardise="none"), 3)
    order = np.random.default_rng(3 if split_seed is None else split_seed).permutation(1797)
    front = round(1797 * 0.8)
    cut = front - round(1797 * 0.1)
    for part, its in ((data.train, order[:cut]), (data.validation, order[cut:front]), (data.test, order[front:])):
        np.testing.assert_array_equal(part.y.numpy(), raw.y[its])
        np.testing.assert_array_equal(part.x.numpy(), raw.x[its].astype(np.float32))


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
    torch.testing.assert_close(x.mean(dim=0), torch.zeros(1, 8, 8, dtype=torch.float64), rtol=0.0, atol=1e-6)
    torch.testing.assert_close(x.std(dim=0, correction=0), varies.double(), rtol=0.0, atol=1e-5)
    assert data.test.x.isfinite().all()


def test_nothing_of_the_test_part_enters_the_scale() -> None:
    raw = arrays_of("digits")
    spec = spec_of(split_seed=0)
    spoiled = raw.x.copy()
    spoiled[np.random.default_rng(0).permutation(1797)[1438:]] = 1e6
    honest, other = split(raw, spec, 0), split(Arrays(spoiled, raw.y), spec, 0)
    assert torch.equal(honest.train.x, other.train.x)


def test_standardised_targets_have_mean_0_and_variance_1_output_by_output_in_training() -> None:
    spec = TeacherStudentSpec(cases=200, outputs=2, singular_values=(5.0, 300.0), split_seed=0)
    raw, data = load(spec, 0), load(spec.model_copy(update={"standardise_targets": True}), 0)
    y = raw.train.y.double()
    mean, sd = y.mean(0), y.std(0, correction=0)
    for ours, given in ((data.train, raw.train), (data.test, raw.test)):
        torch.testing.assert_close(ours.y.double(), (given.y.double() - mean) / sd, rtol=1e-5, atol=1e-6)
        assert torch.equal(ours.x, given.x)
    assert data.target_scale is not None
    torch.testing.assert_close(data.target_scale, sd, rtol=1e-6, atol=0.0)
    assert data.chance_level(Objective("mse")) == pytest.approx(1.0, rel=1e-6)
    assert raw.target_scale is None


def test_a_target_that_never_changes_is_centred_and_left() -> None:
    y = np.stack([np.arange(10.0), np.full(10, 7.0)], axis=1)
    spec = TeacherStudentSpec(cases=10, outputs=2, singular_values=(1.0,), standardise_targets=True)
    data = split(Arrays(np.zeros((10, 8)), y), spec, 0)
    assert not data.train.y[:, 1].any()
    assert not data.test.y[:, 1].any()


def labelled(*labels: int) -> TrialData:
    part = Part(torch.zeros(len(labels), 1), torch.tensor(labels))
    return TrialData(part, part, part, classes=3)


def test_chance_is_the_entropy_of_the_training_labels() -> None:
    assert labelled(0, 1, 2).chance_level(Objective("cross_entropy")) == pytest.approx(math.log(3))
    expected = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert labelled(0, 0, 0, 1).chance_level(Objective("cross_entropy")) == pytest.approx(expected)


def test_chance_under_mse_is_the_error_of_the_mean_label() -> None:
    one_hot = np.eye(3)[[0, 0, 0, 1]]
    expected = ((one_hot - one_hot.mean(axis=0)) ** 2).mean()
    assert labelled(0, 0, 0, 1).chance_level(Objective("mse")) == pytest.approx(expected)


def test_a_part_moves_its_features_to_another_dtype_and_keeps_its_labels() -> None:
    part = load(spec_of(), 0).test.to(torch.device("cpu"), torch.float64)
    assert (part.x.dtype, part.y.dtype) == (torch.float64, torch.int64)


def test_the_majority_share_is_that_of_the_commonest_training_label_among_test_cases() -> None:
    def part(*labels: int) -> Part:
        return Part(torch.zeros(len(labels), 2), torch.tensor(labels))

    assert TrialData(part(1, 1, 0), part(), part(0, 0, 1, 2), classes=3).majority_share() == 0.25
    assert TrialData(part(1, 1, 0), part(), part(), classes=3).majority_share() is None
    steps = Part(torch.zeros(2, 2, 1), torch.zeros(2, 2, dtype=torch.int64))
    assert TrialData(steps, part(), steps, classes=3, target="class_per_step").majority_share() is None


@pytest.mark.parametrize(
    ("labels", "uneven"),
    [((0, 0, 0, 1), True), ((0, 0, 1, 1), False), ((0, 0, 1, 2), False), ((0,) * 11 + (1,) * 9, False)],
)
def test_labels_are_uneven_where_one_has_far_more_than_half_of_the_training_cases(
    labels: tuple[int, ...],
    uneven: bool,  # noqa: FBT001
) -> None:
    train, none = (Part(torch.zeros(len(its), 1), torch.tensor(its, dtype=torch.int64)) for its in (labels, ()))
    assert TrialData(train, none, none, classes=3).is_uneven() == uneven
    values = Part(torch.zeros(4, 1), torch.tensor([[0.0], [0.0], [0.0], [1.0]]))
    data = TrialData(values, none, none, classes=1, target="value")
    assert not data.is_uneven()
    assert data.target_offset() == pytest.approx(0.25 / math.sqrt(3.0 / 16.0))
    assert TrialData(train, none, none, classes=3).target_offset() is None
