"""The digits, pixel by pixel; permuted in one order for all."""

import numpy as np
from sklearn.datasets import load_digits

from models.specs.dataset import SequentialDigitsSpec
from worker.datasets import sequential_digits


def test_pixels_come_row_by_row() -> None:
    arrays = sequential_digits.arrays(SequentialDigitsSpec(), 0)
    images, labels = load_digits(return_X_y=True)
    np.testing.assert_array_equal(arrays.x[:, :, 0], images / 16.0)
    np.testing.assert_array_equal(arrays.y, labels)


def test_permuted_pixels_are_the_same_in_another_order() -> None:
    plain = sequential_digits.arrays(SequentialDigitsSpec(), 0).x
    permuted = sequential_digits.arrays(SequentialDigitsSpec(permuted=True), 0).x
    assert not np.array_equal(plain, permuted)
    np.testing.assert_array_equal(np.sort(plain, axis=1), np.sort(permuted, axis=1))
    # One order for all cases: a pixel's column of values is found again as a whole.
    assert sorted(map(bytes, plain[:, :, 0].T.copy())) == sorted(map(bytes, permuted[:, :, 0].T.copy()))


def test_the_order_is_that_of_no_seed() -> None:
    first = sequential_digits.arrays(SequentialDigitsSpec(permuted=True), 0).x
    other = sequential_digits.arrays(SequentialDigitsSpec(permuted=True, split_seed=8), 9).x
    np.testing.assert_array_equal(first, other)
