"""What is kept is bounded, and has what the rules read."""

import math

import numpy as np

from gradient_clinic.signals import SIGNALS
from gradient_clinic.watcher.records import BEGINNING, MOST, NEWEST, NONFINITE, UPDATE, Record, Records


def record(step: int, *, broken: bool = False, update: float = 0.0) -> Record:
    matrix = np.zeros((len(SIGNALS), 2))
    matrix[NONFINITE, 1] = broken
    matrix[UPDATE] = update, math.nan
    return Record(step, matrix, {})


def records_of(steps: int, broken: int | None = None) -> Records:
    records = Records()
    for step in range(steps):
        records.add(record(step, broken=broken is not None and step >= broken, update=step % 1000 / 10.0))
    return records


def test_a_long_training_keeps_its_beginning_its_end_and_evenly_what_lies_between() -> None:
    steps = [its.step for its in records_of(100_000).kept()]
    assert steps == sorted(set(steps))
    assert len(steps) <= BEGINNING + MOST + 2 * NEWEST
    assert steps[:BEGINNING] == list(range(BEGINNING))
    assert steps[-NEWEST:] == list(range(100_000 - NEWEST, 100_000))
    between = np.diff(steps[BEGINNING:-NEWEST])
    assert between.max() <= 512
    assert sum(step >= 90_000 for step in steps) > 40  # the window that the verdict reads


def test_the_first_broken_record_is_kept_with_the_twenty_before_it() -> None:
    records = records_of(50_000, broken=30_123)
    assert records.first_broken is not None
    assert records.first_broken.step == 30_123
    assert [its.step for its in records.before_broken] == list(range(30_103, 30_123))
    assert {its.step for its in records.kept()} >= set(range(30_103, 30_124))


def test_of_updates_the_largest_is_known_of_all_records() -> None:
    np.testing.assert_array_equal(records_of(5_000).largest_update, [99.9, math.nan])


def test_a_loss_that_is_not_finite_breaks_a_record() -> None:
    matrix = np.zeros((len(SIGNALS), 1))
    assert [Record(0, matrix, curves).finite for curves in ({}, {"loss": 1.0}, {"loss": math.nan})] == [
        True,
        True,
        False,
    ]
