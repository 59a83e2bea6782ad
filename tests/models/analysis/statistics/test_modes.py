"""Two groups: seen where runs train or die, seldom seen in a normal sample, and the best of all splits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.analysis.statistics.modes import Mode, two_groups

metrics = st.lists(st.floats(-1e6, 1e6) | st.floats(0, 1) | st.sampled_from([0.1, 0.96]), max_size=14)


@pytest.mark.parametrize(
    ("values", "lower", "upper"),
    [
        ([0.95, 0.10, 0.97, 0.11, 0.12], (3, 0.11, 0.10, 0.12), (2, 0.96, 0.95, 0.97)),
        ([0.96, 0.96, 0.11, 0.97, 0.95], (1, 0.11, 0.11, 0.11), (4, 0.96, 0.95, 0.97)),
        ([0.1, 0.1, 0.9, 0.9], (2, 0.1, 0.1, 0.1), (2, 0.9, 0.9, 0.9)),
    ],
)
def test_runs_that_train_or_die_are_two_groups(
    values: list[float], lower: tuple[float, ...], upper: tuple[float, ...]
) -> None:
    found = two_groups(values)
    assert found is not None
    assert [(one.n, one.mean, one.lowest, one.highest) for one in found] == [pytest.approx(lower), pytest.approx(upper)]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0.1, 0.9, 0.9],
        [0.5] * 5,
        [0.90, 0.92, 0.88, 0.91, 0.93],
        [0.10, 0.30, 0.50, 0.70, 0.90],
        [0.975, 0.975, 0.975, 0.975, 0.978],  # one case of a small test set
    ],
)
def test_one_group_is_not_split(values: list[float]) -> None:
    assert two_groups(values) is None


def test_what_is_not_finite_does_not_count() -> None:
    found = two_groups([0.1, 0.11, 0.96, 0.95, float("nan"), float("-inf")])
    assert found is not None
    assert [one.n for one in found] == [2, 2]


@pytest.mark.parametrize("n", [4, 5, 7, 10, 20, 50])
def test_at_most_one_in_a_hundred_normal_samples_is_two_groups(n: int) -> None:
    samples = np.random.default_rng(n).normal(size=(6_000, n))  # a spread of 1, so that the least gap helps no one
    assert np.mean([two_groups(sample.tolist()) is not None for sample in samples]) <= 0.01


@pytest.mark.parametrize("n", [5, 10, 20])
def test_few_evenly_spread_samples_are_two_groups(n: int) -> None:
    samples = np.random.default_rng(n).uniform(size=(4_000, n))
    assert np.mean([two_groups(sample.tolist()) is not None for sample in samples]) <= 0.03


@pytest.mark.parametrize("n", [5, 10, 20])
def test_nearly_every_split_into_dead_and_trained_is_seen(n: int) -> None:
    random = np.random.default_rng(n)
    dead, trained = random.normal(0.11, 0.01, (1_000, n)), random.normal(0.94, 0.02, (1_000, n))
    shares = random.integers(1, n, size=1_000)
    samples = np.where(np.arange(n) < shares[:, None], dead, trained)
    found = [two_groups(sample.tolist()) for sample in samples]
    assert np.mean([groups is not None and groups[0].n == k for groups, k in zip(found, shares, strict=True)]) >= 0.98


@given(metrics)
def test_two_groups_are_all_runs_and_the_split_that_leaves_least_within(values: list[float]) -> None:
    found = two_groups(values)
    if found is None:
        return
    ordered = sorted(values)
    assert [one.n for one in found] == [found[0].n, len(values) - found[0].n]
    assert found == (_mode(ordered[: found[0].n]), _mode(ordered[found[0].n :]))
    assert found[0].highest + 0.05 <= found[1].lowest
    within = [_squares(ordered[:k]) + _squares(ordered[k:]) for k in range(1, len(ordered))]
    assert within[found[0].n - 1] == pytest.approx(min(within), rel=1e-6, abs=1e-9 * _squares(ordered))


def _mode(values: list[float]) -> Mode:
    return Mode(n=len(values), mean=float(np.mean(values)), lowest=values[0], highest=values[-1])


def _squares(values: list[float]) -> float:
    return float(np.sum((np.array(values) - np.mean(values)) ** 2))
