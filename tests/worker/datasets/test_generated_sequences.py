"""The drawn sequences solve their own problem when it is worked out slowly, and are as hard as their papers say."""

import itertools
import math

import numpy as np
import pytest

from models.specs.dataset import AddingSpec, CopyMemorySpec, TemporalOrderSpec
from models.specs.loss import Objective
from worker.datasets import adding, copy_memory, load, temporal_order


@pytest.mark.parametrize("length", [2, 5, 50])
def test_adding_is_the_sum_of_the_marked_numbers_one_in_each_half(length: int) -> None:
    arrays = adding.arrays(AddingSpec(length=length, cases=200), 0)
    for steps, (answer,) in zip(arrays.x.tolist(), arrays.y.tolist(), strict=True):
        marked = [place for place, (_, marker) in enumerate(steps) if marker == 1.0]
        assert len(marked) == 2
        assert marked[0] < length // 2 <= marked[1]
        assert all(marker in {0.0, 1.0} and 0.0 <= number < 1.0 for number, marker in steps)
        assert answer == pytest.approx(sum(steps[place][0] for place in marked), rel=1e-6)


def test_markers_of_adding_reach_every_step() -> None:
    x = adding.arrays(AddingSpec(length=7, cases=2000), 0).x
    share = x[:, :, 1].mean(axis=0)
    np.testing.assert_allclose(share, [1 / 3] * 3 + [1 / 4] * 4, atol=0.05)


def test_always_saying_one_has_an_error_of_a_sixth() -> None:
    """(y − 1)² has mean 1/6 and variance 1/15 − 1/36, so 400,000 of it come within four standard errors of that."""
    y = adding.arrays(AddingSpec(length=2, cases=400_000), 0).y.astype(np.float64)
    error = math.sqrt((1 / 15 - 1 / 36) / 400_000)
    assert ((y - 1.0) ** 2).mean() == pytest.approx(1 / 6, abs=4 * error)


def test_adding_serves_1500_fresh_batches_of_64() -> None:
    spec = AddingSpec()
    assert round(spec.facts.cases * 0.8) == 1500 * 64
    assert load(AddingSpec(cases=40_000), 0).chance_level(Objective("mse")) == pytest.approx(1 / 6, rel=0.02)


@pytest.mark.parametrize("delay", [1, 2, 30])
def test_copy_reads_symbols_waits_and_says_them(delay: int) -> None:
    arrays = copy_memory.arrays(CopyMemorySpec(delay=delay, cases=100), 0)
    for read, said in zip(arrays.x.tolist(), arrays.y.tolist(), strict=True):
        symbols = read[:10]
        assert set(symbols) <= set(range(8))
        assert read[10:] == [8] * (delay - 1) + [9] + [8] * 10
        assert said == [8] * (delay + 10) + symbols
    assert len(np.unique(arrays.x[:, :10])) == 8


@pytest.mark.parametrize(("delay", "expected"), [(100, 0.173287), (500, 0.039989), (1000, 0.020387)])
def test_copying_without_memory_costs_what_arjovsky_says(delay: int, expected: float) -> None:
    """Without memory: blank until the delimiter is ten steps old or less, then every symbol alike."""
    arrays = copy_memory.arrays(CopyMemorySpec(delay=delay, cases=50), 0)
    cost = 0.0
    for read, said in zip(arrays.x.tolist(), arrays.y.tolist(), strict=True):
        since: float = -math.inf
        for token, label in zip(read, said, strict=True):
            since = 0 if token == 9 else since + 1
            chances = dict.fromkeys(range(8), 1 / 8) if since >= 1 else {8: 1.0}
            cost -= math.log(chances[label])
    assert cost / arrays.y.size == pytest.approx(expected, abs=1e-6)
    assert 10 * math.log(8) / (delay + 20) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("length", [10, 37, 100])
def test_temporal_order_is_read_off_its_two_symbols(length: int) -> None:
    arrays = temporal_order.arrays(TemporalOrderSpec(length=length, cases=400), 0)
    classes = ["".join(pair) for pair in itertools.product("XY", repeat=2)]
    tenth = length // 10
    for read, label in zip(arrays.x.tolist(), arrays.y.tolist(), strict=True):
        places = [place for place, token in enumerate(read) if token in {0, 1}]
        assert len(places) == 2
        assert tenth <= places[0] <= 2 * tenth
        assert 5 * tenth <= places[1] <= 6 * tenth
        assert classes[label] == "".join("XY"[read[place]] for place in places)
        assert (read[0], read[-1]) == (6, 7)
        assert {read[place] for place in range(1, length - 1)} - {0, 1} <= {2, 3, 4, 5}
    assert np.bincount(arrays.y).min() > 60
