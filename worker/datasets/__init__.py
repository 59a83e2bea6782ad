"""Data set kinds and their loaders: a closed table, the keys of ``models.specs.dataset.DATASETS``."""

from collections.abc import Callable

from models.specs.dataset import DatasetSpec
from worker.datasets import digits, mnist_5k
from worker.datasets.split import Features, Labels, TrialData, split

LOADERS: dict[str, Callable[[], tuple[Features, Labels]]] = {"digits": digits.arrays, "mnist_5k": mnist_5k.arrays}


def load(spec: DatasetSpec, seed: int) -> TrialData:
    """The data of one run, split and standardised as the spec says, on the CPU."""
    return split(*LOADERS[spec.kind](), spec, seed)
