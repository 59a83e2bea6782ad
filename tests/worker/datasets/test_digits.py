"""The digits are those of scikit-learn's own reader, which the worker never loads."""

import numpy as np
from sklearn.datasets import load_digits

from models.specs.dataset import DigitsSpec
from worker.datasets import digits


def test_the_digits_are_those_that_scikit_learn_gives() -> None:
    images, labels = load_digits(return_X_y=True)
    read = digits.arrays(DigitsSpec(kind="digits"), 0)
    assert np.array_equal(read.x, images.reshape(-1, 1, 8, 8) / 16.0)
    assert np.array_equal(read.y, labels)
